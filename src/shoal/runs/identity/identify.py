"""Clusters that stay themselves: the ids of a run's clusters, after those of the run before.

Groups come with ids by rank. A cluster that was there before takes the id that it had; the others take numbers that no
cluster of this cluster object ever had. Everything follows from the groups and the earlier run alone, so another
attempt of a run comes to the same ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels
from shoal.engine.clusters.matching import SharedRows, count_shared_rows, match_clusters
from shoal.engine.features.attributes import format_value
from shoal.errors import Corrupt, NotFound
from shoal.records.cluster_ids import NOISE_ID
from shoal.records.execution import Execution
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Page, Sort
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.identity.lasting_layers import LayersBefore, is_layers_table, is_of_layers
from shoal.runs.states import runs_of
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.records import Query

__all__ = ["Identity", "Past", "identify", "layer_keys", "numbers_used", "path_of"]

Path = tuple[int, ...]
"""The numbers of an id: (3, 0) of `cl_3_sub_0`."""
Ids = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """The lasting id of each id by rank, and for each group of clusters that there is ("" for the top) the first number
    below it that no cluster ever had."""

    ids: Ids
    next_numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Past:
    """The run before, with the tables of its results; None where they are gone."""

    run: Execution
    members: pa.Table | None
    centroids: pa.Table | None
    layers: LayersBefore | None = None
    """Of the run that found the clusters, where this one assigned documents to them."""

    @staticmethod
    def before(
        executions: Repository[Execution], artifacts: ArtifactStore, scope: Scope, run: Execution
    ) -> "Past | None":
        """The newest run with visible results among those of the same cluster and the same filter of its own, since
        such a filter has ids apart. None where there is none."""
        same = (
            Condition("partition", "is_null", True)
            if run.partition is None
            else Condition("partition", "eq", run.partition, case_sensitive=True)
        )
        published = runs_of(run.cluster_id, Condition("published", "eq", True), same)
        order = (Sort("sequence", descending=True), Sort("created_at", descending=True))
        found = executions.search(scope, Query(published.filter, order, Page(limit=1))).items
        if not found:
            return None
        origin = found[0]
        while origin.mode == "assign" and (earlier := executions.find_one(scope, origin.request["assigned_to"])):
            origin = earlier
        return replace(Past.of(artifacts, scope, found[0]), layers=_layers_before(artifacts, scope, origin))

    @staticmethod
    def of(artifacts: ArtifactStore, scope: Scope, run: Execution) -> "Past":
        """With the tables that identity needs, unless they were removed, are missing or damaged."""
        manifest = artifacts.manifest(scope, run.run_id) if run.results_removed_at is None else None
        if manifest is None:
            return Past(run, None, None)
        apart = ["feature"] if (manifest.get("meta") or {}).get("features") else []
        names = ["document_id", "collection_id", "cluster_id", *apart]
        try:
            members = artifacts.read(scope, run.run_id, "members", names)
            return Past(run, members, artifacts.read(scope, run.run_id, "centroids"))
        except (NotFound, Corrupt):
            return Past(run, None, None)


def _layers_before(artifacts: ArtifactStore, scope: Scope, run: Execution) -> LayersBefore | None:
    """The layers that a run found; None where there are none, or they are gone or without ids."""
    manifest = artifacts.manifest(scope, run.run_id) if run.results_removed_at is None else None
    names = [name for name in (manifest or {}).get("files", {}) if is_layers_table(name)]
    if not names:
        return None
    try:
        tables = {name: artifacts.read(scope, run.run_id, name) for name in names}
        apart = ["feature"] if (manifest or {}).get("meta", {}).get("features") else []
        members = artifacts.read(scope, run.run_id, "members", ["document_id", "collection_id", *apart])
    except (NotFound, Corrupt):
        return None
    return LayersBefore(tables, layer_keys(tables, members))


def layer_keys(tables: Mapping[str, pa.Table], members: pa.Table) -> dict[str, pa.Array]:
    """For each table of layers what tells the document of each of its rows, which are those of the members (of one
    feature, where features were clustered apart)."""
    found = {}
    for name, table in tables.items():
        feature = (table.schema.metadata or {}).get(b"feature")
        rows = members
        if feature is not None:
            rows = members.filter(pc.equal(members["feature"].cast(pa.string()), feature.decode()))
        if rows.num_rows == table.num_rows:
            found[name] = _keys(rows.select(["document_id", "collection_id"]))
    return found


def identify(members: pa.Table, centroids: pa.Table, past: Past | None) -> Identity:
    """Match the clusters of a run with those of the run before: by their values where they are groups of values, else
    by the documents that are in a cluster in both runs. Without a run before the ids by rank stay.

    `members` has the columns document_id, collection_id and cluster_id, and feature where features were clustered
    apart; `centroids` has cluster_id, largest first. Takes O(n log n) time and O(n) memory for n documents.
    """
    ranks = [str(id) for id in centroids["cluster_id"].to_pylist()]
    if past is None:
        return Identity({id: id for id in ranks}, _next_numbers(ranks))
    numbers = numbers_used(past.run)
    used = {path_of(parent): number for parent, number in numbers.items() if not is_of_layers(parent)}
    if past.members is None or past.centroids is None:
        lasting = _numbered(map(path_of, ranks), _NO_MATCH, used)
    elif "attributes" in centroids.column_names:
        lasting = _numbered(map(path_of, ranks), _by_values(centroids, past.centroids), used)
    else:
        lasting = _by_documents(members, ranks, past.members, used)
    ids = {id: _id_of(lasting[path_of(id)]) for id in ranks}
    there = {(), *lasting.values()}
    return Identity(ids, {_id_of(parent): number for parent, number in sorted(used.items()) if parent in there})


def _next_numbers(ids: Iterable[str]) -> dict[str, int]:
    """For each parent of these ids ("" for the top) the number after the largest below it."""
    found: dict[str, int] = {"": 0}
    for path in map(path_of, ids):
        parent = _id_of(path[:-1])
        found[parent] = max(found.get(parent, 0), path[-1] + 1)
    return found


def path_of(id: str) -> Path:
    """The numbers of an id; none for ""."""
    return tuple(int(number) for number in id.removeprefix("cl_").split("_sub_")) if id else ()


def _id_of(path: Path) -> str:
    return "cl_" + "_sub_".join(map(str, path)) if path else ""


def numbers_used(run: Execution) -> Mapping[str, int]:
    """For each parent of clusters ("" for the top) the first number that no cluster below it had up to this run."""
    # Runs of before ids lasted know their own clusters alone.
    return run.next_numbers or _next_numbers(one.cluster_id for one in run.centroids or [])


_NO_MATCH: Mapping[Path, Path] = {}
_NOBODY: Final = -2
"""No place, not even that of what ends on a level above."""


def _numbered(ranks: Iterable[Path], matched: Mapping[Path, Path], used: dict[Path, int]) -> dict[Path, Path]:
    """The lasting path of each path by rank: the matched one, else the next number below the lasting parent. Counts on
    in `used`."""
    lasting: dict[Path, Path] = {(): ()}
    for path in sorted(ranks, key=lambda path: (len(path), path)):
        if path in matched:
            lasting[path] = matched[path]
            continue
        parent = lasting[path[:-1]]
        number = used.get(parent, 0)
        used[parent] = number + 1
        lasting[path] = (*parent, number)
    del lasting[()]
    return lasting


# ── groups of values ─────────────────────────────────────────────────────────────────────────────────────────────────


def _by_values(centroids: pa.Table, past: pa.Table) -> dict[Path, Path]:
    """The clusters with the values that one of the run before had."""
    if "attributes" not in past.column_names:
        return {}
    before = _values_of(past)
    return {path_of(id): path_of(before[key]) for key, id in _values_of(centroids).items() if key in before}


def _values_of(centroids: pa.Table) -> dict[tuple[tuple[str, str], ...], str]:
    """The id of each group by the attributes that make it one, with their values."""
    rows = centroids.select(["cluster_id", "parent_cluster_id", "attributes"]).to_pylist()
    parents = {row["cluster_id"]: row["parent_cluster_id"] for row in rows}
    nested = any(parents.values())
    found = {}
    for row in rows:
        values = [(name, format_value(value)) for name, value in orjson.loads(row["attributes"]).items()]
        found[tuple(values[: _depth(row["cluster_id"], parents)] if nested else values)] = row["cluster_id"]
    return found


def _depth(id: str, parents: Mapping[str, str | None]) -> int:
    depth, above = 1, parents[id]
    while above is not None:
        depth, above = depth + 1, parents[above]
    return depth


# ── groups of documents ──────────────────────────────────────────────────────────────────────────────────────────────


def _by_documents(members: pa.Table, ranks: Sequence[str], past: pa.Table, used: dict[Path, int]) -> dict[Path, Path]:
    """Level by level from the top, since an id says below which others it stands: what stands in a group can only be
    what stood in the same one."""
    now, labels = _labelled(members)
    before, earlier = _labelled(past)
    shared = count_shared_rows(_aligned(members, past, earlier), labels)
    matched: dict[Path, Path] = {}
    allowed: NDArray[np.bool_] | None = None
    for depth in range(1, 1 + max((len(path_of(id)) for id in ranks), default=0)):
        old, old_places = _level(before, depth)
        new, new_places = _level(now, depth)
        cells = SharedRows(old_places[shared.old], new_places[shared.new], shared.rows)
        found = match_clusters(cells, allowed)
        matched |= {new[after]: old[place] for after, place in found.items()}
        heir = np.full(len(new) + 1, _NOBODY, np.int64)
        heir[list(found)] = list(found.values())
        allowed = heir[cells.new] == cells.old
    return _numbered(map(path_of, ranks), matched, used)


def _labelled(members: pa.Table) -> tuple[list[Path], Labels]:
    """The paths of the clusters with members, ascending, and for each member its place there; -1 is noise."""
    ids = members["cluster_id"].cast(pa.string()).combine_chunks().dictionary_encode()
    known = ids.dictionary.to_pylist()
    paths = sorted(path_of(id) for id in known if id != NOISE_ID)
    place = {path: number for number, path in enumerate(paths)}
    places = np.array([NOISE if id == NOISE_ID else place[path_of(id)] for id in known] or [NOISE], np.int32)
    return paths, places[ids.indices.to_numpy()]


def _level(paths: Sequence[Path], depth: int) -> tuple[list[Path], NDArray[np.int64]]:
    """What stands on a level, ascending, and for each path its place there, -1 where it ends above."""
    nodes = sorted({path[:depth] for path in paths if len(path) >= depth})
    place = {node: number for number, node in enumerate(nodes)}
    return nodes, np.array([place.get(path[:depth], -1) if len(path) >= depth else -1 for path in paths], np.int64)


def _aligned(members: pa.Table, past: pa.Table, earlier: Labels) -> Labels:
    """(n,) for each member the cluster of the same document, and feature, in the past; -1 where it was in none."""
    rows = pc.index_in(_keys(members), value_set=_keys(past))
    rows = np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
    known: Labels = np.append(earlier, np.int32(NOISE))
    aligned: Labels = known[rows]
    return aligned


def _keys(members: pa.Table) -> pa.Array:
    """One text a member. Their bytes together may be more than 32 bits can count."""
    names = [name for name in ("feature", "collection_id", "document_id") if name in members.column_names]
    columns = [members[name].cast(pa.string()).cast(pa.large_string()) for name in names]
    joined = pc.binary_join_element_wise(*columns, pa.scalar("\0", pa.large_string()))
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined

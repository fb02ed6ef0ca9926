"""Lasting cluster ids: a cluster that matches one of the previous run keeps its id.

The clusters of a run are numbered by rank. Those that match a cluster of the previous run take its id; the others take
numbers that no cluster of this cluster object has ever had. The result depends on the clusters and on the previous run
only, so another attempt of a run assigns the same ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels
from shoal.engine.clusters.matching import SharedRows, count_shared_rows, match_clusters
from shoal.engine.features.attributes import format_value
from shoal.errors import Corrupt, NotFound
from shoal.records.clusters.ids import NOISE_ID, SERIES, Path, format_cluster_id, parse_cluster_id
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Page, Sort
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.grouping.ranks import Ranked, RunIds, is_layers_table, member_keys
from shoal.runs.history import runs_of
from shoal.runs.identity.lasting_layers import LayersBefore, identify_layers
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.records import Query

__all__ = ["Identity", "Past", "identify", "keep_ids", "numbers_used"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of the clusters of a run. `next_numbers` holds for each group ("" for the top) the first number below it
    that no cluster has ever had."""

    ids: RunIds
    next_numbers: Mapping[str, int]
    earlier: Execution | None = None
    """The run that the clusters were matched with."""
    comparable: bool = True
    """Whether the results of that run still exist."""
    assigned: bool = False
    """Whether documents were assigned to the clusters of that run, so that its ids are kept."""


@dataclass(frozen=True, slots=True)
class Past:
    """The previous run and the tables of its results; None if they were removed."""

    run: Execution
    members: pa.Table | None
    centroids: pa.Table | None
    layers: LayersBefore | None = None
    """The layers of the run that found the clusters, which is an earlier one if this run only assigned documents."""

    @staticmethod
    def before(
        executions: Repository[Execution], artifacts: ArtifactStore, scope: Scope, run: Execution
    ) -> "Past | None":
        """Find the latest run with visible results of the same cluster and partition. Each partition (a run with its
        own filter) has ids of its own. None if there is no such run."""
        same = (
            Condition("partition", "is_null", True)
            if run.partition is None
            else Condition("partition", "eq", run.partition, case_sensitive=True)
        )
        published = runs_of(run.cluster_id, Condition("published", "eq", True), same)
        order = (Sort("sequence", descending=True), Sort("created_at", descending=True))
        latest = executions.search(scope, Query(published.filter, order, Page(limit=1))).items
        if not latest:
            return None
        origin = latest[0]
        while origin.mode == "assign" and (earlier := executions.find_one(scope, origin.request["assigned_to"])):
            origin = earlier
        return replace(Past.of(artifacts, scope, latest[0]), layers=_layers_before(artifacts, scope, origin))

    @staticmethod
    def of(artifacts: ArtifactStore, scope: Scope, run: Execution) -> "Past":
        """Load the tables that identity needs; None for those that were removed, are missing or damaged."""
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
    """Load the layers that a run found; None if it has none, or they were removed."""
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
    return LayersBefore(tables, _layer_keys(tables, members))


def _layer_keys(tables: Mapping[str, pa.Table], members: pa.Table) -> dict[str, pa.Array]:
    """Return the document key of each row of each table of layers.

    The rows are those of the members, of one feature if features were clustered separately.
    """
    keys = {}
    for name, table in tables.items():
        feature = (table.schema.metadata or {}).get(b"feature")
        rows = members
        if feature is not None:
            rows = members.filter(pc.equal(members["feature"].cast(pa.string()), feature.decode()))
        if rows.num_rows == table.num_rows:
            keys[name] = member_keys(rows.select(["document_id", "collection_id"]))
    return keys


def identify(ranked: Ranked, past: Past | None) -> Identity:
    """Assign each cluster of a run its id: that of the matching cluster of the previous run, else a new one.

    Groups of values are matched by their values, other clusters by their shared documents. Without a previous run, ids
    are ranks. Takes O(n log n) time and O(n) memory for n documents.
    """
    used = {} if past is None else numbers_used(past.run)
    ids, next_numbers = _identify_clusters(ranked, past, used)
    layers, free = identify_layers(ranked.layers, None if past is None else past.layers, used)
    earlier, comparable = (None, True) if past is None else (past.run, past.members is not None)
    return Identity(RunIds(ids, layers), {**next_numbers, **free}, earlier, comparable)


def keep_ids(run: Execution) -> Identity:
    """Keep the ids of the run that found the clusters to which documents are assigned."""
    return Identity(RunIds(()), numbers_used(run), run, assigned=True)


def _identify_clusters(
    ranked: Ranked, past: Past | None, numbers: Mapping[str, int]
) -> tuple[list[str], dict[str, int]]:
    if past is None:
        return [format_cluster_id(path) for path in ranked.paths], _next_numbers(ranked.paths)
    used = {parse_cluster_id(parent): number for parent, number in numbers.items() if parent not in SERIES}
    if past.members is None or past.centroids is None:
        lasting = _number_paths(ranked.paths, _NO_MATCH, used)
    elif ranked.values is not None:
        lasting = _number_paths(ranked.paths, _match_values(ranked.values, past.centroids), used)
    else:
        lasting = _number_paths(ranked.paths, _match_documents(ranked, past.members), used)
    there = {(), *lasting.values()}
    return [format_cluster_id(lasting[path]) for path in ranked.paths], {
        format_cluster_id(parent): number for parent, number in sorted(used.items()) if parent in there
    }


def _next_numbers(paths: Iterable[Path]) -> dict[str, int]:
    """Return for each parent of these paths ("" for the top) the number after the largest one below it."""
    numbers: dict[str, int] = {"": 0}
    for path in paths:
        parent = format_cluster_id(path[:-1])
        numbers[parent] = max(numbers.get(parent, 0), path[-1] + 1)
    return numbers


def numbers_used(run: Execution) -> Mapping[str, int]:
    """Return for each parent of clusters ("" for the top) the first number that none below it had up to this run."""
    # A run of a version without lasting ids records its own clusters only.
    return run.next_numbers or _next_numbers(parse_cluster_id(centroid.cluster_id) for centroid in run.centroids or [])


_NO_MATCH: Mapping[Path, Path] = {}
_NONE: Final = -2
"""Matches no row, not even a path that ends on a level above, which has -1."""


def _number_paths(ranks: Iterable[Path], matched: Mapping[Path, Path], used: dict[Path, int]) -> dict[Path, Path]:
    """Return the lasting path of each path by rank: the matched one, else the next number below the lasting parent.

    Advances the numbers in `used`.
    """
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


def _match_values(values: pa.Table, past: pa.Table) -> dict[Path, Path]:
    """Match the groups that have the same values as one of the previous run."""
    if "attributes" not in past.column_names:
        return {}
    now = _clusters_by_values(values["number"], values["parent"], values["attributes"])
    before = _clusters_by_values(past["cluster_id"], past["parent_cluster_id"], past["attributes"])
    return {(number,): parse_cluster_id(before[key]) for key, number in now.items() if key in before}


def _clusters_by_values(
    clusters: pa.ChunkedArray, parents: pa.ChunkedArray, attributes: pa.ChunkedArray
) -> dict[tuple[tuple[str, str], ...], Any]:
    """Map the attributes and values that define a cluster to its id or number."""
    above = dict(zip(clusters.to_pylist(), parents.to_pylist(), strict=True))
    nested = any(parent is not None for parent in above.values())
    clusters_by_values = {}
    for cluster, about in zip(above, attributes.to_pylist(), strict=True):
        values = [(name, format_value(value)) for name, value in orjson.loads(about).items()]
        clusters_by_values[tuple(values[: _depth(cluster, above)] if nested else values)] = cluster
    return clusters_by_values


def _depth(cluster: Any, parents: Mapping[Any, Any]) -> int:
    depth, above = 1, parents[cluster]
    while above is not None:
        depth, above = depth + 1, parents[above]
    return depth


# ── groups of documents ──────────────────────────────────────────────────────────────────────────────────────────────


def _match_documents(ranked: Ranked, past: pa.Table) -> dict[Path, Path]:
    """Match clusters by their shared documents, level by level from the top.

    An id contains the ids above it, so a cluster can only match one whose group matches its own group.
    """
    now, labels = _order_clusters(ranked)
    before, earlier = _read_clusters(past)
    shared = count_shared_rows(_align(ranked.keys, past, earlier), labels)
    matched: dict[Path, Path] = {}
    allowed: NDArray[np.bool_] | None = None
    for depth in range(1, 1 + max(map(len, ranked.paths), default=0)):
        old, old_places = _level(before, depth)
        new, new_places = _level(now, depth)
        cells = SharedRows(old_places[shared.old], new_places[shared.new], shared.rows)
        matches = match_clusters(cells, allowed)
        matched |= {new[after]: old[place] for after, place in matches.items()}
        heir = np.full(len(new) + 1, _NONE, np.int64)
        heir[list(matches)] = list(matches.values())
        allowed = heir[cells.new] == cells.old
    return matched


def _order_clusters(ranked: Ranked) -> tuple[list[Path], Labels]:
    """Return the paths of the clusters with members, ascending, and the position of each member's; -1 for noise."""
    inside = np.unique(ranked.labels[ranked.labels >= 0]).tolist()
    order = sorted(inside, key=lambda number: ranked.paths[number])
    places = np.full(len(ranked.paths) + 1, NOISE, np.int32)
    places[order] = np.arange(len(order))
    labels: Labels = places[ranked.labels]
    return [ranked.paths[number] for number in order], labels


def _read_clusters(members: pa.Table) -> tuple[list[Path], Labels]:
    """Return the same for a table of members."""
    ids = members["cluster_id"].cast(pa.string()).combine_chunks().dictionary_encode()
    all_ids = ids.dictionary.to_pylist()
    paths = sorted(parse_cluster_id(id) for id in all_ids if id != NOISE_ID)
    place = {path: number for number, path in enumerate(paths)}
    places = np.array([NOISE if id == NOISE_ID else place[parse_cluster_id(id)] for id in all_ids] or [NOISE], np.int32)
    return paths, places[ids.indices.to_numpy()]


def _level(paths: Sequence[Path], depth: int) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the nodes of a level, ascending, and for each path the position of its node, -1 if it ends above."""
    nodes = sorted({path[:depth] for path in paths if len(path) >= depth})
    place = {node: number for number, node in enumerate(nodes)}
    return nodes, np.array([place.get(path[:depth], -1) if len(path) >= depth else -1 for path in paths], np.int64)


def _align(keys: pa.Array, past: pa.Table, earlier: Labels) -> Labels:
    """Return (n,) for each member the earlier cluster of the same document and feature; -1 if it was in none."""
    rows = pc.index_in(keys, value_set=member_keys(past))
    rows = np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
    labels: Labels = np.append(earlier, np.int32(NOISE))
    aligned: Labels = labels[rows]
    return aligned

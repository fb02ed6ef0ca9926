"""Groups of a run by each feature apart, numbered through, and how the features' groups lie in each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.analysis.named_clusters import BROAD, FINE
from shoal.columns import NOISE, Labels, VectorColumn
from shoal.engine.features.overlap import ABSENT, find_overlaps, measure_agreement
from shoal.engine.plan import Progress, StageCache
from shoal.records.cluster import Cluster
from shoal.records.cluster_ids import NOISE_ID
from shoal.records.execution import Execution
from shoal.runs.grouping.earlier_map import rows_in
from shoal.runs.grouping.groups import Groups, Values, relationship
from shoal.runs.grouping.vector_groups import group_by_vectors
from shoal.runs.identity.renaming import has_ids
from shoal.runs.input import RunInput

__all__ = ["group_apart"]

Made = TypeVar("Made")
_OVERLAP: Final = 0.7
"""Least share of a group's documents in another group (contract.md#relationships-between-features)."""


def group_apart(
    source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int, keep: StageCache
) -> Groups:
    """One clustering for each feature, of the documents that have it. Raises RunFailed, InvalidField, Cancelled."""
    parts = list[_Part]()
    first, row = dict[str, int](), 0
    for number, (feature, own) in enumerate(source.parts.items()):
        share = _shared(progress, number, len(source.parts))
        groups = group_by_vectors(own, cluster, run, share, threads, _of_part(keep, number))
        parts.append(_Part(feature, own, groups, first, row))
        ids = groups.centroids["cluster_id"].to_pylist()
        if "hierarchy" in groups.tables:
            ids += groups.tables["hierarchy"]["cluster_id"].to_pylist()
        first = {series: _after(ids, series, first.get(series, 0)) for series in ("cl", BROAD, FINE)}
        row += groups.centroids.num_rows
    return _joined(source, parts)


def _shared(progress: Progress, number: int, count: int) -> Progress:
    """Each feature passes through all stages and counts as its share of each."""
    return lambda stage, fraction: progress(stage, (number + fraction) / count)


def _of_part(keep: StageCache, number: int) -> StageCache:
    """Each feature has stages of its own."""

    def kept(stage: str, make: Callable[[], Made]) -> Made:
        return keep(f"{stage}-{number}", make)

    return kept


def _first_number(id: str) -> int:
    """Of `cl_3` and `cl_3_sub_0` the 3."""
    return int(id.split("_")[1])


def _after(ids: Sequence[str], series: str, before: int) -> int:
    """The number after those that a feature has in a series of ids, on top of those before it."""
    own = [_first_number(id) for id in ids if id.startswith(f"{series}_")]
    return before + 1 + max(own, default=-1)


@dataclass(frozen=True, slots=True)
class _Part:
    """The groups of one feature. The first numbers of their ids count from `first`, by what the ids begin with, their
    rows from `row`."""

    feature: str
    source: RunInput
    groups: Groups
    first: Mapping[str, int]
    row: int

    def renamed(self, id: str | None) -> str | None:
        """The id among the groups of all features."""
        if id is None or id == NOISE_ID:
            return id
        head, _, *rest = id.split("_")
        return "_".join([head, str(_first_number(id) + self.first.get(head, 0)), *rest])

    def rows(self) -> list[Values]:
        """The groups that documents are in, by their labels."""
        kept = [name for name in self.groups.centroids.column_names if name != "vector"]
        found: list[Values] = self.groups.centroids.select(kept).slice(0, self.groups.count).to_pylist()
        return [{**row, "cluster_id": self.renamed(row["cluster_id"]), "feature": self.feature} for row in found]

    def table(self, table: pa.Table) -> pa.Table:
        """With the ids among all features and the feature beside them; dictionaries and fixed lengths undone, because
        they differ between features."""
        for name in ("cluster_id", "parent_cluster_id"):
            if name in table.column_names:
                ids = table[name].cast(pa.string()).combine_chunks().dictionary_encode()
                new = pa.array([self.renamed(id) for id in ids.dictionary.to_pylist()], pa.string())
                table = _with(table, name, pc.take(new, ids.indices))
        if "cluster_label" in table.column_names:
            table = _with(table, "cluster_label", table["cluster_label"].cast(pa.string()))
        if "vector" in table.column_names:
            table = _with(table, "vector", table["vector"].cast(pa.list_(pa.float32())))
        feature = pa.array([self.feature], pa.string())
        return table.append_column("feature", pc.take(feature, pa.array(np.zeros(table.num_rows, np.int64))))

    def links(self) -> list[Values]:
        """The hierarchy of this feature."""
        names, features = ("parent_cluster_id", "child_cluster_id"), ("parent_feature", "child_feature")
        return [
            {**link, **{name: self.renamed(link[name]) for name in names}, **dict.fromkeys(features, self.feature)}
            for link in self.groups.relationships
        ]


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def _joined(source: RunInput, parts: Sequence[_Part]) -> Groups:
    aligned = {part.feature: _aligned(source, part) for part in parts}
    any_group = np.max(list(aligned.values()), axis=0)
    members = pa.concat_tables([part.table(part.groups.members) for part in parts], promote_options="default")
    for name in ("cluster_id", "cluster_label", "feature"):
        members = _with(members, name, members[name].combine_chunks().dictionary_encode())
    return Groups(
        members=members,
        centroids=pa.concat_tables([part.table(part.groups.centroids) for part in parts], promote_options="default"),
        labels=np.where(any_group >= 0, any_group, NOISE).astype(np.int32),
        metrics=_metrics(parts, aligned),
        params=_params(parts),
        warnings=[f"{part.feature}: {told}" for part in parts for told in part.groups.warnings],
        distance_metric=parts[0].groups.distance_metric,
        exact=all(part.groups.exact for part in parts),
        seed=parts[0].groups.seed,
        vectors={name: VectorColumn(c.rows + p.row, c.values) for p in parts for name, c in p.groups.vectors.items()},
        tables={
            f"{name}_{number}": _with_new_ids(part, table)
            for number, part in enumerate(parts)
            for name, table in part.groups.tables.items()
        },
        layers={part.feature: part.groups.layers for part in parts if part.groups.layers} or None,
        relationships=[link for part in parts for link in part.links()] + _overlapping(parts, aligned),
    )


def _with_new_ids(part: _Part, table: pa.Table) -> pa.Table:
    about = {**(table.schema.metadata or {}), b"feature": part.feature.encode()}
    if b"selected" in about:  # of a condensed tree: its chosen clusters by id
        selected = {part.renamed(id): number for id, number in orjson.loads(about[b"selected"]).items()}
        about[b"selected"] = orjson.dumps(selected)
    for name in table.column_names:
        if has_ids(table.schema.field(name)):
            ids = table[name].cast(pa.string()).combine_chunks().dictionary_encode()
            new = pa.array([part.renamed(id) for id in ids.dictionary.to_pylist()], pa.string())
            values = pa.DictionaryArray.from_arrays(ids.indices, new)
            table = _with(table, name, values.cast(table.schema.field(name).type))
    return table.replace_schema_metadata(about)


def _aligned(source: RunInput, part: _Part) -> Labels:
    """The labels of one feature for all documents, `ABSENT` for those without it."""
    rows = rows_in(part.groups.members, source)
    return np.where(rows >= 0, part.groups.labels[rows], ABSENT).astype(np.int32)


def _metrics(parts: Sequence[_Part], aligned: Mapping[str, Labels]) -> Values:
    """Each measure is the mean over the features that have it; `features` holds their own, `agreement` how far each two
    features agree."""
    found: Values = {}
    for name in dict.fromkeys(name for part in parts for name in part.groups.metrics):
        values = [value for part in parts if (value := part.groups.metrics.get(name)) is not None]
        found[name] = sum(values) / len(values) if values else None
    return {
        **found,
        "features": {part.feature: dict(part.groups.metrics) for part in parts},
        "agreement": [
            {"features": [one, two], **asdict(measure_agreement(aligned[one], aligned[two]))}
            for one, two in combinations(aligned, 2)
        ],
    }


def _params(parts: Sequence[_Part]) -> dict[str, Any]:
    """What is the same for all, and under `features` what is not."""
    head = parts[0].groups.params
    same = {name for name in head if all(part.groups.params.get(name) == head[name] for part in parts)}
    own = {
        part.feature: {name: value for name, value in part.groups.params.items() if name not in same} for part in parts
    }
    return {**{name: head[name] for name in head if name in same}, **({"features": own} if any(own.values()) else {})}


def _overlapping(parts: Sequence[_Part], aligned: Mapping[str, Labels]) -> list[Values]:
    """A group with most of its documents in a group of another feature is its child; where that holds both ways they
    are the same, and the larger one counts as the parent."""
    links, rows_of = [], {part.feature: part.rows() for part in parts}
    for one, two in combinations(parts, 2):
        found = find_overlaps(aligned[one.feature], aligned[two.feature], least=_OVERLAP)
        pairs = zip(
            *(found.left.tolist(), found.right.tolist(), found.rows.tolist()),
            *(found.share_of_left.tolist(), found.share_of_right.tolist()),
            strict=True,
        )
        for left, right, rows, of_left, of_right in pairs:
            ends = [rows_of[one.feature][left], rows_of[two.feature][right]]
            child, parent = ends if of_left >= of_right else reversed(ends)
            links.append(
                relationship(
                    parent,
                    child,
                    level=0,
                    relation="same" if min(of_left, of_right) >= _OVERLAP else "within",
                    documents=rows,
                    overlap=round(max(of_left, of_right), 6),
                )
            )
    return links

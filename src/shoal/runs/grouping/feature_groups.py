"""Groups of a run for each feature separately, numbered consecutively, and their relationships across features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.analysis.naming import LayerNames
from shoal.columns import NOISE, Labels, VectorColumn
from shoal.engine.features.overlap import ABSENT, find_overlaps, measure_agreement
from shoal.engine.plan import Progress, StageCache
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.ids import Path
from shoal.records.runs.execution import Execution
from shoal.runs.grouping.earlier_map import rows_in
from shoal.runs.grouping.groups import Clustering, GroupTables, Values, relationship
from shoal.runs.grouping.ranks import Ranked, RankedLayers, RunIds, document_keys
from shoal.runs.grouping.vector_groups import VectorGroups, group_by_vectors
from shoal.runs.input import RunInput

__all__ = ["FeatureGroups", "group_apart"]

Made = TypeVar("Made")
_OVERLAP: Final = 0.7
"""Least share of a group's documents in another group (contract.md#relationships-between-features)."""


@dataclass(frozen=True, slots=True)
class FeatureGroups:
    """The clusters of each feature, numbered consecutively."""

    features: Mapping[str, VectorGroups]

    def rank(self, source: RunInput) -> Ranked:
        """See `NewGroups`."""
        paths, labels, keys = list[Path](), list[Labels](), list[pa.Array]()
        layers, top = list[RankedLayers](), 0
        for position, (feature, groups) in enumerate(self.features.items()):
            part, own, ranks = source.parts[feature], groups.found.outcome.labels, groups.found.paths()
            labels.append(np.where(own >= 0, own + len(paths), NOISE).astype(np.int32))
            keys.append(document_keys(part.ids, part.collection_ids, feature))
            layers += groups.rank_layers(document_keys(part.ids, part.collection_ids), position, feature)
            paths += [(top + path[0], *path[1:]) for path in ranks]
            top += 1 + max((path[0] for path in ranks), default=-1)
        return Ranked(paths, np.concatenate(labels), pa.concat_arrays(keys), layers)

    def clusterings(self, source: RunInput) -> list[Clustering]:
        """See `Groups`."""
        return [Clustering(source.parts[name], groups.found, name) for name, groups in self.features.items()]

    def tables(self, source: RunInput, ids: RunIds, names: Sequence[Sequence[LayerNames]]) -> GroupTables:
        """See `Groups`."""
        parts, row = list[_Part](), 0
        for number, (feature, groups) in enumerate(self.features.items()):
            count = len(groups.found.paths())
            clusters = groups.found.outcome.clusters
            own = ids.of_clustering(number, row, clusters, count - clusters)
            parts.append(_Part(feature, groups.tabulate(source.parts[feature], own, names[number]), row))
            row += count
        return _join_parts(source, parts)


def group_apart(
    source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int, keep: StageCache
) -> FeatureGroups:
    """One clustering for each feature, of the documents that have it. Raises RunFailed, InvalidField, Cancelled."""
    features = dict[str, VectorGroups]()
    for number, (feature, own) in enumerate(source.parts.items()):
        share = _scale_progress(progress, number, len(source.parts))
        features[feature] = group_by_vectors(own, cluster, run, share, threads, _of_part(keep, number))
    return FeatureGroups(features)


def _scale_progress(progress: Progress, number: int, count: int) -> Progress:
    """Scale the progress of one feature to its share of each stage."""
    return lambda stage, fraction: progress(stage, (number + fraction) / count)


def _of_part(keep: StageCache, number: int) -> StageCache:
    """Give each feature its own stages."""

    def cache_stage(stage: str, make: Callable[[], Made]) -> Made:
        return keep(f"{stage}-{number}", make)

    return cache_stage


@dataclass(frozen=True, slots=True)
class _Part:
    """The groups of one feature; their rows among those of all features begin at `row`."""

    feature: str
    groups: GroupTables
    row: int

    def rows(self) -> list[Values]:
        """Return the groups with documents, by label."""
        columns = [name for name in self.groups.centroids.column_names if name != "vector"]
        rows_of_group: list[Values] = self.groups.centroids.select(columns).slice(0, self.groups.count).to_pylist()
        return [{**row, "feature": self.feature} for row in rows_of_group]

    def table(self, table: pa.Table) -> pa.Table:
        """With the feature beside the groups; dictionaries and fixed lengths undone, because they differ between
        features."""
        for name in ("cluster_id", "parent_cluster_id", "cluster_label"):
            if name in table.column_names:
                table = _with(table, name, table[name].cast(pa.string()))
        if "vector" in table.column_names:
            table = _with(table, "vector", table["vector"].cast(pa.list_(pa.float32())))
        feature = pa.array([self.feature], pa.string())
        return table.append_column("feature", pc.take(feature, pa.array(np.zeros(table.num_rows, np.int64))))

    def links(self) -> list[Values]:
        """Return the hierarchy of this feature."""
        features = ("parent_feature", "child_feature")
        return [{**link, **dict.fromkeys(features, self.feature)} for link in self.groups.relationships]


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def _join_parts(source: RunInput, parts: Sequence[_Part]) -> GroupTables:
    aligned = {part.feature: _align_labels(source, part) for part in parts}
    any_group = np.max(list(aligned.values()), axis=0)
    members = pa.concat_tables([part.table(part.groups.members) for part in parts], promote_options="default")
    for name in ("cluster_id", "cluster_label", "feature"):
        members = _with(members, name, members[name].combine_chunks().dictionary_encode())
    return GroupTables(
        members=members,
        centroids=pa.concat_tables([part.table(part.groups.centroids) for part in parts], promote_options="default"),
        labels=np.where(any_group >= 0, any_group, NOISE).astype(np.int32),
        metrics=_metrics(parts, aligned),
        params=_params(parts),
        warnings=[f"{part.feature}: {warning}" for part in parts for warning in part.groups.warnings],
        distance_metric=parts[0].groups.distance_metric,
        exact=all(part.groups.exact for part in parts),
        seed=parts[0].groups.seed,
        vectors={name: VectorColumn(c.rows + p.row, c.values) for p in parts for name, c in p.groups.vectors.items()},
        tables={
            f"{name}_{number}": _with_feature(part, table)
            for number, part in enumerate(parts)
            for name, table in part.groups.tables.items()
        },
        layers={part.feature: part.groups.layers for part in parts if part.groups.layers} or None,
        relationships=[link for part in parts for link in part.links()] + _relate_features(parts, aligned),
    )


def _with_feature(part: _Part, table: pa.Table) -> pa.Table:
    """Add the feature to the metadata of a table, and encode its dictionaries in the order of the rows."""
    about = {**(table.schema.metadata or {}), b"feature": part.feature.encode()}
    for name in table.column_names:
        if pa.types.is_dictionary(table.schema.field(name).type):
            table = _with(table, name, table[name].cast(pa.string()).combine_chunks().dictionary_encode())
    return table.replace_schema_metadata(about)


def _align_labels(source: RunInput, part: _Part) -> Labels:
    """Return the labels of one feature for all documents, `ABSENT` for documents without it."""
    rows = rows_in(part.groups.members, source)
    return np.where(rows >= 0, part.groups.labels[rows], ABSENT).astype(np.int32)


def _metrics(parts: Sequence[_Part], aligned: Mapping[str, Labels]) -> Values:
    """Each measure is the mean over the features that have it; `features` holds their own, `agreement` how far each two
    features agree."""
    means: Values = {}
    for name in dict.fromkeys(name for part in parts for name in part.groups.metrics):
        values = [value for part in parts if (value := part.groups.metrics.get(name)) is not None]
        means[name] = sum(values) / len(values) if values else None
    return {
        **means,
        "features": {part.feature: dict(part.groups.metrics) for part in parts},
        "agreement": [
            {"features": [first, second], **asdict(measure_agreement(aligned[first], aligned[second]))}
            for first, second in combinations(aligned, 2)
        ],
    }


def _params(parts: Sequence[_Part]) -> dict[str, Any]:
    """Return the common parameters, and those that differ under `features`."""
    head = parts[0].groups.params
    same = {name for name in head if all(part.groups.params.get(name) == head[name] for part in parts)}
    own = {
        part.feature: {name: value for name, value in part.groups.params.items() if name not in same} for part in parts
    }
    return {**{name: head[name] for name in head if name in same}, **({"features": own} if any(own.values()) else {})}


def _relate_features(parts: Sequence[_Part], aligned: Mapping[str, Labels]) -> list[Values]:
    """Relate groups of different features: a group with most of its documents in another one is its child.

    If this holds both ways they are the same, and the larger one is the parent.
    """
    links, rows_of = [], {part.feature: part.rows() for part in parts}
    for first, second in combinations(parts, 2):
        overlaps = find_overlaps(aligned[first.feature], aligned[second.feature], least=_OVERLAP)
        pairs = zip(
            *(overlaps.left.tolist(), overlaps.right.tolist(), overlaps.rows.tolist()),
            *(overlaps.share_of_left.tolist(), overlaps.share_of_right.tolist()),
            strict=True,
        )
        for left, right, rows, of_left, of_right in pairs:
            ends = [rows_of[first.feature][left], rows_of[second.feature][right]]
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

"""Groups of a run by the values of fields, named by these values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.analysis.naming import LayerNames
from shoal.columns import Labels, Rows
from shoal.engine.features.attributes import MISSING, Aggregation, AttributeOutcome, aggregate, group_by_attributes
from shoal.records.clusters.cluster import Cluster
from shoal.runs.grouping.groups import Clustering, GroupTables, Values, tree_of
from shoal.runs.grouping.ranks import Ranked, RunIds, document_keys
from shoal.runs.input import RunInput

__all__ = ["ValueGroups", "group_by_values"]

_REPRESENTATIVES: Final = 5
_TEXTS: Final = pa.list_(pa.string())
_CENTROIDS: Final = pa.schema(
    {
        "cluster_id": pa.string(),
        "cluster_label": pa.string(),
        "keywords": pa.list_(pa.string()),
        "num_members": pa.int64(),
        "parent_cluster_id": pa.string(),
        "attributes": pa.string(),
        "representative_ids": pa.list_(pa.string()),
    }
)
"""`attributes` is a JSON object, because values have any type."""


@dataclass(frozen=True, slots=True)
class ValueGroups:
    """The combinations of values in the documents, and the levels above them if they are nested."""

    labels: Labels
    groups: pa.Table
    """The columns of `_CENTROIDS` but for the ids; `parent` is a number, null at the top."""
    levels: Rows
    """How far each group is above the innermost ones."""

    def rank(self, source: RunInput) -> Ranked:
        """See `NewGroups`."""
        numbers = pa.array(range(self.groups.num_rows), pa.int64())
        values = pa.table({"number": numbers, "parent": self.groups["parent"], "attributes": self.groups["attributes"]})
        keys = document_keys(source.ids, source.collection_ids)
        return Ranked([(number,) for number in range(self.groups.num_rows)], self.labels, keys, values=values)

    def clusterings(self, source: RunInput) -> list[Clustering]:
        """None: groups are named by their values."""
        return []

    def tables(self, source: RunInput, ids: RunIds, names: Sequence[Sequence[LayerNames]]) -> GroupTables:
        """See `Groups`."""
        table, all_ids = self.groups, pa.array(ids.ids, pa.string())
        parents = pc.take(all_ids, table["parent"].combine_chunks())
        columns = {name: table[name] for name in table.column_names}
        columns |= {"cluster_id": all_ids, "parent_cluster_id": parents}
        centroids = pa.table([columns[name] for name in _CENTROIDS.names], schema=_CENTROIDS)
        indices = pa.array(self.labels, pa.int32())
        members = {
            "document_id": pa.array(source.ids, pa.string()),
            "cluster_id": pa.DictionaryArray.from_arrays(indices, all_ids),
            "cluster_label": pa.DictionaryArray.from_arrays(indices, table["cluster_label"].combine_chunks()),
            "distance_to_centroid": pa.nulls(len(self.labels), pa.float32()),
        }
        sizes = np.bincount(self.labels)
        return GroupTables(
            members=source.add_collections(pa.table(members)),
            centroids=centroids,
            labels=self.labels,
            metrics={"avg_cluster_size": len(self.labels) / int(np.count_nonzero(sizes)), "noise_ratio": 0.0},
            params={},
            relationships=tree_of(centroids, dict(zip(ids.ids, self.levels.tolist(), strict=True))),
        )


def group_by_values(source: RunInput, cluster: Cluster) -> ValueGroups:
    """Build one group for each combination of values, and the levels above if they are nested."""
    names = cluster.clustered_attributes or []
    outcome = group_by_attributes(source.values, bool(cluster.hierarchical_grouping))
    shown = _aggregate_values(source, outcome, names, cluster.aggregation_method or "most_frequent")
    groups, members = outcome.groups, _first_members(outcome.labels, len(outcome.groups))
    table = pa.table(
        {
            "cluster_label": pa.array([each.label for each in groups], pa.string()),
            "keywords": pa.array([[text for text in each.path if text != MISSING] for each in groups], _TEXTS),
            "num_members": pa.array([each.size for each in groups], pa.int64()),
            "parent": pa.array([each.parent for each in groups], pa.int64()),
            "attributes": pa.array([orjson.dumps(about, default=str).decode() for about in shown], pa.string()),
            "representative_ids": pa.array([[source.ids[row] for row in rows] for rows in members], _TEXTS),
        }
    )
    return ValueGroups(outcome.labels, table, np.array([len(names) - len(each.path) for each in groups], np.int64))


def _first_members(labels: Labels, groups: int) -> list[list[int]]:
    """Return the first five rows of each group."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(groups + 1))
    return [order[start : min(start + _REPRESENTATIVES, end)].tolist() for start, end in pairwise(starts.tolist())]


def _aggregate_values(
    source: RunInput, outcome: AttributeOutcome, names: Sequence[str], method: Aggregation
) -> list[Values]:
    """Return the attributes of each group: the values that define it and, for attributes below it in the tree, the
    aggregated values of its members."""
    below: dict[int, list[int]] = {}
    for row, leaf in enumerate(outcome.labels.tolist()):
        number = outcome.groups[leaf].parent
        while number is not None:
            below.setdefault(number, []).append(row)
            number = outcome.groups[number].parent
    shown = []
    for number, group in enumerate(outcome.groups):
        deeper = source.values[len(group.path) :]
        rows = below.get(number, [])
        values = [aggregate([column[row] for row in rows], method) for column in deeper]
        shown.append(dict(zip(names, [*group.values, *values], strict=True)))
    return shown

"""Groups of a run by the values of fields; the words of a name are the values themselves."""

from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa

from shoal.engine.features.attributes import MISSING, Aggregation, AttributeOutcome, aggregate, group_by_attributes
from shoal.records.cluster import Cluster
from shoal.runs.grouping.groups import Groups, Values, tree_of
from shoal.runs.input import RunInput

__all__ = ["group_by_values"]

_CENTROIDS = pa.schema(
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


def group_by_values(source: RunInput, cluster: Cluster) -> Groups:
    """One group for each combination of values, and the levels above where they are nested."""
    names = cluster.clustered_attributes or []
    outcome = group_by_attributes(source.values, bool(cluster.hierarchical_grouping))
    ids, labels = [f"cl_{number}" for number in range(len(outcome.groups))], outcome.labels
    shown = _aggregated(source, outcome, names, cluster.aggregation_method or "most_frequent")
    rows = [
        {
            "cluster_id": id,
            "cluster_label": found.label,
            "keywords": [text for text in found.path if text != MISSING],
            "num_members": found.size,
            "parent_cluster_id": None if found.parent is None else ids[found.parent],
            "attributes": orjson.dumps(about, default=str).decode(),
            "representative_ids": [source.ids[row] for row in np.flatnonzero(labels == number)[:5]],
        }
        for number, (id, found, about) in enumerate(zip(ids, outcome.groups, shown, strict=True))
    ]
    indices = pa.array(labels, pa.int32())
    members = {
        "document_id": pa.array(source.ids, pa.string()),
        "cluster_id": pa.DictionaryArray.from_arrays(indices, pa.array(ids, pa.string())),
        "cluster_label": pa.DictionaryArray.from_arrays(indices, pa.array([g.label for g in outcome.groups])),
        "distance_to_centroid": pa.nulls(len(labels), pa.float32()),
    }
    centroids = pa.Table.from_pylist(rows, _CENTROIDS)
    levels = {id: len(names) - len(found.path) for id, found in zip(ids, outcome.groups, strict=True)}
    sizes = [found.size for found in outcome.groups if found.is_leaf]
    return Groups(
        members=source.located(pa.table(members)),
        centroids=centroids,
        labels=labels,
        metrics={"avg_cluster_size": sum(sizes) / len(sizes), "noise_ratio": 0.0},
        params={},
        relationships=tree_of(centroids, levels),
    )


def _aggregated(source: RunInput, outcome: AttributeOutcome, names: Sequence[str], method: Aggregation) -> list[Values]:
    """What each group shows for every attribute: the values that make it one, and for the attributes below it in the
    tree the members' aggregated value."""
    below: dict[int, list[int]] = {}
    for row, leaf in enumerate(outcome.labels.tolist()):
        number = outcome.groups[leaf].parent
        while number is not None:
            below.setdefault(number, []).append(row)
            number = outcome.groups[number].parent
    shown = []
    for number, found in enumerate(outcome.groups):
        deeper = source.values[len(found.path) :]
        rows = below.get(number, [])
        aggregated = [aggregate([column[row] for row in rows], method) for column in deeper]
        shown.append(dict(zip(names, [*found.values, *aggregated], strict=True)))
    return shown

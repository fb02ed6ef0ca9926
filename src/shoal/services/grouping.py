"""From a run's input to its groups, vector and attribute clusters alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from shoal.columns import Points
from shoal.engine.attributes import MISSING, Aggregation, AttributeOutcome, aggregate, group_by_attributes
from shoal.engine.centroids import cluster_means
from shoal.engine.features import directions
from shoal.engine.plan import Outcome, Plan, Progress
from shoal.engine.preprocessing import check_steps
from shoal.errors import RunFailed
from shoal.records.cluster import Cluster
from shoal.records.execution import Execution
from shoal.services.analysis import analyse, centroids_table, condensed_tree_table, members_table
from shoal.services.feature_space import feature_space
from shoal.services.run_input import RunInput

__all__ = ["Groups", "group"]

Values = dict[str, Any]
_ATTRIBUTE_CENTROIDS = pa.schema(
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
SEED = 42
"""The seed of every run that names none (contract 6, row 18)."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a run as columns (`member_columns`, aligned with the input; `centroid_table`, one row a group) and
    what is known of the whole."""

    member_columns: pa.Table
    centroid_table: pa.Table
    count: int
    noise: int
    metrics: Mapping[str, Any]
    params: Mapping[str, Any]
    warnings: Sequence[str] = ()
    distance_metric: str | None = None
    exact: bool = True
    seed: int | None = None
    vectors: Mapping[str, Points] = field(default_factory=dict)
    """For each feature the vectors (k, d_i) that stand for the groups."""
    condensed_tree: pa.Table | None = None
    learned_weights: Mapping[str, float] | None = None
    relationships: list[dict[str, Any]] = field(default_factory=list)

    @property
    def dimensions(self) -> int:
        """Of the map: 0, 2 or 3."""
        return sum(axis in self.member_columns.column_names for axis in "xyz")

    def members(self, source: RunInput) -> pa.Table:
        """One row a document, with the collection it comes from."""
        return self.member_columns.add_column(
            1, "collection_id", pa.array(source.collection_ids, pa.string()).dictionary_encode()
        )

    def centroids(self) -> pa.Table:
        """One row a group."""
        return self.centroid_table

    def summary(self) -> list[dict[str, Any]]:
        """The groups without their vectors, named as in ClusterExecutionCentroid."""
        kept = [name for name in self.centroid_table.column_names if name != "vector"]
        rows: list[dict[str, Any]] = self.centroid_table.select(kept).to_pylist()
        return [{"label": row["cluster_label"], **row, **_decoded(row)} for row in rows]


def _decoded(row: Values) -> Values:
    return {"attributes": orjson.loads(row["attributes"])} if row.get("attributes") else {}


def group(source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int) -> Groups:
    """Find and name the groups. Raises RunFailed, InvalidField, Cancelled."""
    if cluster.cluster_type == "attribute":
        return _by_attributes(source, cluster)
    return _by_vectors(source, cluster, run, progress, threads)


def _by_vectors(source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int) -> Groups:
    if not source.blocks:
        raise RunFailed("The documents have no vectors of this feature.")
    space = feature_space(source, cluster, SEED, threads, progress)
    plan = Plan(
        algorithm=cluster.algorithm,
        params=cluster.algorithm_params,
        normalize=cluster.normalize_features,
        centroid_method=cluster.effective_feature_method or "mean",
        sample_size=run.request.get("sample_size", cluster.sample_size),
        hierarchy_depth=(cluster.max_hierarchy_depth or 3) if cluster.hierarchical_vector else 1,
        components=run.request.get("vis_n_components") or cluster.vis_n_components or 2,
        seed=SEED,
        threads=threads,
    )
    analysis = analyse(source.ids, space.points, source.texts, plan, progress)
    outcome = analysis.outcome
    return Groups(
        member_columns=members_table(analysis),
        centroid_table=centroids_table(analysis),
        count=outcome.clusters,
        noise=analysis.noise,
        metrics=outcome.metrics,
        params=outcome.params,
        warnings=[*space.warnings, *outcome.warnings],
        learned_weights=space.weights if cluster.multi_feature_strategy == "weighted" else None,
        distance_metric=outcome.distance_metric,
        exact=outcome.exact,
        seed=int(str(outcome.params.get("random_state") or SEED)),
        vectors=_vectors(source, cluster, outcome),
        condensed_tree=condensed_tree_table(analysis),
        relationships=[
            {
                "parent_cluster_id": group.group_id,
                "child_cluster_id": child,
                "level": group.level,
                "parent_label": group.label,
                "parent_num_members": group.size,
            }
            for group in analysis.groups
            for child in group.children
        ],
    )


def _vectors(source: RunInput, cluster: Cluster, outcome: Outcome) -> dict[str, Points]:
    """The centroids where the feature itself was clustered; else the members' means in each feature."""
    if len(source.blocks) == 1 and not check_steps(cluster.preprocessing_steps or [], "preprocessing_steps"):
        return dict.fromkeys(source.blocks, outcome.centroids)
    scaled = directions if cluster.normalize_features else np.asarray
    return {
        name: cluster_means(scaled(points), outcome.labels, outcome.clusters).astype(np.float32)
        for name, points in source.blocks.items()
    }


def _by_attributes(source: RunInput, cluster: Cluster) -> Groups:
    """Groups by the values of fields; the words of a name are the values themselves."""
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
    sizes = [found.size for found in outcome.groups if found.is_leaf]
    return Groups(
        member_columns=pa.table(members),
        centroid_table=pa.Table.from_pylist(rows, _ATTRIBUTE_CENTROIDS),
        count=len(outcome.groups),
        noise=0,
        metrics={"avg_cluster_size": sum(sizes) / len(sizes), "noise_ratio": 0.0},
        params={},
        relationships=[
            {"parent_cluster_id": row["parent_cluster_id"], "child_cluster_id": row["cluster_id"]}
            for row in rows
            if row["parent_cluster_id"] is not None
        ],
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

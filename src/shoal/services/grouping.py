"""From a run's input to its groups, vector and attribute clusters alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from shoal.columns import Points
from shoal.engine.attributes import AttributeGroup, group_by_attributes
from shoal.engine.plan import Plan, Progress
from shoal.errors import RunFailed
from shoal.records.cluster import Cluster
from shoal.records.execution import Execution
from shoal.services.analysis import analyse, centroids_table, members_table
from shoal.services.run_input import RunInput

__all__ = ["Groups", "group"]

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
    feature: str | None = None
    vectors: Points | None = None
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
        return [{"label": row["cluster_label"], **row} for row in rows]


def group(source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int) -> Groups:
    """Find and name the groups. Raises RunFailed, InvalidField, Cancelled."""
    if cluster.cluster_type == "attribute":
        return _by_attributes(source, cluster)
    return _by_vectors(source, cluster, run, progress, threads)


def _by_vectors(source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int) -> Groups:
    if source.points is None:
        raise RunFailed("The documents have no vectors of this feature.")
    plan = Plan(
        algorithm=cluster.algorithm,
        params=cluster.algorithm_params,
        normalize=cluster.normalize_features,
        centroid_method=cluster.effective_feature_method or "mean",
        sample_size=run.request.get("sample_size", cluster.sample_size),
        components=run.request.get("vis_n_components") or cluster.vis_n_components or 2,
        seed=SEED,
        threads=threads,
    )
    analysis = analyse(source.ids, source.points, source.texts, plan, progress)
    outcome = analysis.outcome
    return Groups(
        member_columns=members_table(analysis),
        centroid_table=centroids_table(analysis),
        count=outcome.clusters,
        noise=analysis.noise,
        metrics=outcome.metrics,
        params=outcome.params,
        warnings=outcome.warnings,
        distance_metric=outcome.distance_metric,
        exact=outcome.exact,
        seed=int(str(outcome.params.get("random_state") or SEED)),
        feature=source.feature,
        vectors=outcome.centroids,
    )

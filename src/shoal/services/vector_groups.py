"""Groups of a run by vectors: one space from the features, one clustering of it."""

import numpy as np

from shoal.columns import NOISE, Labels, Points, VectorColumn
from shoal.engine.centroids import cluster_means
from shoal.engine.features import directions
from shoal.engine.plan import Keep, Progress
from shoal.engine.preprocessing import check_steps
from shoal.errors import RunFailed
from shoal.records.cluster import Cluster
from shoal.records.execution import Execution
from shoal.services.analysis import Analysis, analyse
from shoal.services.analysis_tables import centroids_table, further_tables, members_table
from shoal.services.engine_plan import SEED, plan_of
from shoal.services.feature_space import feature_space
from shoal.services.groups import Groups, Values
from shoal.services.run_input import RunInput

__all__ = ["feature_vectors", "group_by_vectors"]


def group_by_vectors(
    source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int, keep: Keep
) -> Groups:
    """Find and name the groups. Raises RunFailed, InvalidField, Cancelled."""
    if not source.blocks:
        raise RunFailed("The documents have no vectors of this feature.")
    space = feature_space(source, cluster, SEED, threads, progress, keep)
    plan = plan_of(cluster, run.request, normalize=space.normalize, threads=threads)
    analysis = analyse(source.ids, space.points, source.texts, plan, progress, source.places_before, keep)
    outcome = analysis.outcome
    return Groups(
        members=source.located(members_table(analysis)),
        centroids=centroids_table(analysis),
        labels=outcome.labels,
        metrics=outcome.metrics,
        params=outcome.params,
        warnings=[*space.warnings, *outcome.warnings, *_all_noise(outcome.labels, plan.algorithm)],
        learned_weights=space.weights if cluster.multi_feature_strategy == "weighted" else None,
        distance_metric=outcome.distance_metric,
        exact=outcome.exact,
        seed=int(str(outcome.params.get("random_state") or SEED)),
        vectors=feature_vectors(source, cluster, outcome.labels, outcome.centroids),
        tables=further_tables(analysis),
        layers=None if outcome.layers is None else outcome.layers.summary(),
        relationships=_relationships(analysis),
    )


def _all_noise(labels: Labels, algorithm: str) -> list[str]:
    if not len(labels) or (labels != NOISE).any():
        return []
    other = "" if algorithm == "auto" else ", or the method auto"
    return [f"No group was found: every document is noise. Try smaller groups (min_cluster_size){other}."]


def _relationships(analysis: Analysis) -> list[Values]:
    return [
        {
            "parent_cluster_id": group.group_id,
            "child_cluster_id": child,
            "level": group.level,
            "parent_label": group.label,
            "parent_num_members": group.size,
        }
        for group in analysis.groups
        for child in group.children
    ]


def feature_vectors(source: RunInput, cluster: Cluster, labels: Labels, centroids: Points) -> dict[str, VectorColumn]:
    """For each feature what stands for the k groups: the `centroids` (k, d) where it was clustered itself, else the
    members' means; a group without members has none there."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(centroids))
    if len(source.blocks) == 1 and not check_steps(cluster.preprocessing_steps or [], "preprocessing_steps"):
        return {name: VectorColumn(np.arange(len(centroids)), centroids) for name in source.blocks}
    scaled, some = directions if cluster.normalize_features else np.asarray, np.flatnonzero(sizes)
    return {
        name: VectorColumn(some, cluster_means(scaled(points), labels, len(sizes))[some].astype(np.float32))
        for name, points in source.blocks.items()
    }

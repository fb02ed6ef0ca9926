"""Groups of a run by vectors: one space from the features, one clustering of it."""

import numpy as np

from shoal.columns import Points, VectorColumn
from shoal.engine.centroids import cluster_means
from shoal.engine.features import directions
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan, Progress
from shoal.engine.preprocessing import check_steps
from shoal.errors import RunFailed
from shoal.records.cluster import Cluster
from shoal.records.execution import Execution
from shoal.services.analysis import Analysis, analyse, centroids_table, condensed_tree_table, members_table
from shoal.services.feature_space import feature_space
from shoal.services.groups import Groups, Values
from shoal.services.run_input import RunInput

__all__ = ["SEED", "group_by_vectors"]

SEED = 42
"""The seed of every run that names none (contract 6, row 18)."""


def group_by_vectors(source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int) -> Groups:
    """Find and name the groups. Raises RunFailed, InvalidField, Cancelled."""
    if not source.blocks:
        raise RunFailed("The documents have no vectors of this feature.")
    space = feature_space(source, cluster, SEED, threads, progress)
    plan = _plan(cluster, run, threads)
    analysis = analyse(source.ids, space.points, source.texts, plan, progress, source.places_before)
    outcome, tree = analysis.outcome, condensed_tree_table(analysis)
    return Groups(
        members=source.located(members_table(analysis)),
        centroids=centroids_table(analysis),
        labels=outcome.labels,
        metrics=outcome.metrics,
        params=outcome.params,
        warnings=[*space.warnings, *outcome.warnings],
        learned_weights=space.weights if cluster.multi_feature_strategy == "weighted" else None,
        distance_metric=outcome.distance_metric,
        exact=outcome.exact,
        seed=int(str(outcome.params.get("random_state") or SEED)),
        vectors=_vectors(source, cluster, outcome),
        trees={} if tree is None else {"condensed_tree": tree},
        relationships=_relationships(analysis),
    )


def _plan(cluster: Cluster, run: Execution, threads: int) -> Plan:
    return Plan(
        algorithm=cluster.algorithm,
        params=cluster.algorithm_params,
        normalize=cluster.normalize_features,
        centroid_method=cluster.effective_feature_method or "mean",
        sample_size=run.request.get("sample_size", cluster.sample_size),
        hierarchy_depth=(cluster.max_hierarchy_depth or 3) if cluster.hierarchical_vector else 1,
        components=run.request.get("vis_n_components") or cluster.vis_n_components or 2,
        layout_stability=run.request.get("layout_stability") or cluster.layout_stability or "none",
        seed=SEED,
        threads=threads,
    )


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


def _vectors(source: RunInput, cluster: Cluster, outcome: Outcome) -> dict[str, VectorColumn]:
    every = np.arange(outcome.clusters, dtype=np.int64)
    return {name: VectorColumn(every, points) for name, points in _means(source, cluster, outcome).items()}


def _means(source: RunInput, cluster: Cluster, outcome: Outcome) -> dict[str, Points]:
    """The centroids where the feature itself was clustered; else the members' means in each feature."""
    if len(source.blocks) == 1 and not check_steps(cluster.preprocessing_steps or [], "preprocessing_steps"):
        return dict.fromkeys(source.blocks, outcome.centroids)
    scaled = directions if cluster.normalize_features else np.asarray
    return {
        name: cluster_means(scaled(points), outcome.labels, outcome.clusters).astype(np.float32)
        for name, points in source.blocks.items()
    }

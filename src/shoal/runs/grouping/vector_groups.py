"""Groups of a run by vectors: one space from the features, one clustering of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.analysis.build import build_analysis
from shoal.analysis.found_clusters import FoundClusters, find_clusters
from shoal.analysis.naming import LayerNames
from shoal.analysis.ranks import ClusterIds
from shoal.analysis.tables import centroids_table, further_tables, members_table
from shoal.columns import NOISE, Labels, Points, VectorColumn
from shoal.engine.clusters.centroids import cluster_means, weighted_means
from shoal.engine.features.preprocessing import check_steps
from shoal.engine.features.weights import WeightLearning
from shoal.engine.plan import Progress, StageCache
from shoal.engine.rows.geometry import normalize_nonzero_rows
from shoal.errors import RunFailed
from shoal.records.clusters.cluster import Cluster
from shoal.records.runs.execution import Execution
from shoal.runs.config.engine_plan import SEED, plan_of
from shoal.runs.grouping.feature_space import feature_space
from shoal.runs.grouping.groups import Clustering, GroupTables, tree_of
from shoal.runs.grouping.ranks import LAYERS, Ranked, RankedLayers, RunIds, document_keys
from shoal.runs.input import RunInput

__all__ = ["VectorGroups", "feature_vectors", "group_by_vectors"]

_MEASURES: Final[Mapping[str, str]] = {
    "silhouette": "silhouette_score",
    "davies_bouldin": "davies_bouldin_index",
    "calinski_harabasz": "calinski_harabasz_score",
}
"""What the measures of weight learning are called among the metrics of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorGroups:
    """The clusters of one space."""

    found: FoundClusters
    warnings: Sequence[str]
    vectors: Mapping[str, VectorColumn]
    """For each feature the vectors that stand for the clusters and the groups above them."""
    learned_weights: Mapping[str, float] | None = None
    learning_quality: float | None = None

    def rank(self, source: RunInput) -> Ranked:
        """See `NewGroups`."""
        keys = document_keys(source.ids, source.collection_ids)
        return Ranked(self.found.paths(), self.found.outcome.labels, keys, self.rank_layers(keys))

    def rank_layers(self, keys: pa.Array, position: int = 0, feature: str | None = None) -> list[RankedLayers]:
        """The layers of the clusters, where the method has several; `position` is that of the feature."""
        clusters = self.found
        if clusters.outcome.layers is None:
            return []
        labels = [layer.labels for layer in clusters.outcome.layers.layers]
        series = [None if number == clusters.chosen else clusters.series(number) for number in range(len(labels))]
        artifact = LAYERS if feature is None else f"{LAYERS}_{position}"
        return [RankedLayers(position, artifact, series, labels, keys, feature)]

    def clusterings(self, source: RunInput) -> list[Clustering]:
        """See `Groups`."""
        return [Clustering(source, self.found)]

    def tables(self, source: RunInput, ids: RunIds, names: Sequence[Sequence[LayerNames]]) -> GroupTables:
        """See `Groups`."""
        clusters = self.found.outcome.clusters
        own = ids.of_clustering(0, 0, clusters, len(ids.ids) - clusters)
        return self.tabulate(source, own, names[0])

    def tabulate(self, source: RunInput, ids: ClusterIds, names: Sequence[LayerNames]) -> GroupTables:
        """The groups as tables, under these ids and names."""
        outcome = self.found.outcome
        analysis = build_analysis(source.ids, source.texts, self.found, ids, names)
        centroids = centroids_table(analysis)
        return GroupTables(
            members=source.add_collections(members_table(analysis)),
            centroids=centroids,
            labels=outcome.labels,
            metrics=outcome.metrics,
            params=outcome.params,
            warnings=self.warnings,
            learned_weights=self.learned_weights,
            learning_quality=self.learning_quality,
            distance_metric=outcome.distance_metric,
            exact=outcome.exact,
            seed=SEED if outcome.params.get("random_state") is None else int(str(outcome.params["random_state"])),
            vectors=self.vectors,
            tables=further_tables(analysis),
            layers=None if outcome.layers is None else outcome.layers.summary(),
            relationships=tree_of(centroids, {group.group_id: group.level for group in analysis.groups}),
        )


def group_by_vectors(
    source: RunInput, cluster: Cluster, run: Execution, progress: Progress, threads: int, keep: StageCache
) -> VectorGroups:
    """Find the groups. Raises RunFailed, InvalidField, Cancelled."""
    if not source.blocks:
        raise RunFailed("The documents have no vectors of this feature.")
    space = feature_space(source, cluster, SEED, threads, progress, keep)
    plan = plan_of(cluster, run.request, normalize=space.normalize, threads=threads)
    found = find_clusters(space.points, source.texts, plan, progress, source.places_before, keep)
    outcome, learned = found.outcome, cluster.multi_feature_strategy == "weighted"
    return VectorGroups(
        found=found,
        warnings=[*space.warnings, *outcome.warnings, *_all_noise(outcome.labels, plan.algorithm)],
        vectors=_with_groups(feature_vectors(source, cluster, outcome.labels, outcome.centroids), found),
        learned_weights=_by_uri(cluster, source, space.weights or dict.fromkeys(source.blocks, 1.0))
        if learned
        else None,
        learning_quality=_learning_quality(cluster, outcome.metrics) if learned else None,
    )


def _by_uri(cluster: Cluster, source: RunInput, weights: Mapping[str, float]) -> dict[str, float]:
    """The weights by the feature URIs of the configuration, which are in the order of the vectors; those of facets by
    their names."""
    stored = [name for name in weights if name not in source.derived]
    uris = dict(zip(stored, cluster.feature_uris or stored, strict=True)) if stored else {}
    return {uris.get(name, name): weight for name, weight in weights.items()}


def _learning_quality(cluster: Cluster, metrics: Mapping[str, float | None]) -> float | None:
    """The measure that the weights were to make good, of the clusters found; None where it is not defined."""
    return metrics.get(_MEASURES[WeightLearning(**(cluster.weight_learning_config or {})).metric])


def _all_noise(labels: Labels, algorithm: str) -> list[str]:
    if not len(labels) or (labels != NOISE).any():
        return []
    other = "" if algorithm == "auto" else ", or the method auto"
    return [f"No group was found: every document is noise. Try smaller groups (min_cluster_size){other}."]


def _with_groups(vectors: dict[str, VectorColumn], found: FoundClusters) -> dict[str, VectorColumn]:
    """With those of the groups above, which come after the clusters: the means of theirs, by their sizes."""
    groups = [node for _, node in found.tree().groups()]
    if not groups:
        return vectors
    first, sizes = found.outcome.clusters, found.outcome.sizes
    extended = {}
    for name, column in vectors.items():
        at = np.full(first, -1, np.int64)
        at[column.rows] = np.arange(len(column.rows))
        parts = [[n for n in group.clusters if at[n] >= 0] for group in groups]
        some = [number for number, part in enumerate(parts) if part]
        rows = np.concatenate([column.rows, first + np.array(some, np.int64)])
        means = weighted_means(column.values, sizes[column.rows], [at[parts[number]].tolist() for number in some])
        extended[name] = VectorColumn(rows, np.concatenate([column.values, means]))
    return extended


def feature_vectors(source: RunInput, cluster: Cluster, labels: Labels, centroids: Points) -> dict[str, VectorColumn]:
    """For each feature what stands for the k groups: the `centroids` (k, d) where it was clustered itself, else the
    members' means; a group without members has none there. Facets have none: no stored vector has their name."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(centroids))
    stored = {name: points for name, points in source.blocks.items() if name not in source.derived}
    if len(source.blocks) == 1 and not check_steps(cluster.preprocessing_steps or [], "preprocessing_steps"):
        return {name: VectorColumn(np.arange(len(centroids)), centroids) for name in stored}
    scaled, some = normalize_nonzero_rows if cluster.normalize_features else np.asarray, np.flatnonzero(sizes)
    return {
        name: VectorColumn(some, cluster_means(scaled(points), labels, len(sizes))[some].astype(np.float32))
        for name, points in stored.items()
    }

"""From the features of a run to the one space that is clustered."""

from dataclasses import dataclass, field

from shoal.columns import Points
from shoal.engine.features.preprocessing import apply_steps, check_steps
from shoal.engine.features.spaces import concatenate_features
from shoal.engine.features.weights import WeightLearning, learn_weights
from shoal.engine.plan import Progress, StageCache, bypass_cache
from shoal.records.clusters.cluster import Cluster
from shoal.runs.input import RunInput

__all__ = ["FeatureSpace", "feature_space", "weigh_features"]


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """`points` (n, d), with the `weights` of several features, and warnings."""

    points: Points
    normalize: bool
    """Whether rows are compared by their direction."""
    weights: dict[str, float] | None = None
    warnings: list[str] = field(default_factory=list)


def weigh_features(cluster: Cluster, source: RunInput) -> dict[str, float]:
    """Return the weights of the features, equal unless the cluster has some; a facet weighs as much as the mean of
    these."""
    own = {name: weight for name, weight in (cluster.feature_weights or {}).items() if name in source.blocks}
    if not own:
        return dict.fromkeys(source.blocks, 1 / len(source.blocks))
    if len(own) == len(source.blocks):
        return own
    mean = sum(own.values()) / len(own)
    weights = {name: own.get(name, mean) for name in source.blocks}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def feature_space(
    source: RunInput, cluster: Cluster, seed: int, threads: int, progress: Progress, keep: StageCache = bypass_cache
) -> FeatureSpace:
    """Concatenate the features, with equal, given or learned weights, and apply the preprocessing steps.

    `keep` caches the stage "fuse", unless the result is just the stored vectors.
    """
    if len(source.blocks) == 1 and not cluster.preprocessing_steps:
        return _join_features(source, cluster, seed, threads, progress)
    return keep("fuse", lambda: _apply_preprocessing(source, cluster, seed, threads, progress))


def _apply_preprocessing(
    source: RunInput, cluster: Cluster, seed: int, threads: int, progress: Progress
) -> FeatureSpace:
    joined = _join_features(source, cluster, seed, threads, progress)
    steps = check_steps(cluster.preprocessing_steps or [], "preprocessing_steps")
    if not steps:
        return joined
    points, _, notes = apply_steps(joined.points, steps, seed, threads, progress)
    normalize = joined.normalize and not any(step.embeds for step in steps)
    return FeatureSpace(points, normalize, joined.weights, [*joined.warnings, *notes])


def _join_features(source: RunInput, cluster: Cluster, seed: int, threads: int, progress: Progress) -> FeatureSpace:
    if len(source.blocks) == 1:
        return FeatureSpace(next(iter(source.blocks.values())), cluster.normalize_features)
    weights, warnings = weigh_features(cluster, source), list[str]()
    if cluster.multi_feature_strategy == "weighted":
        settings = WeightLearning(**(cluster.weight_learning_config or {}))
        learned = learn_weights(source.blocks, settings, seed=seed, threads=threads, progress=progress)
        weights = dict(learned.weights)
        listed = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
        warnings.append(f"Feature weights were learned from {learned.rows:,} documents: {listed}.")
    points = concatenate_features(source.blocks, weights, normalize=bool(cluster.normalize_features))
    return FeatureSpace(points, cluster.normalize_features, weights, warnings)

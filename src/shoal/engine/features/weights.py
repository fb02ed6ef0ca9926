"""Learns the weights of features from the data alone.

A quality measure of the combined space cannot compare weights: it is best if a single feature with tight groups counts.
So each weighting is scored in the features themselves: of what a clustering of that feature alone reaches there, beyond
chance, how much do the clusters of the combined space reach? The weights with the largest product of these shares win,
Nash's bargain (1950) between the features; each counts in proportion to its structure, and a feature whose neighbour
graph looks like that of shuffled columns gets weight 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.elementary import exp, log
from shoal.engine.algorithms import kmeans
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.quality import squared_silhouette
from shoal.engine.communities.leiden import find_community_layers
from shoal.engine.features.spaces import concatenate_features
from shoal.engine.neighbors.graph import fuzzy_graph
from shoal.engine.neighbors.lists import find_neighbors
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import MAX_SEED, Progress, ignore_progress
from shoal.engine.rows.geometry import normalize_nonzero_rows
from shoal.engine.rows.row_keys import mix_bits, row_keys
from shoal.errors import InvalidField

__all__ = ["LearnedWeights", "Metric", "WeightLearning", "learn_weights"]

Labels = NDArray[np.int32]
Floats = NDArray[np.float64]
Metric = Literal["silhouette", "davies_bouldin", "calinski_harabasz"]

_SAMPLE: Final = 2500
_NEIGHBORS: Final = 15
_MIN_STRUCTURE: Final = 0.1
"""A feature with less structure than this, of 1, gets weight 0."""
_MIN_SHARE: Final = 1e-3
"""Lower bound of a share: a factor of 0 would hide the others."""
_CANDIDATES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLearning:
    """Names and defaults of the wire, except the default of `metric`. Raises InvalidField."""

    method: Literal["bayesian", "grid_search"] = "bayesian"
    """How to search: by the expected improvement of a Gaussian process, or on a regular grid."""
    max_iterations: int = 20
    """Maximum number of weightings to try."""
    metric: Metric = "calinski_harabasz"
    """Quality measured in each feature. The wire's default is silhouette, which falls below chance in a feature as soon
    as another one counts, and so leaves little to bargain over."""
    sample_size: int | None = None
    """Rows to use; None uses 2,500."""
    random_state: int | None = 42

    def __post_init__(self) -> None:
        for name, options in (
            ("method", ("bayesian", "grid_search")),
            ("metric", ("silhouette", "davies_bouldin", "calinski_harabasz")),
        ):
            if getattr(self, name) not in options:
                raise InvalidField(name, f"must be {' or '.join(options)}", value=getattr(self, name))
        _check_integer("max_iterations", self.max_iterations, 5, 100)
        if self.sample_size is not None:
            _check_integer("sample_size", self.sample_size, 100, None)
        if self.random_state is not None:
            _check_integer("random_state", self.random_state, 0, MAX_SEED)


def _check_integer(name: str, value: object, least: int, most: int | None) -> None:
    bounds = f"must be a whole number of at least {least}" + ("" if most is None else f" and at most {most}")
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise InvalidField(name, bounds, value=value)


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """`weights` sum to 1. `structure` of each feature is in 0..1; `score` is the mean log of the shares, 0 if the
    clusters are as good in each feature as its own; `tried` are all weightings with their scores."""

    weights: Mapping[str, float]
    score: float
    structure: Mapping[str, float]
    tried: Sequence[tuple[Mapping[str, float], float]]
    rows: int


def learn_weights(
    blocks: Mapping[str, Points],
    options: WeightLearning,
    *,
    seed: int = 42,
    threads: int = 0,
    progress: Progress = ignore_progress,
) -> LearnedWeights:
    """The weights of the features (n, d_i), from a sample of the rows that have all of them.

    Independent of row order. O(m^2 d) time for m sampled rows, and as much per weighting. Reports to `progress` as
    "weights".
    """
    names = list(blocks)
    with one_blas_thread():
        sample = _sample_rows(blocks, options, seed, threads)
        rows = len(next(iter(sample.values())))
        structure = {name: _measure_structure(points, threads) if rows > 30 else 1.0 for name, points in sample.items()}
        used = [name for name in names if structure[name] >= _MIN_STRUCTURE] or names
        equal = {name: 1 / len(used) if name in used else 0.0 for name in names}
        if len(used) == 1 or rows <= 30 or not any(structure.values()):
            return LearnedWeights(equal, 0.0, structure, [(equal, 0.0)], rows)
        scorer = _WeightScorer.of({name: sample[name] for name in used}, structure, options.metric, seed, threads)
        tried = _search(scorer, len(used), options, seed, progress)
    results = [({**dict.fromkeys(names, 0.0), **dict(zip(used, place, strict=True))}, score) for place, score in tried]
    best = max(range(len(results)), key=lambda number: results[number][1])
    return LearnedWeights(results[best][0], results[best][1], structure, results, rows)


def _sample_rows(blocks: Mapping[str, Points], options: WeightLearning, seed: int, threads: int) -> dict[str, Points]:
    """Unit rows of each feature, for the rows with the smallest hashed keys: independent of row order."""
    keys = np.zeros(len(next(iter(blocks.values()))), np.uint64)
    is_complete = np.ones(len(keys), np.bool_)
    for points in blocks.values():
        keys = mix_bits(keys * np.uint64(3) + row_keys(np.ascontiguousarray(points), threads))
        is_complete &= points.any(axis=1)
    keys = mix_bits(keys ^ np.uint64(seed if options.random_state is None else options.random_state))
    rows = np.flatnonzero(is_complete)
    chosen = rows[np.argsort(keys[rows], kind="stable")[: options.sample_size or _SAMPLE]]
    return {
        name: normalize_nonzero_rows(np.ascontiguousarray(points[chosen], np.float32))
        for name, points in blocks.items()
    }


def _measure_structure(points: Points, threads: int) -> float:
    """How far the modularity of the rows' neighbour graph exceeds that of rows with shuffled columns, 0..1."""
    rng = np.random.default_rng(0)
    shuffled = normalize_nonzero_rows(np.ascontiguousarray(rng.permuted(points, axis=0)))
    own, chance = _compute_modularity(points, threads), _compute_modularity(shuffled, threads)
    return max(0.0, (own - chance) / max(1.0 - chance, 1e-9))


def _compute_modularity(points: Points, threads: int) -> float:
    near = find_neighbors(points, np.arange(len(points)), _NEIGHBORS, threads=threads, progress=ignore_progress)
    graph = fuzzy_graph(near.halve_squares(), threads)
    labels = find_community_layers(graph, np.ones(1), 0, threads=threads, progress=ignore_progress)[0]
    strength = graph.strength()
    total = float(strength.sum())
    if total == 0:
        return 0.0
    inside = float(graph.weight[labels[graph.row_of_edges()] == labels[graph.to]].sum(dtype=np.float64))
    return inside / total - float(((np.bincount(labels, strength) / total) ** 2).sum())


@dataclass(frozen=True, slots=True)
class _WeightScorer:
    """Scores weights: `own` and `chance` are the quality of each feature's own clusters and of random ones."""

    blocks: Mapping[str, Points]
    say: Floats
    own: Floats
    chance: Floats
    metric: Metric
    clusters: int
    seed: int
    threads: int

    @staticmethod
    def of(
        blocks: Mapping[str, Points], structure: Mapping[str, float], metric: Metric, seed: int, threads: int
    ) -> "_WeightScorer":
        rows = len(next(iter(blocks.values())))
        clusters = max(2, round(rows**0.5))
        say = np.array([structure[name] for name in blocks])
        empty = np.zeros(len(blocks))
        scorer = _WeightScorer(blocks, say / say.sum(), empty, empty, metric, clusters, seed, threads)
        own = [_measure_quality(points, scorer.labels(points), metric) for points in blocks.values()]
        random = np.random.default_rng(seed).permutation(np.arange(rows) % clusters).astype(np.int32)
        chance = [_measure_quality(points, random, metric) for points in blocks.values()]
        return _WeightScorer(blocks, say / say.sum(), np.array(own), np.array(chance), metric, clusters, seed, threads)

    def labels(self, points: Points) -> Labels:
        params = kmeans.KMeansParams(n_clusters=self.clusters, n_init=1, max_iter=50)
        fit = kmeans.fit(points, params, seed=self.seed, threads=self.threads, progress=ignore_progress)
        return fit.assignments.labels.astype(np.int32)

    def score(self, weights: Sequence[float]) -> float:
        """The mean log of the shares, features weighted by their structure."""
        labels = self.labels(
            concatenate_features(self.blocks, dict(zip(self.blocks, weights, strict=True)), normalize=False)
        )
        reached = np.array([_measure_quality(points, labels, self.metric) for points in self.blocks.values()])
        shares = (reached - self.chance) / np.maximum(self.own - self.chance, 1e-9)
        return float((self.say * log(np.maximum(shares, _MIN_SHARE))).sum())


def _measure_quality(points: Points, labels: Labels, metric: Metric) -> float:
    """Higher is better: the silhouette of squared distances; 1 / (1 + Davies-Bouldin); or the fraction of the variance
    between clusters, of which Calinski-Harabasz is a ratio."""
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    clusters = int(labels.max()) + 1
    means = cluster_means(points, labels, clusters)
    if metric == "silhouette":
        return squared_silhouette(points, labels, means)
    away = ((points - means[labels]) ** 2).sum(axis=1)
    if metric == "calinski_harabasz":
        whole = float(((points - points.mean(axis=0, dtype=np.float64)) ** 2).sum())
        return 1.0 - float(away.sum()) / max(whole, 1e-12)
    spread = np.bincount(labels, np.sqrt(away), clusters) / np.bincount(labels, minlength=clusters)
    squares = (means**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * means @ means.T, 1e-12))
    np.fill_diagonal(apart, np.inf)
    return 1.0 / (1.0 + float(((spread[:, None] + spread) / apart).max(axis=1).mean()))


Tried = list[tuple[tuple[float, ...], float]]


def _search(scorer: _WeightScorer, features: int, options: WeightLearning, seed: int, progress: Progress) -> Tried:
    tried: Tried = []

    def evaluate(place: Sequence[float]) -> None:
        tried.append((tuple(float(part) for part in place), scorer.score(place)))
        progress("weights", len(tried) / options.max_iterations)

    places = _build_grid(features, options.max_iterations)
    if options.method == "grid_search":
        for place in places:
            evaluate(place)
        return tried
    evaluate([1 / features] * features)
    for place in _build_grid(features, max(5, options.max_iterations // 3)):
        if len(tried) < options.max_iterations:
            evaluate(place)
    rng = np.random.default_rng(seed if options.random_state is None else options.random_state)
    while len(tried) < options.max_iterations:
        evaluate(_pick_most_promising(tried, rng.dirichlet(np.ones(features), _CANDIDATES)).tolist())
    return tried


def _build_grid(features: int, most: int) -> list[tuple[float, ...]]:
    """The points of the finest regular grid inside the simplex that has at most `most`; at least the center."""
    best: list[tuple[float, ...]] = [tuple([1 / features] * features)]
    for steps in range(features + 1, most + features + 1):
        inner = [parts for parts in product(range(1, steps), repeat=features - 1) if sum(parts) < steps]
        if len(inner) > most:
            break
        best = [tuple(part / steps for part in (*parts, steps - sum(parts))) for parts in inner]
    return best


def _pick_most_promising(tried: Tried, candidates: Floats) -> Floats:
    """The candidate with the largest expected improvement (Mockus 1978) by a Gaussian process over the tried points."""
    from scipy.special import erf
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    places, scores = np.array([place for place, _ in tried]), np.array([score for _, score in tried])
    scale = max(float(scores.std()), 1e-9)
    model = GaussianProcessRegressor(Matern(0.3, nu=2.5), alpha=1e-3, optimizer=None)
    mean, deviation = model.fit(places, (scores - scores.mean()) / scale).predict(candidates, return_std=True)
    gain = mean - (scores.max() - scores.mean()) / scale
    deviation = np.maximum(deviation, 1e-9)
    ratio = gain / deviation
    improvement = gain * 0.5 * (1 + erf(ratio / np.sqrt(2))) + deviation * exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(candidates[int(np.argmax(improvement))], np.float64)

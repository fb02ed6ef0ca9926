"""k-means: k groups around k means, with the smallest sum of squared distances found.

The method of scikit-learn's KMeans with its own exact and order-independent steps, see `engine/kmeans/lloyd.py`. If the
codes of the rows do not fit in memory, mini-batches are used (`engine/kmeans/batches.py`).
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.algorithms.base import (
    MAX_CLUSTERS,
    MAX_STARTS,
    MAX_STEPS,
    Algorithm,
    Fit,
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_seed,
)
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.kmeans.batches import fit_minibatch
from shoal.engine.kmeans.centers import TwoNearest, find_two_nearest
from shoal.engine.kmeans.lloyd import Lloyd, Run, prepare_lloyd
from shoal.engine.kmeans.starts import Sample, draw_sample, kmeans_plusplus
from shoal.engine.layers.cluster_merges import merge_clusters
from shoal.engine.plan import Progress, pulse_at, scale_progress
from shoal.engine.prediction import Assigner
from shoal.engine.rows.row_keys import Keys, row_keys

__all__ = ["KMEANS", "KMeansParams", "fit"]

Floats = NDArray[np.float32]
_MAX_CODE_BYTES: Final = 8 << 30
"""Memory for the codes of all rows, one byte per coordinate; beyond it mini-batches are used."""
_MAX_WARD_ROWS: Final = 1500
"""Rows up to which all pairwise distances are stored, a few times 18 MB."""
_MIN_IMPROVEMENT: Final = 0.005
"""Relative improvement of the inertia over the Ward start that another start needs to replace it."""
_MAX_PASSES: Final = 10
"""Maximum passes over the rows with mini-batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KMeansParams:
    """Names and defaults as in contract.md#method-parameters. Raises InvalidField."""

    n_clusters: int = 8
    """Number of clusters; lowered to the number of distinct rows."""
    max_iter: int = 300
    """Maximum steps per start."""
    random_state: int | None = None
    """Seed of the starts; None uses the plan's, whose default is the wire's 42."""
    n_init: int = 10
    """Number of starts, of which the best is kept. With several starts on up to 1,500 rows the first one uses the means
    of Ward clusters, which rounding of the vectors hardly changes; another start replaces it only if better by half a
    percent."""
    tol: float = 0.0001
    """Stop when the squared movement of the means is below this fraction of the mean variance of a column."""
    init: Literal["k-means++", "random"] = "k-means++"
    """How the initial means are drawn from the rows."""
    verbose: int = 0
    """Accepted, without effect."""
    copy_x: bool = True
    """Accepted, without effect: the rows are never modified."""
    algorithm: Literal["lloyd", "elkan"] = "lloyd"
    """Both names select the same implementation."""

    def __post_init__(self) -> None:
        check_integer("n_clusters", self.n_clusters, 1, MAX_CLUSTERS)
        check_integer("max_iter", self.max_iter, 1, MAX_STEPS)
        check_integer("n_init", self.n_init, 1, MAX_STARTS)
        check_integer("verbose", self.verbose, 0)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)
        check_number("tol", self.tol, 0)
        check_choice("init", self.init, ("k-means++", "random"))
        check_choice("algorithm", self.algorithm, ("lloyd", "elkan"))
        check_bool("copy_x", self.copy_x)


def fit(points: Points, params: KMeansParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find k means. At most O(n d k) time per step, O(n d / 4 + k d) memory beside the rows, which may be a memory map.
    Reports to `progress` as "cluster"."""
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing, params=effective)
    keys = row_keys(points, threads)
    distinct_rows = _find_distinct(keys, params.n_clusters)
    batched = distinct_rows is None and points.size > _MAX_CODE_BYTES
    if distinct_rows is not None:
        best = Run(
            points[distinct_rows].astype(np.float64),
            True,
            find_two_nearest(points, points[distinct_rows], threads, partial(progress, "cluster")),
        )
    elif batched:
        best = _fit_in_batches(points, keys, params, seed, threads, progress)
    else:
        best = _fit_best_start(points, keys, params, seed, threads, progress)
    centers, nearest = _drop_empty(best.centers, best.nearest)
    warnings = _collect_warnings(
        params, len(points), len(centers), None if distinct_rows is None else len(distinct_rows), best.converged
    )
    if batched:
        warnings.append(f"{len(points):,} rows were fitted by mini-batches: their codes do not fit in memory.")
    effective["n_clusters"] = len(centers)
    assign = Assigner.of(centers.astype(np.float32), metric="euclidean").place
    return Fit(
        assignments=_to_assignments(nearest), assign=assign, params=effective, warnings=warnings, assigns_all=True
    )


def _collect_warnings(params: KMeansParams, rows: int, count: int, distinct: int | None, converged: bool) -> list[str]:
    warnings = []
    if count < params.n_clusters:
        reason = f"there are {rows} rows" if distinct == rows else f"there are {distinct or count} distinct rows"
        warnings.append(f"n_clusters was lowered from {params.n_clusters} to {count}: {reason}.")
    if not converged:
        warnings.append(f"k-means stopped after max_iter={params.max_iter} steps before it converged.")
    return warnings


def _find_distinct(keys: Keys, clusters: int) -> Rows | None:
    """The first row of each distinct value if there are at most `clusters` of them, else None."""
    if len(np.unique(keys[: 4 * clusters])) > clusters:  # a few rows usually suffice
        return None
    distinct_rows = np.unique(keys, return_index=True)[1]
    return None if len(distinct_rows) > clusters else np.sort(distinct_rows).astype(np.int64)


def _drop_empty(centers: NDArray[np.float64], nearest: TwoNearest) -> tuple[NDArray[np.float64], TwoNearest]:
    """Remove centers that are nearest to no row."""
    used, labels = np.unique(nearest.labels, return_inverse=True)
    if len(used) == len(centers):
        return centers, nearest
    return centers[used], TwoNearest(labels.astype(np.int32), nearest.squares)


def _fit_best_start(
    points: Points, keys: Keys, params: KMeansParams, seed: int, threads: int, progress: Progress
) -> Run:
    pulse = pulse_at(progress, "cluster", 0.0)
    lloyd = prepare_lloyd(points, keys, params.n_clusters, threads, pulse)
    sample = draw_sample(points, keys, params.n_clusters, seed, threads, lloyd.rows, pulse=pulse)
    best: Run | None = None
    threshold = np.inf
    for number in range(params.n_init):
        share = scale_progress(progress, "cluster", number / params.n_init, (number + 1) / params.n_init)
        is_ward = number == 0 and params.n_init > 1 and params.init == "k-means++" and len(points) <= _MAX_WARD_ROWS
        if is_ward:
            run = lloyd.run(_ward_means(points, keys, params.n_clusters), params.max_iter, params.tol, share)
        else:
            run = _run_start(lloyd, sample, params, np.random.default_rng([seed, number]), share)
        if run.inertia < threshold:
            best, threshold = run, run.inertia * (1 - _MIN_IMPROVEMENT if is_ward else 1)
    assert best is not None  # n_init is at least 1
    return best


def _ward_means(points: Points, keys: Keys, clusters: int) -> Floats:
    """(k, d) means of the Ward clusters of the rows."""
    points = points[np.argsort(keys, kind="stable")]  # makes sums independent of row order
    groups = merge_clusters(points, np.ones(len(points), np.int64)).cut(clusters)
    return cluster_means(points, groups, clusters).astype(np.float32)


def _run_start(lloyd: Lloyd, sample: Sample, params: KMeansParams, rng: np.random.Generator, progress: Progress) -> Run:
    starts = _draw_starts(sample, params, rng, scale_progress(progress, "cluster", 0, 0.3))
    return lloyd.run(starts, params.max_iter, params.tol, scale_progress(progress, "cluster", 0.3, 1))


def _draw_starts(sample: Sample, params: KMeansParams, rng: np.random.Generator, progress: Progress) -> Floats:
    """(k, d) initial means: rows of the sample."""
    if params.init == "random":
        chosen = rng.choice(len(sample.points), params.n_clusters, replace=False)
    else:
        chosen = kmeans_plusplus(sample, params.n_clusters, rng, progress)
    return sample.points[chosen]


def _fit_in_batches(
    points: Points, keys: Keys, params: KMeansParams, seed: int, threads: int, progress: Progress
) -> Run:
    rng = np.random.default_rng([seed, 0])
    pulse = pulse_at(progress, "cluster", 0.0)
    sample = draw_sample(points, keys, params.n_clusters, seed, threads, pulse=pulse)
    starts = _draw_starts(sample, params, rng, scale_progress(progress, "cluster", 0, 0.1))
    share = scale_progress(progress, "cluster", 0.1, 0.8)
    centers, converged = fit_minibatch(points, starts, min(params.max_iter, _MAX_PASSES), rng, threads, share)
    last = scale_progress(progress, "cluster", 0.8, 1)
    nearest = find_two_nearest(points, centers.astype(np.float32), threads, partial(last, "cluster"))
    return Run(centers, converged or params.max_iter > _MAX_PASSES, nearest)


def _to_assignments(two_nearest: TwoNearest) -> Assignments:
    """Strength is 1 - nearest / second nearest distance: 0 halfway between two centers, 1 at the center."""
    own, other = two_nearest.squares[:, 0], two_nearest.squares[:, 1]
    nearest = np.where(other > 0, own / np.where(other > 0, other, 1.0), 0.0)
    return Assignments(two_nearest.labels.astype(np.int64), (1.0 - np.sqrt(nearest)).astype(np.float32))


KMEANS: Final = Algorithm(KMeansParams, fit)

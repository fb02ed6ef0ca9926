"""k-means: k groups around k means, with the least sum of squared distances that was found.

The method of scikit-learn's KMeans, with steps of our own: see `engine/lloyd.py` for why.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.algorithms.base import (
    Algorithm,
    Fit,
    Labelled,
    check_flag,
    check_number,
    check_one_of,
    check_whole,
    nothing_found,
)
from shoal.engine.geometry import distinct_rows, half_squares, moved, origin_shift
from shoal.engine.lloyd import BLOCK, Lloyd, Run, spread_out
from shoal.engine.parallel import in_order, spans
from shoal.engine.plan import Progress, within

__all__ = ["KMEANS", "KMeansParams", "fit"]

Floats = NDArray[np.float32]
_SEEDED_FROM: Final = 16_384
"""Rows the starts are drawn from, or 20 for each cluster: a larger sample costs more and finds no better starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KMeansParams:
    """Names and defaults as in the contract, whose 1,000 clusters are no limit here. Raises InvalidField."""

    n_clusters: int = 8
    """Clusters to find; fewer where there are not so many distinct rows."""
    max_iter: int = 300
    """Most steps of one start."""
    random_state: int | None = None
    """Seed of the starts; None takes the plan's, whose default is the contract's 42."""
    n_init: int = 10
    """Starts, of which the best is kept."""
    tol: float = 0.0001
    """Steps end when the means move less than this share of the mean variance of a column (squared)."""
    init: Literal["k-means++", "random"] = "k-means++"
    """How the first means are drawn from the rows."""
    verbose: int = 0
    """Accepted, without effect."""
    copy_x: bool = True
    """Accepted, without effect: the rows are never written to."""
    algorithm: Literal["lloyd", "elkan"] = "lloyd"
    """Both names give the same answer by the same steps."""

    def __post_init__(self) -> None:
        check_whole("n_clusters", self.n_clusters, 2)
        check_whole("max_iter", self.max_iter, 1)
        check_whole("n_init", self.n_init, 1)
        check_whole("verbose", self.verbose, 0)
        if self.random_state is not None:
            check_whole("random_state", self.random_state, 0)
        check_number("tol", self.tol, 0)
        check_one_of("init", self.init, ("k-means++", "random"))
        check_one_of("algorithm", self.algorithm, ("lloyd", "elkan"))
        check_flag("copy_x", self.copy_x)


def fit(points: Points, params: KMeansParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find k means. O(n d k) time a step, O(n + k d) memory beside the rows. Reports to `progress` as "cluster"."""
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    if len(points) == 0:
        return Fit(labelled=nothing_found(0), assign=lambda rows, *_: nothing_found(len(rows)), params=effective)
    shift = origin_shift(points)
    rows = moved(points, shift)
    firsts = _first_distinct(rows, params.n_clusters)
    lloyd = Lloyd(rows, half_squares(rows), threads)
    if firsts is not None:
        best = Run(rows[firsts].astype(np.float64), converged=True, inertia=0.0)
    else:
        best = _best_start(lloyd, params, seed, progress)
    centers, labels = _in_use(best.centers, lloyd.nearest(best.centers, lambda: None).labels)
    warnings = _told(params, len(points), len(centers), None if firsts is None else len(firsts), best.converged)
    assign = partial(_assign, centers=centers.astype(np.float32), shift=shift)
    strengths = assign(points, threads, within(progress, "cluster", 1, 1)).strengths
    effective["n_clusters"] = len(centers)
    return Fit(labelled=Labelled(labels, strengths), assign=assign, params=effective, warnings=warnings)


def _told(params: KMeansParams, rows: int, found: int, distinct: int | None, converged: bool) -> list[str]:
    warnings = []
    if found < params.n_clusters:
        reason = f"there are {rows} rows" if distinct == rows else f"there are {distinct or found} distinct rows"
        warnings.append(f"n_clusters was lowered from {params.n_clusters} to {found}: {reason}.")
    if not converged:
        warnings.append(f"k-means stopped after max_iter={params.max_iter} steps before it converged.")
    return warnings


def _first_distinct(rows: Points, clusters: int) -> Rows | None:
    """The first row of each distinct value where there are at most `clusters` of them, else None."""
    for size in (4 * clusters, len(rows)):  # a few rows mostly settle it
        firsts, _ = distinct_rows(rows[:size])
        if len(firsts) > clusters:
            return None
        if size >= len(rows):
            break
    return firsts


def _in_use(centers: NDArray[np.float64], labels: Rows) -> tuple[NDArray[np.float64], Rows]:
    """Without centers that no row is nearest to."""
    used, labels = np.unique(labels, return_inverse=True)
    return centers[used], labels.astype(np.int64)


def _best_start(lloyd: Lloyd, params: KMeansParams, seed: int, progress: Progress) -> Run:
    best: Run | None = None
    for number in range(params.n_init):
        rng = np.random.default_rng([seed, number])
        share = within(progress, "cluster", number / params.n_init, (number + 1) / params.n_init)
        starts = _starts(lloyd.rows, params, rng, within(share, "cluster", 0, 0.3))
        run = lloyd.run(starts, params.max_iter, params.tol, within(share, "cluster", 0.3, 1))
        if best is None or run.inertia < best.inertia:
            best = run
    assert best is not None  # n_init is at least 1
    return best


def _starts(rows: Points, params: KMeansParams, rng: np.random.Generator, progress: Progress) -> NDArray[np.float64]:
    """The first means, (k, d): rows of a seeded sample."""
    sample = min(len(rows), max(_SEEDED_FROM, 20 * params.n_clusters))
    chosen = rows if sample == len(rows) else rows[np.sort(rng.choice(len(rows), sample, replace=False))]
    if params.init == "random":
        picked = rng.choice(sample, params.n_clusters, replace=False)
    else:
        picked = spread_out(chosen, half_squares(chosen), params.n_clusters, rng, progress)
    return chosen[picked].astype(np.float64)


def _assign(points: Points, threads: int, progress: Progress, *, centers: Floats, shift: Floats | None) -> Labelled:
    """The nearest center of each row. Strength is 1 - nearest / second nearest distance: 0 halfway, 1 at the center."""
    found = nothing_found(len(points))
    blocks = spans(len(points), BLOCK)
    work = partial(_assign_block, points=points, centers=centers, shift=shift)
    for block, (labels, strengths) in zip(blocks, in_order(work, blocks, threads), strict=True):
        found.labels[block], found.strengths[block] = labels, strengths
        progress("cluster", block.stop / len(points))
    return found


def _assign_block(block: slice, points: Points, centers: Floats, shift: Floats | None) -> tuple[Rows, Floats]:
    rows = moved(points[block], shift)
    scores = rows @ centers.T
    scores -= half_squares(centers)
    labels = np.argmax(scores, axis=1)
    if len(centers) == 1:
        return labels, np.ones(len(rows), np.float32)
    top = np.partition(scores, len(centers) - 2, axis=1)[:, -2:].astype(np.float64)
    squares = np.maximum(2.0 * (half_squares(rows).astype(np.float64)[:, None] - top), 0.0)
    second = np.maximum(squares[:, 0], np.finfo(np.float32).tiny)
    return labels, (1.0 - np.sqrt(np.minimum(squares[:, 1] / second, 1.0))).astype(np.float32)


KMEANS: Final = Algorithm(KMeansParams, fit)

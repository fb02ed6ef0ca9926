"""k-means: k groups around k means, with the least sum of squared distances that was found.

Greedy k-means++ starts (Arthur and Vassilvitskii 2007), Lloyd's steps (Lloyd 1982). The same method as scikit-learn's,
written in blocks of rows so that a run can be followed and stopped, and so that the labels do not depend on the number
of threads, which the order of float32 sums in scikit-learn does.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
from shoal.engine.parallel import in_order, spans
from shoal.engine.plan import Progress, within

__all__ = ["KMEANS", "KMeansParams", "fit"]

Floats = NDArray[np.float32]
_BLOCK: Final = 4096
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
        empty = Fit(labelled=nothing_found(0), assign=lambda rows, *_: nothing_found(len(rows)), params=effective)
        return empty
    shift = origin_shift(points)
    rows = moved(points, shift)
    firsts = _first_distinct(rows, params.n_clusters)
    lloyd = _Lloyd(rows, half_squares(rows), threads)
    if firsts is not None:
        best = _Run(rows[firsts].astype(np.float64), converged=True, inertia=0.0)
    else:
        best = _best_start(lloyd, params, seed, progress)
    centers, labels = _in_use(best.centers, lloyd.nearest(best.centers, progress).labels)
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


def _best_start(lloyd: "_Lloyd", params: KMeansParams, seed: int, progress: Progress) -> "_Run":
    best: _Run | None = None
    for number in range(params.n_init):
        rng = np.random.default_rng([seed, number])
        share = within(progress, "cluster", number / params.n_init, (number + 1) / params.n_init)
        run = lloyd.run(_starts(lloyd.rows, params, rng, share), params, share)
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
        picked = _spread_out(chosen, half_squares(chosen), params.n_clusters, rng, progress)
    return chosen[picked].astype(np.float64)


def _spread_out(rows: Points, halves: Floats, count: int, rng: np.random.Generator, progress: Progress) -> Rows:
    """Greedy k-means++: each next row is the best of a few, drawn in proportion to the squared distance to those
    already chosen."""
    trials = 2 + int(np.log(count))
    picked = np.empty(count, np.int64)
    picked[0] = rng.integers(len(rows))
    closest = _squares_to(rows, halves, picked[:1])[0]
    for place in range(1, count):
        mass = np.cumsum(closest, dtype=np.float64)
        drawn = np.searchsorted(mass, rng.random(trials) * mass[-1], side="right")
        candidates = np.minimum(drawn, len(rows) - 1)
        squares = np.minimum(_squares_to(rows, halves, candidates), closest)
        best = int(np.argmin(squares.sum(axis=1, dtype=np.float64)))
        picked[place], closest = candidates[best], squares[best]
        if place % 16 == 0:
            progress("start", 0.3 * place / count)
    return picked


def _squares_to(rows: Points, halves: Floats, chosen: Rows) -> Floats:
    """(m, n) squared distances from chosen rows; a row's own is 0 whatever the rounding."""
    squares: Floats = rows[chosen] @ rows.T
    squares -= halves
    squares -= halves[chosen][:, None]
    squares *= -2
    squares[np.arange(len(chosen)), chosen] = 0
    return np.maximum(squares, 0, out=squares)


@dataclass(frozen=True, slots=True)
class _Run:
    centers: NDArray[np.float64]
    converged: bool
    inertia: float


@dataclass(frozen=True, slots=True)
class _Nearest:
    """`labels` (n,), `squares` (n,) squared distances to the nearest center, `sums` (k, d) of the rows of each."""

    labels: Rows
    squares: NDArray[np.float64]
    sums: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Lloyd:
    rows: Points
    halves: Floats
    threads: int

    def run(self, centers: NDArray[np.float64], params: KMeansParams, progress: Progress) -> _Run:
        """Lloyd's steps until no row changes its center or the centers hardly move."""
        still = params.tol * float(np.var(self.rows[: 1 << 16], axis=0, dtype=np.float64).mean())
        labels = np.full(len(self.rows), -1, np.int64)
        for step in range(params.max_iter):
            found = self.nearest(centers, progress)
            if np.array_equal(found.labels, labels):
                return _Run(centers, True, float(found.squares.sum()))
            labels = found.labels
            means = self._means(centers, found)
            moved_by = float(((means - centers) ** 2).sum())
            centers = means
            progress("step", 0.3 + 0.7 * step / (step + 20))
            if moved_by <= still:
                return _Run(centers, True, float(self.nearest(centers, progress).squares.sum()))
        return _Run(centers, False, float(self.nearest(centers, progress).squares.sum()))

    def nearest(self, centers: NDArray[np.float64], progress: Progress) -> _Nearest:
        """One pass over the rows."""
        parts = []
        target = centers.astype(np.float32)
        work = partial(self._block, centers=target, halves=half_squares(target))
        sums = np.zeros_like(centers)
        for label, score, own in in_order(work, spans(len(self.rows), _BLOCK), self.threads):
            parts.append((label, score))
            sums += own
        labels, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        squares = np.maximum(2.0 * (self.halves.astype(np.float64) - scores), 0.0)
        return _Nearest(labels, squares, sums)

    def _block(self, block: slice, centers: Floats, halves: Floats) -> tuple[Rows, Floats, NDArray[np.float64]]:
        rows = self.rows[block]
        scores = rows @ centers.T
        scores -= halves
        labels = np.argmax(scores, axis=1)
        size = len(rows)
        belongs = csr_array((np.ones(size, np.float32), labels, np.arange(size + 1)), shape=(size, len(centers)))
        sums = (belongs.T @ rows).astype(np.float64)
        return labels.astype(np.int64), scores[np.arange(size), labels], sums

    def _means(self, centers: NDArray[np.float64], found: _Nearest) -> NDArray[np.float64]:
        """The mean of each center's rows; a center without rows takes the place of the row farthest from its own."""
        sizes = np.bincount(found.labels, minlength=len(centers))
        sums, empty = found.sums.copy(), np.flatnonzero(sizes == 0)
        if len(empty):
            farthest = np.argsort(-found.squares, kind="stable")[: len(empty)]
            np.subtract.at(sums, found.labels[farthest], self.rows[farthest].astype(np.float64))
            np.subtract.at(sizes, found.labels[farthest], 1)
            sums[empty], sizes[empty] = self.rows[farthest], 1
        means = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centers)
        return np.asarray(means, np.float64)


def _assign(
    points: Points, threads: int, progress: Progress, *, centers: Floats, shift: Floats | None
) -> Labelled:
    """The nearest center of each row. Strength is 1 - nearest / second nearest distance: 0 halfway, 1 at the center."""
    found = nothing_found(len(points))
    blocks = spans(len(points), _BLOCK)
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

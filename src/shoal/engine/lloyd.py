"""The steps of k-means: starts spread out over the rows, then means of the nearest rows until they hold still.

Greedy k-means++ (Arthur and Vassilvitskii 2007) and Lloyd (1982), in blocks of rows so that a run can be followed and
stopped, and so that nothing depends on the number of threads. float32 products, float64 sums.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points, Rows
from shoal.engine.geometry import half_squares
from shoal.engine.parallel import in_order, spans
from shoal.engine.plan import Progress

__all__ = ["BLOCK", "Lloyd", "Nearest", "Run", "spread_out"]

Floats = NDArray[np.float32]
BLOCK: Final = 4096
_TYPICAL: Final = 1 << 16


def spread_out(rows: Points, halves: Floats, count: int, rng: np.random.Generator, progress: Progress) -> Rows:
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
            progress("starts", place / count)
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
class Run:
    """Where Lloyd's steps ended."""

    centers: NDArray[np.float64]
    converged: bool
    inertia: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """`labels` (n,), `squares` (n,) squared distances to the nearest center, `sums` (k, d) of the rows of each."""

    labels: Rows
    squares: NDArray[np.float64]
    sums: NDArray[np.float64]

    @property
    def inertia(self) -> float:
        return float(self.squares.sum())


@dataclass(frozen=True, slots=True)
class Lloyd:
    """The steps, over rows whose `halves` are half their squared lengths."""

    rows: Points
    halves: Floats
    threads: int

    def run(self, centers: NDArray[np.float64], max_iter: int, tol: float, progress: Progress) -> Run:
        """Lloyd's steps until no row changes its center, or the centers move by less (squared, summed) than `tol` times
        the mean variance of a column. Reports a fraction that nears 1 as steps are made."""
        still = tol * float(np.var(self.rows[:_TYPICAL], axis=0, dtype=np.float64).mean())
        labels = np.full(len(self.rows), -1, np.int64)
        for step in range(max_iter):
            tick = partial(progress, "steps", step / (step + 20))
            found = self.nearest(centers, tick)
            if np.array_equal(found.labels, labels):
                return Run(centers, True, found.inertia)
            labels, before = found.labels, centers
            centers = self._means(centers, found)
            if float(((centers - before) ** 2).sum()) <= still:
                return Run(centers, True, self.nearest(centers, tick).inertia)
        return Run(centers, False, self.nearest(centers, tick).inertia)

    def nearest(self, centers: NDArray[np.float64], tick: Callable[[], None]) -> Nearest:
        """One pass over the rows, `tick` called with every block."""
        parts = []
        target = centers.astype(np.float32)
        work = partial(self._block, centers=target, halves=half_squares(target))
        sums = np.zeros_like(centers)
        for label, score, own in in_order(work, spans(len(self.rows), BLOCK), self.threads):
            parts.append((label, score))
            sums += own
            tick()
        labels, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        squares = np.maximum(2.0 * (self.halves.astype(np.float64) - scores), 0.0)
        return Nearest(labels, squares, sums)

    def _block(self, block: slice, centers: Floats, halves: Floats) -> tuple[Rows, Floats, NDArray[np.float64]]:
        rows = self.rows[block]
        scores = rows @ centers.T
        scores -= halves
        labels = np.argmax(scores, axis=1)
        size = len(rows)
        belongs = csr_array((np.ones(size, np.float32), labels, np.arange(size + 1)), shape=(size, len(centers)))
        sums = (belongs.T @ rows).astype(np.float64)
        return labels.astype(np.int64), scores[np.arange(size), labels], sums

    def _means(self, centers: NDArray[np.float64], found: Nearest) -> NDArray[np.float64]:
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

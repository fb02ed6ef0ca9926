"""The steps of k-means: means of the nearest rows until they hold still (Lloyd 1982).

Each row goes to its nearest center exactly, means are of sums that are the same in any order: so the answer depends
neither on the order of the rows nor on the number of threads nor on which version of the inner loops runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import fsum

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.kmeans.centers import CodedRows, TwoNearest, encode_rows, start_assignment
from shoal.engine.plan import Progress, Pulse, ignore_pulse
from shoal.engine.rows.exact_sums import Moves, choose_quantum, mean_variance, move_rows, squared_distances
from shoal.engine.rows.row_keys import Keys

__all__ = ["Lloyd", "Run", "prepare_lloyd"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """Where Lloyd's steps ended: `centers` (k, d), and what `nearest` of them the rows have."""

    centers: Doubles
    converged: bool
    nearest: TwoNearest

    @property
    def inertia(self) -> float:
        return fsum(self.nearest.squares[:, 0])


@dataclass(frozen=True, slots=True)
class Lloyd:
    """Rows made ready for steps. `keys` tell rows apart in a tie."""

    points: Points
    keys: Keys
    rows: CodedRows | None
    quantum: float
    variance: float
    threads: int

    def run(self, centers: Points, max_iter: int, tol: float, progress: Progress) -> Run:
        """Lloyd's steps until no row changes its center, or the centers move by less (squared, summed) than `tol` times
        the mean variance of a column. Reports a fraction that nears 1 as steps are made."""
        state = start_assignment(self.points, self.rows, len(centers), self.threads)
        groups = _Groups.empty(len(self.points), centers)
        current, converged = centers.astype(np.float64), False
        for step in range(max_iter):
            _tick(progress, step, 0.0)
            moves = state.step(groups.centers, _make_tick(progress, step))
            if len(moves[0]) == 0:
                converged = True
                break
            groups = groups.move(self, moves)
            before, current = current, groups.means(self, current)
            groups = groups.with_centers(current)
            if float(((current - before) ** 2).sum()) <= tol * self.variance:
                converged = True
                break
        return Run(current, converged, state.last(groups.centers, _make_tick(progress, max_iter)))


def prepare_lloyd(points: Points, keys: Keys, centers: int, threads: int, pulse: Pulse = ignore_pulse) -> Lloyd:
    """Rows for steps with that many centers."""
    largest = max(float(points.max()), -float(points.min()))
    quantum = choose_quantum(largest, len(points))
    variance = mean_variance(points, quantum, threads, pulse)
    return Lloyd(points, keys, encode_rows(points, centers, threads, pulse=pulse), quantum, variance, threads)


@dataclass(frozen=True, slots=True)
class _Groups:
    """The rows of each center. `sums` (k, d) and `sizes` (k,) are of the rows that `labels` (n,) give it."""

    centers: Points
    labels: NDArray[np.int32]
    sums: Doubles
    sizes: NDArray[np.int64]

    @staticmethod
    def empty(count: int, centers: Points) -> "_Groups":
        labels = np.full(count, -1, np.int32)
        return _Groups(centers.astype(np.float32), labels, np.zeros(centers.shape), np.zeros(len(centers), np.int64))

    def with_centers(self, centers: Doubles) -> "_Groups":
        return _Groups(centers.astype(np.float32), self.labels, self.sums, self.sizes)

    def move(self, lloyd: Lloyd, moves: Moves) -> "_Groups":
        labels = self.labels.copy()
        labels[moves[0]] = moves[2]
        sums = move_rows(lloyd.points, moves, self.sums, lloyd.quantum, lloyd.threads)
        return _Groups(self.centers, labels, sums, np.bincount(labels, minlength=len(sums)))

    def means(self, lloyd: Lloyd, before: Doubles) -> Doubles:
        """The mean of each center's rows; a center without rows takes the place of the row farthest from its own."""
        sums, sizes = self.sums, self.sizes
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            sums, sizes = self._fill_empty(lloyd, empty)
        means: Doubles = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], before)
        return means

    def _fill_empty(self, lloyd: Lloyd, empty: Rows) -> tuple[Doubles, NDArray[np.int64]]:
        everyone = np.arange(len(self.labels))
        squares = squared_distances(lloyd.points, everyone, self.centers, self.labels, lloyd.threads)
        sizes, rows = self.sizes.copy(), []
        for row in np.lexsort((lloyd.keys, -squares)):
            if sizes[self.labels[row]] > 1:
                sizes[self.labels[row]] -= 1
                rows.append(row)
            if len(rows) == len(empty):
                break
        given = np.array(rows, np.int64)
        filled = empty[: len(given)].astype(np.int32)
        sizes[filled] = 1
        moves = given, self.labels[given], filled
        return move_rows(lloyd.points, moves, self.sums, lloyd.quantum, lloyd.threads), sizes


def _make_tick(progress: Progress, step: int) -> Callable[[float], None]:
    return partial(_tick, progress, step)


def _tick(progress: Progress, step: int, fraction: float) -> None:
    progress("steps", (step + fraction) / (step + fraction + 20))

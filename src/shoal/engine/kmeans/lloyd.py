"""The steps of k-means: means of the nearest rows until they no longer change (Lloyd 1982).

Every row goes to its exactly nearest center, and sums do not depend on the order of addition, so the result depends
neither on row order nor on the number of threads nor on the implementation of the inner loops.
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
    """The result of Lloyd's steps: `centers` (k, d), and the `nearest` of them for each row."""

    centers: Doubles
    converged: bool
    nearest: TwoNearest

    @property
    def inertia(self) -> float:
        return fsum(self.nearest.squares[:, 0])


@dataclass(frozen=True, slots=True)
class Lloyd:
    """Rows prepared for steps. `keys` break ties between rows."""

    points: Points
    keys: Keys
    rows: CodedRows | None
    quantum: float
    variance: float
    threads: int

    def run(self, centers: Points, max_iter: int, tol: float, progress: Progress) -> Run:
        """Iterate until no row changes its center, or the squared movement of the centers is below `tol` times the mean
        variance of a column. Reports a fraction that approaches 1 as steps are made."""
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
            previous, current = current, groups.means(self, current)
            groups = groups.with_centers(current)
            if float(((current - previous) ** 2).sum()) <= tol * self.variance:
                converged = True
                break
        return Run(current, converged, state.last(groups.centers, _make_tick(progress, max_iter)))


def prepare_lloyd(points: Points, keys: Keys, centers: int, threads: int, pulse: Pulse = ignore_pulse) -> Lloyd:
    """Prepare rows for steps with `centers` centers."""
    largest = max(float(points.max()), -float(points.min()))
    quantum = choose_quantum(largest, len(points))
    variance = mean_variance(points, quantum, threads, pulse)
    return Lloyd(points, keys, encode_rows(points, centers, threads, pulse=pulse), quantum, variance, threads)


@dataclass(frozen=True, slots=True)
class _Groups:
    """The rows of each center. `sums` (k, d) and `sizes` (k,) aggregate the rows that `labels` (n,) assign to it."""

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

    def means(self, lloyd: Lloyd, previous: Doubles) -> Doubles:
        """The mean of each center's rows; an empty center moves to the row farthest from its own center."""
        sums, sizes = self.sums, self.sizes
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            sums, sizes = self._fill_empty(lloyd, empty)
        means: Doubles = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], previous)
        return means

    def _fill_empty(self, lloyd: Lloyd, empty: Rows) -> tuple[Doubles, NDArray[np.int64]]:
        all_rows = np.arange(len(self.labels))
        squares = squared_distances(lloyd.points, all_rows, self.centers, self.labels, lloyd.threads)
        sizes, rows = self.sizes.copy(), []
        for row in np.lexsort((lloyd.keys, -squares)):
            if sizes[self.labels[row]] > 1:
                sizes[self.labels[row]] -= 1
                rows.append(row)
            if len(rows) == len(empty):
                break
        moved_rows = np.array(rows, np.int64)
        filled = empty[: len(moved_rows)].astype(np.int32)
        sizes[filled] = 1
        moves = moved_rows, self.labels[moved_rows], filled
        return move_rows(lloyd.points, moves, self.sums, lloyd.quantum, lloyd.threads), sizes


def _make_tick(progress: Progress, step: int) -> Callable[[float], None]:
    return partial(_tick, progress, step)


def _tick(progress: Progress, step: int, fraction: float) -> None:
    progress("steps", (step + fraction) / (step + fraction + 20))

"""Exact nearest neighbours in NumPy, for a machine without the native core, and the reference of its search.

Blocked matrix products: O(n^2 d) time, O(n k) memory, no n x n matrix.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Progress
from shoal.engine.rows.blocks import block_rows, find_cells
from shoal.engine.rows.geometry import Floats, Near, pair_squares

__all__ = ["Neighborhoods", "find_neighborhoods"]

_MIN_LISTED: Final = 16
_MAX_LISTED: Final = 512
_GROUPS_PER_NEIGHBOR: Final = 12
_CROWDED: Final = 8


@dataclass(frozen=True, slots=True)
class Neighborhoods:
    """The nearest other rows of each row: `rows` (n, k) int32, `distances` (n, k) float64 Euclidean ascending, ties by
    row. `core` (n,) float64 is the core distance: the radius that contains `min_samples` rows, including the row
    itself."""

    rows: NDArray[np.int32]
    distances: NDArray[np.float64]
    core: NDArray[np.float64]


def find_neighborhoods(
    points: Points, weights: Rows, min_samples: int, threads: int, progress: Progress
) -> Neighborhoods:
    """Lists of 16 to 512 neighbours, all those within the core distance if these are at most 512.

    `points` are distinct; row i represents `weights[i]` equal ones, and min_samples <= sum of weights. float32 products
    find candidates within their rounding error, float64 distances select among them, so the result is that of brute
    force in float64. Reports to `progress` as "neighbors".
    """
    total = len(points)
    count = min(max(min_samples - 1, _MIN_LISTED), total - 1)
    listed = min(count, _MAX_LISTED)
    search = _Search(points, Near.of(points), weights, min_samples, count)
    result = Neighborhoods(np.empty((total, listed), np.int32), np.empty((total, listed)), np.empty(total))
    blocks = spans(total, block_rows(total))
    for block, part in zip(blocks, map_in_order(search.block, blocks, threads), strict=True):
        result.rows[block], result.distances[block] = part.rows[:, :listed], part.distances[:, :listed]
        result.core[block] = part.core
        progress("neighbors", block.stop / total)
    return result


@dataclass(frozen=True, slots=True)
class _Search:
    points: Points
    near: Near
    weights: Rows
    min_samples: int
    count: int

    def block(self, block: slice) -> Neighborhoods:
        own = np.arange(block.start, block.stop)
        if self.count == 0:
            return Neighborhoods(np.empty((len(own), 0), np.int32), np.empty((len(own), 0)), np.zeros(len(own)))
        scores = self.near.rows[block] @ self.near.rows.T
        scores -= self.near.halves
        scores[own - block.start, own] = -np.inf
        place, column = _candidates(scores, self.count, self.near.slack)
        square = pair_squares(self.points, place + block.start, column)
        order = np.lexsort((column, square, place))
        starts = np.searchsorted(place[order], np.arange(len(own)))
        chosen = order[starts[:, None] + np.arange(self.count)]
        rows, distances = column[chosen], np.sqrt(square[chosen])
        return Neighborhoods(rows.astype(np.int32), distances, self._core(own, rows, distances))

    def _core(self, own: Rows, rows: Rows, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first distance at which a row, its copies and its neighbours with theirs reach `min_samples`."""
        cumulative = self.weights[own][:, None] + np.cumsum(self.weights[rows], axis=1)
        enough = np.argmax(cumulative >= self.min_samples, axis=1)
        radius = distances[np.arange(len(own)), enough]
        return np.where(self.weights[own] >= self.min_samples, 0.0, radius)


def _candidates(scores: Floats, count: int, slack: float) -> tuple[Rows, Rows]:
    """Cells that may hold one of the `count` largest scores of their row, as (row, column) in row order."""
    least = _lower_bounds(scores, count) - np.float32(2 * slack)
    place, column = find_cells(scores >= least[:, None])
    crowded = np.flatnonzero(np.bincount(place, minlength=len(scores)) > _CROWDED * (count + 8))
    if len(crowded):  # the group maxima were too loose: use the exact bound of the row
        exact = np.partition(scores[crowded], -count, axis=1)[:, -count]
        least[crowded] = exact - np.float32(2 * slack)
        place, column = find_cells(scores >= least[:, None])
    return place, column


def _lower_bounds(scores: Floats, count: int) -> Floats:
    """(b,) a value that at least `count` scores of each row reach: the count-th largest maximum of groups of columns,
    ten times as fast as partitioning the row."""
    width = scores.shape[1]
    groups = _GROUPS_PER_NEIGHBOR * count
    depth = width // groups
    if depth < 4:
        bounds: Floats = np.partition(scores, width - count, axis=1)[:, width - count]
        return bounds
    maxima = scores[:, : groups * depth].reshape(len(scores), depth, groups).max(axis=1)
    best: Floats = np.partition(maxima, groups - count, axis=1)[:, groups - count]
    return best

"""Assigns new rows to a density-based clustering: the fitted row at the smallest mutual reachability."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Progress
from shoal.engine.rows.blocks import block_rows, find_cells
from shoal.engine.rows.exact_sums import squared_distances
from shoal.engine.rows.geometry import half_squares, origin_shift, shift_rows
from shoal.engine.rows.new_rows import approximate_lengths, max_length, score_slack

__all__ = ["CorePoints", "NearestRows"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_GROUPS: Final = 12
"""Groups of columns per requested neighbour: with so many, most of the largest scores are the maximum of their
group."""


@dataclass(frozen=True, slots=True)
class NearestRows:
    """For each new row the fitted row at the smallest mutual reachability, `rows` (n,), -1 if none is within the limit,
    and that reachability, `away` (n,), infinite if none is."""

    rows: Rows
    away: Doubles


@dataclass(frozen=True, slots=True)
class CorePoints:
    """The m distinct fitted rows, in an order independent of that of the input. Build with `of`."""

    points: Points
    copies: Rows
    core: Doubles
    min_samples: int
    _shift: Floats | None
    _near: Points
    _halves: Floats
    _joined: Floats
    _longest: float

    @staticmethod
    def of(points: Points, copies: Rows, core: Doubles, joined: NDArray[np.bool_], min_samples: int) -> "CorePoints":
        """Prepare the fitted rows for queries.

        Parameters
        ----------
        points
            (m, d) distinct rows.
        copies
            (m,) how often each occurs.
        core
            (m,) core distances.
        joined
            (m,) which of the rows may be the nearest row of a new one: those in a cluster.
        min_samples
            Rows that make a neighbourhood dense, at most the sum of `copies`.
        """
        shift = origin_shift(points)
        near = shift_rows(points, shift)
        halves = half_squares(near)
        squares = np.where(joined, core**2, np.inf).astype(np.float32)
        return CorePoints(points, copies, core, min_samples, shift, near, halves, squares, max_length(halves))

    def join(self, rows: Points, limit: float, threads: int, progress: Progress) -> NearestRows:
        """The nearest of the fitted rows for each of `rows` (n, d); beyond `limit` it may be missing.

        The core distance of a new row is the radius that contains `min_samples` fitted rows, so that a fitted row has
        its own and does not count twice. Ties in reachability go to the smaller distance, then to the earlier row.
        float32 products select candidates within their rounding error and float64 distances decide, so a result does
        not depend on the other rows. O(n m d) time, 16 MiB per thread beside `points`. Reports to `progress` as
        "cluster".
        """
        result = NearestRows(np.full(len(rows), -1, np.int64), np.full(len(rows), np.inf))
        if not np.isfinite(self._joined).any():
            return result
        blocks = spans(len(rows), block_rows(len(self.points)))
        work = partial(self._block, rows=rows, limit=limit)
        for block, part in zip(blocks, map_in_order(work, blocks, threads), strict=True):
            result.rows[block], result.away[block] = part.rows, part.away
            progress("cluster", block.stop / len(rows))
        return result

    def _block(self, block: slice, *, rows: Points, limit: float) -> NearestRows:
        own = np.ascontiguousarray(rows[block])
        shifted = shift_rows(own, self._shift)
        lengths = approximate_lengths(shifted)
        slack = score_slack(lengths, self._longest, own.shape[1])
        scores = shifted @ self._near.T
        scores -= self._halves
        core = self._core(own, scores, slack)
        scores *= np.float32(-2)
        scores += (lengths**2).astype(np.float32)[:, None]
        return self._nearest(own, np.maximum(scores, self._joined, out=scores), core, 2 * slack, limit)

    def _core(self, own: Points, scores: Floats, slack: Doubles) -> Doubles:
        """(b,) squared core distances."""
        count = min(self.min_samples, len(self.points))
        lower = _lower_bounds(scores, count) - 2 * slack
        row, column = find_cells(scores >= _round_towards(lower, -np.inf)[:, None])
        squares = self._squares(own, row, column)
        order = np.lexsort((squares, row))
        row, column, squares = row[order], column[order], squares[order]
        starts = np.searchsorted(row, np.arange(len(own)))
        cumulative = np.cumsum(self.copies[column])
        before = cumulative[starts] - self.copies[column[starts]]
        return squares[np.searchsorted(cumulative, before + self.min_samples)]

    def _nearest(self, own: Points, reachable: Floats, core: Doubles, slack: Doubles, limit: float) -> NearestRows:
        """`reachable` (b, m) is the larger of squared distance and squared core distance, within `slack`."""
        lower = reachable.min(axis=1).astype(np.float64)
        limits = np.maximum(core, lower + slack) + slack
        limits[lower - slack > limit**2] = -np.inf
        row, column = find_cells(reachable <= _round_towards(limits, np.inf)[:, None])
        squares = self._squares(own, row, column)
        away = np.maximum(np.sqrt(np.maximum(squares, core[row])), self.core[column])
        order = np.lexsort((column, squares, away, row))
        first = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
        result = NearestRows(np.full(len(own), -1, np.int64), np.full(len(own), np.inf))
        result.rows[row[first]], result.away[row[first]] = column[first], away[first]
        return result

    def _squares(self, own: Points, row: Rows, column: Rows) -> Doubles:
        return squared_distances(own, row, self.points, column.astype(np.int32), 1)


def _round_towards(values: Doubles, towards: float) -> Floats:
    return np.nextafter(values.astype(np.float32), np.float32(towards))


def _lower_bounds(scores: Floats, count: int) -> Floats:
    """(b,) a value that at least `count` scores of the row reach: the count-th largest maximum of groups of columns,
    ten times as fast as partitioning the row."""
    groups = _GROUPS * count
    depth = scores.shape[1] // groups
    if depth >= 4:
        scores = scores[:, : groups * depth].reshape(len(scores), depth, groups).max(axis=1)
    reached: Floats = np.partition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count]
    return reached

"""Core distances that contain many rows, and the edges they determine, block by block: no array of all pairs within a
core distance is ever stored.

A core distance is the mutual reachability of all pairs within it, n times `min_samples` of them. A walk by mutual
reachability needs few: below the core distance of a row its neighbours form components, which the walk visits one by
one, entering each at its lowest row. So the lowest neighbour in each of these components is enough, at most two edges
per row in all. In the leaf order of the minimum spanning tree components are segments between wide gaps.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Progress
from shoal.engine.rows.blocks import find_cells
from shoal.engine.rows.exact_sums import squared_distances
from shoal.engine.rows.geometry import Near

__all__ = ["WideCores", "widest_gaps"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Places = NDArray[np.int32]

_PAIRS: Final = 1 << 19


@dataclass(frozen=True, slots=True)
class WideCores:
    """Distinct rows (m, d), of which row i represents `copies[i]` equal ones. Build with `of`."""

    points: Points
    copies: Rows
    near: Near
    threads: int

    @staticmethod
    def of(points: Points, copies: Rows, threads: int) -> "WideCores":
        return WideCores(points, copies, Near.of(points), threads)

    def core_distances(self, min_samples: int, progress: Progress) -> Floats:
        """(m,) the radius that contains `min_samples` rows, including itself and copies; min_samples <= all rows.

        float32 products exclude what is certainly nearer or farther, float64 distances decide: the result is that of
        brute force. O(m^2 d) time, about 30 MiB per thread. Reports to `progress` as "reachability".
        """
        core, blocks = np.empty(len(self.points)), self._blocks()
        work = partial(self._core, min_samples=min_samples)
        for block, part in zip(blocks, map_in_order(work, blocks, self.threads), strict=True):
            core[block] = part
            progress("reachability", block.stop / len(self.points))
        return core

    def find_core_edges(self, core: Floats, order: Rows, gaps: Floats, progress: Progress) -> tuple[Places, Places]:
        """Pairs of rows (e,) whose mutual reachability is the core distance of the first: of the rows within it, the
        lowest in each component below it.

        Parameters
        ----------
        core
            (m,) core distances.
        order
            (m,) rows in the leaf order of the minimum spanning tree.
        gaps
            (m - 1,) merge heights between consecutive rows of `order`.
        """
        lefts, rights = list[Places](), list[Places]()
        blocks = self._blocks()
        work = partial(self._find_core_edges, core=core, order=order, gaps=_WidestGaps.of(gaps))
        for block, (left, right) in zip(blocks, map_in_order(work, blocks, self.threads), strict=True):
            lefts.append(left)
            rights.append(right)
            progress("reachability", block.stop / len(self.points))
        return np.concatenate(lefts), np.concatenate(rights)

    def _blocks(self) -> list[slice]:
        """Blocks of rows whose working memory is about 30 MiB."""
        return spans(len(self.points), max(8, min(256, _PAIRS // len(self.points))))

    def _squares(self, block: slice, columns: Rows | slice) -> Singles:
        """(b, m) squared distances, each within four times the slack of the products."""
        squares: Singles = self.near.rows[block] @ self.near.rows[columns].T
        squares -= self.near.halves[columns]
        squares -= self.near.halves[block][:, None]
        squares *= np.float32(-2)
        return squares

    def _distances(self, left: Rows, right: Rows) -> Floats:
        return np.asarray(
            np.sqrt(squared_distances(self.points, left, self.points, right.astype(np.int32), 1)), np.float64
        )

    def _core(self, block: slice, min_samples: int) -> Floats:
        squares = self._squares(block, slice(None))
        middle = self._estimate_squared_radius(squares, min_samples)
        slack = np.float32(8 * self.near.slack)
        inside_count = ((squares < (middle - slack)[:, None]) * self.copies).sum(axis=1)
        row, column = find_cells((squares >= (middle - slack)[:, None]) & (squares <= (middle + slack)[:, None]))
        distance = self._distances(row + block.start, column)
        order = np.lexsort((distance, row))
        row, distance, copies = row[order], distance[order], self.copies[column[order]]
        starts = np.searchsorted(row, np.arange(len(squares)))
        total = np.cumsum(copies)
        before = total[starts] - copies[starts]
        core: Floats = distance[np.searchsorted(total, before + min_samples - inside_count)]
        return core

    def _estimate_squared_radius(self, squares: Singles, min_samples: int) -> Singles:
        """(b,) approximate squared radius that contains `min_samples` rows."""
        if (self.copies == 1).all():
            return np.asarray(np.partition(squares, min_samples - 1, axis=1)[:, min_samples - 1], np.float32)
        order = np.argsort(squares, axis=1, kind="stable")
        enough = np.argmax(np.cumsum(self.copies[order], axis=1) >= min_samples, axis=1)
        own = np.arange(len(squares))
        return np.asarray(squares[own, order[own, enough]], np.float32)

    def _find_core_edges(self, block: slice, core: Floats, order: Rows, gaps: "_WidestGaps") -> tuple[Places, Places]:
        own, radius = np.arange(block.start, block.stop), core[block]
        squares, slack = self._squares(block, order), 4 * self.near.slack
        limit = np.nextafter((radius**2 + slack).astype(np.float32), np.float32(np.inf))
        row, place = find_cells((squares <= limit[:, None]) & (core[order] <= radius[:, None]))
        near = squares[row, place] < radius[row] ** 2 - 2 * slack
        undecided = np.flatnonzero(~near)
        near[undecided] = self._distances(own[row[undecided]], order[place[undecided]]) <= radius[row[undecided]]
        selected = near & (order[place] != own[row])
        row, place = row[selected], place[selected]
        if len(row) == 0:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        first = np.ones(len(row), np.bool_)
        same = np.flatnonzero(row[1:] == row[:-1]) + 1
        first[same] = gaps.max_between(place[same - 1], place[same]) >= radius[row[same]]
        starts = np.flatnonzero(first)
        lowest = np.minimum.reduceat(order[place], starts)
        return own[row[starts]].astype(np.int32), lowest.astype(np.int32)


def widest_gaps(gaps: Floats, first: Rows, last: Rows) -> Floats:
    """(e,) the widest gap between the positions of each pair, first < last."""
    return _WidestGaps.of(gaps).max_between(first, last)


@dataclass(frozen=True, slots=True)
class _WidestGaps:
    """Sparse table of range maxima: level l holds the maxima of segments of 2^l gaps."""

    levels: list[Floats]

    @staticmethod
    def of(gaps: Floats) -> "_WidestGaps":
        levels, width = [gaps], 1
        while 2 * width <= len(gaps):
            levels.append(np.maximum(levels[-1][:-width], levels[-1][width:]))
            width *= 2
        return _WidestGaps(levels)

    def max_between(self, first: Rows, last: Rows) -> Floats:
        level = np.frexp((last - first).astype(np.float64))[1] - 1
        widest = np.empty(len(first))
        for depth in np.unique(level).tolist():
            at_depth = np.flatnonzero(level == depth)
            table = self.levels[depth]
            widest[at_depth] = np.maximum(table[first[at_depth]], table[last[at_depth] - (1 << depth)])
        return widest

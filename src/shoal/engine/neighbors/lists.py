"""The nearest other rows of every row: what graphs, maps and density estimates start from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.neighbors.nearest_reference import find_neighborhoods
from shoal.engine.parallel import map_in_order, spans, thread_count
from shoal.engine.plan import Progress, pulse_at
from shoal.engine.rows.blocks import block_rows, find_cells
from shoal.engine.rows.coding import CERTAINTY, encode, fit_frame, order_by_proximity, pair_blocks, pair_near_blocks
from shoal.engine.rows.exact_sums import squared_distances
from shoal.engine.rows.geometry import half_squares, origin_shift, rounding_slack, shift_rows

__all__ = ["MAX_EXACT", "NeighborLists", "find_neighbors", "nearest_among"]

MAX_EXACT: Final = 250_000
"""Rows up to which all pairs are compared."""
_MAX_CODED_DIMENSIONS: Final = 8192
"""Sums of more products of codes might overflow 32 bits."""
_BLOCK_FACTOR: Final = 0.7
"""In approximate mode each block of rows is compared with this many times the square root of all blocks."""
_MIN_BLOCKS: Final = 6


@dataclass(frozen=True, slots=True)
class NeighborLists:
    """`rows` (m, k) int32 positions of the nearest other rows, nearest first, ties by position; `distances` (m, k)
    float64 Euclidean. `exact` is False if only near blocks of rows were compared; unused places then hold the row
    itself at an infinite distance. `order` (m,) int32 is a permutation in which near rows are mostly adjacent."""

    rows: NDArray[np.int32]
    distances: NDArray[np.float64]
    exact: bool
    order: NDArray[np.int32]

    def halve_squares(self) -> "NeighborLists":
        """Replace distances by half their squares, which are cosine distances of rows of unit length."""
        return replace(self, distances=self.distances**2 / 2)

    def reorder(self) -> "NeighborLists":
        """The lists with rows in their `order`: row i becomes order[i]. Walks along neighbours are cache-friendly
        there."""
        own = np.arange(len(self.order), dtype=np.int32)
        place = np.empty_like(own)
        place[self.order] = own
        return NeighborLists(place[self.rows[self.order]], self.distances[self.order], self.exact, own)

    def first(self, count: int) -> "NeighborLists":
        """The nearest `count` neighbours of each row."""
        rows, distances = np.ascontiguousarray(self.rows[:, :count]), np.ascontiguousarray(self.distances[:, :count])
        return replace(self, rows=rows, distances=distances)


def find_neighbors(
    points: Points, rows: Rows, count: int, *, threads: int, progress: Progress, approximate: bool | None = None
) -> NeighborLists:
    """The `count` nearest other rows of each row of `points[rows]`, at most len(rows) - 1, copies included.

    The result depends on the order of `rows` only in ties, and not on the number of threads. O(m^2 d) time, approximate
    O(m^1.5 d); O(m (k + d)) memory. Reports to `progress` as "neighbors".

    Parameters
    ----------
    points
        (n, d) float32, may be a memory map.
    rows
        (m,) rows to use; positions in the result are positions in `rows`.
    approximate
        Compare near blocks only; None compares all pairs up to 250,000 rows.
    """
    count = max(0, min(count, len(rows) - 1))
    core = kernels.native()
    if core is None or points.shape[1] > _MAX_CODED_DIMENSIONS or count == 0:
        return _find_reference(points[rows], count, threads, progress)
    threads = thread_count(threads)
    approximate = len(rows) > MAX_EXACT if approximate is None else approximate
    pulse = pulse_at(progress, "neighbors", 0.0)
    frame = fit_frame(points, core.levels(), rows=rows, pulse=pulse)
    near = order_by_proximity(points, frame, threads, rows=rows, pulse=pulse)
    order = np.ascontiguousarray(rows[near], dtype=np.int32)
    codes = encode(points, frame, order, threads, pulse)
    pairs = pair_blocks(len(rows), core.BLOCK)
    if approximate:
        blocks = -(-len(rows) // core.BLOCK)
        enough = max(_MIN_BLOCKS, -(-(count + 1) // core.BLOCK) + 1, round(_BLOCK_FACTOR * blocks**0.5))
        pairs = pair_near_blocks(points, frame, order, core.BLOCK, enough)
    places, squares, _, _ = core.nearest_rows(
        codes, points, order, near, count, CERTAINTY, pairs, threads, _tick(progress)
    )
    lists = NeighborLists(np.empty((len(rows), count), np.int32), np.empty((len(rows), count)), not approximate, near)
    own = np.arange(len(rows), dtype=np.int32)[:, None]
    lists.rows[near] = np.where(places >= 0, near[places], near[own])
    lists.distances[near] = np.sqrt(squares)
    return lists


def nearest_among(
    points: Points, fitted: Points, count: int, *, threads: int, progress: Progress
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The `count` nearest rows of `fitted` (m, d) for each of other rows (n, d): positions and Euclidean distances
    (n, count), nearest first, equal distances by position.

    float32 products find candidates within their rounding error and float64 distances choose among them, so a row has
    the same answer alone and among others. count <= m. O(n m d). Reports to `progress` as "neighbors".
    """
    shift = origin_shift(fitted)
    targets, rows, against = shift_rows(fitted, shift), shift_rows(points, shift), np.ascontiguousarray(fitted)
    halves, block = half_squares(targets), block_rows(len(fitted))
    slack = rounding_slack(targets) + rounding_slack(rows)
    result = np.empty((len(rows), count), np.int32), np.empty((len(rows), count))

    def search(part: slice) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        scores = rows[part] @ targets.T - halves
        least = np.partition(scores, -count, axis=1)[:, -count] - np.float32(2 * slack)
        place, column = find_cells(scores >= least[:, None])
        own = np.ascontiguousarray(points[part])
        squares = squared_distances(own, place, against, column.astype(np.int32), 1)
        order = np.lexsort((column, squares, place))
        chosen = order[np.searchsorted(place[order], np.arange(len(scores)))[:, None] + np.arange(count)]
        return column[chosen].astype(np.int32), np.sqrt(squares[chosen])

    parts = spans(len(rows), block)
    for part, (near, away) in zip(parts, map_in_order(search, parts, threads), strict=True):
        result[0][part], result[1][part] = near, away
        progress("neighbors", part.stop / len(rows))
    return result


def _find_reference(points: Points, count: int, threads: int, progress: Progress) -> NeighborLists:
    total = len(points)
    order = np.arange(total, dtype=np.int32)
    if count == 0:
        return NeighborLists(np.empty((total, 0), np.int32), np.empty((total, 0)), True, order)
    neighborhoods = find_neighborhoods(points, np.ones(total, np.int64), count + 1, threads, progress)
    return NeighborLists(neighborhoods.rows, neighborhoods.distances, True, order).first(count)


def _tick(progress: Progress) -> Callable[[float], None]:
    return partial(progress, "neighbors")

"""The nearest of k centers, exactly: cheap scores rule out centers, float64 distances decide.

The compiled core scores int8 codes (`coding.py`), the NumPy reference float32 products within their rounding error.
Both give the nearest center in float64, ties to the lowest number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine import kernels
from shoal.engine.parallel import map_in_order, spans, thread_count
from shoal.engine.plan import Pulse, ignore_pulse
from shoal.engine.rows.coding import Codes, Frame, encode, fit_frame, order_by_proximity
from shoal.engine.rows.exact_sums import Moves, squared_distances
from shoal.engine.rows.geometry import half_squares

__all__ = ["CenterAssignment", "CodedRows", "TwoNearest", "encode_rows", "find_two_nearest", "start_assignment"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Numbers = NDArray[np.int32]
Tick = Callable[[float], None]

MIN_CODED_PRODUCTS = 1 << 24
"""Coordinates of all rows times centers below which encoding does not pay off."""
_BOUND_BYTES: Final = 1 << 29
"""Memory for bounds per group of centers, kept between steps."""
_PRODUCTS: Final = 1 << 22
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Rows as codes: position p of `codes` is row `order[p]`."""

    frame: Frame
    order: Numbers
    codes: Codes


@dataclass(frozen=True, slots=True)
class TwoNearest:
    """`labels` (n,) is the nearest center of each row, `squares` (n, 2) the squared distances to it and to the second
    nearest, infinite if there is one center."""

    labels: Numbers
    squares: Doubles


class CenterAssignment(Protocol):
    """Nearest centers of the rows through the steps of a k-means."""

    def step(self, centers: Points, tick: Tick | None) -> Moves:
        """The rows whose center changed since the last step, ascending; all rows at the first step, from -1."""
        ...

    def last(self, centers: Points, tick: Tick | None) -> TwoNearest:
        """The two nearest centers of each row."""
        ...


def encode_rows(
    points: Points, centers: int, threads: int, like: CodedRows | None = None, *, pulse: Pulse = ignore_pulse
) -> CodedRows | None:
    """Encode the rows, if there is a compiled core and the number of centers makes it worthwhile; in the frame of
    `like` if given."""
    core = kernels.native()
    if core is None or points.size * centers < MIN_CODED_PRODUCTS:
        return None
    frame = fit_frame(points, core.levels(), pulse=pulse) if like is None else like.frame
    order = order_by_proximity(points, frame, threads, pulse=pulse)
    return CodedRows(frame, order, encode(points, frame, order, threads, pulse))


def start_assignment(points: Points, rows: CodedRows | None, centers: int, threads: int) -> CenterAssignment:
    """Assignment state for `points`; `rows` are their codes, if any."""
    return _ReferenceAssignment(points, threads) if rows is None else _NativeAssignment(points, rows, centers, threads)


def find_two_nearest(points: Points, centers: Points, threads: int, tick: Tick | None) -> TwoNearest:
    """The two nearest centers of each row, chunk by chunk: O(d) memory per row of a chunk."""
    result = TwoNearest(np.empty(len(points), np.int32), np.empty((len(points), 2)))
    for block in spans(len(points), _CHUNK):
        rows = np.ascontiguousarray(points[block])
        share = _scale_tick(tick or _ignore_tick, block.start / len(points), block.stop / len(points))
        codes = encode_rows(rows, len(centers), threads, pulse=partial(share, 0.0))
        part = start_assignment(rows, codes, len(centers), threads).last(centers, share)
        result.labels[block], result.squares[block] = part.labels, part.squares
        share(1.0)
    return result


def _scale_tick(tick: Tick, start: float, stop: float) -> Tick:
    return lambda fraction: tick(start + (stop - start) * fraction)


def _to_pulse(tick: Tick | None) -> Pulse:
    return ignore_pulse if tick is None else partial(tick, 0.0)


def _ignore_tick(fraction: float) -> None:
    """No-op tick."""


class _NativeAssignment:
    def __init__(self, points: Points, rows: CodedRows, centers: int, threads: int) -> None:
        self._core = kernels.native()
        assert self._core is not None  # it created the codes
        self._points, self._rows, self._threads = points, rows, thread_count(threads)
        self._assignment = self._core.Assignment(rows.codes, points, rows.order, centers, _BOUND_BYTES)
        self._lot = self._core.lot()
        self._before: Points | None = None
        self._numbers = np.empty(0, np.int32)

    def step(self, centers: Points, tick: Tick | None) -> Moves:
        drift = None
        if self._before is None:
            self._numbers = _group_into_lots(self._coordinates(centers), self._lot, _to_pulse(tick))
        else:
            drift = np.sqrt(((centers.astype(np.float64) - self._before) ** 2).sum(axis=1))
        codes = self._codes(centers, self._numbers, tick)
        self._before = centers.copy()
        rows, left, joined, _ = self._assignment.step(codes, centers, self._numbers, drift, self._threads, tick)
        return rows, left, joined

    def last(self, centers: Points, tick: Tick | None) -> TwoNearest:
        assert self._core is not None
        numbers = self._numbers
        if len(numbers) == 0:
            numbers = _group_into_lots(self._coordinates(centers), self._lot, _to_pulse(tick))
        codes, order = self._codes(centers, numbers, tick), self._rows.order
        arrays = self._points, order, codes, centers, numbers
        by_place = self._core.two_nearest(self._rows.codes, *arrays, self._threads, tick)
        labels, squares = np.empty(len(order), np.int32), np.empty((len(order), 2))
        labels[order], squares[order] = by_place
        return TwoNearest(labels, squares)

    def _coordinates(self, centers: Points) -> Floats:
        return self._rows.frame.coordinates(centers)

    def _codes(self, centers: Points, numbers: Numbers, tick: Tick | None) -> Codes:
        return encode(centers, self._rows.frame, numbers, self._threads, _to_pulse(tick))


def _group_into_lots(coordinates: Floats, lot: int, pulse: Pulse) -> Numbers:
    """(k,) centers ordered so that each lot holds near ones: recursive halving along the direction of largest
    variance."""
    ordered: list[Numbers] = []
    pending = [np.arange(len(coordinates), dtype=np.int32)]
    while pending:
        pulse()
        own = pending.pop()
        lots = -(-len(own) // lot)
        if lots <= 1:
            ordered.append(own)
            continue
        sorted_own = own[np.argsort(_project_on_main_axis(coordinates[own]), kind="stable")]
        cut = lots // 2 * lot
        pending += [sorted_own[cut:], sorted_own[:cut]]
    return np.concatenate(ordered)


def _project_on_main_axis(rows: Floats) -> Floats:
    """(m,) positions along approximately the direction of largest variance: a few power iterations."""
    centered = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centered /= max(float(np.abs(centered).max()), 1e-30)
    direction = centered[int(np.argmax((centered**2).sum(axis=1)))]
    for _ in range(3):
        direction = (centered @ (direction / max(float(np.linalg.norm(direction)), 1e-30))) @ centered
    places: Floats = centered @ direction
    return places


class _ReferenceAssignment:
    def __init__(self, points: Points, threads: int) -> None:
        self._points, self._threads = points, threads
        self._mean = _approximate_mean(points)
        self._labels = np.full(len(points), -1, np.int32)

    def step(self, centers: Points, tick: Tick | None) -> Moves:
        labels = self._search(centers, 1, tick).labels
        rows = np.flatnonzero(labels != self._labels)
        moves = rows, self._labels[rows], labels[rows]
        self._labels = labels
        return moves

    def last(self, centers: Points, tick: Tick | None) -> TwoNearest:
        return self._search(centers, 2, tick)

    def _search(self, centers: Points, neighbors: int, tick: Tick | None) -> TwoNearest:
        result = TwoNearest(np.empty(len(self._points), np.int32), np.empty((len(self._points), 2)))
        shifted = centers - self._mean
        size = max(16, min(4096, _PRODUCTS // len(centers)))
        blocks = spans(len(self._points), size)
        work = partial(self._block, centers=centers, shifted=shifted, halves=half_squares(shifted), neighbors=neighbors)
        for block, part in zip(blocks, map_in_order(work, blocks, self._threads), strict=True):
            result.labels[block], result.squares[block] = part.labels, part.squares
            if tick is not None:
                tick(block.stop / len(self._points))
        return result

    def _block(self, block: slice, centers: Points, shifted: Floats, halves: Floats, neighbors: int) -> TwoNearest:
        rows = np.ascontiguousarray(self._points[block])
        centered = rows - self._mean
        scores = centered @ shifted.T
        scores -= halves
        rank = len(centers) - min(neighbors, len(centers))
        reached = np.max(scores, axis=1) if neighbors == 1 else np.partition(scores, rank, axis=1)[:, rank]
        slack = _rounding_slack(centered, halves)
        row, number = np.nonzero(scores >= (reached - 2 * slack)[:, None])
        return _pick_best_two(rows, centers, row, number.astype(np.int32))


def _rounding_slack(rows: Points, halves: Floats) -> Floats:
    """(m,) error bound of the float32 score of a row and a center."""
    longest = float(np.sqrt(2.0 * float(halves.max())))
    lengths = np.sqrt(2.0 * half_squares(rows).astype(np.float64))
    share = (rows.shape[1] + 16) * float(np.finfo(np.float32).eps)
    slack: Floats = (share * (longest + lengths) * longest + share * 1e-30).astype(np.float32)
    return slack


def _pick_best_two(rows: Points, centers: Points, row: NDArray[np.int64], number: Numbers) -> TwoNearest:
    """From candidate pairs sorted by row, at least one per row."""
    squares = squared_distances(rows, row, centers, number, 1)
    order = np.lexsort((number, squares, row))
    row, number, squares = row[order], number[order], squares[order]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    second = np.append(squares, np.inf)[first + 1]
    alone = np.append(row, -1)[first + 1] != row[first]
    return TwoNearest(number[first], np.stack([squares[first], np.where(alone, np.inf, second)], axis=1))


def _approximate_mean(points: Points) -> Floats:
    subset = points[:: max(1, len(points) // _CHUNK)]
    mean: Floats = subset.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean

"""The nearest of k centers, exactly: cheap scores leave out what cannot be nearest, float64 distances decide.

The compiled core tells by int8 codes (`coding.py`), its twin by float32 products within their rounding error. Both give
the nearest center in float64, of equal ones the one with the lowest number.
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
"""Products of coordinates of all rows and centers below which codes are not worth their making."""
_BOUND_BYTES: Final = 1 << 29
"""Bytes spent on what is known of lots of centers between steps."""
_PRODUCTS: Final = 1 << 22
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Rows as codes: place p of `codes` is row `order[p]`."""

    frame: Frame
    order: Numbers
    codes: Codes


@dataclass(frozen=True, slots=True)
class TwoNearest:
    """`labels` (n,) the nearest center of each row, `squares` (n, 2) the squared distances to it and to the second
    nearest, infinite where there is one center."""

    labels: Numbers
    squares: Doubles


class CenterAssignment(Protocol):
    """The nearest centers of the rows through the steps of a k-means."""

    def step(self, centers: Points, tick: Tick | None) -> Moves:
        """The rows whose center is another than a step before, ascending; all at the first, from -1."""
        ...

    def last(self, centers: Points, tick: Tick | None) -> TwoNearest:
        """The two nearest centers of each row."""
        ...


def encode_rows(
    points: Points, centers: int, threads: int, like: CodedRows | None = None, *, pulse: Pulse = ignore_pulse
) -> CodedRows | None:
    """Codes of the rows, where the compiled core is there and that many centers make them worth while; in the frame of
    rows `like` them, if there are any."""
    core = kernels.native()
    if core is None or points.size * centers < MIN_CODED_PRODUCTS:
        return None
    frame = fit_frame(points, core.levels(), pulse=pulse) if like is None else like.frame
    order = order_by_proximity(points, frame, threads, pulse=pulse)
    return CodedRows(frame, order, encode(points, frame, order, threads, pulse))


def start_assignment(points: Points, rows: CodedRows | None, centers: int, threads: int) -> CenterAssignment:
    """`rows` are the codes of `points`, if there are any."""
    return _ReferenceAssignment(points, threads) if rows is None else _NativeAssignment(points, rows, centers, threads)


def find_two_nearest(points: Points, centers: Points, threads: int, tick: Tick | None) -> TwoNearest:
    """The two nearest centers of each row, chunk by chunk: O(d) memory a row of a chunk."""
    found = TwoNearest(np.empty(len(points), np.int32), np.empty((len(points), 2)))
    for block in spans(len(points), _CHUNK):
        rows = np.ascontiguousarray(points[block])
        share = _scale_tick(tick or _ignore_tick, block.start / len(points), block.stop / len(points))
        codes = encode_rows(rows, len(centers), threads, pulse=partial(share, 0.0))
        part = start_assignment(rows, codes, len(centers), threads).last(centers, share)
        found.labels[block], found.squares[block] = part.labels, part.squares
        share(1.0)
    return found


def _scale_tick(tick: Tick, start: float, stop: float) -> Tick:
    return lambda fraction: tick(start + (stop - start) * fraction)


def _to_pulse(tick: Tick | None) -> Pulse:
    return ignore_pulse if tick is None else partial(tick, 0.0)


def _ignore_tick(fraction: float) -> None:
    """The tick of a caller that does not watch."""


class _NativeAssignment:
    def __init__(self, points: Points, rows: CodedRows, centers: int, threads: int) -> None:
        self._core = kernels.native()
        assert self._core is not None  # it made the codes
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
        rows, left, came, _ = self._assignment.step(codes, centers, self._numbers, drift, self._threads, tick)
        return rows, left, came

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
    """(k,) the centers in an order in which each lot holds near ones: halved along the direction in which they differ
    most, again and again."""
    done: list[Numbers] = []
    waiting = [np.arange(len(coordinates), dtype=np.int32)]
    while waiting:
        pulse()
        own = waiting.pop()
        lots = -(-len(own) // lot)
        if lots <= 1:
            done.append(own)
            continue
        sorted_own = own[np.argsort(_project_on_main_axis(coordinates[own]), kind="stable")]
        cut = lots // 2 * lot
        waiting += [sorted_own[cut:], sorted_own[:cut]]
    return np.concatenate(done)


def _project_on_main_axis(rows: Floats) -> Floats:
    """(m,) places along about the direction of the most variance: a few steps of the power method."""
    apart = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    apart /= max(float(np.abs(apart).max()), 1e-30)
    direction = apart[int(np.argmax((apart**2).sum(axis=1)))]
    for _ in range(3):
        direction = (apart @ (direction / max(float(np.linalg.norm(direction)), 1e-30))) @ apart
    places: Floats = apart @ direction
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

    def _search(self, centers: Points, wanted: int, tick: Tick | None) -> TwoNearest:
        found = TwoNearest(np.empty(len(self._points), np.int32), np.empty((len(self._points), 2)))
        near = centers - self._mean
        size = max(16, min(4096, _PRODUCTS // len(centers)))
        blocks = spans(len(self._points), size)
        work = partial(self._block, centers=centers, near=near, halves=half_squares(near), wanted=wanted)
        for block, part in zip(blocks, map_in_order(work, blocks, self._threads), strict=True):
            found.labels[block], found.squares[block] = part.labels, part.squares
            if tick is not None:
                tick(block.stop / len(self._points))
        return found

    def _block(self, block: slice, centers: Points, near: Floats, halves: Floats, wanted: int) -> TwoNearest:
        rows = np.ascontiguousarray(self._points[block])
        apart = rows - self._mean
        scores = apart @ near.T
        scores -= halves
        rank = len(centers) - min(wanted, len(centers))
        reached = np.max(scores, axis=1) if wanted == 1 else np.partition(scores, rank, axis=1)[:, rank]
        slack = _rounding_slack(apart, halves)
        row, number = np.nonzero(scores >= (reached - 2 * slack)[:, None])
        return _pick_best_two(rows, centers, row, number.astype(np.int32))


def _rounding_slack(rows: Points, halves: Floats) -> Floats:
    """(m,) what rounding may take off or add to the float32 score of a row and a center."""
    longest = float(np.sqrt(2.0 * float(halves.max())))
    lengths = np.sqrt(2.0 * half_squares(rows).astype(np.float64))
    share = (rows.shape[1] + 16) * float(np.finfo(np.float32).eps)
    slack: Floats = (share * (longest + lengths) * longest + share * 1e-30).astype(np.float32)
    return slack


def _pick_best_two(rows: Points, centers: Points, row: NDArray[np.int64], number: Numbers) -> TwoNearest:
    """Of pairs sorted by row, at least one of each."""
    squares = squared_distances(rows, row, centers, number, 1)
    order = np.lexsort((number, squares, row))
    row, number, squares = row[order], number[order], squares[order]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    second = np.append(squares, np.inf)[first + 1]
    alone = np.append(row, -1)[first + 1] != row[first]
    return TwoNearest(number[first], np.stack([squares[first], np.where(alone, np.inf, second)], axis=1))


def _approximate_mean(points: Points) -> Floats:
    some = points[:: max(1, len(points) // _CHUNK)]
    mean: Floats = some.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean

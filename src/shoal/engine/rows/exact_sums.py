"""Sums and distances of rows that do not depend on the order of summation.

Each coordinate is rounded to a multiple of a quantum, 2^-30 of the largest magnitude; sums of up to 2^22 such numbers
are exact in float64, so addition is associative. For more rows the quantum is coarser.
"""

from math import frexp, fsum, ldexp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.parallel import spans, thread_count
from shoal.engine.plan import Pulse, ignore_pulse

__all__ = ["Moves", "choose_quantum", "mean_variance", "move_rows", "round_to_grid", "squared_distances"]

Doubles = NDArray[np.float64]
Numbers = NDArray[np.int32]
Moves = tuple[Rows, Numbers, Numbers]
"""Rows (m,), the centers they leave and the centers they join; -1 for none."""

_BLOCK: Final = 4096
_SMALLEST: Final = -1021
_SHIFT: Final = 1.5 * 2.0**52


def choose_quantum(largest: float, count: int) -> float:
    """A power of two such that sums of `count` multiples of it, none above `largest`, are exact."""
    crowd = max(0, (count - 1).bit_length() - 22)
    return ldexp(1.0, max(frexp(largest)[1] - 30 + crowd, _SMALLEST))


def round_to_grid(values: Doubles, quantum: float) -> Doubles:
    """Round to multiples of the quantum, half to even."""
    shift = _SHIFT * quantum
    rounded: Doubles = (values + shift) - shift
    return rounded


def move_rows(points: Points, moves: Moves, sums: Doubles, quantum: float, threads: int) -> Doubles:
    """(k, d) `sums` after adding each moved row to the center it joins and subtracting it from the one it leaves."""
    rows, left, joined = moves
    core = kernels.native()
    if core is not None:
        compiled: Doubles = core.move_rows(points, rows, left, joined, sums, quantum, thread_count(threads))
        return compiled
    sums = sums.copy()
    for block in spans(len(rows), _BLOCK):
        values = round_to_grid(points[rows[block]].astype(np.float64), quantum)
        for numbers, sign in ((left[block], -1.0), (joined[block], 1.0)):
            is_center = numbers >= 0
            _add_by_center(sums, numbers[is_center], sign * values[is_center])
    return sums


def _add_by_center(sums: Doubles, numbers: Numbers, values: Doubles) -> None:
    if len(numbers) == 0:
        return
    order = np.argsort(numbers, kind="stable")
    own, starts = np.unique(numbers[order], return_index=True)
    sums[own] += np.add.reduceat(values[order], starts, axis=0)


def squared_distances(points: Points, rows: Rows, centers: Points, numbers: Numbers, threads: int) -> Doubles:
    """(m,) squared distances of rows to centers in float64, equal bits in core and reference: eight sums of every
    eighth column, then ((0+4)+(2+6)) + ((1+5)+(3+7))."""
    core = kernels.native()
    if core is not None:
        compiled: Doubles = core.squares_to(points, rows, centers, numbers, thread_count(threads))
        return compiled
    squares = np.empty(len(rows))
    for block in spans(len(rows), _BLOCK):
        squares[block] = _squares(points[rows[block]], centers[numbers[block]])
    return squares


def _squares(left: Points, right: Points) -> Doubles:
    width = left.shape[1]
    sums = np.zeros((len(left), 8))
    for first in range(0, width, 8):
        part = left[:, first : first + 8].astype(np.float64) - right[:, first : first + 8]
        sums[:, : part.shape[1]] += part * part
    four = sums[:, :4] + sums[:, 4:]
    total: Doubles = (four[:, 0] + four[:, 2]) + (four[:, 1] + four[:, 3])
    return total


def mean_variance(points: Points, quantum: float, threads: int, pulse: Pulse = ignore_pulse) -> float:
    """The mean of the column variances."""
    count = len(points)
    sums, squares = np.zeros((1, points.shape[1])), []
    for block in spans(count, _BLOCK):
        pulse()
        rows = np.arange(block.start, block.stop)
        none, first = np.full(len(rows), -1, np.int32), np.zeros(len(rows), np.int32)
        sums = move_rows(points, (rows, none, first), sums, quantum, threads)
    mean = (sums / max(count, 1)).astype(np.float32)
    for block in spans(count, 1 << 16):
        pulse()
        rows = np.arange(block.start, block.stop)
        squares.append(squared_distances(points, rows, mean, np.zeros(len(rows), np.int32), threads))
    return float(fsum(np.concatenate(squares)) / max(count, 1) / points.shape[1])

"""Lengths, directions and distances of rows. float32 products choose, float64 differences decide."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.parallel import spans
from shoal.engine.rows.exact_sums import squared_distances
from shoal.errors import InvalidField

__all__ = [
    "MAX_COORDINATE",
    "Near",
    "check_points",
    "distinct_rows",
    "half_squares",
    "origin_shift",
    "pair_distances",
    "pair_squares",
    "rounding_slack",
    "shift_rows",
    "squared_lengths",
    "unit_rows",
]

Floats = NDArray[np.float32]

MAX_COORDINATE: Final = 1e15
"""Largest magnitude of a coordinate where rows are not scaled: the square of a distance must stay in float32."""
_UNIT: Final = 1e-5
"""Squared lengths this near to 1 count as unit length; float32 rounding stays a factor of ten below."""
_SMALLEST: Final = 2.0**-148
"""Twice the distance between float32 numbers around zero."""
_BLOCK: Final = 8192
_PAIRS: Final = 1 << 22
"""Coordinates of pair differences held at a time: 32 MiB in float64."""


def check_points(points: NDArray[np.floating]) -> Points:
    """`points` as (n, d) C-ordered float32, not copied where they are that already.

    Raises InvalidField where they are no table of at least one column, or a row holds NaN or an infinity.
    """
    if points.ndim != 2 or points.shape[1] == 0:
        raise InvalidField("vectors", "must be a table of rows with at least one column", value=points.shape)
    with np.errstate(over="ignore"):
        table = np.ascontiguousarray(points, dtype=np.float32)
    for block in spans(len(table), _BLOCK):
        finite = np.isfinite(table[block]).all(axis=1)
        if not finite.all():
            row = block.start + int(np.argmin(finite))
            raise InvalidField("vectors", f"row {row} holds a value that is no finite float32 number")
    return table


def squared_lengths(points: Points, threads: int = 1) -> NDArray[np.float64]:
    """(n,) summed in a fixed order, so that they are the same for a row alone and among others."""
    rows, origin = np.arange(len(points)), np.zeros((1, points.shape[1]), np.float32)
    return squared_distances(points, rows, origin, np.zeros(len(points), np.int32), threads)


def are_directions(points: Points) -> bool:
    """Whether all rows are of unit length, but for rounding."""
    return bool(np.all(np.abs(squared_lengths(points) - 1.0) < 1e-4))


def unit_rows(points: Points, threads: int = 1) -> Points:
    """Each row divided by its length unless that is 1 already, whatever the other rows are; `points` itself where all
    are. Raises InvalidField for a zero row."""
    squares = squared_lengths(points, threads)
    if not squares.all():
        row = int(np.argmin(squares))
        raise InvalidField(
            "vectors",
            f"row {row} is all zeros, the cosine to it is undefined",
            remedy="Leave such rows out, or cluster without normalize.",
        )
    other = np.flatnonzero(np.abs(squares - 1.0) > _UNIT)
    if len(other) == 0:
        return points
    scaled = np.array(points, np.float32, order="C")
    for block in spans(len(other), _BLOCK):
        rows = other[block]
        scaled[rows] = points[rows] / np.sqrt(squares[rows])[:, None]
    return scaled


def origin_shift(points: Points) -> Floats | None:
    """What to subtract from rows that lie far from the origin, their mean; None where they lie around it.

    Distances do not change, but float32 products of far rows lose the digits in which the rows differ.
    """
    if len(points) == 0:
        return None
    mean = points.mean(axis=0, dtype=np.float64)
    offset = float(mean @ mean)
    spread = float(_squares(points).mean()) - offset
    return None if offset <= 4 * max(spread, 0.0) else mean.astype(np.float32)


def shift_rows(points: Points, shift: Floats | None) -> Points:
    """The rows less `shift`; `points` itself where that is None."""
    return points if shift is None else points - shift


def half_squares(points: Points) -> Floats:
    """(n,) half the squared length of each row: x.y - |y|^2/2 orders the y as their distance to x does."""
    return (_squares(points) / 2).astype(np.float32)


def _squares(points: Points) -> NDArray[np.float64]:
    squares = np.empty(len(points))
    for block in spans(len(points), _BLOCK):
        rows = points[block].astype(np.float64)
        squares[block] = np.einsum("ij,ij->i", rows, rows)
    return squares


def rounding_slack(points: Points) -> float:
    """How far a float32 product x.y - |y|^2/2 may lie from the truth: the usual d * eps * |x||y| bound, what moving the
    rows rounds off, and what is lost below the smallest numbers."""
    longest = float(half_squares(points).max(initial=0.0)) * 2
    return float((points.shape[1] + 12) * (np.finfo(np.float32).eps * longest + _SMALLEST))


@dataclass(frozen=True, slots=True)
class Near:
    """Rows moved to lie around the origin, (n, d), for products in float32: x.y - `halves`[y] orders the y as their
    distance to x does, within `slack`. Moving rounds; distances that decide are taken between the rows as they were."""

    rows: Points
    halves: Floats
    slack: float

    @staticmethod
    def of(points: Points) -> "Near":
        rows = shift_rows(points, origin_shift(points))
        return Near(rows, half_squares(rows), rounding_slack(rows))


def pair_distances(points: Points, left: Rows, right: Rows) -> NDArray[np.float64]:
    """(m,) Euclidean distances of the pairs: the square roots of `pair_squares`."""
    return np.sqrt(pair_squares(points, left, right))


def pair_squares(points: Points, left: Rows, right: Rows) -> NDArray[np.float64]:
    """(m,) squared distances of the pairs, from differences in float64: exactly 0 for equal rows, and the same from
    either end. They are summed as in the compiled core, every eighth dimension by itself, to the last bit."""
    squares = np.empty(len(left))
    width = -(-points.shape[1] // 8) * 8
    for block in spans(len(left), max(1, _PAIRS // max(width, 1))):
        table = np.zeros((block.stop - block.start, width))
        table[:, : points.shape[1]] = points[left[block]]
        table[:, : points.shape[1]] -= points[right[block]]
        table *= table
        sums = np.add.reduce(table.reshape(len(table), width // 8, 8), axis=1)
        even, odd = sums[:, [0, 2]] + sums[:, [4, 6]], sums[:, [1, 3]] + sums[:, [5, 7]]
        squares[block] = (even[:, 0] + even[:, 1]) + (odd[:, 0] + odd[:, 1])
    return squares


def distinct_rows(points: Points) -> tuple[Rows, NDArray[np.int64]]:
    """Which rows differ: the first row of each distinct value, ascending, and (n,) the position in it of each row's
    own value."""
    table = points + np.float32(0)  # -0.0 and 0.0 are one value
    keys = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    new = np.ones(len(points), dtype=bool)
    new[1:] = (table[order[1:]] != table[order[:-1]]).any(axis=1)
    group = np.cumsum(new) - 1
    firsts = order[new]
    by_row = np.argsort(firsts)
    place = np.empty(len(firsts), np.int64)
    place[by_row] = np.arange(len(firsts))
    where = np.empty(len(points), np.int64)
    where[order] = place[group]
    return firsts[by_row].astype(np.int64), where

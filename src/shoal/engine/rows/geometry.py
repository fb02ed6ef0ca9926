"""Lengths, directions and distances of rows. float32 products select candidates, float64 differences decide."""

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
    "normalize_nonzero_rows",
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
"""Largest magnitude of a coordinate of unscaled rows: the square of a distance must fit float32."""
_UNIT: Final = 1e-5
"""Squared lengths this near to 1 count as unit length; float32 rounding is ten times smaller."""
_SMALLEST: Final = 2.0**-148
"""Twice the spacing of float32 numbers around zero."""
_BLOCK: Final = 8192
_PAIRS: Final = 1 << 22
"""Coordinates of pairwise differences held at a time: 32 MiB in float64."""


def check_points(points: NDArray[np.floating]) -> Points:
    """`points` as (n, d) C-ordered float32, not copied if they are already.

    Raises InvalidField if they are not a table of at least one column, or a row holds NaN or an infinity.
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
    """(n,) squared lengths, summed in a fixed order so that a result does not depend on the other rows."""
    rows, origin = np.arange(len(points)), np.zeros((1, points.shape[1]), np.float32)
    return squared_distances(points, rows, origin, np.zeros(len(points), np.int32), threads)


def are_directions(points: Points) -> bool:
    """Whether all rows have unit length, up to rounding."""
    return bool(np.all(np.abs(squared_lengths(points) - 1.0) < 1e-4))


def unit_rows(points: Points, threads: int = 1) -> Points:
    """Scale each row to unit length unless it has it already, independently of the others; `points` itself if all have.
    Raises InvalidField for a zero row."""
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
    """The mean of the rows if they lie far from the origin, to be subtracted; None if they lie around it.

    Distances do not change, but float32 products of far rows lose the digits in which the rows differ.
    """
    if len(points) == 0:
        return None
    mean = points.mean(axis=0, dtype=np.float64)
    offset = float(mean @ mean)
    spread = float(_squares(points).mean()) - offset
    return None if offset <= 4 * max(spread, 0.0) else mean.astype(np.float32)


def shift_rows(points: Points, shift: Floats | None) -> Points:
    """The rows minus `shift`; `points` itself if that is None."""
    return points if shift is None else points - shift


def half_squares(points: Points) -> Floats:
    """(n,) half the squared length of each row: x.y - |y|^2/2 orders the y by their distance to x."""
    return (_squares(points) / 2).astype(np.float32)


def _squares(points: Points) -> NDArray[np.float64]:
    squares = np.empty(len(points))
    for block in spans(len(points), _BLOCK):
        rows = points[block].astype(np.float64)
        squares[block] = np.einsum("ij,ij->i", rows, rows)
    return squares


def rounding_slack(points: Points) -> float:
    """Error bound of a float32 product x.y - |y|^2/2: the usual d * eps * |x||y|, the rounding of the shift, and
    underflow."""
    longest = float(half_squares(points).max(initial=0.0)) * 2
    return float((points.shape[1] + 12) * (np.finfo(np.float32).eps * longest + _SMALLEST))


@dataclass(frozen=True, slots=True)
class Near:
    """Rows shifted to lie around the origin, (n, d), for float32 products: x.y - `halves`[y] orders the y by their
    distance to x within `slack`. Shifting rounds; the distances that decide use the original rows."""

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
    """(m,) squared distances of the pairs, from float64 differences: exactly 0 for equal rows, and symmetric. Summed as
    in the compiled core, every eighth dimension separately, to the last bit."""
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
    """The first row of each distinct value, ascending, and (n,) the position in it of each row's value."""
    table = points + np.float32(0)  # -0.0 equals 0.0
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


def normalize_nonzero_rows(points: Points) -> Points:
    """(n, d) rows scaled to unit length; zero rows, which are missing values, are unchanged."""
    is_nonzero = points.any(axis=1)
    if is_nonzero.all():
        return unit_rows(points)
    scaled = np.zeros_like(points, order="C")
    scaled[is_nonzero] = unit_rows(points[is_nonzero])
    return scaled

"""Bounds that make the result for a new row independent of the other rows of a batch, to the last bit.

A matrix product rounds differently for one row than for many; a sum in a fixed order does not. So float32 products only
select candidates, within `score_slack` of the best, and the deciding values are computed row by row.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.rows.geometry import MAX_COORDINATE, check_points, half_squares
from shoal.errors import InvalidField

__all__ = ["approximate_lengths", "check_new_points", "max_length", "score_slack"]

Doubles = NDArray[np.float64]

_TINIEST: Final = 1e-30
"""Values below this may underflow in products, whatever the length of a row."""


def check_new_points(points: NDArray[np.floating], dimensions: int) -> Points:
    """`points` (n, d) as float32. Raises InvalidField if they are not a table, hold a value that is not finite or
    beyond 1e15, or have another number of `dimensions` than the clustered rows."""
    table = check_points(points)
    if table.shape[1] != dimensions:
        raise InvalidField(
            "vectors",
            f"must have {dimensions} dimensions, as those that were clustered",
            value=table.shape[1],
        )
    largest = float(max(table.max(initial=0.0), -table.min(initial=0.0)))
    if largest > MAX_COORDINATE:
        raise InvalidField("vectors", f"hold numbers beyond {MAX_COORDINATE:g}", value=largest)
    return table


def score_slack(lengths: Doubles, longest: float, dimensions: int) -> Doubles:
    """(n,) error bound of the float32 score x.y - |y|^2/2 for rows of these `lengths`, and of half of |x|^2 - 2 times
    it; `longest` is the maximum length of the y. The usual bound, d eps |x| |y|."""
    share = (dimensions + 16) * float(np.finfo(np.float32).eps)
    slack: Doubles = share * ((lengths + longest) ** 2 + _TINIEST)
    return slack


def max_length(halves: NDArray[np.float32]) -> float:
    """The maximum length of rows given half their squared lengths."""
    return float(np.sqrt(2.0 * float(halves.max(initial=0.0))))


def approximate_lengths(points: Points) -> Doubles:
    """(n,) lengths for bounds: not summed in a fixed order."""
    return np.sqrt(2.0 * half_squares(points).astype(np.float64))

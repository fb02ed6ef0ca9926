"""What conversion to float32 loses.

Vectors are converted to float32 on input. Numbers far from the origin and near each other (times in seconds, map
coordinates in metres) lose the digits in which they differ, so the rounding error is kept where it is significant, and
rows are centered on their mean before they are clustered.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points

__all__ = ["Split", "center_on_mean", "is_rest_significant", "split_float32", "split_if_significant", "to_float32"]

Floats = NDArray[np.float64]

_SHARE: Final = 2.0**-12
"""Rounding errors are significant from this fraction of the spread of the rows."""
_BLOCK: Final = 8192


class Split(NamedTuple):
    """Numbers as the sum of two float32 arrays, each (n, d): `points`, the nearest, and `rest`, the rounding error;
    None if that is zero or insignificant."""

    points: Points
    rest: Points | None


def to_float32(values: NDArray[Any]) -> Points:
    """Convert to C-order float32; overflow gives infinities, which validation rejects."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, np.float32)


def split_float32(values: NDArray[Any]) -> Split:
    """Split any table of numbers (n, d), keeping the rounding error."""
    points = to_float32(values)
    if values.dtype.kind == "f" and values.dtype.itemsize <= 4:
        return Split(points, None)
    rest = np.empty(points.shape, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, len(points), _BLOCK):
            block = slice(first, first + _BLOCK)
            rest[block] = np.asarray(values[block], np.float64) - points[block]
    return Split(points, rest)


def split_if_significant(values: NDArray[Any]) -> Split:
    """As `split_float32`, keeping `rest` only if it is significant for these rows."""
    halves = split_float32(values)
    return (
        halves
        if halves.rest is not None and is_rest_significant(halves.points, halves.rest)
        else Split(halves.points, None)
    )


def is_rest_significant(points: Points, rest: Points) -> bool:
    """Whether rounding moved the rows by more than 2^-12 of their spread, on average. Rows that are all equal after
    rounding have no spread: then any loss is significant."""
    mean = points.mean(axis=0, dtype=np.float64) if len(points) else np.zeros(points.shape[1])
    spread = error = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, len(points), _BLOCK):
            block = slice(first, first + _BLOCK)
            spread += float(((points[block] - mean) ** 2).sum())
            error += float((rest[block].astype(np.float64) ** 2).sum())
    return bool(error > _SHARE**2 * spread)


def center_on_mean(points: Points, rest: Points | None, origin: Floats | None = None) -> tuple[Points, Floats]:
    """The rows minus `origin` (d,), computed in float64, as float32; and the origin, by default the mean of the
    rows."""
    if origin is None:
        origin = points.mean(axis=0, dtype=np.float64)
        origin = origin if rest is None else origin + rest.mean(axis=0, dtype=np.float64)
    centered = np.empty(points.shape, np.float32)
    for first in range(0, len(points), _BLOCK):
        block = slice(first, first + _BLOCK)
        centered[block] = (points[block] - origin) + (0.0 if rest is None else rest[block])
    return centered, origin

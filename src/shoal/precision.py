"""What float32 keeps of numbers, and what it loses.

Vectors are float32 from the door on. Numbers that lie far from the origin and near each other (times in seconds, map
coordinates in metres) lose the digits in which they differ, so what rounding leaves of them is kept beside them where
that matters, and rows are moved to about their mean before they are clustered.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points

__all__ = ["Split", "center_on_mean", "is_rest_significant", "split_float32", "split_if_significant", "to_float32"]

Floats = NDArray[np.float64]

_SHARE: Final = 2.0**-12
"""Rounding errors matter from this share of the spread of the rows on."""
_BLOCK: Final = 8192


class Split(NamedTuple):
    """Numbers as the sum of two float32, each (n, d): `points`, the nearest, and `rest`, what rounding leaves; None
    where that is nothing or does not matter."""

    points: Points
    rest: Points | None


def to_float32(values: NDArray[Any]) -> Points:
    """The values as C-order float32; what is too large becomes infinite, for `check_finite` to find."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, np.float32)


def split_float32(values: NDArray[Any]) -> Split:
    """Any table of numbers (n, d), whatever is lost."""
    points = to_float32(values)
    if values.dtype.kind == "f" and values.dtype.itemsize <= 4:
        return Split(points, None)
    rest = np.empty(points.shape, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, len(points), _BLOCK):
            some = slice(first, first + _BLOCK)
            rest[some] = np.asarray(values[some], np.float64) - points[some]
    return Split(points, rest)


def split_if_significant(values: NDArray[Any]) -> Split:
    """The same, with a `rest` only where it matters among these rows."""
    found = split_float32(values)
    return (
        found if found.rest is not None and is_rest_significant(found.points, found.rest) else Split(found.points, None)
    )


def is_rest_significant(points: Points, rest: Points) -> bool:
    """Whether rounding moved the rows by more than 2^-12 of their spread, on average. Rows that are all equal once they
    are rounded have no spread: then whatever was lost matters."""
    mean = points.mean(axis=0, dtype=np.float64) if len(points) else np.zeros(points.shape[1])
    spread = lost = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, len(points), _BLOCK):
            some = slice(first, first + _BLOCK)
            spread += float(((points[some] - mean) ** 2).sum())
            lost += float((rest[some].astype(np.float64) ** 2).sum())
    return bool(lost > _SHARE**2 * spread)


def center_on_mean(points: Points, rest: Points | None, origin: Floats | None = None) -> tuple[Points, Floats]:
    """The rows less `origin` (d,), taken in float64, as float32; and the origin, the mean of the rows where None."""
    if origin is None:
        origin = points.mean(axis=0, dtype=np.float64)
        origin = origin if rest is None else origin + rest.mean(axis=0, dtype=np.float64)
    moved = np.empty(points.shape, np.float32)
    for first in range(0, len(points), _BLOCK):
        some = slice(first, first + _BLOCK)
        moved[some] = (points[some] - origin) + (0.0 if rest is None else rest[some])
    return moved, origin

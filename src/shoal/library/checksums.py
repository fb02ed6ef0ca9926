"""A checksum per row, which shows whether rows are those that were clustered.

It is the projection of the row on a fixed direction. Rows that have been rounded since, to float16 for example, are
accepted; other rows, or the same in another order, are not. A hash of the bytes would reject the former.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points

__all__ = ["find_changed_rows", "row_checksums"]

Floats = NDArray[np.float32]

_BLOCK: Final = 4096
_TOLERANCE: Final = 0.01
"""The fraction of the standard deviation over all rows by which a row may have moved."""
_ROUNDING: Final = 1e-6


def row_checksums(points: Points, *, normalize: bool) -> Floats:
    """Return (n,) float32, one for each row of `points` (n, d); of its direction alone with `normalize`."""
    direction = _projection_direction(points.shape[1])
    checksums = np.empty(len(points), np.float32)
    for first in range(0, len(points), _BLOCK):
        block = points[first : first + _BLOCK].astype(np.float64)
        projections = np.einsum("ij,j->i", block, direction)
        if normalize:
            projections /= np.maximum(np.sqrt(np.einsum("ij,ij->i", block, block)), np.finfo(np.float64).tiny)
        checksums[first : first + _BLOCK] = projections
    return checksums


def find_changed_rows(points: Points, expected: Floats, *, normalize: bool) -> NDArray[np.int64]:
    """Return the rows (n, d) that do not match these checksums (n,), ascending."""
    actual, expected64 = row_checksums(points, normalize=normalize).astype(np.float64), expected.astype(np.float64)
    tolerance = _TOLERANCE * expected64.std() + _ROUNDING * np.abs(expected64).max(initial=0.0)
    return np.flatnonzero(np.abs(actual - expected64) > tolerance)


def _projection_direction(dimensions: int) -> NDArray[np.float64]:
    """Return (d,) numbers in -1..1 that do not depend on the version of NumPy: only raw bits are guaranteed to be
    stable."""
    return np.asarray(np.random.PCG64(0).random_raw(dimensions) / 2.0**63 - 1.0, np.float64)

"""One number a row, which shows whether rows are those that were clustered.

The number is the row's place along a fixed direction. Rows that were rounded since, to float16 say, are the same rows;
others, or the same in another order, are not: a digest of bytes would refuse the first.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points

__all__ = ["changed_rows", "row_checksums"]

Floats = NDArray[np.float32]

_BLOCK: Final = 4096
_SHARE: Final = 0.01
"""Of the spread of all rows, up to which a row may have moved."""
_ROUNDING: Final = 1e-6


def row_checksums(points: Points, *, normalize: bool) -> Floats:
    """(n,) float32, one for each row of `points` (n, d), of its direction alone where rows are compared by that."""
    direction = _direction(points.shape[1])
    found = np.empty(len(points), np.float32)
    for first in range(0, len(points), _BLOCK):
        block = points[first : first + _BLOCK].astype(np.float64)
        places = np.einsum("ij,j->i", block, direction)
        if normalize:
            places /= np.maximum(np.sqrt(np.einsum("ij,ij->i", block, block)), np.finfo(np.float64).tiny)
        found[first : first + _BLOCK] = places
    return found


def changed_rows(points: Points, expected: Floats, *, normalize: bool) -> NDArray[np.int64]:
    """Which of the rows (n, d) are not those of these checksums (n,), ascending."""
    there, then = row_checksums(points, normalize=normalize).astype(np.float64), expected.astype(np.float64)
    tolerance = _SHARE * then.std() + _ROUNDING * np.abs(then).max(initial=0.0)
    return np.flatnonzero(np.abs(there - then) > tolerance)


def _direction(dimensions: int) -> NDArray[np.float64]:
    """(d,) numbers in -1..1 that are the same with every version of NumPy: only raw bits are promised to be."""
    return np.asarray(np.random.PCG64(0).random_raw(dimensions) / 2.0**63 - 1.0, np.float64)

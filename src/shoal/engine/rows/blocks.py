"""Tables of products of rows, one block of rows at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows

__all__ = ["block_rows", "find_cells"]

_MAX_CELLS: Final = 4 << 20
"""Products of a block of rows with all rows held at a time by one thread: 16 MiB in float32."""


def block_rows(columns: int) -> int:
    """Rows of a block whose products with `columns` rows fit the memory of one thread."""
    return max(16, min(512, _MAX_CELLS // max(columns, 1)))


def find_cells(mask: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """As np.nonzero, five times as fast on tables."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])

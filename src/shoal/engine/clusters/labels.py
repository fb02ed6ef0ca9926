"""Numbering of clusters."""

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels

__all__ = ["number_by_size"]


def number_by_size(labels: NDArray[np.integer]) -> Labels:
    """Number clusters by size descending, ties by their smallest row; noise stays -1."""
    inside = np.flatnonzero(labels >= 0)
    _, first, place, sizes = np.unique(labels[inside], return_index=True, return_inverse=True, return_counts=True)
    number = np.empty(len(sizes), np.int32)
    number[np.lexsort((first, -sizes))] = np.arange(len(sizes), dtype=np.int32)
    numbered = np.full(len(labels), -1, np.int32)
    numbered[inside] = number[place]
    return numbered

"""Exact sums of rows of whole numbers, and rows of norm 1: the same bits in any order, on every processor."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points

__all__ = ["LONGEST_WINDOW", "add_rows", "unit_rows"]

LONGEST_WINDOW = 2048
"""Rows that an int32 can add up, if each number is below 2**20."""
EXACT_BITS = 22
"""Squares of whole numbers below 2**22 add up exactly in float64, for up to 512 of them."""


def add_rows(
    table: NDArray[np.int32],
    places: NDArray[np.int32],
    bounds: NDArray[np.int64],
    weights: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """The sum of the rows of each text, window after window.

    Parameters
    ----------
    table : (w, d) int32
        Numbers below 2**20 in size, after their weights.
    places : (m,) int32
        Rows of the table, text after text.
    bounds : (n + 1,) int64
        Text i has the places from bounds[i] to bounds[i + 1].
    weights : (m,) int32, optional
        How often each place counts.

    Returns
    -------
    (n, d) int64
    """
    weights = np.ones(len(places), np.int32) if weights is None else weights
    sums = np.zeros((len(bounds) - 1, table.shape[1]), np.int64)
    for rows, first, last in windows(bounds):
        starts = np.concatenate([[0], np.cumsum(last - first)])
        chosen = np.repeat(first - starts[:-1], last - first) + np.arange(starts[-1])
        counts = (weights[chosen], places[chosen], starts.astype(np.int32))
        sums[rows] += np.asarray(csr_array(counts, (len(rows), len(table))) @ table)
    return sums


def windows(bounds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Texts that still have places, and where the next window of each begins and ends."""
    lengths = np.diff(bounds)
    start = 0
    while (rows := np.flatnonzero(lengths > start)).size:
        first = bounds[rows] + start
        yield rows, first, np.minimum(first + LONGEST_WINDOW, bounds[rows + 1])
        start += LONGEST_WINDOW


def unit_rows(sums: NDArray[np.int64]) -> Points:
    """Rows of norm 1; squares that float64 adds exactly may be added in any order.

    Parameters
    ----------
    sums : (n, d) int64
        At most 512 columns.

    Returns
    -------
    (n, d) float32
    """
    rows = sums.astype(np.float64)
    _, bits = np.frexp(np.abs(rows).max(axis=1, initial=0.0))
    rows = np.rint(np.ldexp(rows, -np.maximum(bits - EXACT_BITS, 0)[:, None]))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(norms, 1)[:, None], np.float32)

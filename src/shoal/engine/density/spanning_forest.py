"""Minimum spanning forest of a list of edges under a strict total order.

Mutual reachability is full of ties: a row whose core distance dominates is equally far from all of its neighbours. Of
equal weights the shorter edge comes first, so that rows join what is nearest to them, and of equal lengths the one
between rows of lower rank. If ranks do not depend on row order, neither does the forest.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from shoal.columns import Rows
from shoal.engine import kernels

__all__ = ["find_spanning_forest"]

Floats = NDArray[np.float64]
Ends = NDArray[np.int64] | NDArray[np.int32]
Ranks = NDArray[np.int64] | NDArray[np.int32] | NDArray[np.uint32]


def find_spanning_forest(
    left: Ends, right: Ends, weight: Floats, length: Floats, rank: Ranks, *, threads: int = 1
) -> Rows:
    """The positions of the edges that Kruskal's algorithm selects, in that order (the core uses Boruvka's rounds).

    Edges are ordered by `weight`, then `length`, then the lower rank of the two rows, then the higher, then position.
    If the graph is not connected there are fewer than n - 1. O(m log n) time, about 12 bytes per edge beside the input.

    Parameters
    ----------
    left, right
        (m,) rows, both of one dtype; loops and parallel edges are allowed.
    weight, length
        (m,) sort keys without NaN.
    rank
        (n,) below 2^32.
    """
    if native := kernels.native():
        places: Rows = native.spanning_forest(left, right, weight, length, rank.astype(np.uint32), threads)
        return places
    return _kruskal(left, right, weight, length, rank)


def _kruskal(left: Ends, right: Ends, weight: Floats, length: Floats, rank: Ranks) -> Rows:
    """Kruskal in SciPy; positions in the order replace the weights, so that zeros are edges too."""
    total = len(rank)
    ranks = np.sort(np.stack([rank[left], rank[right]]), axis=0)
    order = np.lexsort((ranks[1], ranks[0], length, weight))
    order = order[left[order] != right[order]]
    low, high = np.minimum(left[order], right[order]), np.maximum(left[order], right[order])
    _, first = np.unique(low.astype(np.int64) * total + high, return_index=True)
    places = csr_array((first + 1.0, (low[first], high[first])), shape=(total, total))
    chosen = np.sort(minimum_spanning_tree(places).data).astype(np.int64) - 1
    return np.asarray(order[chosen], np.int64)

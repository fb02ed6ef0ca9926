"""The minimum spanning forest of a list of edges, under an order in which no two edges are equal.

Mutual reachability is full of ties: a row that sets the pace with its core distance is equally far from all of its
neighbours. Among equal weights the shorter edge comes first, so that rows join what is nearest to them, and among equal
lengths the one between rows of lower rank. With ranks that do not depend on the order of rows, neither does the forest.
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
    """The places of the edges that Kruskal's algorithm takes, in the order in which it takes them (natively found by
    Boruvka's rounds).

    Edges (m,) join rows `left[e]` and `right[e]`, both of one dtype; loops and repeated edges are allowed. They are
    ordered by `weight`, then `length` (no NaN), then the lower rank of the two rows, then the higher, then their place.
    `rank` (n,) is below 2^32. Fewer than n - 1 edges come back where the graph is not connected. O(m log n) time,
    some 12 bytes an edge beside the input.
    """
    if native := kernels.native():
        places: Rows = native.spanning_forest(left, right, weight, length, rank.astype(np.uint32), threads)
        return places
    return _kruskal(left, right, weight, length, rank)


def _kruskal(left: Ends, right: Ends, weight: Floats, length: Floats, rank: Ranks) -> Rows:
    """As scipy does it; places in the order stand for weights, so that zeros are edges too."""
    total = len(rank)
    ranks = np.sort(np.stack([rank[left], rank[right]]), axis=0)
    order = np.lexsort((ranks[1], ranks[0], length, weight))
    order = order[left[order] != right[order]]
    low, high = np.minimum(left[order], right[order]), np.maximum(left[order], right[order])
    _, first = np.unique(low.astype(np.int64) * total + high, return_index=True)
    places = csr_array((first + 1.0, (low[first], high[first])), shape=(total, total))
    chosen = np.sort(minimum_spanning_tree(places).data).astype(np.int64) - 1
    return np.asarray(order[chosen], np.int64)

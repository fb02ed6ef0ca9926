"""Single linkage: from the edges of a spanning tree to the order of the merges.

Each function runs in the compiled core if there is one; the Python code is the reference and gives the same results.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.engine import kernels

__all__ = ["Linkage", "Minimax", "heights_along", "leaf_order", "single_linkage"]


@dataclass(frozen=True, slots=True)
class Linkage:
    """Merges in order: merge m joins nodes `left[m]` and `right[m]` at `height[m]` to node n + m of `size[m]` rows.
    Nodes below n are rows. All arrays are (n - 1,)."""

    left: Rows
    right: Rows
    height: NDArray[np.float64]
    size: Rows


def single_linkage(left: Rows, right: Rows, height: NDArray[np.float64]) -> Linkage:
    """Merge along the (n - 1,) edges of a spanning tree, sorted by height. O(n log n)."""
    if native := kernels.native():
        firsts, seconds, size = native.single_linkage(np.ascontiguousarray(left), np.ascontiguousarray(right))
        return Linkage(firsts, seconds, height, size)
    return _link_reference(left, right, height)


def _link_reference(left: Rows, right: Rows, height: NDArray[np.float64]) -> Linkage:
    """Union-find with path halving."""
    count = len(left) + 1
    parent = list(range(2 * count - 1))
    size = [1] * count + [0] * (count - 1)
    firsts, seconds = [0] * (count - 1), [0] * (count - 1)
    for merge, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        node = count + merge
        parent[a] = parent[b] = node
        size[node] = size[a] + size[b]
        firsts[merge], seconds[merge] = a, b
    return Linkage(np.array(firsts, np.int64), np.array(seconds, np.int64), height, np.array(size[count:], np.int64))


def leaf_order(linkage: Linkage) -> tuple[Rows, NDArray[np.float64]]:
    """Rows in the order of the leaves of the dendrogram, and the (n - 1,) heights between consecutive leaves. Two rows
    merge at the largest height between their positions. O(n)."""
    if native := kernels.native():
        order, gaps = native.leaf_order(linkage.left, linkage.right, linkage.height, linkage.size)
        return order, gaps
    return _order_leaves(linkage)


def heights_along(order: Rows, linkage: Linkage) -> NDArray[np.float64]:
    """(n - 1,) heights at which consecutive rows of `order` merge; `order` may be the leaf order of another tree.

    O(n log n): the tree is rebuilt with the smaller side linked below the larger, which bounds the depth.
    """
    if native := kernels.native():
        sides = np.ascontiguousarray(order[:-1]), np.ascontiguousarray(order[1:])
        gaps: NDArray[np.float64] = native.meeting_heights(
            linkage.left, linkage.right, linkage.height, linkage.size, *sides
        )
        return gaps
    return Minimax(linkage).between(order[:-1], order[1:])


def _order_leaves(linkage: Linkage) -> tuple[Rows, NDArray[np.float64]]:
    count = len(linkage.left) + 1
    size = [1] * count + linkage.size.tolist()
    start = [0] * (2 * count - 1)
    for merge in range(count - 2, -1, -1):
        left, right = int(linkage.left[merge]), int(linkage.right[merge])
        start[left] = start[count + merge]
        start[right] = start[left] + size[left]
    places = np.array(start, np.int64)
    order = np.empty(count, np.int64)
    order[places[:count]] = np.arange(count)
    gaps = np.empty(count - 1)
    gaps[places[linkage.right] - 1] = linkage.height
    return order, gaps


class Minimax:
    """Merge height of any two rows of a tree: the largest edge on the path between them. A sparse table of range maxima
    over the leaf order: O(n log n) memory, O(1) per query."""

    def __init__(self, linkage: Linkage) -> None:
        order, gaps = leaf_order(linkage)
        self._place = np.empty(len(order), np.int64)
        self._place[order] = np.arange(len(order))
        self._levels = [gaps]
        width = 1
        while 2 * width <= len(gaps):
            last = self._levels[-1]
            self._levels.append(np.maximum(last[:-width], last[width:]))
            width *= 2

    def between(self, left: Rows, right: Rows) -> NDArray[np.float64]:
        """(m,) merge heights of pairs of different rows."""
        first, last = self._place[left], self._place[right]
        first, last = np.minimum(first, last), np.maximum(first, last)
        level = np.frexp((last - first).astype(np.float64))[1] - 1
        heights = np.empty(len(first))
        for depth in np.unique(level):
            at_depth = np.flatnonzero(level == depth)
            table = self._levels[depth]
            heights[at_depth] = np.maximum(table[first[at_depth]], table[last[at_depth] - (1 << int(depth))])
        return heights

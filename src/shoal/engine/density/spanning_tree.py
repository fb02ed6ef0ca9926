"""Exact minimum spanning tree of mutual reachability without an n x n matrix (NumPy reference).

The mutual reachability of two rows is the largest of their distance and their two core distances (Campello, Moulavi and
Sander 2013). Three steps, each exact or made exact by the next:

1. the lightest forest of the neighbour lists (Kruskal);
2. trees of the forest are connected by the shortest edge from some of their densest rows: not yet minimal;
3. one pass over all pairs collects edges shorter than the largest edge on the path between their ends in the current
   tree. By the cycle property no other edge can be in the minimum spanning tree, so Kruskal over tree and collected
   edges gives it.

In leaf order the path maximum of two rows is a range maximum that grows with the distance of their positions, so step 3
is a matrix product, an outer maximum and a comparison; segments too near to contain an unlisted edge are skipped.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from shoal.columns import Points, Rows
from shoal.engine.density.linkage import Linkage, Minimax, leaf_order, single_linkage
from shoal.engine.neighbors.nearest_reference import Neighborhoods
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Progress
from shoal.engine.rows.blocks import block_rows, find_cells
from shoal.engine.rows.geometry import Floats, Near, pair_distances

__all__ = ["Edges", "build_reachability_tree", "collect_listed_edges"]

_REPRESENTATIVES: Final = 32
"""Rows of each tree that search for an edge to another tree in step 2."""
_BLOCKS_PER_CHAPTER: Final = 16
_MIN_FOLDED: Final = 20_000
"""Collected edges after which the tree is improved within step 3, which tightens the bounds of later blocks."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Undirected edges, `left < right`, with `weight` in float64; all (m,)."""

    left: Rows
    right: Rows
    weight: NDArray[np.float64]

    def concat(self, other: "Edges") -> "Edges":
        return Edges(
            np.concatenate([self.left, other.left]),
            np.concatenate([self.right, other.right]),
            np.concatenate([self.weight, other.weight]),
        )

    def take(self, chosen: Rows) -> "Edges":
        return Edges(self.left[chosen], self.right[chosen], self.weight[chosen])


def collect_listed_edges(near: Neighborhoods) -> Edges:
    """Every listed pair, once, with its mutual reachability."""
    total, listed = near.rows.shape
    rows = np.repeat(np.arange(total), listed)
    columns = near.rows.ravel().astype(np.int64)
    left, right = np.minimum(rows, columns), np.maximum(rows, columns)
    _, first = np.unique(left * total + right, return_index=True)
    left, right = left[first], right[first]
    weight = np.maximum(near.distances.ravel()[first], np.maximum(near.core[left], near.core[right]))
    return Edges(left, right, weight)


def build_reachability_tree(
    points: Points, near: Neighborhoods, listed: Edges, threads: int, progress: Progress
) -> Edges:
    """The n - 1 edges of the minimum spanning tree, ties by (left, right), sorted. Reports to `progress` as "tree"."""
    search = _Search(points, Near.of(points), near.core, threads, progress)
    tree = _join_trees(search, _find_lightest_forest(len(points), listed))
    bound = np.maximum(near.core, near.distances[:, -1]) if near.distances.shape[1] else near.core
    return _minimize_tree(search, tree, bound)


def _find_lightest_forest(total: int, edges: Edges) -> Edges:
    """Kruskal, ties by (left, right): ranks replace weights, so that zeros are edges too and the order is total."""
    order = np.lexsort((edges.right, edges.left, edges.weight))
    edges = edges.take(order)
    _, first = np.unique(edges.left * total + edges.right, return_index=True)
    ranks = csr_array((first + 1.0, (edges.left[first], edges.right[first])), shape=(total, total))
    chosen = np.sort(minimum_spanning_tree(ranks).data).astype(np.int64) - 1
    return edges.take(chosen)


@dataclass(frozen=True, slots=True)
class _Search:
    points: Points
    near: Near
    core: NDArray[np.float64]
    threads: int
    progress: Progress

    def edges_between(self, left: Rows, right: Rows) -> Edges:
        distance = pair_distances(self.points, left, right)
        weight = np.maximum(distance, np.maximum(self.core[left], self.core[right]))
        return Edges(np.minimum(left, right), np.maximum(left, right), weight)


def _join_trees(search: _Search, forest: Edges) -> Edges:
    """A spanning tree over the forest: in each round every tree but the largest gets an edge to another."""
    total = len(search.points)
    while len(forest.left) < total - 1:
        graph = csr_array((np.ones(len(forest.left)), (forest.left, forest.right)), shape=(total, total))
        _, tree_of = connected_components(graph, directed=False)
        forest = _find_lightest_forest(total, forest.concat(_find_ways_out(search, tree_of.astype(np.int64))))
    return forest


def _find_ways_out(search: _Search, tree_of: Rows) -> Edges:
    """For each tree but the largest, the shortest edge to another tree from its `_REPRESENTATIVES` densest rows."""
    representatives = _pick_representatives(tree_of, search.core)
    nearest = np.empty(len(representatives), np.int64)
    squares = (search.core**2).astype(np.float32)

    def find(block: slice) -> Rows:
        rows = representatives[block]
        reach = search.near.rows[rows] @ search.near.rows.T
        reach -= search.near.halves
        reach -= search.near.halves[rows][:, None]
        reach *= -2
        np.maximum(reach, squares, out=reach)
        reach[tree_of[rows][:, None] == tree_of] = np.inf
        return np.asarray(np.argmin(reach, axis=1), np.int64)

    blocks = spans(len(representatives), block_rows(len(search.points)))
    for block, nearest_rows in zip(blocks, map_in_order(find, blocks, search.threads), strict=True):
        nearest[block] = nearest_rows
        search.progress("tree", 0.2 * block.stop / len(representatives))
    edges = search.edges_between(representatives, nearest)
    order = np.lexsort((edges.right, edges.left, edges.weight, tree_of[representatives]))
    _, first = np.unique(tree_of[representatives][order], return_index=True)
    return edges.take(order[first])


def _pick_representatives(tree_of: Rows, core: NDArray[np.float64]) -> Rows:
    """The rows of smallest core distance of every tree but the largest."""
    sizes = np.bincount(tree_of)
    order = np.lexsort((core, tree_of))
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[tree_of[order]]
    representatives: Rows = order[(rank < _REPRESENTATIVES) & (tree_of[order] != np.argmax(sizes))]
    return representatives


def _minimize_tree(search: _Search, tree: Edges, bound: NDArray[np.float64]) -> Edges:
    """The minimal tree. `bound` (n,) is a lower bound of the reachability of every unlisted edge of a row."""
    total = len(search.points)
    order, gaps = leaf_order(_link(tree))
    layout = _Layout(search.near.rows[order], search.near.halves[order], search.near.slack, order, bound[order])
    blocks = spans(total, block_rows(total))
    collected = Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for chapter in spans(len(blocks), _BLOCKS_PER_CHAPTER):
        parts = map_in_order(partial(layout.find_shorter, gaps=gaps), blocks[chapter], search.threads)
        for number, (left, right, way) in enumerate(parts):
            edges = search.edges_between(left, right)
            collected = collected.concat(edges.take(np.flatnonzero(edges.weight < way)))
            search.progress("tree", 0.2 + 0.8 * (chapter.start + number + 1) / len(blocks))
        if len(collected.left) > _MIN_FOLDED:
            tree = _find_lightest_forest(total, tree.concat(collected))
            collected = collected.take(np.empty(0, np.int64))
            gaps = Minimax(_link(tree)).between(order[:-1], order[1:])
    return _find_lightest_forest(total, tree.concat(collected))


def _link(tree: Edges) -> Linkage:
    return single_linkage(tree.left, tree.right, tree.weight)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The rows in the leaf order of a tree: all arrays (n,) or (n, d) in that order, `rows` the row numbers."""

    points: Points
    halves: Floats
    slack: float
    rows: Rows
    bound: NDArray[np.float64]

    def find_shorter(self, block: slice, gaps: NDArray[np.float64]) -> tuple[Rows, Rows, NDArray[np.float64]]:
        """Pairs of a row of the block with a later one that may be nearer than their path maximum in the tree, and that
        maximum. `gaps` are heights between consecutive leaves, upper bounds of those in the best known tree."""
        inner = gaps[block.start : block.stop - 1]
        heights = _merge_heights_within(inner)
        place, column = self._find_candidates(block, block, _half_square(heights))
        parts = [(place, column + block.start, heights[place, column])]
        own = np.append(np.maximum.accumulate(inner[::-1])[::-1], 0.0)
        beyond = np.maximum.accumulate(gaps[block.stop - 1 :])
        needed = np.where(own > self.bound[block], -1.0, self.bound[block]).min()
        first = int(np.searchsorted(beyond, needed, side="right"))
        if first < len(beyond):
            limit = np.maximum.outer(_half_square(own), _half_square(beyond[first:]))
            place, column = self._find_candidates(block, slice(block.stop + first, len(self.rows)), limit)
            column += first
            parts.append((place, column + block.stop, np.maximum(own[place], beyond[column])))
        place, column, way = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._drop_listed(place + block.start, column, way)

    def _find_candidates(self, block: slice, columns: slice, limit: Floats) -> tuple[Rows, Rows]:
        """Cells whose pair is nearer than the path maximum, of which `limit` is half the square, or too close to
        decide."""
        limit += self.points[block] @ self.points[columns].T
        limit -= self.halves[columns]
        return find_cells(limit > (self.halves[block] - np.float32(2 * self.slack))[:, None])

    def _drop_listed(
        self, place: Rows, column: Rows, way: NDArray[np.float64]
    ) -> tuple[Rows, Rows, NDArray[np.float64]]:
        """Keep pairs that no list contains: their reachability is at least the bound of either row."""
        is_open = way > np.maximum(self.bound[place], self.bound[column])
        unlisted = np.flatnonzero(is_open & (place < column))
        return self.rows[place[unlisted]], self.rows[column[unlisted]], way[unlisted]


def _half_square(way: NDArray[np.float64]) -> Floats:
    return (way * way / 2).astype(np.float32)


def _merge_heights_within(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, b) merge heights of the rows of a block, from the (b - 1,) gaps between them; 0 below the diagonal."""
    size = len(gaps) + 1
    steps = np.zeros((size, size))
    steps[:, 1:] = np.triu(np.broadcast_to(gaps, (size, size - 1)))
    return np.maximum.accumulate(steps, axis=1)

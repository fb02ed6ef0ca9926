"""From edges to a dendrogram: the spanning forest, single linkage, and where rows meet."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from shoal.engine.density.linkage import Minimax, heights_along, leaf_order, single_linkage
from shoal.engine.density.spanning_forest import find_spanning_forest
from trees import Floats, Ints, Tree, make_tree, needs_core, plain, trees


@dataclass(frozen=True)
class Graph:
    left: Ints
    right: Ints
    weight: Floats
    length: Floats
    rank: Ints

    def forest(self, threads: int = 1) -> Ints:
        return find_spanning_forest(self.left, self.right, self.weight, self.length, self.rank, threads=threads)


def make_graph(rows: int, edges: int, values: int, seed: int) -> Graph:
    """Edges between any rows, loops and repeats among them, of `values` different weights and lengths."""
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, rows, (2, edges))
    palette = rng.random(values) * (np.arange(values) > 0)  # zero is a weight too
    return Graph(left, right, rng.choice(palette, edges), rng.choice(palette, edges), rng.permutation(rows))


graphs = st.builds(
    make_graph, st.integers(1, 25), st.integers(0, 120), st.sampled_from([1, 2, 5, 1000]), st.integers(0, 2**32 - 1)
)


def kruskal(graph: Graph) -> list[int]:
    """The textbook algorithm."""

    def order(edge: int) -> tuple[float, float, list[int], int]:
        ranks = sorted([int(graph.rank[graph.left[edge]]), int(graph.rank[graph.right[edge]])])
        return float(graph.weight[edge]), float(graph.length[edge]), ranks, edge

    part = {row: {row} for row in range(len(graph.rank))}
    chosen = []
    for edge in sorted(range(len(graph.left)), key=order):
        one, two = part[int(graph.left[edge])], part[int(graph.right[edge])]
        if one is not two:
            chosen.append(edge)
            one |= two
            part.update(dict.fromkeys(two, one))
    return chosen


@given(graph=graphs)
def test_the_forest_is_kruskals_under_the_total_order(graph: Graph) -> None:
    expected = kruskal(graph)

    assert graph.forest().tolist() == expected
    with plain():
        assert graph.forest().tolist() == expected


@needs_core
@pytest.mark.parametrize("values", [1, 2, 40, 100_000])
@pytest.mark.parametrize("rows", [2, 300, 30_000])
def test_large_forests_equal_those_of_the_reference_on_any_number_of_threads(rows: int, values: int) -> None:
    graph = make_graph(rows, 60_000, values, seed=rows + values)
    narrow = Graph(graph.left.astype(np.int32), graph.right.astype(np.int32), graph.weight, graph.length, graph.rank)
    with plain():
        expected = graph.forest()

    assert np.array_equal(graph.forest(), expected)
    assert np.array_equal(graph.forest(threads=3), expected)
    assert np.array_equal(narrow.forest(threads=2), expected)


@needs_core
@pytest.mark.parametrize("weights", ["lognormal", "nearly equal", "negative", "infinite"])
def test_forests_of_extreme_weights_equal_those_of_the_reference(weights: str) -> None:
    rng = np.random.default_rng(4)
    graph = make_graph(400, 40_000, 10, seed=5)
    weight = {
        "lognormal": rng.lognormal(0, 40, 40_000),
        "nearly equal": 1 + rng.integers(0, 4, 40_000) * 2.0**-52,
        "negative": rng.choice([-1.5, -0.0, 0.0, 1.0], 40_000),
        "infinite": np.where(rng.random(40_000) < 0.99, np.inf, 1.0),
    }[weights]
    odd = Graph(graph.left, graph.right, weight, graph.length, graph.rank)
    with plain():
        expected = odd.forest()

    assert np.array_equal(odd.forest(), expected)


def test_a_forest_weighs_as_little_as_scipys_and_has_a_tree_for_each_part() -> None:
    graph = make_graph(500, 4_000, 100_000, seed=1)
    left, right = graph.left // 2 * 2 + graph.right % 2, graph.right  # odd and even rows are not connected
    halves = Graph(left, right, graph.weight + 1, graph.length, graph.rank)

    chosen = halves.forest()

    lightest = np.full((500, 500), np.inf)
    np.minimum.at(lightest, (np.minimum(left, right), np.maximum(left, right)), halves.weight)
    np.fill_diagonal(lightest, np.inf)
    theirs = minimum_spanning_tree(csr_array(np.where(np.isfinite(lightest), lightest, 0)))
    assert len(chosen) == theirs.nnz == 498
    assert halves.weight[chosen].sum() == pytest.approx(theirs.sum())


@given(graph=graphs, seed=st.integers(0, 2**32 - 1))
def test_a_forest_depends_neither_on_the_order_of_edges_nor_on_that_of_rows(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, edges = rng.permutation(len(graph.rank)), rng.permutation(len(graph.left))
    rank = np.empty_like(graph.rank)
    rank[rows] = graph.rank
    flipped = rng.permuted(np.stack([rows[graph.left], rows[graph.right]])[:, edges], axis=0)
    other = Graph(flipped[0].copy(), flipped[1].copy(), graph.weight[edges], graph.length[edges], rank)

    def describe(of: Graph) -> list[tuple[list[int], float, float]]:
        return [
            (sorted([int(of.rank[of.left[edge]]), int(of.rank[of.right[edge]])]), of.weight[edge], of.length[edge])
            for edge in of.forest()
        ]

    assert describe(graph) == describe(other)


@needs_core
@given(tree=trees(), seed=st.integers(0, 2**32 - 1))
def test_linkage_leaf_order_and_gaps_equal_those_of_the_reference(tree: Tree, seed: int) -> None:
    older = np.random.default_rng(seed).permutation(len(tree.left) + 1)

    linkage = tree.linkage
    leaves, gaps = leaf_order(linkage)
    along = heights_along(older, linkage)

    with plain():
        theirs = tree.linkage
        their_leaves, their_gaps = leaf_order(theirs)
        their_along = heights_along(older, theirs)
    assert all(
        np.array_equal(one, two) and one.dtype == two.dtype
        for one, two in [
            (linkage.left, theirs.left),
            (linkage.right, theirs.right),
            (linkage.height, theirs.height),
            (linkage.size, theirs.size),
            (leaves, their_leaves),
            (gaps, their_gaps),
            (along, their_along),
        ]
    )


@given(tree=trees(smallest=2))
def test_gaps_along_its_own_leaf_order_are_the_gaps_of_the_tree(tree: Tree) -> None:
    leaves, gaps = leaf_order(tree.linkage)

    assert np.array_equal(heights_along(leaves, tree.linkage), gaps)


@pytest.mark.parametrize("shape", ["chain", "star", "random", "broom"])
def test_gaps_along_any_order_are_the_largest_edges_on_the_way(shape: str) -> None:
    tree = make_tree(50, shape, None, seed=2)
    way = np.full((50, 50), np.inf)
    way[tree.left, tree.right] = way[tree.right, tree.left] = tree.height
    for middle in range(50):
        way = np.minimum(way, np.maximum(way[:, middle : middle + 1], way[middle]))
    order = np.random.default_rng(3).permutation(50)

    assert np.array_equal(heights_along(order, tree.linkage), way[order[:-1], order[1:]])
    assert np.array_equal(Minimax(tree.linkage).between(order[:-1], order[1:]), way[order[:-1], order[1:]])


def test_a_tree_of_one_row_has_one_leaf_and_no_gaps() -> None:
    none = np.empty(0, np.int64)

    linkage = single_linkage(none, none, np.empty(0))
    leaves, gaps = leaf_order(linkage)

    assert leaves.tolist() == [0] and gaps.shape == (0,) and linkage.size.shape == (0,)
    assert heights_along(leaves, linkage).shape == (0,)

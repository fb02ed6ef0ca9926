"""Neighbours and spanning trees against all pairs."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from shoal.engine.density.condensed_tree import Selection, condense, label_rows, select_clusters
from shoal.engine.density.linkage import Minimax, leaf_order, single_linkage
from shoal.engine.density.spanning_tree import build_reachability_tree, collect_listed_edges
from shoal.engine.neighbors.nearest_reference import find_neighborhoods
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import distinct_rows

Points = NDArray[np.float32]
Blobs = Callable[..., Points]


def all_pairs(points: Points) -> NDArray[np.float64]:
    exact = points.astype(np.float64)
    return cdist(exact, exact)


@pytest.mark.parametrize("min_samples", [1, 2, 7, 40])
def test_core_distances_and_lists_are_those_of_all_pairs(blobs: Blobs, min_samples: int) -> None:
    points = blobs(n=900, d=12)
    distances = np.sort(all_pairs(points), axis=1)

    near = find_neighborhoods(points, np.ones(900, np.int64), min_samples, 2, ignore_progress)

    assert near.core == pytest.approx(distances[:, min_samples - 1])
    assert near.distances == pytest.approx(distances[:, 1 : near.distances.shape[1] + 1])
    assert near.distances.shape[1] >= max(16, min_samples - 1)


def test_equal_rows_count_in_core_distances() -> None:
    points = np.array([[0], [1], [3], [7]], np.float32)

    near = find_neighborhoods(points, np.array([3, 1, 2, 1]), 4, 1, ignore_progress)

    assert list(near.core) == [1.0, 1.0, 3.0, 6.0]


@pytest.mark.parametrize("min_samples", [1, 5, 30])
@pytest.mark.parametrize(("n", "d", "centers", "spread"), [(400, 2, 5, 0.05), (1200, 30, 12, 0.02), (900, 8, 1, 1.0)])
def test_the_tree_weighs_what_the_tree_of_all_pairs_weighs(
    blobs: Blobs, min_samples: int, n: int, d: int, centers: int, spread: float
) -> None:
    points = blobs(n=n, d=d, centers=centers, spread=spread)
    distances = all_pairs(points)
    core = np.sort(distances, axis=1)[:, min_samples - 1]
    best = minimum_spanning_tree(np.maximum(distances, np.maximum(core[:, None], core)))

    near = find_neighborhoods(points, np.ones(n, np.int64), min_samples, 2, ignore_progress)
    tree = build_reachability_tree(points, near, collect_listed_edges(near), 2, ignore_progress)

    assert len(tree.weight) == n - 1
    assert np.sort(tree.weight) == pytest.approx(np.sort(best.data), rel=1e-9)


def test_separate_dense_groups_are_joined_by_their_shortest_edges() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(80, 3)) + 40 * place for place in rng.normal(size=(20, 3))]
    points = np.concatenate(groups).astype(np.float32)
    best = minimum_spanning_tree(all_pairs(points))

    near = find_neighborhoods(points, np.ones(len(points), np.int64), 1, 2, ignore_progress)
    tree = build_reachability_tree(points, near, collect_listed_edges(near), 2, ignore_progress)

    assert tree.weight.sum() == pytest.approx(best.data.sum(), rel=1e-9)


def test_rows_meet_at_the_largest_gap_between_their_leaves(blobs: Blobs) -> None:
    points = blobs(n=60, d=3)
    best = minimum_spanning_tree(all_pairs(points)).tocoo()
    order = np.argsort(best.data)
    left, right, weight = best.row[order].astype(np.int64), best.col[order].astype(np.int64), best.data[order]
    linkage = single_linkage(left, right, weight)
    way = np.full((60, 60), np.inf)
    way[left, right] = way[right, left] = weight
    for middle in range(60):
        way = np.minimum(way, np.maximum(way[:, middle : middle + 1], way[middle]))
    one, two = np.triu_indices(60, 1)

    leaves, gaps = leaf_order(linkage)

    assert sorted(leaves) == list(range(60))
    assert Minimax(linkage).between(one, two) == pytest.approx(way[one, two])
    assert gaps == pytest.approx(way[leaves[:-1], leaves[1:]])


def test_a_tree_condenses_as_worked_out_by_hand() -> None:
    # Rows 0-2 merge at 1 and 2, rows 3-5 at 1 and 4, both groups at 8, row 6 joins at 10.
    left, right = np.array([0, 3, 0, 3, 0, 0]), np.array([1, 4, 2, 5, 3, 6])
    linkage = single_linkage(left, right, np.array([1.0, 1, 2, 4, 8, 10]))

    tree = condense(linkage, 3)

    assert list(linkage.size) == [2, 2, 3, 3, 6, 7]
    assert list(tree.parent) == [-1, 0, 0]
    assert list(tree.birth) == [0, 1 / 8, 1 / 8]
    assert list(tree.size) == [7, 3, 3]
    assert tree.leaving == pytest.approx([1 / 2] * 3 + [1 / 4] * 3 + [1 / 10])
    assert tree.stability == pytest.approx([6 / 8 + 1 / 10, 3 * (1 / 2 - 1 / 8), 3 * (1 / 4 - 1 / 8)])
    chosen = select_clusters(tree, Selection())
    assert chosen == [1, 2]
    assert list(label_rows(tree, chosen, Selection())) == [0, 0, 0, 1, 1, 1, -1]


def test_equal_rows_are_found_whatever_the_sign_of_their_zeros() -> None:
    points = np.array([[1, 0.0], [2, 2], [1, -0.0], [2, 2], [0, 1]], np.float32)

    firsts, where = distinct_rows(points)

    assert list(firsts) == [0, 1, 4] and list(where) == [0, 1, 0, 1, 2]

"""The condensed tree, cluster selection, outliers, exemplars and the table, in the core and in the reference."""

from dataclasses import fields
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN
from sklearn.cluster._hdbscan._tree import _condense_tree

from shoal.engine.density.condensed_tree import CondensedTree, Selection, condense, label_rows, select_clusters
from shoal.engine.density.linkage import Linkage, single_linkage
from shoal.engine.density.outliers import find_exemplars, score_outliers
from shoal.engine.density.spanning_forest import find_spanning_forest
from shoal.engine.density.tree_table import CondensedTreeTable, tabulate
from trees import Floats, Ints, Tree, make_tree, needs_core, plain, trees

METHODS: list[Literal["eom", "leaf"]] = ["eom", "leaf"]
selections = st.builds(
    Selection,
    method=st.sampled_from(METHODS),
    epsilon=st.sampled_from([0.0, 0.3, 0.9, 3.0]),
    max_size=st.sampled_from([None, 1, 5, 20]),
    allow_single=st.booleans(),
)


def assert_same(one: CondensedTree, two: CondensedTree) -> None:
    for part in fields(CondensedTree):
        mine, theirs = getattr(one, part.name), getattr(two, part.name)
        assert np.array_equal(mine, theirs) and mine.dtype == theirs.dtype, part.name


@needs_core
@given(tree=trees(), smallest=st.integers(2, 8), how=selections, at_birth=st.booleans())
def test_clusters_labels_and_scores_equal_those_of_the_reference(
    tree: Tree, smallest: int, how: Selection, at_birth: bool
) -> None:
    linkage = tree.linkage
    made = condense(linkage, smallest)
    chosen = select_clusters(made, how)
    labels = label_rows(made, chosen, how, at_birth=at_birth)
    scores = score_outliers(made)

    with plain():
        theirs = condense(linkage, smallest)
        assert_same(made, theirs)
        assert select_clusters(theirs, how) == chosen
        assert np.array_equal(label_rows(theirs, chosen, how, at_birth=at_birth), labels)
        their_scores = score_outliers(theirs)
    assert np.array_equal(scores, their_scores) and scores.dtype == their_scores.dtype == np.float32


@needs_core
@pytest.mark.parametrize("shape", ["chain", "star", "random"])
def test_a_deep_tree_is_condensed_like_the_reference(shape: str) -> None:
    linkage = make_tree(20_000, shape, None, seed=7).linkage
    made = condense(linkage, 3)

    with plain():
        theirs = condense(linkage, 3)

    assert_same(made, theirs)


@given(tree=trees(), smallest=st.integers(2, 8))
def test_every_row_leaves_a_cluster_after_its_birth(tree: Tree, smallest: int) -> None:
    made = condense(tree.linkage, smallest)

    assert (made.leaving >= made.birth[made.cluster]).all()
    assert (made.parent[1:] < np.arange(1, len(made.parent))).all() and made.parent[0] == -1
    assert (made.size[1:] >= smallest).all()
    held = np.bincount(made.cluster, minlength=len(made.parent))
    for child in range(len(made.parent) - 1, 0, -1):
        held[made.parent[child]] += held[child]
    assert np.array_equal(held, made.size)


@given(tree=trees(), smallest=st.integers(2, 8))
def test_stability_is_the_summed_persistence_of_rows(tree: Tree, smallest: int) -> None:
    made = condense(tree.linkage, smallest)
    expected = np.zeros(len(made.parent))
    with np.errstate(over="ignore"):
        np.add.at(expected, made.cluster, made.leaving - made.birth[made.cluster])
        above = made.parent[1:]
        np.add.at(expected, above, (made.birth[1:] - made.birth[above]) * made.size[1:])

    assert made.stability == pytest.approx(expected, rel=1e-12)


# Equal heights, many of them: rows on a grid, joined by mutual reachability.


@st.composite
def grids(draw: st.DrawFn) -> NDArray[np.int64]:
    """(n, 2) different points with whole coordinates."""
    side = draw(st.integers(4, 9))
    count = draw(st.integers(6, min(30, side * side)))
    seed = draw(st.integers(0, 2**32 - 1))
    places = np.random.default_rng(seed).permutation(side * side)[:count]
    return np.stack(np.divmod(places, side), axis=1)


def grow(points: NDArray[np.int64], rank: Ints, min_samples: int) -> Linkage:
    left, right = np.triu_indices(len(points), 1)
    apart: Floats = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    core = np.sort(apart, axis=1)[:, min_samples - 1]
    length = apart[left, right]
    weight = np.maximum(length, np.maximum(core[left], core[right]))
    tree = find_spanning_forest(left, right, weight, length, rank)
    return single_linkage(left[tree], right[tree], weight[tree])


@given(points=grids(), min_samples=st.integers(1, 5), smallest=st.integers(2, 5), how=selections, data=st.data())
def test_groups_and_scores_do_not_depend_on_the_order_of_rows(
    points: NDArray[np.int64], min_samples: int, smallest: int, how: Selection, data: st.DataObject
) -> None:
    sequence = np.array(data.draw(st.permutations(range(len(points)))))

    def run(rows: Ints) -> tuple[set[frozenset[int]], Floats, NDArray[np.float32]]:
        made = condense(grow(points[rows], rows, min_samples), smallest)
        chosen = select_clusters(made, how)
        labels = label_rows(made, chosen, how)
        back = np.argsort(rows)
        groups = {frozenset(rows[labels == label].tolist()) for label in range(len(chosen))}
        return groups, made.leaving[back], score_outliers(made)[back]

    groups, leaving, scores = run(np.arange(len(points)))
    other_groups, other_leaving, other_scores = run(sequence)

    assert groups == other_groups
    assert np.array_equal(leaving, other_leaving) and np.array_equal(scores, other_scores)


# Against scikit-learn, where no two distances are equal.


def subtrees(table: Any) -> tuple[dict[frozenset[int], tuple[float, int]], Floats]:
    """For each cluster, its rows, birth and size; for each row, the density at which it leaves."""
    parent, child, density, size = (np.asarray(column) for column in table)
    total = int(parent.min())
    rows: dict[int, set[int]] = {}
    leaving = np.zeros(total)
    for entry in np.argsort(-child):
        node = int(child[entry])
        if node < total:
            leaving[node] = density[entry]
    for above, node in zip(parent.tolist(), child.tolist(), strict=True):
        if node < total:
            rows.setdefault(above, set()).add(node)
    for entry in np.argsort(-child):
        if child[entry] > total:
            rows.setdefault(int(parent[entry]), set()).update(rows[int(child[entry])])
    clusters = {
        frozenset(rows[int(child[entry])]): (float(density[entry]), int(size[entry]))
        for entry in np.flatnonzero(child > total)
    }
    return clusters, leaving


def columns(table: CondensedTreeTable) -> tuple[Any, ...]:
    return table.parent, table.child, table.density, table.child_size


@pytest.mark.parametrize("smallest", [2, 5, 12])
@pytest.mark.parametrize(("n", "d", "seed"), [(60, 2, 0), (400, 5, 1)])
def test_the_table_equals_scikit_learns_without_ties(n: int, d: int, seed: int, smallest: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d)) + rng.integers(0, 4, (n, 1)) * 2.5
    model = HDBSCAN(algorithm="brute", copy=True, min_samples=1, min_cluster_size=smallest).fit(points)
    theirs = _condense_tree(model._single_linkage_tree_, min_cluster_size=smallest)
    left, right = np.triu_indices(n, 1)
    length = np.sqrt(((points[left] - points[right]) ** 2).sum(axis=1))
    tree = find_spanning_forest(left, right, length, length, np.arange(n))
    made = condense(single_linkage(left[tree], right[tree], length[tree]), smallest)

    ours, leaving = subtrees(columns(tabulate(made, np.empty(0, np.int64), np.empty(0, np.int64))))
    expected, their_leaving = subtrees([theirs[name] for name in ("parent", "child", "value", "cluster_size")])

    assert ours.keys() == expected.keys() and len(ours) == len(made.parent) - 1
    for rows, (birth, size) in ours.items():
        assert birth == pytest.approx(expected[rows][0], rel=1e-9) and size == expected[rows][1]
    assert leaving == pytest.approx(their_leaving, rel=1e-9)
    labels = label_rows(made, select_clusters(made, Selection()), Selection())
    groups = [{frozenset(np.flatnonzero(of == label)) for label in set(of) - {-1}} for of in (labels, model.labels_)]
    assert groups[0] == groups[1]


# Worked out by hand: rows 0-2 merge at 1 and 2, rows 3-5 at 1 and 4, both groups at 8, row 6 joins at 10.


@pytest.fixture
def by_hand() -> CondensedTree:
    left, right = np.array([0, 3, 0, 3, 0, 0]), np.array([1, 4, 2, 5, 3, 6])
    return condense(single_linkage(left, right, np.array([1.0, 1, 2, 4, 8, 10])), 3)


def test_a_table_numbers_rows_root_and_clusters(by_hand: CondensedTree) -> None:
    table = tabulate(by_hand, np.array([2, 1]), np.array([0, 1]))

    assert table.parent.tolist() == [8, 8, 8, 9, 9, 9, 7, 7, 7]
    assert table.child.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert table.density.tolist() == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.1, 0.125, 0.125]
    assert table.child_size.tolist() == [1] * 7 + [3, 3]
    assert table.selected.tolist() == [9, 8] and table.label.tolist() == [0, 1]


def test_an_outlier_leaves_long_before_the_densest_below_its_cluster(by_hand: CondensedTree) -> None:
    assert score_outliers(by_hand).tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 1 - 0.1 / 0.5])


def test_equal_rows_are_no_outliers_and_do_not_make_others_outliers() -> None:
    left, right = np.array([0, 2, 3, 4]), np.array([1, 0, 2, 3])
    made = condense(single_linkage(left, right, np.array([0.0, 1, 2, 4])), 2)

    assert made.leaving.tolist() == [np.inf, np.inf, 1, 0.5, 0.25]
    assert score_outliers(made).tolist() == [0, 0, 0, 0.5, 0.75]


@given(tree=trees(), smallest=st.integers(2, 8))
def test_outlier_scores_are_numbers_from_zero_to_one(tree: Tree, smallest: int) -> None:
    scores = score_outliers(condense(tree.linkage, smallest))

    assert ((scores >= 0) & (scores <= 1)).all()


def test_all_equal_rows_are_no_outliers_and_all_exemplars() -> None:
    made = condense(make_tree(9, "star", [0.0], seed=0).linkage, 3)
    labels = label_rows(made, [0], Selection(allow_single=True))

    assert score_outliers(made).tolist() == [0] * 9
    assert find_exemplars(made, labels, 1)[0].tolist() == list(range(9))


def test_exemplars_are_the_last_to_leave_each_leaf_below_the_cluster(by_hand: CondensedTree) -> None:
    labels = label_rows(by_hand, [1, 2], Selection())
    assert [rows.tolist() for rows in find_exemplars(by_hand, labels, 2)] == [[0, 1, 2], [3, 4, 5]]

    whole = Selection(allow_single=True)
    labels = label_rows(by_hand, [0], whole)
    assert [rows.tolist() for rows in find_exemplars(by_hand, labels, 1)] == [[0, 1, 2, 3, 4, 5]]


@given(tree=trees(), smallest=st.integers(2, 8), how=selections)
def test_every_cluster_that_has_rows_has_exemplars_among_them(tree: Tree, smallest: int, how: Selection) -> None:
    made = condense(tree.linkage, smallest)
    chosen = select_clusters(made, how)
    labels = label_rows(made, chosen, how)

    found = find_exemplars(made, labels, len(chosen))

    assert len(found) == len(chosen)
    for label, rows in enumerate(found):
        assert (len(rows) > 0) == (labels == label).any()
        assert (labels[rows] == label).all() and (np.diff(rows) > 0).all()


def test_one_row_is_a_root_that_never_loses_it() -> None:
    none = np.empty(0, np.int64)

    made = condense(single_linkage(none, none, np.empty(0)), 5)

    assert made.leaving.tolist() == [np.inf] and made.cluster.tolist() == [0] and made.size.tolist() == [1]
    assert select_clusters(made, Selection()) == [] and score_outliers(made).tolist() == [0]

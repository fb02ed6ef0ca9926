"""Outlier scores, exemplars and the tree of an outcome fit its labels."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.engine import Outcome, Plan, compute
from shoal.engine.algorithms.hdbscan import HDBSCANParams, fit
from shoal.engine.density.density_tree import reorder_density
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.sampling import sample_rows

Blobs = Callable[..., NDArray[np.float32]]


PARAMS = {"min_cluster_size": 15, "min_samples": 4}


def fitted(blobs: Blobs, sample: int | None = None) -> Outcome:
    points = blobs(2, n=900, centers=5)
    return compute(points, Plan(algorithm="hdbscan", params=PARAMS, normalize=False, components=0, sample_size=sample))


@pytest.mark.parametrize("sample", [None, 600])
def test_below_a_selected_cluster_of_the_tree_lie_the_rows_of_its_label(blobs: Blobs, sample: int | None) -> None:
    found = fitted(blobs, sample)
    assert found.density is not None
    tree, total = found.density.tree, 900

    assert sorted(tree.label) == list(range(found.clusters))
    parents = dict(zip(tree.child.tolist(), tree.parent.tolist(), strict=True))
    rows = [child for child in parents if child < total]
    assert len(rows) == (sample or total)
    label = dict(zip(tree.selected.tolist(), tree.label.tolist(), strict=True))
    for row in rows:
        above = parents[row]
        while above not in label and above in parents:
            above = parents[above]
        assert found.labels[row] == label.get(above, -1)


@pytest.mark.parametrize("sample", [None, 600])
def test_exemplars_are_members_of_full_strength_and_outliers_are_sparse(blobs: Blobs, sample: int | None) -> None:
    found = fitted(blobs, sample)
    assert found.density is not None
    scores = found.density.outlier_scores

    assert len(found.density.exemplars) == found.clusters
    for number, rows in enumerate(found.density.exemplars):
        assert len(rows) and (found.labels[rows] == number).all()
        assert (scores[rows] == 0).all()
    assert np.isnan(scores).sum() == (0 if sample is None else 900 - sample)
    assert np.nanmean(scores[found.labels < 0]) > np.nanmean(scores[found.labels >= 0]) + 0.2


@pytest.mark.parametrize("sample", [None, 600])
def test_density_results_use_the_final_numbers(blobs: Blobs, sample: int | None) -> None:
    points = blobs(2, n=900, centers=5)
    picked = sample_rows(900, sample, 42)
    rows = np.arange(900) if picked is None else picked
    own = fit(
        points[rows],
        HDBSCANParams(min_cluster_size=PARAMS["min_cluster_size"], min_samples=PARAMS["min_samples"]),
        seed=42,
        threads=1,
        progress=ignore_progress,
    )

    found = fitted(blobs, sample)

    assert own.density is not None and found.density is not None
    number = {int(old): int(new) for old, new in zip(own.assignments.labels, found.labels[rows], strict=True)}
    assert any(old != new for old, new in number.items())  # else nothing was renumbered
    before, after = own.density.tree, found.density.tree
    further = 900 - len(rows)
    assert after.child[: len(rows)].tolist() == rows.tolist()
    assert after.child[len(rows) :].tolist() == (before.child[len(rows) :] + further).tolist()
    assert after.parent.tolist() == (before.parent + further).tolist()
    assert after.density.tolist() == before.density.tolist()
    assert after.child_size.tolist() == before.child_size.tolist()
    assert after.selected.tolist() == (before.selected + further).tolist()
    assert after.label.tolist() == [number[label] for label in before.label.tolist()]
    assert found.density.outlier_scores[rows].tolist() == own.density.outlier_scores.tolist()
    for old, exemplars in enumerate(own.density.exemplars):
        assert found.density.exemplars[number[old]].tolist() == rows[exemplars].tolist()


def test_reordering_moves_the_results_with_the_rows(blobs: Blobs) -> None:
    original = fitted(blobs, 600).density
    assert original is not None
    order = np.random.default_rng(3).permutation(900)

    moved = reorder_density(original, order)

    assert np.array_equal(moved.outlier_scores[order], original.outlier_scores, equal_nan=True)
    assert [rows.tolist() for rows in moved.exemplars] == [order[rows].tolist() for rows in original.exemplars]
    assert (np.diff(moved.tree.child) > 0).all()
    renamed = np.concatenate([order, np.arange(900, original.tree.child.max() + 1)])
    columns = ("parent", "density", "child_size")
    expected = zip(renamed[original.tree.child], *(getattr(original.tree, name) for name in columns), strict=True)
    assert sorted(expected) == list(
        zip(moved.tree.child, *(getattr(moved.tree, name) for name in columns), strict=True)
    )
    assert np.array_equal(moved.tree.selected, original.tree.selected)
    assert np.array_equal(moved.tree.label, original.tree.label)


def test_methods_without_densities_have_no_density_results(blobs: Blobs) -> None:
    found = compute(blobs(), Plan(algorithm="kmeans", params={"n_clusters": 4}, components=0))

    assert found.density is None

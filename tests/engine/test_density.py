"""Outlier scores, exemplars and the tree of an outcome fit its labels."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.engine import Outcome, Plan, compute

Blobs = Callable[..., NDArray[np.float32]]


def fitted(blobs: Blobs, sample: int | None = None) -> Outcome:
    params = {"min_cluster_size": 15, "min_samples": 4}
    points = blobs(2, n=900, centers=5)
    return compute(points, Plan(algorithm="hdbscan", params=params, normalize=False, components=0, sample_size=sample))


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


def test_methods_without_densities_tell_none(blobs: Blobs) -> None:
    found = compute(blobs(), Plan(algorithm="kmeans", params={"n_clusters": 4}, components=0))

    assert found.density is None

"""The map of the rows."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.engine.map.projection import project
from shoal.engine.plan import ignore_progress

Points = NDArray[np.float32]


def test_the_axes_are_those_of_largest_variance(blobs: Callable[..., Points]) -> None:
    points = blobs(n=500, d=7)
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    _, scale, axes = np.linalg.svd(centred, full_matrices=False)

    found = project(points, 3, 0, 2, ignore_progress)

    assert np.linalg.norm(found, axis=0) == pytest.approx(scale[:3], rel=1e-5)
    assert np.abs(found) == pytest.approx(np.abs(centred @ axes[:3].T), abs=1e-3)
    for axis in range(3):
        loadings = centred.T @ found[:, axis]
        assert loadings[np.argmax(np.abs(loadings))] > 0


def test_wide_rows_are_mapped_by_random_products_to_the_same_axes() -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(200, 3)) * [9, 5, 2] @ rng.normal(size=(3, 1500))).astype(np.float32)
    scale = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)

    found = project(points, 2, 0, 1, ignore_progress)

    assert np.linalg.norm(found, axis=0) == pytest.approx(scale[:2], rel=1e-3)
    assert np.array_equal(found, project(points, 2, 0, 2, ignore_progress))


@pytest.mark.parametrize(
    "points", [np.ones((9, 4), np.float32), np.ones((1, 4), np.float32), np.ones((0, 4), np.float32)]
)
def test_rows_without_variance_lie_at_the_origin(points: Points) -> None:
    assert project(points, 3, 0, 1, ignore_progress) == pytest.approx(np.zeros((len(points), 3)), abs=1e-6)


def test_missing_axes_are_zero() -> None:
    found = project(np.arange(5, dtype=np.float32)[:, None], 3, 0, 1, ignore_progress)

    assert found.tolist() == [[-2, 0, 0], [-1, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0]]

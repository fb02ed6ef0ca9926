"""The map: neighbours together, clusters apart, the same in any order and on any number of threads."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from degenerate import DEGENERATE, Make
from shared_data import load, vectors
from shoal.engine import kernels
from shoal.engine.map.layout import lay_out
from shoal.engine.map.projection import project
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows


@pytest.mark.parametrize("components", [2, 3])
def test_neighbours_lie_together_far_better_than_along_principal_axes(components: int) -> None:
    points = unit_rows(vectors(load("mnist10k"), "pca64")[::4].copy())

    places = lay_out(points, components, 42, 2, ignore_progress)
    axes = project(points, components, 42, 2, ignore_progress)

    ours = trustworthiness(points, places, n_neighbors=15)
    assert places.shape == (len(points), components) and places.dtype == np.float32
    assert ours > 0.95
    assert ours > trustworthiness(points, axes, n_neighbors=15) + 0.05
    assert np.allclose(places.mean(axis=0), 0, atol=1e-3)


def test_clusters_lie_apart() -> None:
    table = load("mnist10k")
    points = unit_rows(vectors(table, "pca64")[::4].copy())
    truth = table["label"].to_numpy(zero_copy_only=False)[::4]

    places, axes = (draw(points, 2, 42, 2, ignore_progress) for draw in (lay_out, project))

    assert silhouette_score(places, truth) > silhouette_score(axes, truth) + 0.2


def test_neither_order_nor_threads_move_a_row() -> None:
    points = unit_rows(vectors(load("mnist10k"), "pca64")[:6000].copy())
    order = np.random.default_rng(1).permutation(len(points))

    one, two = lay_out(points, 2, 42, 2, ignore_progress), lay_out(points[order], 2, 42, 1, ignore_progress)

    assert np.array_equal(one[order], two)


@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("components", [2, 3])
def test_every_row_has_a_place_and_equal_rows_the_same(make: Make, components: int) -> None:
    points = make()

    places = lay_out(points, components, 42, 2, ignore_progress)

    assert places.shape == (len(points), components) and np.isfinite(places).all()
    for value in np.unique(points, axis=0):
        assert len(np.unique(places[(points == value).all(axis=1)], axis=0)) == 1


@pytest.mark.skipif(kernels.native() is None, reason="there is only the reference")
@pytest.mark.parametrize("components", [2, 3])
def test_the_reference_places_every_row_bit_by_bit_like_the_core(
    components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = unit_rows(vectors(load("fashion900"), "pca64"))
    compiled = lay_out(points, components, 42, 2, ignore_progress)

    monkeypatch.setattr(kernels, "native", lambda: None)

    assert np.array_equal(lay_out(points, components, 42, 2, ignore_progress), compiled)

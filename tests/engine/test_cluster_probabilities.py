"""Cluster probabilities: their sums, their ranking and their calibration."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from shared_data import load, vectors
from shoal.engine import compute
from shoal.engine.cluster_probabilities import Mixture
from shoal.engine.plan import Plan
from shoal.engine.rows.geometry import unit_rows

ROWS = np.random.default_rng(3).normal(size=(600, 12)).astype(np.float32)


def fitted(points: NDArray[np.float32], clusters: int, *, normalize: bool = True) -> tuple[Mixture, NDArray[np.int32]]:
    outcome = compute(points, Plan(algorithm="kmeans", params={"n_clusters": clusters}, normalize=normalize))
    return Mixture.of(outcome), outcome.labels


@pytest.mark.parametrize("normalize", [True, False])
def test_the_most_probable_cluster_is_the_k_means_cluster(normalize: bool) -> None:
    mixture, labels = fitted(ROWS, 7, normalize=normalize)

    found = mixture.probabilities(unit_rows(ROWS) if normalize else ROWS)

    assert found.shape == (600, 7) and found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.mean(found.argmax(axis=1) == labels) > 0.99  # float32 means of the outcome, float64 ones of the fit


def test_the_top_of_each_row_is_that_of_the_whole_table() -> None:
    mixture, _ = fitted(ROWS, 7)
    points = unit_rows(ROWS)
    whole, top = mixture.probabilities(points), mixture.top(points, 3)

    order = np.argsort(-whole, axis=1, kind="stable")[:, :3]
    assert np.array_equal(top.labels, order)
    assert np.array_equal(top.probabilities, np.take_along_axis(whole, order, axis=1))
    assert mixture.top(points, 99).labels.shape == (600, 7)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_probabilities_do_not_depend_on_threads_or_other_rows(threads: int) -> None:
    mixture, _ = fitted(ROWS, 7)
    points = unit_rows(ROWS)

    assert np.array_equal(mixture.probabilities(points, threads), mixture.probabilities(points, 1))


@pytest.mark.slow
def test_the_top_needs_memory_for_the_top_alone() -> None:
    centroids = np.random.default_rng(1).normal(size=(2_000, 8))
    points = np.random.default_rng(2).normal(size=(40_000, 8)).astype(np.float32)

    tracemalloc.start()
    Mixture(centroids, 1.0).top(points, 2, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100 * 2**20  # the whole table would be 305 MiB


def test_equal_rows_and_no_clusters_have_a_result() -> None:
    same = Mixture(np.eye(3), 0.0).probabilities(np.eye(3, dtype=np.float32))
    assert np.array_equal(same, np.eye(3, dtype=np.float32))
    assert Mixture(np.empty((0, 3)), 1.0).probabilities(np.ones((4, 3), np.float32)).shape == (4, 0)
    assert Mixture(np.eye(3), 1.0).probabilities(np.empty((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_probabilities_are_calibrated(name: str) -> None:
    """Of held-out rows whose best class has 70 %, about 7 in 10 belong to that class."""
    table = load(name)
    classes = table["label"].to_numpy(zero_copy_only=False).astype(str)
    inside = classes != "oos"  # no class, but what is in none
    labels = np.unique(classes[inside], return_inverse=True)[1]
    points = unit_rows(vectors(table)[inside])
    order = np.random.default_rng(0).permutation(len(points))
    known, held_out = order[::2], order[1::2]
    centroids = np.stack([points[known][labels[known] == one].mean(axis=0) for one in range(labels.max() + 1)])
    squares = ((points[known] - centroids[labels[known]]) ** 2).sum(axis=1).astype(np.float64)

    found = Mixture(centroids.astype(np.float64), squares.var() / (2 * squares.mean())).probabilities(points[held_out])

    sure, right = found.max(axis=1), found.argmax(axis=1) == labels[held_out]
    tenth = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(sure[tenth == n].mean() - right[tenth == n].mean()) * np.mean(tenth == n) for n in np.unique(tenth)]
    assert sum(gaps) < 0.12

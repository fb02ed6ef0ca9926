"""k-means against scikit-learn's and by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from shared_data import load, vectors
from shoal.engine import Outcome, Plan, compute
from shoal.engine.parallel import one_blas_thread
from shoal.engine.rows.geometry import unit_rows

Points = NDArray[np.float32]
Blobs = Callable[..., Points]


def ours(points: Points, seed: int = 42, **params: object) -> Outcome:
    return compute(points, Plan(algorithm="kmeans", params=params, normalize=False, components=0, threads=2, seed=seed))


def inertia(outcome: Outcome) -> float:
    value = outcome.metrics["inertia"]
    assert value is not None
    return value


def test_four_points_make_two_pairs() -> None:
    points = np.array([[0, 0], [0.5, 0], [0.5, 1], [1, 1]], np.float32)

    outcome = ours(points, n_clusters=2)

    assert list(outcome.labels) == [0, 0, 1, 1]
    assert inertia(outcome) == pytest.approx(0.25)
    assert outcome.centroids.tolist() == [[0.25, 0], [0.75, 1]]
    assert outcome.distances == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("k", [3, 8, 25])
@pytest.mark.parametrize(("init", "luck"), [("k-means++", 1.01), ("random", 1.05)])
def test_the_sum_of_squares_is_not_above_that_of_scikit_learn(blobs: Blobs, k: int, init: str, luck: float) -> None:
    points = blobs(n=1500, d=8, centers=8, spread=0.2)
    with one_blas_thread():
        theirs = KMeans(k, n_init=10, random_state=0, init=init).fit(points)

    outcome = ours(points, n_clusters=k, n_init=10, init=init)

    assert inertia(outcome) <= theirs.inertia_ * luck


def test_the_result_is_a_fixed_point_of_lloyds_algorithm(blobs: Blobs) -> None:
    points = blobs(n=800, d=5)

    outcome = ours(points, n_clusters=6, n_init=2, tol=0.0)

    distances = np.linalg.norm(points[:, None].astype(np.float64) - outcome.centroids, axis=2)
    assert np.array_equal(np.argmin(distances, axis=1), outcome.labels)
    assert outcome.distances == pytest.approx(distances.min(axis=1), rel=1e-4, abs=1e-5)
    ordered = np.sort(distances, axis=1)
    assert outcome.strengths == pytest.approx(1 - ordered[:, 0] / ordered[:, 1], abs=1e-3)


@pytest.mark.shared_data
def test_the_sum_of_squares_on_real_texts_is_not_above_that_of_scikit_learn() -> None:
    points = unit_rows(vectors(load("clinc150")))[::10]
    with one_blas_thread():
        theirs = min(KMeans(100, n_init=1, random_state=seed).fit(points).inertia_ for seed in range(3))

    outcome = ours(points, n_clusters=100, n_init=3)

    assert inertia(outcome) <= theirs * 1.01


def test_the_number_of_clusters_is_lowered_to_the_distinct_rows_and_reported() -> None:
    points = np.repeat(np.array([[0, 1], [5, 5], [9, 0]], np.float32), [4, 2, 3], axis=0)

    outcome = ours(points, n_clusters=5)

    assert list(outcome.labels) == [0] * 4 + [2] * 2 + [1] * 3
    assert outcome.params["n_clusters"] == 3
    assert outcome.warnings == ["n_clusters was lowered from 5 to 3: there are 3 distinct rows."]
    assert inertia(outcome) == 0


def test_more_clusters_than_rows_give_each_row_its_own_cluster() -> None:
    outcome = ours(np.array([[1, 1], [2, 2], [4, 4]], np.float32), n_clusters=1200)

    assert list(outcome.labels) == [0, 1, 2]
    assert outcome.params["n_clusters"] == 3 and "there are 3 rows" in outcome.warnings[0]


@pytest.mark.parametrize("total", [1, 30])
def test_equal_rows_are_one_cluster(total: int) -> None:
    outcome = ours(np.full((total, 4), 0.3, np.float32))

    assert list(outcome.sizes) == [total] and outcome.params["n_clusters"] == 1
    assert list(outcome.strengths) == [1.0] * total
    assert outcome.metrics["silhouette_score"] is None


def test_no_cluster_is_empty_though_equal_rows_draw_equal_starts() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([np.zeros((500, 2)), rng.normal(size=(20, 2)) + 50]).astype(np.float32)

    for seed in range(5):
        outcome = ours(points, seed=seed, n_clusters=15, n_init=1, init="random")
        assert outcome.clusters == 15 and outcome.sizes[0] == 500


def test_the_seed_of_the_plan_is_used_unless_random_state_is_given(blobs: Blobs) -> None:
    points = blobs(n=600, d=10, centers=1, spread=1.0)

    by_plan = ours(points, seed=7, n_clusters=9, n_init=1)
    by_parameter = ours(points, seed=3, n_clusters=9, n_init=1, random_state=7)
    other = ours(points, seed=3, n_clusters=9, n_init=1)

    assert np.array_equal(by_plan.labels, by_parameter.labels)
    assert not np.array_equal(by_plan.labels, other.labels)
    assert by_parameter.params["random_state"] == 7 and other.params["random_state"] == 3


def test_stopping_before_convergence_is_reported(blobs: Blobs) -> None:
    outcome = ours(blobs(n=900, centers=1, spread=1.0), n_clusters=12, n_init=1, max_iter=1)

    assert outcome.warnings == ["k-means stopped after max_iter=1 steps before it converged."]

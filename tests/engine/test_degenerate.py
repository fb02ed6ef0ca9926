"""Every method on every degenerate set, with every kind of centroid: a defined result, no NaN, no hang."""

import math
from typing import get_args

import numpy as np
import pytest

from degenerate import DEGENERATE, Make
from shoal.engine import ALGORITHMS, Plan, compute
from shoal.engine.plan import CentroidMethod
from shoal.errors import InvalidField

PARAMS = {"kmeans": {"n_clusters": 3, "n_init": 1}, "gaussian_mixture": {"n_components": 3}}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("normalize", [True, False], ids=["normalized", "raw"])
def test_every_method_has_a_result(algorithm: str, make: Make, normalize: bool) -> None:
    points = make()
    for method in get_args(CentroidMethod):
        plan = Plan(
            algorithm=algorithm,
            params=PARAMS.get(algorithm, {}),
            normalize=normalize,
            centroid_method=method,
            threads=2,
        )
        found = compute(points, plan)

        assert len(found.labels) == len(points)
        assert found.labels.max(initial=-1) + 1 == found.clusters
        assert np.isfinite(found.strengths).all() and ((found.strengths >= 0) & (found.strengths <= 1)).all()
        assert np.isfinite(found.centroids).all()
        assert np.isfinite(found.distances[found.labels >= 0]).all()
        assert found.coordinates is not None and np.isfinite(found.coordinates).all()
        assert all(value is None or math.isfinite(value) for value in found.metrics.values())
        for value in np.unique(points, axis=0):
            assert len(np.unique(found.labels[(points == value).all(axis=1)])) == 1


PARTITIONS = ["kmeans", "agglomerative", "gaussian_mixture", "spectral"]


@pytest.mark.parametrize("algorithm", PARTITIONS)
def test_one_row_and_equal_rows_are_one_cluster_of_a_partition(algorithm: str) -> None:
    for rows in (1, 30):
        found = compute(np.ones((rows, 3), np.float32), Plan(algorithm=algorithm, threads=1))

        assert found.labels.tolist() == [0] * rows
        assert found.metrics["silhouette_score"] is None


@pytest.mark.parametrize("algorithm", ["dbscan", "hdbscan", "optics", "auto"])
def test_one_row_is_noise_for_density_methods(algorithm: str) -> None:
    found = compute(np.ones((1, 3), np.float32), Plan(algorithm=algorithm, threads=1))

    assert found.labels.tolist() == [-1]


@pytest.mark.parametrize("algorithm", ["dbscan", "optics", "auto", "mean_shift"])
def test_equal_rows_are_one_cluster(algorithm: str) -> None:
    found = compute(np.ones((30, 3), np.float32), Plan(algorithm=algorithm, threads=1))

    assert found.labels.tolist() == [0] * 30


@pytest.mark.parametrize("algorithm", ["agglomerative", "spectral", "kmeans"])
def test_the_number_of_clusters_is_lowered_to_the_distinct_rows_and_reported(algorithm: str) -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)

    found = compute(points, Plan(algorithm=algorithm, params={"n_clusters": 9}, threads=1))

    assert found.clusters == 3
    assert found.params["n_clusters"] == 3
    assert any("lowered from 9 to 3" in warning for warning in found.warnings)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_sample_larger_than_the_rows_is_all_of_them(algorithm: str) -> None:
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)

    whole = compute(points, Plan(algorithm=algorithm, params=PARAMS.get(algorithm, {}), threads=1))
    sampled = compute(points, Plan(algorithm=algorithm, params=PARAMS.get(algorithm, {}), sample_size=99, threads=1))

    assert np.array_equal(whole.labels, sampled.labels)
    assert sampled.fitted == 40


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_rows_outside_the_sample_are_assigned_to_its_clusters(algorithm: str) -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(300, 4)) * 0.1 + 3 * np.eye(4)[np.arange(300) % 3]).astype(np.float32)
    params = {"kmeans": {"n_clusters": 3}, "agglomerative": {"n_clusters": 3}, "gaussian_mixture": {"n_components": 3}}
    params |= {"spectral": {"n_clusters": 3}}
    plan = Plan(algorithm=algorithm, params=params.get(algorithm, {}), sample_size=150, threads=1)

    found = compute(points, plan)

    assert found.fitted == 150
    inside = found.labels >= 0
    assert inside.mean() > (0.1 if algorithm == "optics" else 0.6)  # blobs have few steep slopes
    truth = np.arange(300) % 3
    for cluster in range(found.clusters):
        assert len(np.unique(truth[found.labels == cluster])) == 1


def test_zero_rows_have_no_direction() -> None:
    with pytest.raises(InvalidField, match="vectors"):
        compute(np.zeros((4, 3), np.float32), Plan(algorithm="auto"))

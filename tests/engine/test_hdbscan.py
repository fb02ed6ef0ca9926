"""HDBSCAN against scikit-learn's brute force, and what scikit-learn cannot be asked."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score

from shared_data import load, vectors
from shoal.engine import Outcome, Plan, compute
from shoal.engine.geometry import unit_rows
from shoal.engine.row_keys import keyed_rows
from shoal.errors import InvalidField

Points = NDArray[np.float32]
Blobs = Callable[..., Points]

SETTINGS: list[dict[str, Any]] = [
    {},
    {"cluster_selection_method": "leaf"},
    {"min_cluster_size": 10, "min_samples": 3},
    {"min_cluster_size": 3, "min_samples": 1},
    {"min_cluster_size": 8, "metric": "cosine"},
    {"min_cluster_size": 4, "max_cluster_size": 30, "alpha": 1.3},
    {"min_cluster_size": 30, "allow_single_cluster": True},
    {"min_cluster_size": 5, "min_samples": 60},
]
settings_of_both = pytest.mark.parametrize(
    "params", SETTINGS, ids=lambda params: "-".join(map(str, params)) or "default"
)


def ours(points: Points, **params: object) -> Outcome:
    return compute(points, Plan(algorithm="hdbscan", params=params, normalize=False, components=0, threads=2))


def sklearn_on(points: Points, params: dict[str, Any]) -> tuple[Any, NDArray[np.int64]]:
    """scikit-learn's fit with the rows in the order in which Shoal numbers them, on which its labels depend where
    distances tie; and that order. The distances are given: its own, by expanded squares, differ between (a, b) and
    (b, a) in the last bits, which breaks ties at random."""
    cosine = params.get("metric") == "cosine"
    rows = unit_rows(points) if cosine else points
    by_key, _, _ = keyed_rows(rows, 1)
    exact = rows[by_key].astype(np.float64)
    distances = cdist(exact, exact)
    fitted = HDBSCAN(copy=True, **{**params, "metric": "precomputed"}).fit(distances**2 / 2 if cosine else distances)
    return fitted, by_key


def assert_as_sklearn(points: Points, params: dict[str, Any]) -> None:
    fitted, by_key = sklearn_on(points, params)

    found = ours(points, **params)

    assert np.array_equal(found.labels[by_key] < 0, fitted.labels_ < 0)
    assert adjusted_rand_score(found.labels[by_key], fitted.labels_) == 1.0
    if len(np.unique(points, axis=0)) == len(points):  # there equal rows measure all others, here they do not
        assert found.strengths[by_key] == pytest.approx(fitted.probabilities_, abs=1e-6)


@settings_of_both
@pytest.mark.parametrize(("n", "d", "seed"), [(150, 1, 0), (700, 4, 1), (1500, 40, 2)])
def test_labels_are_those_of_scikit_learn(blobs: Blobs, params: dict[str, Any], n: int, d: int, seed: int) -> None:
    assert_as_sklearn(blobs(seed, n=n, d=d, centers=7), params)


@settings_of_both
@pytest.mark.parametrize("seed", range(4))
def test_equal_rows_are_treated_as_scikit_learn_treats_them(blobs: Blobs, params: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(blobs(seed, n=400, d=3) * 1024) / np.float32(1024)  # such products are exact in float64
    points[rng.permutation(400)[:200]] = points[rng.integers(0, 60, 200)]

    assert_as_sklearn(points + np.float32(1 / 64), params)


@pytest.mark.shared_data
@settings_of_both
@pytest.mark.parametrize("name", ["clinc150", "banking77"])
def test_labels_of_real_texts_are_those_of_scikit_learn(name: str, params: dict[str, Any]) -> None:
    points = unit_rows(vectors(load(name)))[::16]

    assert_as_sklearn(points, params)


def test_many_equal_rows_beside_others_cost_little_and_are_one_cluster() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6000, 16)).astype(np.float32)
    points[1000:] = points[0] + 30

    outcome = ours(points, min_cluster_size=50)

    assert outcome.clusters == 2 and outcome.sizes[0] == 5000
    assert (outcome.labels[1000:] == 0).all() and (outcome.strengths[1000:] == 1).all()


def test_all_equal_rows_are_noise_unless_a_single_cluster_is_allowed() -> None:
    points = np.ones((50, 3), np.float32)

    assert ours(points).clusters == 0
    assert list(ours(points, allow_single_cluster=True).sizes) == [50]


def test_fewer_rows_than_a_cluster_needs_are_noise(blobs: Blobs) -> None:
    assert ours(blobs(n=9), min_cluster_size=10).clusters == 0
    assert ours(blobs(n=1)).clusters == 0


def test_more_min_samples_than_rows_are_lowered_and_told(blobs: Blobs) -> None:
    outcome = ours(blobs(n=40), min_samples=400)

    assert outcome.params["min_samples"] == 40
    assert any("min_samples 400" in sentence for sentence in outcome.warnings)


def test_epsilon_keeps_clusters_together_that_part_at_less_than_it() -> None:
    line = np.concatenate([start + np.arange(10) * 0.1 for start in (0.0, 2.0, 20.0, 24.0)])
    points = line[:, None].astype(np.float32)  # gaps: 1.1 within the first pair, 3.1 within the second, 17.1 between

    assert ours(points, min_samples=1).clusters == 4
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=2).sizes) == [20, 10, 10]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=5).sizes) == [20, 20]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=4, alpha=2).sizes) == [20, 20]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=50).sizes) == [20, 20]
    one = ours(points, min_samples=1, cluster_selection_epsilon=50, allow_single_cluster=True)
    assert list(one.sizes) == [40]


def test_matching_the_reference_makes_rows_that_leave_at_birth_noise(blobs: Blobs) -> None:
    fewer = 0
    for seed in range(5, 10):
        points = blobs(seed, n=500, centers=6)

        plain = ours(points, min_cluster_size=9)
        reference = ours(points, min_cluster_size=8, match_reference_implementation=True)

        assert (plain.labels[reference.labels >= 0] >= 0).all()
        assert reference.clusters == plain.clusters
        fewer += int((plain.labels >= 0).sum() - (reference.labels >= 0).sum())
    assert fewer > 0


def test_strength_is_one_in_the_core_and_less_at_the_rim() -> None:
    line = np.concatenate([[0.0, 0.5, 0.9], 1.2 + np.arange(12) * 0.1, 100 + np.arange(12) * 0.1])
    outcome = ours(line[:, None].astype(np.float32), min_samples=2)

    rim, core = outcome.strengths[0], outcome.strengths[8]

    assert core == pytest.approx(1.0, abs=0.01) and 0 < rim < 0.3


def test_a_row_beyond_the_reach_of_a_cluster_is_noise_when_assigned() -> None:
    rng = np.random.default_rng(3)
    dense = np.concatenate([rng.normal(size=(200, 2)) * 0.1, rng.normal(size=(200, 2)) * 0.1 + 10])
    points = rng.permutation(np.concatenate([dense, [[5.0, 5.0], [-30.0, 4.0]]])).astype(np.float32)
    between = np.flatnonzero((np.abs(points - [5, 5]) < 1e-6).all(axis=1))
    beyond = np.flatnonzero(points[:, 0] < -20)
    plans = [
        Plan(algorithm="hdbscan", params={"min_cluster_size": 15}, normalize=False, sample_size=150, seed=seed)
        for seed in range(8)
    ]

    for plan in plans:
        outcome = compute(points, plan)
        assert (outcome.labels[beyond] == -1).all()
        assert (outcome.strengths[between] < 0.05).all()
        assert (outcome.labels >= 0).sum() >= 395


@pytest.mark.parametrize("metric", ["manhattan", "l2", None, 3])
def test_other_metrics_are_refused_with_those_there_are(blobs: Blobs, metric: object) -> None:
    if metric is None:
        assert ours(blobs(), metric=None).params["metric"] == "euclidean"
        return
    with pytest.raises(InvalidField, match=r"algorithm_params\.metric: must be euclidean or cosine"):
        ours(blobs(), metric=metric)

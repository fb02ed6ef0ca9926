"""DBSCAN, OPTICS, hierarchies, mixtures, spectral clustering and mean shift compared with scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import DBSCAN, OPTICS, AgglomerativeClustering, MeanShift
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from shared_data import load, vectors
from shoal.engine import ALGORITHMS, Outcome, Plan, compute
from shoal.engine.algorithms import gaussian_mixture
from shoal.engine.layers.weighted_linkage import weighted_linkage
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows
from shoal.errors import InvalidField

Points = NDArray[np.float32]

DETERMINISTIC: list[tuple[str, dict[str, Any]]] = [
    ("dbscan", {"eps": 0.4}),
    ("dbscan", {"eps": 0.1, "metric": "cosine", "min_samples": 3}),
    ("optics", {"min_samples": 5}),
    ("agglomerative", {"n_clusters": 10}),
    ("agglomerative", {"n_clusters": 10, "linkage": "average", "affinity": "cosine"}),
    ("gaussian_mixture", {"n_components": 5, "covariance_type": "diag"}),
    ("spectral", {"n_clusters": 8, "affinity": "nearest_neighbors"}),
    ("mean_shift", {"bandwidth_quantile": 0.05}),
    ("leiden", {}),
]


def ours(algorithm: str, points: Points, normalize: bool = True, **params: object) -> Outcome:
    return compute(points, Plan(algorithm=algorithm, params=params, normalize=normalize, components=0, threads=2))


@pytest.fixture(scope="module")
def fashion() -> Points:
    return unit_rows(vectors(load("fashion900"), "pca64"))


@pytest.mark.parametrize(("eps", "metric"), [(0.3, "euclidean"), (0.45, "euclidean"), (0.05, "cosine")])
def test_dbscan_has_the_core_rows_and_the_noise_of_scikit_learn(fashion: Points, eps: float, metric: str) -> None:
    theirs = DBSCAN(eps=eps, metric=metric).fit(fashion.astype(np.float64))
    found = ours("dbscan", fashion, eps=eps, metric=metric)
    cores = theirs.core_sample_indices_

    assert theirs.labels_.max() > 1
    assert np.array_equal(found.labels < 0, theirs.labels_ < 0)
    assert adjusted_rand_score(found.labels[cores], theirs.labels_[cores]) == 1.0
    assert np.array_equal(np.flatnonzero(found.strengths == 1), cores)


def test_optics_finds_approximately_the_clusters_of_scikit_learn(fashion: Points) -> None:
    with threadpool_limits(1):  # its threads wait for each other, which takes 17 times as long as one thread
        theirs = OPTICS(min_samples=5, xi=0.03, metric="euclidean").fit(fashion.astype(np.float64))
    found = ours("optics", fashion, min_samples=5, xi=0.03)

    assert theirs.labels_.max() > 3
    assert adjusted_rand_score(found.labels, theirs.labels_) > 0.35  # mutual reachability is symmetric


def test_optics_by_one_distance_is_dbscan(fashion: Points) -> None:
    by_order = ours("optics", fashion, cluster_method="dbscan", eps=0.4)
    cores = ours("dbscan", fashion, eps=0.4).strengths == 1
    direct = ours("dbscan", fashion, eps=0.4)

    assert adjusted_rand_score(by_order.labels[cores], direct.labels[cores]) > 0.99


@pytest.mark.parametrize("method", ["ward", "complete", "average", "single"])
def test_hierarchies_are_those_of_scikit_learn(fashion: Points, method: str) -> None:
    theirs = AgglomerativeClustering(n_clusters=12, linkage=method).fit(fashion.astype(np.float64))
    found = ours("agglomerative", fashion, n_clusters=12, linkage=method)

    assert adjusted_rand_score(found.labels, theirs.labels_) > 0.999


def test_a_distance_threshold_decides_how_many(fashion: Points) -> None:
    theirs = AgglomerativeClustering(n_clusters=None, distance_threshold=2.0).fit(fashion.astype(np.float64))
    found = ours("agglomerative", fashion, distance_threshold=2.0)

    assert found.clusters == theirs.n_clusters_ > 2


@pytest.mark.parametrize("method", ["ward", "complete", "average", "single"])
def test_weights_act_like_copies(method: Any) -> None:
    rng = np.random.default_rng(1)
    rows, copies = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(1, 5, size=40)

    weighted = weighted_linkage(rows, copies, method, lambda away: away)
    whole = linkage(np.repeat(rows.astype(np.float64), copies, axis=0), method)

    assert np.allclose(np.sort(weighted[:, 2]), np.sort(whole[:, 2])[-39:], atol=1e-6)


@pytest.mark.slow
def test_micro_clusters_replace_many_rows() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(21_000) % 5
    points = (rng.normal(size=(21_000, 8)) * 0.3 + 4 * np.eye(8)[truth]).astype(np.float32)

    found = ours("agglomerative", points, normalize=False, n_clusters=5)

    assert adjusted_rand_score(found.labels, truth) > 0.99
    assert not found.exact
    assert any("micro-clusters" in warning for warning in found.warnings)


def test_a_mixture_that_is_too_expensive_is_rejected_with_its_cost() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 4096)).astype(np.float32)

    with pytest.raises(InvalidField, match="hours and") as refused:
        ours("gaussian_mixture", points, n_components=200, covariance_type="full")

    assert refused.value.field == "n_components"


@pytest.mark.parametrize(("sample", "expected"), [(400, "diag"), (600, "full")])
def test_the_rows_that_a_mixture_is_fitted_on_choose_its_covariances(
    sample: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3,000 rows, for 6 Gaussians in 8 dimensions, which need 480."""
    monkeypatch.setattr(gaussian_mixture, "_MAX_FITTED", sample)
    points = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)

    found = ours("gaussian_mixture", points, n_components=6)

    assert found.params["covariance_type"] == expected
    assert any("covariance_type is diag" in warning for warning in found.warnings) == (expected == "diag")


def test_a_mixture_finds_blobs_and_its_strengths_are_probabilities() -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(400, 3)) + 6 * np.eye(3)[np.arange(400) % 2]).astype(np.float32)
    found = ours("gaussian_mixture", points, normalize=False, n_components=2)

    assert adjusted_rand_score(found.labels, np.arange(400) % 2) > 0.98
    assert 0.5 <= found.strengths.min() <= found.strengths.max() <= 1


@pytest.mark.parametrize("algorithm", ["spectral", "mean_shift"])
def test_blobs_are_found(algorithm: str) -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(300, 2)) * 0.2 + np.array([[0, 0], [4, 0], [0, 4]])[np.arange(300) % 3]).astype("f4")
    params = {"n_clusters": 3} if algorithm == "spectral" else {}

    found = ours(algorithm, points, normalize=False, **params)

    assert adjusted_rand_score(found.labels, np.arange(300) % 3) > 0.95


def test_mean_shift_is_that_of_scikit_learn(fashion: Points) -> None:
    with threadpool_limits(1):
        theirs = MeanShift(bandwidth=0.8).fit(fashion[:200].astype(np.float64))
    found = ours("mean_shift", fashion[:200], bandwidth=0.8)

    assert theirs.labels_.max() > 3
    assert adjusted_rand_score(found.labels, theirs.labels_) > 0.99


@pytest.mark.parametrize(("algorithm", "params"), DETERMINISTIC, ids=lambda value: str(value)[:40])
def test_neither_order_nor_threads_change_a_result(fashion: Points, algorithm: str, params: dict[str, Any]) -> None:
    order = np.random.default_rng(5).permutation(len(fashion))

    one = ours(algorithm, fashion, **params)
    two = compute(fashion[order], Plan(algorithm=algorithm, params=params, components=0, threads=1))

    assert adjusted_rand_score(one.labels[order], two.labels) == 1.0
    assert one.clusters > 1


@pytest.mark.parametrize(("algorithm", "params"), DETERMINISTIC, ids=lambda value: str(value)[:40])
def test_new_rows_have_the_same_label_alone_and_in_a_batch(
    fashion: Points, algorithm: str, params: dict[str, Any]
) -> None:
    method = ALGORITHMS[algorithm]
    fit = method.fit(fashion[::2].copy(), method.params(**params), seed=42, threads=2, progress=ignore_progress)
    new = fashion[1::2][:60].copy()

    together = fit.assign(new, 2, ignore_progress)
    alone = [fit.assign(new[row : row + 1], 1, ignore_progress).labels[0] for row in range(len(new))]

    assert together.labels.tolist() == alone


@pytest.mark.parametrize(
    ("algorithm", "params", "field"),
    [
        ("dbscan", {"eps": 0}, "eps"),
        ("dbscan", {"metric": "manhattan"}, "metric"),
        ("dbscan", {"metric": "minkowski", "p": 1}, "p"),
        ("optics", {"xi": 2}, "xi"),
        ("agglomerative", {"connectivity": [[1]]}, "connectivity"),
        ("agglomerative", {"linkage": "ward", "affinity": "cosine"}, "affinity"),
        ("spectral", {"affinity": "precomputed"}, "affinity"),
        ("gaussian_mixture", {"covariance_type": "round"}, "covariance_type"),
        ("mean_shift", {"bandwidth": -1}, "bandwidth"),
        ("leiden", {"resolution": 101}, "resolution"),
        ("auto", {"noise_level": 1.5}, "noise_level"),
    ],
)
def test_invalid_parameters_are_rejected_by_name(
    fashion: Points, algorithm: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        ours(algorithm, fashion[:50], **params)

    assert refused.value.field == f"algorithm_params.{field}"


LEFT_TO_THE_DATA = {
    "dbscan": "eps",
    "optics": "cluster_method",
    "mean_shift": "bandwidth",
    "gaussian_mixture": "n_components",
    "agglomerative": "n_clusters",
    "spectral": "n_clusters",
}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", LEFT_TO_THE_DATA)
def test_omitted_parameters_are_chosen_from_the_data_with_a_warning(algorithm: str) -> None:
    """Twelve groups in 48 dimensions, as far apart as embeddings are, in two orders."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 12, 720)
    points = (rng.normal(size=(12, 48))[truth] + 0.6 * rng.normal(size=(720, 48))).astype(np.float32)
    order = rng.permutation(720)

    found, shuffled = (compute(rows, Plan(algorithm=algorithm, components=0)) for rows in (points, points[order]))

    inside = found.labels >= 0
    assert inside.mean() >= 0.8
    assert adjusted_rand_score(truth[inside], found.labels[inside]) >= 0.8
    assert adjusted_rand_score(found.labels[order], shuffled.labels) == 1.0
    assert found.params[LEFT_TO_THE_DATA[algorithm]] is not None
    assert algorithm == "optics" or found.warnings


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", LEFT_TO_THE_DATA)
def test_the_defaults_find_several_clusters_in_real_vectors_and_no_dominant_one(
    fashion: Points, algorithm: str
) -> None:
    found = compute(fashion, Plan(algorithm=algorithm, components=0))

    assert found.clusters >= 4
    assert found.sizes[0] <= 0.6 * len(fashion)
    assert (found.labels >= 0).mean() >= 0.5


@pytest.mark.parametrize("algorithm", LEFT_TO_THE_DATA)
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_few_and_equal_rows_have_a_result(algorithm: str, rows: int) -> None:
    for points in (np.eye(8, dtype=np.float32)[:rows], np.ones((rows, 8), np.float32)):
        found = compute(points, Plan(algorithm=algorithm, components=0))

        assert len(found.labels) == rows

"""Measures and centroids against scikit-learn and by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_samples, silhouette_score

from shoal.engine import Outcome, Plan, compute
from shoal.engine.clusters.centroids import cluster_means, measure_memberships
from shoal.engine.clusters.quality import Grouping, measure, silhouette, silhouettes

Points = NDArray[np.float32]
Blobs = Callable[..., Points]


def grouped(points: Points, *, normalize: bool = False, **given: object) -> Outcome:
    params = {"n_clusters": 5, "n_init": 1}
    return compute(points, Plan(algorithm="kmeans", params=params, normalize=normalize, threads=2, **given))  # type: ignore[arg-type]


@pytest.mark.parametrize("normalize", [True, False])
def test_the_measures_are_those_of_scikit_learn(blobs: Blobs, normalize: bool) -> None:
    points = blobs(n=700, d=6) + np.float32(2)
    outcome = grouped(points, normalize=normalize)
    space = points.astype(np.float64)
    space = space / np.linalg.norm(space, axis=1)[:, None] if normalize else space
    metric = "cosine" if normalize else "euclidean"

    metrics = outcome.metrics

    assert metrics["silhouette_score"] == pytest.approx(
        silhouette_score(space, outcome.labels, metric=metric), abs=1e-5
    )
    assert metrics["davies_bouldin_index"] == pytest.approx(davies_bouldin_score(space, outcome.labels), rel=1e-4)
    assert metrics["calinski_harabasz_score"] == pytest.approx(calinski_harabasz_score(space, outcome.labels), rel=1e-4)
    assert "silhouette_sampled" not in metrics


def test_noise_is_left_out_and_counted(blobs: Blobs) -> None:
    points = blobs(n=600, d=3, centers=4, spread=0.1)
    outcome = compute(points, Plan(algorithm="hdbscan", params={"min_cluster_size": 20}, normalize=False))
    members = outcome.labels >= 0

    metrics = outcome.metrics

    assert 0 < members.mean() < 1
    assert metrics["noise_ratio"] == pytest.approx(1 - members.mean())
    assert metrics["avg_cluster_size"] == pytest.approx(members.sum() / outcome.clusters)
    assert metrics["silhouette_score"] == pytest.approx(
        silhouette_score(points[members], outcome.labels[members]), abs=1e-5
    )


def test_the_silhouette_of_a_single_member_is_zero() -> None:
    points = np.array([[0.0], [1.0], [10.0]], np.float32)

    assert silhouette(points, np.array([0, 0, 1], np.int32), 1) == pytest.approx((9 / 10 + 8 / 9 + 0) / 3)
    assert silhouette(points, np.zeros(3, np.int32), 1) is None


def test_above_twenty_thousand_rows_a_seeded_sample_is_measured_and_reported(blobs: Blobs) -> None:
    points = blobs(n=20_500, d=2)

    metrics = grouped(points, components=0).metrics

    assert metrics["silhouette_sampled"] == 20_000**2 // 20_500
    low, score, high = (metrics[f"silhouette_{name}"] for name in ("low", "score", "high"))
    assert low is not None and score is not None and high is not None
    assert -1 <= low < score < high <= 1


def test_the_entropy_of_equal_sizes_is_the_logarithm_of_their_number() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    outcome = compute(points, Plan(algorithm="kmeans", params={"n_clusters": 4}))

    assert outcome.metrics["cluster_size_entropy"] == pytest.approx(np.log(4))
    assert outcome.metrics["mean_cosine_to_centroid"] == pytest.approx(1)


def test_two_means_at_one_point_leave_an_index_undefined() -> None:
    corners = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], np.float32)
    points = np.concatenate([corners * 5, corners * 0.01])

    metrics = compute(points, Plan(algorithm="kmeans", params={"n_clusters": 2}, normalize=False)).metrics

    assert all(value is None or np.isfinite(value) for value in metrics.values())


POINTS = np.array([[0, 0], [1, 0], [5, 1], [100, 100], [101, 100], [102, 100]], np.float32)


def test_the_mean_the_median_and_the_medoid_of_three_rows() -> None:
    def found(method: str) -> Outcome:
        plan = Plan(
            algorithm="kmeans",
            params={"n_clusters": 2},
            normalize=False,
            centroid_method=method,  # type: ignore[arg-type]
        )
        return compute(POINTS, plan)

    assert found("mean").centroids.tolist() == [[2, pytest.approx(1 / 3)], [101, 100]]
    assert found("median").centroids.tolist() == [[1, 0], [101, 100]]
    assert found("medoid").centroids.tolist() == [[1, 0], [101, 100]]
    assert [list(found(method).medoids) for method in ("mean", "median", "medoid")] == [[1, 4]] * 3
    assert [list(rows) for rows in found("median").representatives] == [[1, 0, 2], [4, 3, 5]]
    assert found("median").distances == pytest.approx([1, 0, np.sqrt(17), 1, 0, 1])


@pytest.mark.parametrize("normalize", [True, False])
def test_medoids_are_the_members_nearest_to_all_members(blobs: Blobs, normalize: bool) -> None:
    points = blobs(n=300, d=4) + np.float32(1)
    outcome = grouped(points, normalize=normalize)
    space = points.astype(np.float64)
    space = space / np.linalg.norm(space, axis=1)[:, None] if normalize else space

    for number, medoid in enumerate(outcome.medoids):
        rows = np.flatnonzero(outcome.labels == number)
        apart = 1 - space[rows] @ space[rows].T
        if not normalize:
            apart = np.linalg.norm(space[rows][:, None] - space[rows], axis=2)
        assert apart[rows == medoid].mean() == pytest.approx(apart.mean(axis=1).min(), abs=1e-6)


def test_opposite_members_leave_a_centroid_without_direction_and_no_nan() -> None:
    points = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]] * 3, np.float32)
    plan = Plan(algorithm="hdbscan", params={"allow_single_cluster": True, "min_cluster_size": 12})

    outcome = compute(points, plan)

    assert list(outcome.sizes) == [12]
    assert outcome.distances == pytest.approx([1.0] * 12)
    assert outcome.cohesion == [(0.0, 0.0)]


def clustered(rows: int, clusters: int, spread: float) -> Grouping:
    """Rows of `clusters` about equal blobs, one row in ten noise."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, clusters, rows).astype(np.int32)
    points = rng.normal(0, 2, (clusters, 6))[labels] + rng.normal(0, spread, (rows, 6))
    labels[::10] = -1
    return of_labels(points.astype(np.float32), labels)


def of_labels(points: Points, labels: NDArray[np.int32]) -> Grouping:
    means = cluster_means(points, labels, int(labels.max()) + 1)
    memberships = measure_memberships(points, labels, means.astype(np.float32), "euclidean")
    return Grouping(points, labels, means, memberships, "euclidean")


@pytest.mark.parametrize(("clusters", "spread"), [(2, 2.0), (12, 0.3), (12, 2.0), (200, 0.5)])
def test_the_interval_of_a_sampled_silhouette_mostly_holds_the_one_of_all_rows(
    monkeypatch: pytest.MonkeyPatch, clusters: int, spread: float
) -> None:
    grouping = clustered(2000, clusters, spread)
    exact = silhouette(grouping.points, grouping.labels, 2)
    members = grouping.labels >= 0
    assert exact == pytest.approx(silhouette_score(grouping.points[members], grouping.labels[members]), abs=1e-5)
    monkeypatch.setattr("shoal.engine.clusters.quality._MAX_EXACT", 600)
    monkeypatch.setattr("shoal.engine.clusters.quality._MIN_SAMPLE", 100)

    measures = [measure(grouping, seed, 1) for seed in range(120)]

    assert {one["silhouette_sampled"] for one in measures} == {200}
    low, score, high = (np.array([one[f"silhouette_{name}"] for one in measures]) for name in ("low", "score", "high"))
    assert 0.88 <= np.mean((low <= exact) & (exact <= high)) <= 0.995
    assert abs(score.mean() - exact) < 4 * score.std() / np.sqrt(len(measures))
    assert 0.005 < (high - low).mean() < 0.1


def test_any_order_of_rows_gives_the_same_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    one = clustered(1000, 5, 1.0)
    order = np.random.default_rng(0).permutation(1000)
    monkeypatch.setattr("shoal.engine.clusters.quality._MAX_EXACT", 300)
    monkeypatch.setattr("shoal.engine.clusters.quality._MIN_SAMPLE", 50)

    first, second = (measure(grouping, 7, 1) for grouping in (one, of_labels(one.points[order], one.labels[order])))

    assert first["silhouette_sampled"] == 100
    for name in ("score", "low", "high"):
        assert first[f"silhouette_{name}"] == pytest.approx(second[f"silhouette_{name}"], abs=1e-6)


def test_silhouettes_of_some_rows_are_those_they_have_among_all() -> None:
    grouping = clustered(9000, 30, 1.0)
    members = np.flatnonzero(grouping.labels >= 0)
    points = grouping.points + np.float32(1000)
    rows = np.array([8999, 1, 4001, 17], np.int64)

    theirs = silhouette_samples(points[members].astype(np.float64), grouping.labels[members])

    some = silhouettes(points, grouping.labels, 2, rows)
    assert some == pytest.approx(theirs[np.searchsorted(members, rows)], abs=1e-4)
    assert silhouettes(points, grouping.labels, 2) == pytest.approx(theirs, abs=1e-4)

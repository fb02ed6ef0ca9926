"""Guarantees shared by all algorithms."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.engine import ALGORITHMS, Outcome, Plan, compute
from shoal.errors import Cancelled, InvalidField

pytestmark = pytest.mark.slow

Points = NDArray[np.float32]
each = pytest.mark.parametrize("name", sorted(ALGORITHMS))
PARAMS: dict[str, dict[str, object]] = {"kmeans": {"n_clusters": 4, "n_init": 2}, "hdbscan": {"min_cluster_size": 5}}


def rows_around(seed: int, n: int = 120, d: int = 5) -> Points:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(3, d)) * 5
    rows: Points = (centers[rng.integers(0, 3, n)] + rng.normal(size=(n, d))).astype(np.float32)
    return rows


def plan(name: str, **given: object) -> Plan:
    params = PARAMS.get(name, {})
    return Plan(**{"algorithm": name, "params": params, "threads": 1, "normalize": False, **given})  # type: ignore[arg-type]


def assert_sound(outcome: Outcome, total: int, columns: int) -> None:
    """Check the guarantees of every outcome, whatever the rows."""
    k = outcome.clusters
    assert outcome.labels.shape == (total,) and outcome.labels.dtype == np.int32
    assert set(outcome.labels[outcome.labels >= 0].tolist()) == set(range(k))
    assert list(outcome.sizes) == sorted(outcome.sizes, reverse=True)
    assert outcome.centroids.shape == (k, columns) and np.isfinite(outcome.centroids).all()
    assert outcome.strengths.shape == (total,) and np.isfinite(outcome.strengths).all()
    assert ((outcome.strengths >= 0) & (outcome.strengths <= 1)).all()
    assert (outcome.strengths[outcome.labels < 0] == 0).all()
    assert np.array_equal(np.isnan(outcome.distances), outcome.labels < 0)
    assert (outcome.distances[outcome.labels >= 0] >= 0).all()
    assert list(outcome.labels[outcome.medoids]) == list(range(k))
    assert [set(outcome.labels[rows].tolist()) for rows in outcome.representatives] == [{n} for n in range(k)]
    assert outcome.coordinates is not None and np.isfinite(outcome.coordinates).all()
    assert all(value is None or np.isfinite(value) for value in outcome.metrics.values())
    assert len(outcome.cohesion) == k
    assert all(-1 <= lowest <= mean + 1e-9 <= 1 + 2e-9 for mean, lowest in outcome.cohesion)


@each
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_outcomes_are_sound_and_repeatable_and_the_input_is_not_modified(name: str, seed: int) -> None:
    points = rows_around(seed)
    before = points.copy()

    one, two = compute(points, plan(name)), compute(points, plan(name))

    assert_sound(one, 120, 5)
    assert np.array_equal(one.labels, two.labels) and np.array_equal(one.strengths, two.strengths)
    assert np.array_equal(points, before)


@each
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    rows = (
        1500 if name in ("spectral", "agglomerative") else 4200
    )  # a block is 4,096; time grows with the square of the fewer
    points = rows_around(1, n=rows, d=8)

    one, three = compute(points, plan(name, threads=1)), compute(points, plan(name, threads=3))

    assert np.array_equal(one.labels, three.labels)
    assert np.array_equal(one.strengths, three.strengths)
    assert np.array_equal(one.centroids, three.centroids)
    assert one.coordinates is not None and three.coordinates is not None
    assert np.array_equal(one.coordinates, three.coordinates)
    assert one.metrics == three.metrics


DEGENERATE: dict[str, Points] = {
    "no rows": np.zeros((0, 3), np.float32),
    "one row": np.ones((1, 3), np.float32),
    "two rows": np.array([[0, 1], [5, 1]], np.float32),
    "all equal": np.ones((40, 3), np.float32),
    "two values": np.repeat(np.array([[1, 2], [9, 2]], np.float32), 20, axis=0),
    "one column": np.arange(30, dtype=np.float32)[:, None] + 1,
    "a constant column": np.column_stack([np.ones(50), np.random.default_rng(0).normal(size=50)]).astype(np.float32),
    "wide": np.random.default_rng(0).normal(size=(12, 1500)).astype(np.float32),
    "tiny numbers": np.full((30, 2), 1e-40, np.float32) * np.arange(1, 31, dtype=np.float32)[:, None],
    "large numbers": np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) * np.float32(1e14),
    "far from the origin": np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) + np.float32(1e5),
    "opposite": np.repeat(np.array([[1, 0], [-1, 0]], np.float32), 15, axis=0),
}


@each
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("centroid_method", ["mean", "median", "medoid"])
@pytest.mark.parametrize("case", sorted(DEGENERATE))
def test_degenerate_rows_have_a_valid_result(name: str, case: str, normalize: bool, centroid_method: str) -> None:
    points = DEGENERATE[case]

    outcome = compute(points, plan(name, normalize=normalize, centroid_method=centroid_method, components=3))

    assert_sound(outcome, *points.shape)


@each
def test_a_shifted_copy_gives_the_same_partition(name: str) -> None:
    """k-means draws its starts from the content of the rows, so use enough starts to find the best partition twice."""
    points = np.round(rows_around(3) * 64) / 64
    if name in ("optics", "spectral"):
        pytest.skip("where it starts is chosen by the numbers in the rows")
    how = plan(name, params={"n_clusters": 4, "n_init": 40}) if name == "kmeans" else plan(name)

    moved = compute(points + np.float32(1024), how)

    assert np.array_equal(compute(points, how).labels, moved.labels)


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(name: str, bad: float) -> None:
    points = rows_around(0)
    points[17, 2] = bad

    with pytest.raises(InvalidField, match="vectors: row 17"):
        compute(points, plan(name))


@each
def test_a_zero_row_is_rejected_only_if_rows_are_normalized(name: str) -> None:
    points = rows_around(0)
    points[5] = 0

    with pytest.raises(InvalidField, match="row 5 is all zeros"):
        compute(points, plan(name, normalize=True))
    assert_sound(compute(points, plan(name)), 120, 5)


@each
def test_numbers_too_large_for_distances_are_rejected_unless_normalized(name: str) -> None:
    points = rows_around(0) * np.float32(1e20)

    with pytest.raises(InvalidField, match="beyond 1e"):
        compute(points, plan(name))
    assert_sound(compute(points, plan(name, normalize=True)), 120, 5)


@each
def test_float64_and_column_major_input_give_the_same_result_as_float32(name: str) -> None:
    points = rows_around(2)

    other = compute(np.asfortranarray(points.astype(np.float64)), plan(name))

    assert np.array_equal(other.labels, compute(points, plan(name)).labels)


@each
def test_a_read_only_memory_map_is_accepted(name: str, tmp_path: Path) -> None:
    points = rows_around(4)
    points /= np.linalg.norm(points, axis=1)[:, None]
    np.save(tmp_path / "rows.npy", points)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")

    for normalize in (True, False):
        assert_sound(compute(mapped, plan(name, normalize=normalize)), 120, 5)


@pytest.mark.parametrize("name", ["hdbscan", "kmeans"])  # test_degenerate.py asks all methods
def test_a_sample_is_fitted_and_the_other_rows_are_assigned(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 3
    points = (np.eye(3)[truth] * 10 + rng.normal(size=(600, 3)) * 0.4).astype(np.float32)
    params = {"n_clusters": 3} if name == "kmeans" else {"min_cluster_size": 20}

    outcome = compute(points, plan(name, params=params, sample_size=150))

    assert outcome.fitted == 150 and not outcome.exact
    assert any("sample of 150 of 600" in sentence for sentence in outcome.warnings)
    assert_sound(outcome, 600, 3)
    members = outcome.labels >= 0
    assert members.mean() > 0.9
    pairs = set(zip(outcome.labels[members].tolist(), truth[members].tolist(), strict=True))
    assert len(pairs) == 3 and outcome.clusters == 3


@each
def test_a_sample_larger_than_the_rows_is_all_rows(name: str) -> None:
    points = rows_around(0)

    outcome = compute(points, plan(name, sample_size=1000))

    assert outcome.fitted == 120 and outcome.exact
    assert np.array_equal(outcome.labels, compute(points, plan(name)).labels)


@each
def test_progress_moves_forward_through_the_stages_and_may_cancel(name: str) -> None:
    reports: list[tuple[str, float]] = []
    compute(rows_around(0), plan(name), lambda stage, fraction: reports.append((stage, fraction)))
    stages = list(dict.fromkeys(stage for stage, _ in reports))

    def stop(stage: str, fraction: float) -> None:
        if stage == "cluster" and fraction > 0:
            raise Cancelled("stop")

    assert stages == ["cluster", "describe", "layout"]
    for stage in stages:
        fractions = [fraction for name_, fraction in reports if name_ == stage]
        assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    with pytest.raises(Cancelled):
        compute(rows_around(0, n=3000), plan(name, threads=2), stop)


def test_an_unknown_algorithm_is_rejected_with_its_name() -> None:
    with pytest.raises(InvalidField, match=r"algorithm: is not known, got 'dbscann'. Did you mean 'dbscan'\? Use aggl"):
        compute(rows_around(0), Plan(algorithm="dbscann"))


def test_an_empty_sample_and_an_unknown_centroid_method_are_rejected() -> None:
    with pytest.raises(InvalidField, match="sample_size"):
        compute(rows_around(0), plan("kmeans", sample_size=0))
    with pytest.raises(InvalidField, match="centroid_method"):
        compute(rows_around(0), plan("kmeans", centroid_method="mode"))


def test_clusters_are_numbered_by_size_and_ties_by_first_row() -> None:
    points = np.array([[9, 0], [0, 9], [0, 9.1], [9.1, 0], [5, 5], [5, 5.1], [5.1, 5]], np.float32)

    outcome = compute(points, Plan(algorithm="kmeans", params={"n_clusters": 3}, normalize=False))

    assert list(outcome.labels) == [1, 2, 2, 1, 0, 0, 0]


def test_rows_of_unit_length_are_used_in_place_and_others_are_scaled() -> None:
    points = np.array([[3, 4], [6, 8], [-1, 0.1], [-2, 0.2]], np.float32)

    outcome = compute(points, Plan(algorithm="kmeans", params={"n_clusters": 2}))

    assert list(outcome.labels) == [0, 0, 1, 1]
    assert outcome.distance_metric == "cosine"
    assert outcome.centroids[0] == pytest.approx([0.6, 0.8], abs=1e-6)
    assert outcome.distances == pytest.approx([0, 0, 0, 0], abs=1e-6)

"""Assigning new rows to a clustering: checked by hand, alone and in a batch, and for rows that fit no cluster."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared_data import load, vectors
from shoal.columns import Points
from shoal.engine import kernels
from shoal.engine.algorithms import Fit, find_algorithm
from shoal.engine.assignments import Assignments
from shoal.engine.clustering import compute
from shoal.engine.clusters.centroids import cluster_means, measure_memberships
from shoal.engine.density.core_points import CorePoints
from shoal.engine.plan import DistanceMetric, Plan, ignore_progress
from shoal.engine.prediction import Assigner, compute_reaches
from shoal.engine.rows.geometry import unit_rows
from shoal.errors import Cancelled, InvalidField

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
METRICS: list[DistanceMetric] = ["euclidean", "cosine"]


@contextmanager
def plain() -> Iterator[None]:
    with patch.object(kernels, "native", lambda: None):
        yield


@st.composite
def tables(draw: st.DrawFn) -> tuple[Points, Points]:
    """Fitted rows or centroids, and new rows: odd widths, ties, copies, tiny, huge, far from the origin, far away."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, width = draw(st.integers(1, 60)), draw(st.sampled_from([1, 2, 3, 8, 33]))
    scale = draw(st.sampled_from([1.0, 1e-30, 1e-18, 1e7]))
    offset = draw(st.sampled_from([0.0, 0.0, 1000.0]))
    middle = 4 * rng.normal(size=(4, width))
    old, new = (middle[rng.integers(0, 4, size)] + rng.normal(size=(size, width)) for size in (count, 25))
    if draw(st.booleans()):
        old, new = np.round(old), np.round(new)
    if draw(st.booleans()):
        old[rng.random(count) < 0.4] = old[0]
    new[:6] = old[rng.integers(0, count, 6)]
    new[6:9] *= 1e3
    return ((old + offset) * scale).astype(np.float32), ((new + offset) * scale).astype(np.float32)


def one_by_one(place: Assigner | Fit, rows: Points) -> Assignments:
    parts = [place.assign(rows[row : row + 1], 1, ignore_progress) for row in range(len(rows))]
    return Assignments(
        np.concatenate([part.labels for part in parts]), np.concatenate([part.strengths for part in parts])
    )


def same(left: Assignments, right: Assignments) -> bool:
    return np.array_equal(left.labels, right.labels) and np.array_equal(left.strengths, right.strengths)


def away(rows: Points, others: Points) -> NDArray[np.float64]:
    """(n, m) Euclidean distances by differences in float64."""
    squares: NDArray[np.float64] = ((rows[:, None].astype(np.float64) - others[None]) ** 2).sum(axis=2)
    return np.sqrt(squares)


@given(tables(), st.floats(0, 2))
@QUICK
def test_a_row_goes_to_the_nearest_centroid_within_reach_alone_and_in_a_batch(
    given_: tuple[Points, Points], share: float
) -> None:
    centroids, rows = given_
    distances = away(rows, centroids)
    reach = np.linspace(0.5, 1.5, len(centroids)) * share * np.median(distances)

    assigner = Assigner.of(centroids, metric="euclidean", reach=reach)
    batch = assigner.assign(rows, 2, ignore_progress)
    with plain():
        reference = Assigner.of(centroids, metric="euclidean", reach=reach).assign(rows, 1, ignore_progress)

    assert same(batch, one_by_one(assigner, rows)) and same(batch, reference)
    nearest = distances.min(axis=1)
    everywhere = Assigner.of(centroids, metric="euclidean").assign(rows, 1, ignore_progress).labels
    assert np.allclose(distances[np.arange(len(rows)), everywhere], nearest, rtol=1e-12, atol=0)
    ratio = nearest - reach[everywhere]
    clear = np.abs(ratio) > 1e-4 * (nearest + reach[everywhere])
    assert np.array_equal(batch.labels[clear] == -1, (ratio > 0)[clear])
    assert ((batch.labels == -1) | (batch.labels == everywhere)).all()
    assert (
        (batch.strengths >= 0).all() and (batch.strengths <= 1).all() and (batch.strengths[batch.labels < 0] == 0).all()
    )


@pytest.mark.parametrize("metric", METRICS)
def test_rows_in_many_blocks_are_assigned_as_if_alone(metric: DistanceMetric) -> None:
    rng = np.random.default_rng(1)
    centroids = rng.normal(size=(300, 40)).astype(np.float32)
    rows = rng.normal(size=(3000, 40)).astype(np.float32)
    rows[::7] = centroids[rng.integers(0, 300, len(rows[::7]))] * np.float32(1.0000001)
    assigner = Assigner.of(centroids, metric=metric, reach=np.full(300, 0.5 if metric == "cosine" else 6.5))

    batch = assigner.assign(rows, 2, ignore_progress)

    assert same(batch, assigner.assign(rows, 1, ignore_progress))
    some = np.concatenate([np.arange(0, 3000, 11), np.arange(0, 3000, 70)])
    alone = one_by_one(assigner, rows[some])
    assert np.array_equal(alone.labels, batch.labels[some]) and np.array_equal(alone.strengths, batch.strengths[some])
    once = Assigner.of(centroids, metric=metric, reach=assigner.reach).assign(rows, 2, ignore_progress)
    assert same(batch, once)
    assert 0.05 < (batch.labels >= 0).mean() < 0.95


def test_cosine_depends_on_directions_only() -> None:
    centroids = np.array([[1, 0], [0, 5], [0, 0]], np.float32)
    rows = np.array([[10, 1], [0.1, 1], [-1, -1.1]], np.float32)

    assigner = Assigner.of(centroids, metric="cosine", reach=np.array([0.1, 0.1, 9]))

    assert assigner.assign(rows, 1, ignore_progress).labels.tolist() == [0, 1, -1]
    with pytest.raises(InvalidField, match=r"row 1 is all zeros"):
        assigner.assign(np.array([[1, 0], [0, 0]]), 1, ignore_progress)


def test_scaling_a_row_does_not_depend_on_the_other_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    rows[::2] = unit_rows(rows[::2])

    together = unit_rows(rows)

    assert all(np.array_equal(unit_rows(rows[row : row + 1])[0], together[row]) for row in range(50))
    assert np.array_equal(together[::2], rows[::2])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (np.zeros((2, 4)), "must have 3 dimensions"),
        (np.zeros(3), "must be a table"),
        (np.array([[0, np.nan, 0]]), "no finite"),
        (np.full((1, 3), 1e16), "beyond 1e"),
    ],
)
def test_invalid_rows_are_rejected(rows: NDArray[np.float64], problem: str) -> None:
    with pytest.raises(InvalidField, match=problem):
        Assigner.of(np.eye(3, dtype=np.float32), metric="euclidean").assign(rows, 1, ignore_progress)


def test_no_rows_and_no_centroids_have_a_result() -> None:
    none = np.zeros((0, 3), np.float32)
    assert len(Assigner.of(np.eye(3, dtype=np.float32), metric="cosine").assign(none, 1, ignore_progress).labels) == 0
    for metric in METRICS:
        found = Assigner.of(none, metric=metric).assign(np.ones((2, 3)), 1, ignore_progress)
        assert found.labels.tolist() == [-1, -1] and found.strengths.tolist() == [0, 0]
    with pytest.raises(InvalidField, match="one number for each cluster"):
        Assigner.of(np.eye(3, dtype=np.float32), metric="cosine", reach=np.ones(2))


def test_a_cancelled_assignment_raises_the_exception_of_the_callback() -> None:
    def stop(_: str, fraction: float) -> None:
        if fraction > 0.3:
            raise Cancelled("asked to stop")

    rows = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    with pytest.raises(Cancelled):
        Assigner.of(rows[:9], metric="euclidean").assign(rows, 2, stop)


def test_a_reach_is_the_farthest_ordinary_member_and_excludes_outliers() -> None:
    rng = np.random.default_rng(0)
    distances = np.concatenate([rng.uniform(1, 2, 999), [50], rng.uniform(10, 11, 500), [7], [np.nan]])
    labels = np.repeat([0, 1, 2, -1], [1000, 500, 1, 1])

    reach = compute_reaches(distances, labels.astype(np.int32), 5, metric="euclidean")

    assert np.allclose(reach[:2], [2, 11], rtol=0.01)
    assert reach[2] == reach[3] == reach[4] == np.median(reach[:2])
    angles = compute_reaches(distances / 100, labels.astype(np.int32), 5, metric="cosine")
    assert np.allclose(angles[:2], [0.02, 0.11], rtol=0.01)


def test_clusters_without_spread_take_the_reach_of_the_others_or_any() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2], np.int32)
    distances = np.array([1.0, 1.0, 1.0, 0.0, 1e-9, 0.0, 0.0])
    assert np.allclose(compute_reaches(distances, labels, 3, metric="euclidean"), np.sqrt(2))
    assert np.isinf(compute_reaches(np.zeros(7), labels, 3, metric="cosine")).all()
    assert np.isinf(compute_reaches(np.full(3, np.nan), np.full(3, -1, np.int32), 2, metric="euclidean")).all()
    assert compute_reaches(np.zeros(0), np.zeros(0, np.int32), 0, metric="euclidean").shape == (0,)


@pytest.mark.parametrize("metric", METRICS)
def test_the_share_of_new_rows_of_a_known_group_that_fit_is_high(metric: DistanceMetric) -> None:
    rng = np.random.default_rng(4)
    middle = rng.normal(size=(40, 30)) * 2
    sizes = rng.integers(4, 80, 40)
    rows = (middle.repeat(sizes, axis=0) + rng.normal(size=(sizes.sum(), 30))).astype(np.float32)
    labels = np.repeat(np.arange(40), sizes).astype(np.int32)
    space = unit_rows(rows) if metric == "cosine" else rows
    means = cluster_means(space, labels, 40).astype(np.float32)
    reach = compute_reaches(measure_memberships(space, labels, means, metric).distance, labels, 40, metric=metric)

    new = (middle[np.arange(4000) % 40] + rng.normal(size=(4000, 30))).astype(np.float32)
    found = Assigner.of(means, metric=metric, reach=reach).assign(new, 2, ignore_progress).labels
    stray = (
        Assigner.of(means, metric=metric, reach=reach).assign(rng.normal(size=(500, 30)) * 9, 2, ignore_progress).labels
    )

    assert (found == np.arange(4000) % 40).mean() > 0.9
    assert (stray >= 0).mean() < 0.05


def by_hand(
    points: Points,
    copies: NDArray[np.int64],
    core: NDArray[np.float64],
    joined: NDArray[np.bool_],
    few: int,
    row: Points,
) -> tuple[int, float]:
    """Where one row joins, by sorting all distances."""
    distance = away(row[None], points)[0]
    around = np.sort(np.repeat(distance, copies))
    own = around[few - 1]
    reach = np.maximum(np.maximum(distance, core), own)
    order = np.lexsort((np.arange(len(points)), distance, reach, ~joined))
    return int(order[0]), float(reach[order[0]])


@given(tables(), st.integers(1, 12), st.integers(0, 2**32 - 1))
@QUICK
def test_a_row_joins_at_the_smallest_mutual_reachability_alone_and_in_a_batch(
    given_: tuple[Points, Points], few: int, seed: int
) -> None:
    old, rows = given_
    points, copies = np.unique(old + np.float32(0), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    few = min(few, len(old))
    core = np.array(
        [by_hand(points, copies, np.zeros(len(points)), np.ones(len(points), bool), few, row)[1] for row in points]
    )
    joined = rng.random(len(points)) < 0.7
    joined[0] = True

    fitted = CorePoints.of(points, copies, core, joined, few)
    batch = fitted.join(rows, np.inf, 2, ignore_progress)
    alone = [fitted.join(rows[row : row + 1], np.inf, 1, ignore_progress) for row in range(len(rows))]
    with plain():
        reference = CorePoints.of(points, copies, core, joined, few).join(rows, np.inf, 1, ignore_progress)

    expected = [by_hand(points, copies, core, joined, few, row) for row in rows]
    assert np.allclose(batch.away, [distance for _, distance in expected], rtol=1e-12, atol=0)
    assert joined[batch.rows].all()
    for other in (np.concatenate([one.rows for one in alone]), reference.rows):
        assert np.array_equal(batch.rows, other)
    for reported in (np.concatenate([one.away for one in alone]), reference.away):
        assert np.array_equal(batch.away, reported)
    limit = float(np.median(batch.away))
    near = fitted.join(rows, limit, 1, ignore_progress)
    inside = batch.away <= limit
    assert np.array_equal(near.rows[inside], batch.rows[inside])


def fitted(points: Points, algorithm: str, **params: object) -> Fit:
    method = find_algorithm(algorithm)
    return method.fit(points, method.params(**params), seed=0, threads=2, progress=ignore_progress)


@pytest.mark.parametrize("params", [{}, {"min_samples": 1}, {"metric": "cosine", "alpha": 1.5}, {"min_samples": 40}])
def test_hdbscan_assigns_rows_independently_of_other_rows_and_of_row_order(params: dict[str, object]) -> None:
    points = unit_rows(vectors(load("banking77")))[:1580]
    old, new = points[:1500], points[1500:1580]
    order = np.random.default_rng(0).permutation(len(old))
    fit, shuffled = fitted(old, "hdbscan", **params), fitted(old[order], "hdbscan", **params)

    batch = fit.assign(new, 2, ignore_progress)

    assert same(batch, one_by_one(fit, new)) and same(
        batch, pickle.loads(pickle.dumps(fit)).assign(new, 1, ignore_progress)
    )
    again = shuffled.assign(new, 1, ignore_progress)
    assert np.array_equal(batch.labels == -1, again.labels == -1) and np.array_equal(batch.strengths, again.strengths)
    inside = batch.labels >= 0
    pairs = set(zip(batch.labels[inside].tolist(), again.labels[inside].tolist(), strict=True))
    assert len(pairs) == len(set(batch.labels[inside].tolist())) and 0 < inside.mean() < 1


@pytest.mark.parametrize("algorithm", ["hdbscan", "kmeans", "auto"])
@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((1, 3)),
        np.ones((30, 3)),
        np.repeat(np.eye(3), 20, axis=0),
        np.arange(20.0)[:, None],
        np.random.default_rng(0).normal(size=(60, 2)) * 1e-40,
        np.random.default_rng(0).normal(size=(60, 2)) + 1e6,
    ],
    ids=["one row", "all equal", "three values", "one column", "subnormal", "far from the origin"],
)
@pytest.mark.parametrize("single", [False, True])
def test_new_rows_are_assigned_after_degenerate_fits(rows: NDArray[np.float64], algorithm: str, single: bool) -> None:
    points = rows.astype(np.float32)
    fit = fitted(points, algorithm, **({"allow_single_cluster": single} if algorithm == "hdbscan" else {}))
    new = np.concatenate([points, points[:1] + np.float32(1), points[:1] * np.float32(-1e9), np.zeros_like(points[:1])])

    found = fit.assign(new, 2, ignore_progress)

    assert set(found.labels.tolist()) <= {-1, *fit.assignments.labels.tolist()}
    assert np.isfinite(found.strengths).all() and (found.strengths >= 0).all() and (found.strengths <= 1).all()
    assert same(found, one_by_one(fit, new))
    assert len(fit.assign(points[:0], 1, ignore_progress).labels) == 0


@pytest.mark.shared_data
def test_sentences_out_of_scope_fit_less_often_than_new_ones_of_known_intents() -> None:
    table = load("clinc150")
    points = unit_rows(vectors(table))
    labels = np.array(table.column("label").to_pylist())
    outside = (labels == "oos") | (labels == "-1")
    known = np.random.default_rng(0).random(len(points)) < 0.5
    outcome = compute(
        points[known & ~outside], Plan(algorithm="kmeans", params={"n_clusters": 150, "n_init": 1}, components=0)
    )
    reach = compute_reaches(outcome.distances, outcome.labels, outcome.clusters, metric="cosine")
    assigner = Assigner.of(outcome.centroids, metric="cosine", reach=reach)

    inside, beyond = (
        (assigner.assign(points[rows], 2, ignore_progress).labels >= 0).mean() for rows in (~known & ~outside, outside)
    )

    assert inside > 0.95 and beyond < 0.4

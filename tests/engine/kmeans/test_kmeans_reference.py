"""The compiled k-means and the reference agree, and neither depends on threads or row order."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from shared_data import load, vectors
from shoal.engine import kernels
from shoal.engine.algorithms import kmeans
from shoal.engine.algorithms.base import Fit
from shoal.engine.algorithms.kmeans import KMeansParams
from shoal.engine.kmeans import batches, centers, starts
from shoal.engine.kmeans.centers import encode_rows, find_two_nearest, start_assignment
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.coding import encode
from shoal.engine.rows.exact_sums import choose_quantum, move_rows, squared_distances
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.row_keys import row_keys

Points = NDArray[np.float32]
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
needs_core = pytest.mark.skipif(kernels.native() is None, reason="no compiled core")


@contextmanager
def plain() -> Iterator[None]:
    with patch.object(kernels, "native", lambda: None):
        yield


@contextmanager
def codes_always() -> Iterator[None]:
    with patch.object(centers, "MIN_CODED_PRODUCTS", 0):
        yield


@st.composite
def rows(draw: st.DrawFn) -> Points:
    """Odd widths, few rows, blobs; some rows doubled, some all zero, some scaled far up or down, some offset."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count, width = draw(st.integers(1, 70)), draw(st.sampled_from([1, 2, 3, 7, 8, 13, 33, 100]))
    table = rng.normal(size=(count, width)) + 4 * rng.normal(size=(5, width))[rng.integers(0, 5, count)]
    if draw(st.booleans()):
        table = np.round(table)
    if draw(st.booleans()):
        table[rng.random(count) < 0.3] = table[0]
    if draw(st.booleans()):
        table[rng.random(count) < 0.2] = 0
    if draw(st.booleans()):
        table[rng.random(count) < 0.1] *= 1e6
    scale = draw(st.sampled_from([1.0, 1e-30, 1e-18, 1e7]))
    return (table * scale + draw(st.sampled_from([0.0, 0.0, 300 * scale]))).astype(np.float32)


def by_hand(points: Points, middles: Points) -> NDArray[np.float64]:
    """(n, k) squared distances in float64, by the formula that defines the result."""
    rows, numbers = np.divmod(np.arange(len(points) * len(middles)), len(middles))
    with plain():
        return squared_distances(points, rows, middles, numbers.astype(np.int32), 1).reshape(len(points), -1)


@given(rows(), st.integers(1, 80), st.integers(0, 99))
@QUICK
def test_the_two_nearest_centers_are_those_of_all_distances(points: Points, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    middles = points[rng.integers(0, len(points), k)]
    squares = by_hand(points, middles)

    with codes_always():
        found = find_two_nearest(points, middles, 2, None)
    with plain():
        reference = find_two_nearest(points, middles, 2, None)

    assert np.array_equal(found.labels, squares.argmin(axis=1))
    expected = np.sort(squares, axis=1)[:, :2] if k > 1 else np.c_[squares, np.full(len(points), np.inf)]
    assert np.array_equal(found.squares, expected)
    assert np.array_equal(reference.labels, found.labels) and np.array_equal(reference.squares, found.squares)


@given(rows(), st.integers(1, 80), st.integers(0, 99), st.floats(0.0, 1.0))
@QUICK
def test_labels_stay_those_of_all_distances_while_centers_move(points: Points, k: int, seed: int, pace: float) -> None:
    rng = np.random.default_rng(seed)
    middles = points[rng.integers(0, len(points), k)]
    labels = np.full(len(points), -1)
    with codes_always():
        state = start_assignment(points, encode_rows(points, k, 1), k, 2)
        for step in range(6):
            moved, left, came = state.step(middles, None)
            assert np.array_equal(labels[moved], left) and (np.diff(moved) > 0).all()
            labels[moved] = came
            assert np.array_equal(labels, by_hand(points, middles).argmin(axis=1))
            share = np.float32(pace * rng.random() / 4**step)
            middles = middles + share * (points[rng.integers(0, len(points), k)] - middles)


@pytest.mark.parametrize(("count", "width", "k"), [(3000, 40, 300), (1700, 130, 90), (40, 3072, 9), (900, 1, 33)])
def test_labels_are_exact_over_several_blocks_of_rows(count: int, width: int, k: int) -> None:
    rng = np.random.default_rng(width)
    middle = rng.normal(size=(20, width)) * 2
    points = (middle[rng.integers(0, 20, count)] + rng.normal(size=(count, width))).astype(np.float32)
    middles = points[rng.choice(count, k, replace=False)]
    with codes_always():
        state = start_assignment(points, encode_rows(points, k, 2), k, 2)
        labels = np.full(count, -1, np.int32)
        for _ in range(8):
            moved, _, came = state.step(middles, None)
            labels[moved] = came
            assert np.array_equal(labels, by_hand(points, middles).argmin(axis=1))
            sums = np.zeros((k, width))
            np.add.at(sums, labels, points)
            sizes = np.bincount(labels, minlength=k)[:, None]
            middles = np.where(sizes > 0, sums / np.maximum(sizes, 1), middles).astype(np.float32)


@given(rows(), st.integers(1, 9), st.integers(0, 99))
@QUICK
def test_sums_depend_neither_on_row_order_nor_on_the_implementation(points: Points, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    came = rng.integers(0, k, len(points)).astype(np.int32)
    none, all_rows = np.full(len(points), -1, np.int32), np.arange(len(points))
    quantum = choose_quantum(float(np.abs(points).max()), len(points))
    zero = np.zeros((k, points.shape[1]))

    once = move_rows(points, (all_rows, none, came), zero, quantum, 2)
    order = rng.permutation(len(points))
    shuffled = move_rows(points, (order, none, came[order]), zero, quantum, 1)
    with plain():
        reference = move_rows(points, (all_rows, none, came), zero, quantum, 1)
    other = rng.integers(0, k, len(points)).astype(np.int32)
    there = move_rows(points, (all_rows, none, other), zero, quantum, 2)
    back = move_rows(points, (all_rows, other, came), there, quantum, 2)

    assert np.array_equal(once, shuffled) and np.array_equal(once, reference) and np.array_equal(once, back)
    exact = np.zeros_like(zero)
    np.add.at(exact, came, points.astype(np.float64))
    assert np.allclose(once, exact, rtol=0, atol=quantum * len(points))


@given(rows(), st.integers(0, 99))
@QUICK
def test_keys_are_the_same_from_core_and_reference_and_distinguish_rows(points: Points, seed: int) -> None:
    keys = row_keys(points, 2)

    with plain():
        assert np.array_equal(row_keys(points, 1), keys)
    order = np.random.default_rng(seed).permutation(len(points))
    assert np.array_equal(row_keys(points[order], 1), keys[order])
    assert len(np.unique(keys)) == len(np.unique(points + np.float32(0), axis=0))
    assert np.array_equal(row_keys(-np.zeros((1, 3), np.float32), 1), row_keys(np.zeros((1, 3), np.float32), 1))


@needs_core
@given(rows(), st.integers(1, 12), st.integers(0, 99))
@QUICK
def test_starts_are_the_same_from_core_and_reference(points: Points, k: int, seed: int) -> None:
    keys = row_keys(points, 1)
    with codes_always():
        sample = starts.draw_sample(points, keys, k, seed, 2)
        chosen = starts.kmeans_plusplus(sample, k, np.random.default_rng(seed), ignore_progress)
    with plain():
        reference = starts.kmeans_plusplus(sample, k, np.random.default_rng(seed), ignore_progress)

    assert np.array_equal(chosen, reference)


def test_starts_lie_on_different_rows_as_long_as_there_are_any() -> None:
    points = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    points[100:] = points[:100].repeat(3, axis=0)
    sample = starts.draw_sample(points, row_keys(points, 1), 100, 0, 1)

    chosen = starts.kmeans_plusplus(sample, 100, np.random.default_rng(0), ignore_progress)

    assert len(np.unique(sample.points[chosen], axis=0)) == 100


def fitted(points: Points, threads: int = 2, **params: object) -> Fit:
    with one_blas_thread():
        return kmeans.fit(points, KMeansParams(**params), seed=3, threads=threads, progress=ignore_progress)  # type: ignore[arg-type]


def partition(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbered by first appearance."""
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]


@given(rows(), st.integers(2, 30))
@settings(QUICK, max_examples=25)
def test_a_fit_is_the_same_from_core_and_reference_and_on_any_threads(points: Points, k: int) -> None:
    with codes_always():
        fits = [fitted(points, threads, n_clusters=k, n_init=2) for threads in (1, 2, 4)]
    with plain():
        fits.append(fitted(points, n_clusters=k, n_init=2))

    for other in fits[1:]:
        assert np.array_equal(fits[0].assignments.labels, other.assignments.labels)
        assert np.array_equal(fits[0].assignments.strengths, other.assignments.strengths)
        assert fits[0].warnings == other.warnings


@given(rows(), st.integers(2, 30), st.integers(0, 99), st.sampled_from(["k-means++", "random"]))
@settings(QUICK, max_examples=25)
def test_a_fit_of_shuffled_rows_is_the_fit_shuffled(points: Points, k: int, seed: int, init: str) -> None:
    order = np.random.default_rng(seed).permutation(len(points))
    with codes_always():
        straight = fitted(points, n_clusters=k, n_init=2, init=init).assignments
        shuffled = fitted(points[order], n_clusters=k, n_init=2, init=init).assignments

    assert np.array_equal(partition(straight.labels[order]), partition(shuffled.labels))
    assert np.array_equal(straight.strengths[order], shuffled.strengths)


def test_a_fit_of_many_shuffled_rows_is_the_fit_shuffled() -> None:
    rng = np.random.default_rng(1)
    points = (rng.normal(size=(30, 24))[rng.integers(0, 30, 20_000)] + rng.normal(size=(20_000, 24)) * 0.4).astype("f4")
    order = rng.permutation(len(points))

    straight = fitted(points, n_clusters=60, n_init=1, max_iter=12).assignments
    shuffled = fitted(points[order], n_clusters=60, n_init=1, max_iter=12, copy_x=False).assignments

    assert np.array_equal(partition(straight.labels[order]), partition(shuffled.labels))


def test_rows_too_many_for_memory_are_fitted_in_batches_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    middle = rng.normal(size=(12, 16)) * 3
    points = (middle[rng.integers(0, 12, 9000)] + rng.normal(size=(9000, 16)) * 0.5).astype(np.float32)
    whole = fitted(points, n_clusters=12, n_init=3)
    monkeypatch.setattr(kmeans, "_MAX_CODE_BYTES", points.size - 1)
    monkeypatch.setattr(batches, "_BATCH", 1000)

    batched = fitted(points, n_clusters=12, n_init=3)

    assert batched.warnings == ["9,000 rows were fitted by mini-batches: their codes do not fit in memory."]
    assert spread(points, batched) <= 1.05 * spread(points, whole)


def test_a_memory_map_is_fitted_like_the_rows_it_holds(tmp_path: object) -> None:
    points = np.random.default_rng(3).normal(size=(2000, 20)).astype(np.float32)
    np.save(f"{tmp_path}/rows.npy", points)
    mapped = np.load(f"{tmp_path}/rows.npy", mmap_mode="r")

    with codes_always():
        there, here = fitted(mapped, n_clusters=20, n_init=1), fitted(points, n_clusters=20, n_init=1)

    assert np.array_equal(there.assignments.labels, here.assignments.labels)


def spread(points: Points, fit: Fit) -> float:
    """The sum of squared distances to the means of the groups."""
    labels = fit.assignments.labels
    sums = np.zeros((labels.max() + 1, points.shape[1]))
    np.add.at(sums, labels, points.astype(np.float64))
    return float(((points - (sums / np.bincount(labels)[:, None])[labels]) ** 2).sum())


def test_a_cancelled_fit_raises_the_exception_of_the_callback() -> None:
    points = np.random.default_rng(4).normal(size=(6000, 30)).astype(np.float32)

    def stop(_: str, fraction: float) -> None:
        if fraction > 0.35:
            raise InterruptedError

    with codes_always(), pytest.raises(InterruptedError):
        kmeans.fit(points, KMeansParams(n_clusters=300), seed=0, threads=2, progress=stop)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "k"), [("banking77", 77), ("clinc150", 150)])
def test_inertia_on_real_texts_is_not_above_that_of_scikit_learn(name: str, k: int) -> None:
    points = unit_rows(vectors(load(name)))[::4]
    with one_blas_thread():
        theirs = min(KMeans(k, n_init=1, random_state=seed).fit(points).inertia_ for seed in range(4))

    ours = fitted(np.ascontiguousarray(points), n_clusters=k, n_init=4)

    assert spread(points, ours) <= theirs * 1.01


@needs_core
def test_a_few_far_centers_are_not_compared_with_all_rows() -> None:
    """Counted are the pairs of a row and a center that codes leave open; each far row may have one for each center."""
    rng = np.random.default_rng(7)
    k, count = 200, 6000
    middles = rng.normal(size=(k, 48)).astype(np.float32)
    blob = rng.integers(0, k, count)
    noise = rng.normal(size=(count, 48)).astype(np.float32)
    scattered = middles.copy()
    scattered[:2] *= 1000

    before, after = (pairs_left_open(near[blob] + noise, near) for near in (middles, scattered))

    assert after < before + 3 * np.isin(blob, [0, 1]).sum() * k


def pairs_left_open(points: Points, middles: Points) -> int:
    """In three steps with centers that hardly move."""
    core, k = kernels.native(), len(middles)
    with codes_always():
        rows = encode_rows(points, k, 2)
    assert core is not None and rows is not None
    numbers = np.arange(k, dtype=np.int32)
    assignment = core.Assignment(rows.codes, points, rows.order, k, 1 << 20)
    total, drift = 0, None
    for _ in range(3):
        codes = encode(middles, rows.frame, numbers, 1)
        total += assignment.step(codes, middles, numbers, drift, 2, None)[3][1]
        middles = middles + np.float32(1e-3 / np.sqrt(middles.shape[1]))
        drift = np.full(k, 1e-3)
    return total

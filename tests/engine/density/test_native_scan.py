"""Compiled scans against brute force in float64 on rows that are hard to encode, and against the NumPy reference."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared_data import load, vectors
from shoal.engine import Plan, compute, kernels
from shoal.engine.density import reachability
from shoal.engine.density.merge_order import walk
from shoal.engine.density.reachability import find_reachability
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.coding import CERTAINTY, encode, fit_frame, pair_blocks
from shoal.engine.rows.geometry import pair_distances, unit_rows
from shoal.engine.rows.row_keys import sort_by_key
from shoal.errors import Cancelled

Points = NDArray[np.float32]
Places = NDArray[np.int32]
Floats = NDArray[np.float64]

compiled = pytest.mark.skipif(kernels.native() is None, reason="needs the compiled core; this installation has none")


def core() -> ModuleType:
    found = kernels.native()
    assert found is not None
    return found


@st.composite
def hard_points(draw: st.DrawFn, most_rows: int = 260) -> Points:
    """Odd dimensions, fewer rows than a tile, equal rows, zero rows, norms that differ by a factor of a million."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(2, most_rows)), draw(st.sampled_from([1, 2, 3, 7, 8, 31, 33, 96, 100, 130, 385]))
    points = rng.standard_normal((n, d))
    if draw(st.booleans()):
        points += 4 * rng.standard_normal((6, d))[rng.integers(0, 6, n)]
    if draw(st.booleans()):
        points *= np.exp(rng.uniform(-7, 7, n))[:, None]
    if draw(st.booleans()):
        points[rng.random(n) < 0.2] = points[0]
    if draw(st.booleans()):
        points[rng.random(n) < 0.1] = 0
    if draw(st.booleans()):
        points[:, rng.integers(d)] *= 1000  # an outlier dimension
    return (points * draw(st.sampled_from([1e-6, 1.0, 1e5]))).astype(np.float32)


def squares_of(points: Points) -> Floats:
    """(n, n) squared distances as core and reference sum them."""
    rows, columns = (axis.ravel() for axis in np.indices((len(points), len(points))))
    return (pair_distances(points, rows, columns) ** 2).reshape(len(points), -1)


def assert_near(found: Floats, expected: Floats) -> None:
    """Equal up to the square root and back."""
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=0)


@compiled
@settings(max_examples=30, deadline=None)
@given(hard_points(), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_neighbours_are_those_of_all_pairs_equals_by_rank(points: Points, wanted: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(points)).astype(np.int32)
    codes = encode(points, fit_frame(points, core().levels()), order, 1)

    places, squares, _, _ = core().nearest_rows(
        codes, points, order, order, wanted, CERTAINTY, pair_blocks(len(points), core().BLOCK), 2, None
    )

    all_squares = squares_of(points[order])
    np.fill_diagonal(all_squares, np.inf)
    nearest = np.lexsort((np.broadcast_to(order, all_squares.shape), all_squares), axis=1)[:, :wanted]
    there = min(wanted, len(points) - 1)
    assert_near(np.sqrt(squares[:, :there]), np.sqrt(np.take_along_axis(all_squares, nearest, axis=1)[:, :there]))
    if (
        len(np.unique(all_squares)) * 2 == len(points) * (len(points) - 1) + 2
    ):  # without ties the rows are determined too
        assert np.array_equal(places[:, :there], nearest[:, :there])
    assert (places[:, there:] == -1).all() and np.isinf(squares[:, there:]).all()


@compiled
@settings(max_examples=20, deadline=None)
@given(hard_points(), st.integers(0, 2**32 - 1), st.floats(0.1, 1.2))
def test_close_pairs_are_those_within_the_widest_gap(points: Points, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(points)).astype(np.int32)
    lengths = np.sqrt(squares_of(points[order]))
    gaps = rng.uniform(0, scale * float(np.median(lengths)) + 1e-30, len(points) - 1)
    codes = encode(points, fit_frame(points, core().levels()), order, 1)

    left, right, squares, done, _ = core().close_pairs(
        codes, points, order, gaps, None, pair_blocks(len(points), core().BLOCK), 10**9, 2, None
    )

    widest = np.zeros_like(lengths)
    for row in range(len(points) - 1):
        widest[row, row + 1 :] = np.maximum.accumulate(gaps[row:])
    expected = np.argwhere(np.triu(lengths <= widest, 1))
    assert np.array_equal(np.stack([left, right], axis=1), expected)
    assert_near(np.sqrt(squares), lengths[left, right])
    assert done == len(pair_blocks(len(points), core().BLOCK))


@compiled
@settings(max_examples=20, deadline=None)
@given(hard_points(), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_joining_edges_are_the_lightest_between_components(points: Points, wanted: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    component = rng.integers(0, wanted, len(points))
    component = np.argsort(np.argsort(np.bincount(component, minlength=wanted), kind="stable"))[component]
    order = np.argsort(component, kind="stable").astype(np.int32)
    component = component[order].astype(np.int32)
    lengths = np.sqrt(squares_of(points[order]))
    radius = rng.uniform(0, float(np.median(lengths)) + 1e-30, len(points))
    codes = encode(points, fit_frame(points, core().levels()), order, 1)

    left, right, length = core().joining_edges(
        codes, points, order, order, radius, component, int(component.max()) + 1, 2, None
    )

    weights = np.maximum(lengths, np.maximum(radius[:, None], radius))
    weights[component[:, None] == component] = np.inf
    found = np.maximum(length, np.maximum(radius[left], radius[right]))
    for own in range(int(component.max())):
        mine = component == own
        if mine.any():
            lightest = weights[mine].min()
            ends = (component[left] == own) | (component[right] == own)
            assert found[ends].min() == pytest.approx(lightest, rel=1e-12)


def core_and_reference(
    points: Points, min_samples: int, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[NDArray[np.int64], Floats]]:
    _, rows, where = sort_by_key(points, 1)
    walks = []
    for plain in (False, True):
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(kernels, "native", lambda: None)
            edges = find_reachability(
                points, rows, np.bincount(where), min_samples, approximate=False, threads=2, progress=ignore_progress
            )
        walks.append(walk(edges))
    return walks


@compiled
@settings(max_examples=20, deadline=None)
@given(hard_points(), st.integers(1, 30))
def test_the_reference_walks_the_same_way(points: Points, min_samples: int) -> None:
    points = (points / max(float(np.abs(points).max()), 1e-30)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        (one, steps), (two, plain_steps) = core_and_reference(points, min(min_samples, len(points)), patch)

    assert np.array_equal(steps, plain_steps)
    assert np.array_equal(one, two)


@pytest.mark.slow
@compiled
@pytest.mark.parametrize(("n", "d"), [(2500, 24), (1700, 3072), (40, 3072)])
def test_the_reference_walks_the_same_way_over_several_blocks(n: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(d)
    points = (rng.standard_normal((40, d))[rng.integers(0, 40, n)] + 0.4 * rng.standard_normal((n, d))).astype(
        np.float32
    )

    (one, steps), (two, plain_steps) = core_and_reference(points, 6, monkeypatch)

    assert np.array_equal(steps, plain_steps)
    assert np.array_equal(one, two)


@compiled
def test_a_poor_tree_is_improved_during_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    points = (rng.standard_normal((5, 12))[rng.integers(0, 5, 4000)] + rng.standard_normal((4000, 12))).astype(
        np.float32
    )
    monkeypatch.setattr(reachability, "_MAX_PAIRS_PER_ROW", 2)  # full at once, again and again
    monkeypatch.setattr(reachability, "_MIN_BLOCKS", 1)

    (one, steps), (two, plain_steps) = core_and_reference(points, 5, monkeypatch)

    assert np.array_equal(steps, plain_steps)
    assert np.array_equal(one, two)


@compiled
def test_lists_that_leave_clusters_unconnected_are_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    centers = 100 * rng.standard_normal((70, 16))
    points = (np.repeat(centers, 60, axis=0) + rng.standard_normal((4200, 16))).astype(np.float32)

    (one, steps), (two, plain_steps) = core_and_reference(points, 5, monkeypatch)
    found = compute(
        points,
        Plan(algorithm="hdbscan", params={"min_cluster_size": 20, "approximate": True}, normalize=False, components=0),
    )

    assert np.array_equal(steps, plain_steps)
    assert np.array_equal(one, two)
    assert sorted(found.sizes) == [60] * 70
    assert not found.exact


def labels_of(points: Points, threads: int, approximate: bool = False) -> NDArray[np.int32]:
    params = {"min_cluster_size": 10, "approximate": approximate}
    return compute(points, Plan(algorithm="hdbscan", params=params, components=0, threads=threads)).labels


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("approximate", [False, True])
def test_labels_depend_neither_on_threads_nor_on_the_order_of_rows(approximate: bool) -> None:
    points = unit_rows(vectors(load("banking77")))[::2]
    shuffled = np.random.default_rng(0).permutation(len(points))

    labels = labels_of(points, 1, approximate)

    assert labels.max() > 20
    for threads in (2, 4):
        assert np.array_equal(labels_of(points, threads, approximate), labels)
    moved = labels_of(points[shuffled], 2, approximate)
    # Clusters of one size are numbered by their first row, so numbers may be swapped: the groups are the same.
    pairs = np.unique(np.stack([moved, labels[shuffled]]), axis=1)
    assert pairs.shape[1] == len(np.unique(labels))


@pytest.mark.process
@pytest.mark.shared_data
@pytest.mark.parametrize("instructions", ["", *(core().available_instructions() if kernels.native() else [])])
def test_another_process_and_instruction_set_give_the_same_labels(instructions: str, tmp_path: Path) -> None:
    points = unit_rows(vectors(load("clinc150")))[::8]
    np.save(tmp_path / "points.npy", points)
    program = (
        "import sys, numpy as np; from shoal.engine import Plan, compute; "
        "plan = Plan(algorithm='hdbscan', params={'min_cluster_size': 10}, components=0); "
        "np.save(sys.argv[2], compute(np.load(sys.argv[1]), plan).labels)"
    )
    files = [str(tmp_path / "points.npy"), str(tmp_path / "labels.npy")]
    environment = {**os.environ, "SHOAL_INSTRUCTIONS": instructions}
    subprocess.run([sys.executable, "-c", program, *files], check=True, env=environment, timeout=100)

    assert np.array_equal(np.load(tmp_path / "labels.npy"), labels_of(points, 0))


@compiled
def test_rows_may_be_a_map_and_are_not_written_to(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    points = unit_rows(rng.standard_normal((1200, 40)).astype(np.float32))
    np.save(tmp_path / "points.npy", points)
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")

    assert np.array_equal(labels_of(mapped, 2), labels_of(points, 2))


@compiled
def test_a_run_is_cancelled_within_a_scan() -> None:
    points = np.random.default_rng(1).standard_normal((32_000, 64)).astype(np.float32)
    fractions: list[float] = []

    def cancel(stage: str, fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        compute(points, Plan(algorithm="hdbscan", params={"approximate": False}, components=0), cancel)
    assert fractions[-1] < 0.95


@compiled
def test_inconsistent_arrays_are_rejected() -> None:
    points = np.eye(8, dtype=np.float32)
    order = np.arange(8, dtype=np.int32)
    codes = encode(points, fit_frame(points, core().levels()), order, 1)
    pairs = pair_blocks(8, core().BLOCK)

    with pytest.raises(ValueError, match="one entry for each code"):
        core().nearest_rows(codes, points, order[:5], order, 2, 1.0, pairs, 1, None)
    with pytest.raises(ValueError, match="must name blocks"):
        core().nearest_rows(codes, points, order, order, 2, 1.0, pairs + 1, 1, None)
    with pytest.raises(ValueError, match="one less than rows"):
        core().close_pairs(codes, points, order, np.ones(8), None, pairs, 10, 1, None)

"""Core distances that contain many rows, and the few pairs that represent all pairs within them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from shoal.engine import Plan, compute, kernels
from shoal.engine.density import reachability
from shoal.engine.density.merge_order import walk
from shoal.engine.density.reachability import find_reachability
from shoal.engine.density.wide_cores import WideCores, widest_gaps
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.row_keys import sort_by_key

Points = NDArray[np.float32]


def crowd(seed: int, n: int, d: int, *, whole: bool, copies: int) -> Points:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d)) + rng.integers(0, 3, (n, 1)) * 3 + rng.choice([0.0, 50.0])
    points = np.round(points) if whole else points
    return np.vstack([points, points[rng.integers(0, n, copies)]]).astype(np.float32)


crowds = st.builds(
    crowd,
    st.integers(0, 2**32 - 1),
    st.integers(2, 90),
    st.integers(1, 6),
    whole=st.booleans(),
    copies=st.sampled_from([0, 0, 25]),
)


def taken(points: Points, min_samples: int, wide: bool, plain: bool) -> tuple[list[int], list[float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reachability, "_MAX_CORE_ROWS", 0 if wide else 10**6)
        if plain:
            patch.setattr(kernels, "native", lambda: None)
        _, rows, where = sort_by_key(points, 1)
        edges = find_reachability(
            points, rows, np.bincount(where), min_samples, approximate=False, threads=2, progress=ignore_progress
        )
        order, steps = walk(edges)
    return order.tolist(), steps.tolist()


@settings(max_examples=50, deadline=None)
@given(points=crowds, share=st.floats(0, 1))
def test_a_few_pairs_connect_rows_like_all_pairs_within_core_distances(points: Points, share: float) -> None:
    min_samples = max(1, round(share * len(points)))

    assert taken(points, min_samples, wide=True, plain=False) == taken(points, min_samples, wide=False, plain=False)


@settings(max_examples=40, deadline=None)
@given(points=crowds, share=st.floats(0, 1))
def test_the_reference_takes_steps_of_the_same_weights(points: Points, share: float) -> None:
    min_samples = max(1, round(share * len(points)))

    order, steps = taken(points, min_samples, wide=True, plain=True)

    assert sorted(steps) == sorted(taken(points, min_samples, wide=True, plain=False)[1])
    assert sorted(order) == list(range(len(order)))


@settings(max_examples=60, deadline=None)
@given(points=crowds, share=st.floats(0, 1))
def test_core_distances_are_those_of_all_distances_sorted(points: Points, share: float) -> None:
    min_samples = max(1, round(share * len(points)))
    _, rows, where = sort_by_key(points, 1)
    copies = np.bincount(where)

    core = WideCores.of(points[rows], copies, 2).core_distances(min_samples, ignore_progress)

    exact = points[rows].astype(np.float64)
    expected = np.sort(np.repeat(cdist(exact, exact), copies, axis=1), axis=1)[:, min_samples - 1]
    assert core == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_few_pairs_are_stored_however_many_rows_a_core_distance_contains() -> None:
    points = crowd(0, 1500, 8, whole=False, copies=0)
    _, rows, where = sort_by_key(points, 1)

    edges = find_reachability(
        points, rows, np.bincount(where), 700, approximate=False, threads=2, progress=ignore_progress
    )

    assert len(edges.left) < 12 * len(points)  # 700 a row are within


def test_widest_gaps_are_the_largest_between_two_places() -> None:
    gaps = np.random.default_rng(0).uniform(size=37)
    first, last = np.triu_indices(38, 1)

    assert widest_gaps(gaps, first, last).tolist() == [gaps[i:j].max() for i, j in zip(first, last, strict=True)]


def test_hdbscan_with_many_samples_does_not_depend_on_threads_or_order() -> None:
    points = crowd(5, 400, 6, whole=True, copies=80)
    shuffled = np.random.default_rng(1).permutation(len(points))
    plan = {"min_cluster_size": 8, "min_samples": 90}

    one = compute(points, Plan(algorithm="hdbscan", params=plan, normalize=False, components=0, threads=1))
    three = compute(points[shuffled], Plan(algorithm="hdbscan", params=plan, normalize=False, components=0, threads=3))

    assert (one.labels[shuffled] < 0).tolist() == (three.labels < 0).tolist()
    pairs = np.unique(np.stack([one.labels[shuffled], three.labels]), axis=1)
    assert pairs.shape[1] == len(np.unique(one.labels))

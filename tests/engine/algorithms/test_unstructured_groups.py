"""Clearly separated groups are found whole: none is split, and none of their rows is noise."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from shoal.engine import Outcome, Plan, compute
from shoal.engine.algorithms.unstructured_groups import is_well_inside, merge_unstructured_groups
from shoal.engine.plan import ignore_pulse

pytestmark = pytest.mark.slow


def made(sizes: list[int], dimensions: int, spread: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    points = np.eye(dimensions)[groups] + rng.normal(0, spread, (len(groups), dimensions))
    return points.astype(np.float32), groups


def auto(points: NDArray[np.float32], **params: object) -> Outcome:
    return compute(points, Plan(algorithm="auto", params=params, threads=2))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("sizes", "dimensions", "spread"),
    [([30, 20, 10], 8, 0.05), ([30, 20, 50], 32, 0.05), ([6] * 10, 32, 0.05), ([300, 20, 20], 8, 0.05)],
)
def test_groups_far_apart_are_the_clusters_with_all_their_rows(
    sizes: list[int], dimensions: int, spread: float, seed: int
) -> None:
    points, groups = made(sizes, dimensions, spread, seed)

    assert adjusted_rand_score(groups, auto(points).labels) == 1.0


@pytest.mark.parametrize(("dimensions", "spread"), [(8, 0.15), (32, 0.1), (384, 0.03)])
def test_a_large_group_beside_small_ones_stays_whole(dimensions: int, spread: float) -> None:
    points, groups = made([300, 20, 20], dimensions, spread, 1)

    found = auto(points)

    assert found.layers is not None
    assert found.labels.max() == 2
    assert adjusted_rand_score(groups, found.labels) >= 0.9
    assert "left whole" in found.layers.reason


@pytest.mark.parametrize("normalize", [False, True])
def test_low_dimensional_groups_are_not_split_along_their_shape(normalize: bool) -> None:
    rng = np.random.default_rng(0)
    angles = np.repeat([0.0, 2.0, 4.0], [200, 200, 60])
    points = 8 * np.column_stack([np.cos(angles), np.sin(angles)]) + rng.normal(0, 0.7, (460, 2))

    found = compute(points.astype(np.float32), Plan(algorithm="auto", normalize=normalize, threads=2))

    assert adjusted_rand_score(angles, found.labels) > 0.95


@pytest.mark.parametrize("rows", [60, 600])
def test_groups_far_apart_with_groups_inside_are_still_divided(rows: int) -> None:
    rng = np.random.default_rng(3)
    topics = np.repeat(np.arange(12), rows)
    middles = np.eye(32)[topics // 4] * 4 + np.eye(32)[8 + topics] * 0.7
    points = (middles + rng.normal(0, 0.05, (12 * rows, 32))).astype(np.float32)

    assert adjusted_rand_score(topics, auto(points).labels) > 0.95


def test_a_row_far_from_every_group_is_noise() -> None:
    points, groups = made([60, 60, 60], 8, 0.03, 4)
    points[0] = np.eye(8)[0] * 1.0 + np.eye(8)[5] * 0.6

    labels = auto(points).labels

    assert labels[0] == -1
    assert adjusted_rand_score(groups[1:], labels[1:]) == 1.0


def test_a_requested_number_leaves_no_noise_if_groups_are_separated() -> None:
    points, groups = made([30, 20, 50], 8, 0.05, 5)

    assert adjusted_rand_score(groups, auto(points, n_clusters=3).labels) == 1.0


def test_communities_without_separation_are_unchanged() -> None:
    points = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    communities = (np.arange(300) % 6).astype(np.int32)
    copies = np.ones(300, np.int64)

    assert merge_unstructured_groups(points, communities, copies, 1, ignore_pulse) is communities
    assert not is_well_inside(points, communities, copies, np.full(300, 0.5)).any()

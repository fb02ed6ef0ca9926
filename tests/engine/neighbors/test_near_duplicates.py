"""Groups of nearly identical rows."""

import numpy as np
import pytest

from degenerate import DEGENERATE
from shared_data import load, vectors
from shoal.engine import Plan, compute
from shoal.engine.neighbors.near_duplicates import NEAR, NearDuplicates, find_near_duplicates
from shoal.engine.neighbors.neighborhood import find_neighborhood
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows


def found(points: np.ndarray, *, unit: bool = True) -> NearDuplicates:
    return find_near_duplicates(points, find_neighborhood(points, 2, ignore_progress), unit=unit)


def scattered(rows: int, dimensions: int = 32, seed: int = 0) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32))


def test_copies_and_rows_hardly_apart_make_groups_and_others_none() -> None:
    points = scattered(200)
    points[1], points[2] = points[0], points[0]
    points[11] = points[10] + np.float32(0.02)
    points = unit_rows(points)

    groups = found(points)

    assert groups.labels[[0, 1, 2]].tolist() == [0, 0, 0]
    assert groups.labels[[10, 11]].tolist() == [1, 1]
    assert (groups.labels >= 0).sum() == 5
    assert groups.spare == 3
    assert set(groups.representatives.tolist()) <= {0, 1, 2, 10, 11}
    assert np.nanmax(groups.away[[0, 1, 2]]) == 0


def test_a_large_group_around_one_text_is_one_group() -> None:
    rng = np.random.default_rng(1)
    middle = scattered(1)[0]
    spam = middle + rng.normal(0, 0.01, (300, 32)).astype(np.float32)
    points = unit_rows(np.vstack([scattered(100, seed=2), spam]).astype(np.float32))

    groups = found(points)

    assert len(groups.representatives) == 1
    assert (groups.labels[100:] == 0).all()


def test_members_of_a_chain_are_near_their_representative() -> None:
    angle = np.linspace(0, 2, 60)
    points = np.zeros((60, 8), np.float32)
    points[:, 0], points[:, 1] = np.cos(angle), np.sin(angle)

    groups = found(points)

    assert len(groups.representatives) > 1
    assert (groups.labels >= 0).sum() > 50
    assert np.nanmax(groups.away) <= groups.limit
    ends = points[groups.representatives[groups.labels]]
    assert np.allclose(np.linalg.norm(points - ends, axis=1), groups.away, atol=1e-6)


def test_rows_without_unit_length_are_compared_with_their_own_spread() -> None:
    points = scattered(150) * np.float32(40) + np.float32(300)
    points[1] = points[0] + np.float32(0.5)

    assert found(points, unit=False).labels[[0, 1]].tolist() == [0, 0]
    assert found(points, unit=False).spare == 1


def test_any_order_of_rows_gives_the_same_groups() -> None:
    points = unit_rows(vectors(load("movies"))[:3000])
    order = np.random.default_rng(3).permutation(len(points))

    one, two = found(points), found(points[order])

    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    assert one.spare == two.spare
    again = two.labels[back]
    pairs = {(a, b) for a, b in zip(one.labels.tolist(), again.tolist(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_near_sentences_are_found_among_real_ones() -> None:
    table = load("clinc150")
    points, texts = unit_rows(vectors(table)), table["text"].to_pylist()

    groups = found(points)

    assert 0.02 < groups.spare / len(points) < 0.4
    inside = groups.labels >= 0
    ends = points[groups.representatives[groups.labels[inside]]]
    assert ((points[inside] * ends).sum(axis=1) >= 1 - NEAR - 1e-5).all()
    truth = np.array(table["label"].to_pylist())
    same = truth[inside] == truth[groups.representatives[groups.labels[inside]]]
    assert same.mean() > 0.93, [texts[row] for row in np.flatnonzero(inside)[~same][:5]]


@pytest.mark.parametrize("name", sorted(DEGENERATE))
def test_degenerate_rows_have_a_result(name: str) -> None:
    points = DEGENERATE[name]()

    outcome = compute(points, Plan(algorithm="auto", normalize=False))

    assert outcome.duplicates is not None
    groups = outcome.duplicates
    assert groups.labels.shape == (len(points),)
    assert (np.isnan(groups.away) == (groups.labels < 0)).all()
    assert not np.any(groups.away > groups.limit + 1e-12)


def test_the_neighbours_of_auto_are_reused_for_map_and_duplicates() -> None:
    points = scattered(400)
    with_map = compute(points, Plan(algorithm="auto"))
    assert with_map.duplicates is not None
    assert compute(points, Plan(algorithm="auto", components=0)).duplicates is None
    assert with_map.duplicates.spare == found(points).spare

"""The map of a rerun compared with the previous one: aligned with it, or with all old rows left in place."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness

from degenerate import DEGENERATE, Make
from shared_data import load, vectors
from shoal.engine.map.layout import lay_out
from shoal.engine.map.stability import REACH, extent, revise_map
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows

Floats = NDArray[np.float32]
Marks = NDArray[np.bool_]


@pytest.fixture(scope="module")
def points() -> Floats:
    return unit_rows(vectors(load("mnist10k"), "pca64")[::4].copy())


@pytest.fixture(scope="module")
def digits() -> NDArray[np.int64]:
    return np.asarray(load("mnist10k")["label"].to_numpy(zero_copy_only=False)[::4], np.int64)


@pytest.fixture(scope="module")
def new(points: Floats) -> Marks:
    return np.random.default_rng(0).random(len(points)) < 0.05


@pytest.fixture(scope="module")
def previous(points: Floats, new: Marks) -> Floats:
    return before(points, new)


def before(points: Floats, new: Marks, components: int = 2) -> Floats:
    """The map of the rows that are not new, NaN for those that are."""
    places = np.full((len(points), components), np.nan, np.float32)
    places[~new] = lay_out(points[~new], components, 42, 2, ignore_progress)
    return places


def farthest(places: Floats, previous: Floats) -> float:
    """How far an old row moved at most, as a share of the old map's larger side."""
    old = np.isfinite(previous).all(axis=1)
    away = np.linalg.norm(places[old].astype(np.float64) - previous[old], axis=1)
    return float(away.max() / np.ptp(previous[old], axis=0).max())


def trust_of(points: Floats, places: Floats, rows: Marks, count: int = 15) -> float:
    """Trustworthiness over `rows` alone."""
    ranks = np.linalg.norm(points[rows, None] - points, axis=2).argsort(axis=1).argsort(axis=1)
    near = np.linalg.norm(places[rows, None] - places, axis=2).argsort(axis=1)[:, 1 : count + 1]
    worse = np.maximum(np.take_along_axis(ranks, near, axis=1) - count, 0).sum()
    return float(1 - 2 * worse / (rows.sum() * count * (2 * len(points) - 3 * count - 1)))


def test_old_rows_stay_and_new_ones_lie_as_well_as_on_a_fresh_map(points: Floats, new: Marks, previous: Floats) -> None:
    found = revise_map(points, previous, "transform", 2, 42, 2, ignore_progress)
    fresh = lay_out(points, 2, 42, 2, ignore_progress)

    assert found.applied == "transform" and found.warnings == [] and found.freed == 0
    assert farthest(found.places, previous) <= REACH == 0.01
    assert found.moved == pytest.approx(farthest(found.places, previous), rel=1e-6)
    assert farthest(fresh, previous) > 0.3
    assert trust_of(points, found.places, new) > trust_of(points, fresh, new) - 0.02
    assert trustworthiness(points, found.places, n_neighbors=15) > trustworthiness(points, fresh, n_neighbors=15) - 0.01


def test_old_rows_stay_in_three_dimensions(points: Floats, new: Marks) -> None:
    points, new = points[:1000], new[:1000]
    previous = before(points, new, 3)

    found = revise_map(points, previous, "transform", 3, 42, 2, ignore_progress)

    assert found.applied == "transform" and farthest(found.places, previous) <= REACH
    assert trust_of(points, found.places, new) > 0.95


def test_a_map_of_another_unit_keeps_it(points: Floats, new: Marks, previous: Floats) -> None:
    small = previous / np.float32(1024)

    found = revise_map(points, small, "transform", 2, 42, 2, ignore_progress)

    assert farthest(found.places, small) <= REACH
    assert trust_of(points, found.places, new) > 0.95
    assert extent(found.places) == pytest.approx(extent(small[~new]), rel=0.1)


def test_a_new_cluster_gets_a_place_of_its_own(points: Floats, digits: NDArray[np.int64]) -> None:
    new = digits == 3
    previous = before(points, new)

    found = revise_map(points, previous, "transform", 2, 42, 2, ignore_progress)

    assert farthest(found.places, previous) <= REACH
    near = np.linalg.norm(found.places[new, None] - found.places, axis=2).argsort(axis=1)[:, 1:16]
    assert new[near].mean() > 0.75


def test_new_rows_far_from_all_old_ones_are_not_placed_on_top_of_them() -> None:
    rng = np.random.default_rng(4)
    middles = np.eye(12, dtype=np.float32)
    which = np.repeat(np.arange(12), 60)
    points = unit_rows(middles[which] + rng.normal(0, 0.02, (720, 12)).astype(np.float32))
    new = which >= 10
    previous = before(points, new)

    found = revise_map(points, previous, "transform", 2, 42, 2, ignore_progress)

    near = np.linalg.norm(found.places[:, None] - found.places, axis=2).argsort(axis=1)[:, 1:16]
    assert farthest(found.places, previous) <= REACH
    assert (which[near] == which[:, None]).mean() > 0.99


def test_a_document_with_a_changed_vector_moves_to_its_neighbours_and_the_others_stay(
    points: Floats, digits: NDArray[np.int64]
) -> None:
    previous = lay_out(points, 2, 42, 2, ignore_progress)
    rng = np.random.default_rng(2)
    gone, there = np.flatnonzero(digits == 0)[:5], np.flatnonzero(digits == 1)[:5]
    edited = points.copy()
    edited[gone] = unit_rows(points[there] + rng.normal(0, 0.002, (5, points.shape[1])).astype(np.float32))
    stayed = np.ones(len(points), np.bool_)
    stayed[gone] = False

    found = revise_map(edited, previous, "transform", 2, 42, 2, ignore_progress)
    revised = revise_map(
        edited, previous, "transform", 2, 42, 2, ignore_progress, changed=np.zeros(len(points), np.bool_)
    )

    assert found.freed == 5
    assert farthest(found.places[stayed], previous[stayed]) <= REACH
    assert np.linalg.norm(previous[gone] - previous[there], axis=1).min() > 0.2 * extent(previous)
    assert np.linalg.norm(found.places[gone] - found.places[there], axis=1).max() < 0.05 * extent(previous)
    assert revised.freed == 0 and farthest(revised.places, previous) <= REACH


def test_of_two_positions_of_equal_rows_the_one_among_their_neighbours_counts(points: Floats) -> None:
    previous = lay_out(points, 2, 42, 2, ignore_progress)
    far = int(np.linalg.norm(previous - previous[0], axis=1).argmax())
    for own, other in ((0, far), (far, 0)):
        edited = points.copy()
        edited[other] = points[own]

        found = revise_map(edited, previous, "transform", 2, 42, 2, ignore_progress)

        assert np.array_equal(found.places[own], found.places[other])
        assert np.linalg.norm(found.places[own] - previous[own]) <= REACH * extent(previous)


@pytest.mark.parametrize("components", [2, 3])
def test_aligned_undoes_rotation_reflection_scaling_and_translation(points: Floats, components: int) -> None:
    points = points[:800]
    fresh = lay_out(points, components, 42, 2, ignore_progress)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(components, components)))
    turn[:, 0] *= -1
    previous = (3.0 * fresh @ turn + 7.0).astype(np.float32)
    previous[::9] = np.nan
    previous[::10] += 20.0  # rows that went elsewhere

    found = revise_map(points, previous, "align", components, 42, 2, ignore_progress)

    honest = np.isfinite(previous).all(axis=1)
    honest[::10] = False
    assert found.applied == "aligned" and found.warnings == []
    assert np.allclose(found.places[honest], previous[honest], atol=0.01 * extent(previous[honest]))


def test_aligned_is_the_fresh_map_transformed_as_a_whole(points: Floats, previous: Floats) -> None:
    found = revise_map(points, previous, "align", 2, 42, 2, ignore_progress)
    fresh = lay_out(points, 2, 42, 2, ignore_progress)

    def shape(places: Floats) -> NDArray[np.float64]:
        apart = np.linalg.norm(places[:500, None].astype(np.float64) - places[:500], axis=2)
        return np.asarray(apart / apart.max(), np.float64)

    assert np.allclose(shape(found.places), shape(fresh), atol=1e-4)
    assert not np.allclose(found.places, fresh, atol=0.1)


def test_none_is_a_fresh_map(points: Floats, previous: Floats) -> None:
    found = revise_map(points, previous, "none", 2, 42, 2, ignore_progress)

    assert found.applied == "none" and found.moved is None
    assert np.array_equal(found.places, lay_out(points, 2, 42, 2, ignore_progress))


@pytest.mark.parametrize("stability", ["align", "transform"])
def test_neither_order_nor_threads_move_a_row(points: Floats, previous: Floats, stability: str) -> None:
    order = np.random.default_rng(1).permutation(len(points))

    one = revise_map(points, previous, stability, 2, 42, 2, ignore_progress)  # type: ignore[arg-type]
    two = revise_map(points[order], previous[order], stability, 2, 42, 1, ignore_progress)  # type: ignore[arg-type]

    assert np.array_equal(one.places[order], two.places)


def test_an_impossible_stability_falls_back_with_a_reason(points: Floats) -> None:
    points = points[:300]
    previous = lay_out(points, 2, 42, 2, ignore_progress)
    rows = np.arange(len(points))[:, None]

    cases = (
        (3, previous, "none", "2 dimensions, this one has 3"),
        (2, np.where(rows < 9, previous, np.nan), "none", "Only 9 distinct rows"),
        (2, np.where(rows < 49, previous, np.nan), "aligned", "Only 49 distinct rows"),
        (2, np.where(rows < 99, previous, np.nan), "aligned", "Only 99 of 300 distinct rows"),
        (2, np.ones_like(previous), "none", "All rows had the same place"),
    )
    for components, given, applied, why in cases:
        found = revise_map(points, given.astype(np.float32), "transform", components, 42, 2, ignore_progress)
        assert found.applied == applied
        assert why in found.reason and why in found.warnings[0] and "transform" in found.warnings[0]
        assert np.isfinite(found.places).all()


@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("stability", ["align", "transform"])
def test_every_row_has_a_place_and_equal_rows_the_same(make: Make, stability: str) -> None:
    points = make()
    previous = np.random.default_rng(0).normal(size=(len(points), 2)).astype(np.float32)

    found = revise_map(points, previous, stability, 2, 42, 2, ignore_progress)  # type: ignore[arg-type]

    assert found.places.shape == (len(points), 2) and np.isfinite(found.places).all()
    for value in np.unique(points, axis=0):
        assert len(np.unique(found.places[(points == value).all(axis=1)], axis=0)) == 1

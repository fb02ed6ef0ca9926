"""Steps named umap and tsne: embeddings of the neighbour graph, for fitted rows and for new ones."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from shared_data import load, vectors
from shoal.engine import Plan, compute
from shoal.engine.features.preprocessing import apply_steps, check_steps

STEPS: list[dict[str, Any]] = [
    {"method": "umap", "n_components": 10},
    {"method": "umap", "n_components": 2, "n_neighbors": 15},
    {"method": "tsne"},
]


def fashion() -> tuple[np.ndarray, np.ndarray]:
    table = load("fashion900")
    return vectors(table, "pca64"), np.array(table["label"].to_pylist())


def nmi(points: np.ndarray, truth: np.ndarray) -> float:
    plan = Plan(algorithm="kmeans", params={"n_clusters": 10, "n_init": 3}, normalize=False, components=0)
    return float(normalized_mutual_info_score(truth, compute(points, plan).labels))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_groups_are_found_more_accurately_in_the_embedding(step: dict[str, Any]) -> None:
    points, truth = fashion()

    found, _, _ = apply_steps(points, check_steps([step], "s"), 0, 2)

    assert found.shape == (900, step.get("n_components", 2))
    assert nmi(found, truth) > nmi(points, truth) + 0.03


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_new_rows_find_their_place_alone_and_in_a_batch(step: dict[str, Any]) -> None:
    points, truth = fashion()
    order = np.random.default_rng(2).permutation(900)
    points, truth = points[order].copy(), truth[order]
    fitted, new = points[:700], points[700:]
    found, (apply,), _ = apply_steps(fitted, check_steps([step], "s"), 0, 2)

    placed = apply(new)

    assert np.array_equal(apply(fitted[:50]), found[:50])
    assert np.array_equal(placed[3:4], apply(new[3:4]))
    assert np.array_equal(apply(new[:0]), np.zeros((0, found.shape[1]), np.float32))
    away = np.linalg.norm(np.vstack([placed, found])[:, None] - found, axis=2)
    away[np.arange(200, 900), np.arange(700)] = np.inf
    like_nearest = truth[:700][away.argmin(axis=1)] == np.concatenate([truth[700:], truth[:700]])
    assert like_nearest[:200].mean() > like_nearest[200:].mean() - 0.05 > 0.5


@pytest.mark.parametrize("step", STEPS[:2], ids=str)
def test_embeddings_do_not_depend_on_the_order_of_rows_or_on_threads(step: dict[str, Any]) -> None:
    points, _ = fashion()
    order = np.random.default_rng(1).permutation(900)

    one, _, _ = apply_steps(points, check_steps([step], "s"), 0, 2)
    two, _, _ = apply_steps(np.ascontiguousarray(points[order]), check_steps([step], "s"), 0, 1)

    assert np.array_equal(one[order], two)


def test_separate_parts_and_zero_rows_have_places() -> None:
    rng = np.random.default_rng(0)
    points = (np.eye(6, 12).repeat(60, axis=0) * 50 + rng.normal(0, 0.1, (360, 12))).astype(np.float32)
    points[0] = 0

    for step in check_steps(STEPS, "s"):
        found, (apply,), _ = apply_steps(points, [step], 0, 2)
        assert np.isfinite(found).all()
        assert np.isfinite(apply(np.zeros((1, 12), np.float32))).all()


def test_notes_name_the_method_that_was_used() -> None:
    def note_of(step: dict[str, Any], rows: int) -> str:
        points = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
        (note,) = apply_steps(points, check_steps([step], "s"), 0, 1).notes
        return note

    assert "min_dist" in note_of({"method": "umap", "min_dist": 0.3}, 200)
    assert "diffusion map" in note_of({"method": "umap"}, 100)
    assert "principal axes" in note_of({"method": "umap"}, 99)
    assert "without effect" not in note_of({"method": "tsne", "learning_rate": 200.0}, 200)
    assert "layout" in note_of({"method": "tsne"}, 50)
    assert "principal axes" in note_of({"method": "tsne"}, 49)
    assert not apply_steps(np.eye(9, dtype=np.float32), check_steps([{"method": "pca"}], "s"), 0, 1).notes


class Enough(Exception):
    """Raised to cancel."""


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_progress_is_reported_and_may_cancel(step: dict[str, Any]) -> None:
    points, _ = fashion()
    fractions: list[float] = []

    def report(stage: str, fraction: float) -> None:
        assert stage == "prepare"
        fractions.append(fraction)

    def stop(stage: str, fraction: float) -> None:
        if fraction > 0.6:
            raise Enough

    apply_steps(points, check_steps([{"method": "pca"}, step], "s"), 0, 2, report)

    assert fractions == sorted(fractions)
    assert any(
        0.5 < fraction < 1 for fraction in fractions
    )  # how many depends on the clock: one each tenth of a second
    assert fractions[-1] == 1
    with pytest.raises(Enough):
        apply_steps(points, check_steps([step], "s"), 0, 2, stop)


@pytest.mark.slow
@pytest.mark.parametrize("components", [2, 10, 50])
def test_more_separate_parts_than_dimensions_are_separated(components: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(80).repeat(50)
    points = (np.eye(80)[truth] * 50 + rng.normal(0, 0.1, (4000, 80))).astype(np.float32)
    step = {"method": "umap", "n_components": components}

    found, (apply,), _ = apply_steps(points, check_steps([step], "s"), 0, 2)

    placed = apply(points[::9] + rng.normal(0, 0.05, points[::9].shape).astype(np.float32))
    apart = np.linalg.norm(placed[:, None] - found, axis=2).argmin(axis=1)
    assert np.array_equal(truth[apart], truth[::9])
    labels = compute(
        found, Plan(algorithm="kmeans", params={"n_clusters": 80, "n_init": 3}, normalize=False, components=0)
    ).labels
    assert normalized_mutual_info_score(truth, labels) > 0.98

"""Several features as one space, their learned weights, preprocessing steps and the levels above clusters."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from shared_data import load, vectors
from shoal.engine import Plan, compute
from shoal.engine.features.preprocessing import apply_steps, check_steps
from shoal.engine.features.spaces import check_weights, concatenate_features
from shoal.engine.features.weights import WeightLearning, learn_weights
from shoal.engine.rows.geometry import normalize_nonzero_rows, unit_rows
from shoal.errors import InvalidField

Points = NDArray[np.float32]


def pairs() -> tuple[dict[str, Points], NDArray[np.str_]]:
    table = load("pairs")
    blocks = {name: vectors(table, name) for name in ("text_embedding", "image_pca64")}
    return blocks, table["label"].to_numpy(zero_copy_only=False).astype(str)


def quality(blocks: dict[str, Points], weights: dict[str, float], truth: NDArray[np.str_]) -> float:
    space = concatenate_features(blocks, weights, normalize=True)
    params = {"n_clusters": len(np.unique(truth)), "n_init": 3}
    found = compute(space, Plan(algorithm="kmeans", params=params, components=0))
    return float(normalized_mutual_info_score(truth, found.labels))


def test_squared_distances_are_the_weighted_mean_of_those_of_the_features() -> None:
    rng = np.random.default_rng(0)
    blocks = {"a": rng.normal(size=(20, 3)).astype(np.float32), "b": rng.normal(size=(20, 5)).astype(np.float32)}

    space = concatenate_features(blocks, {"a": 0.3, "b": 0.7}, normalize=True)

    apart = [((unit_rows(points)[0] - unit_rows(points)[1]) ** 2).sum() for points in blocks.values()]
    assert ((space[0] - space[1]) ** 2).sum() == pytest.approx(0.3 * apart[0] + 0.7 * apart[1], rel=1e-5)
    assert np.allclose(np.linalg.norm(space, axis=1), 1, atol=1e-5)


def test_a_row_that_lacks_a_feature_depends_on_the_other() -> None:
    blocks = {"a": np.array([[3, 0], [0, 0]], np.float32), "b": np.array([[0, 2], [0, 2]], np.float32)}

    space = unit_rows(concatenate_features(blocks, {"a": 0.5, "b": 0.5}, normalize=True))

    assert space[1].tolist() == [0, 0, 0, 1]
    assert normalize_nonzero_rows(blocks["a"])[1].tolist() == [0, 0]


@pytest.mark.slow
def test_learned_weights_beat_equal_ones() -> None:
    blocks, truth = pairs()
    learned = learn_weights(blocks, WeightLearning(), threads=2)

    assert sum(learned.weights.values()) == pytest.approx(1)
    equal = dict.fromkeys(blocks, 0.5)
    assert quality(blocks, dict(learned.weights), truth) > quality(blocks, equal, truth) + 0.02


@pytest.mark.parametrize("method", ["bayesian", "grid_search"])
@pytest.mark.parametrize("metric", ["silhouette", "davies_bouldin", "calinski_harabasz"])
def test_a_feature_that_only_hurts_weighs_nothing(method: Any, metric: Any) -> None:
    points = vectors(load("banking77"))[::8].copy()
    noise = np.random.default_rng(0).normal(size=(len(points), 24)).astype(np.float32)

    learned = learn_weights(
        {"real": points, "noise": noise}, WeightLearning(method=method, metric=metric, max_iterations=5), threads=2
    )

    assert learned.weights["noise"] == 0


def test_weights_do_not_depend_on_the_order_of_the_rows() -> None:
    blocks, _ = pairs()
    order = np.random.default_rng(1).permutation(len(blocks["image_pca64"]))
    how = WeightLearning(max_iterations=5, sample_size=600)

    one = learn_weights(blocks, how, threads=2)
    two = learn_weights({name: points[order] for name, points in blocks.items()}, how, threads=1)

    assert one.weights == two.weights
    assert one.rows == 600


@pytest.mark.parametrize(
    ("weights", "field"),
    [({"c": 1}, "w.c"), ({"a": -1}, "w.a"), ({"a": float("nan")}, "w.a"), ({"a": "x"}, "w.a"), ({"a": 0}, "w")],
)
def test_invalid_weights_are_rejected_by_name(weights: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_weights(weights, ["a", "b"], "w")

    assert refused.value.field == field


def test_pca_is_that_of_scikit_learn_and_serves_new_rows() -> None:
    points = vectors(load("fashion900"), "pca64")
    found, steps, _ = apply_steps(points, check_steps([{"method": "pca", "n_components": 7}], "s"), 0, 2)
    theirs = PCA(7, svd_solver="full").fit_transform(points)

    assert np.allclose(np.abs(found), np.abs(theirs), atol=1e-3)
    assert np.array_equal(steps[0](points[:5]), found[:5])


def test_whitened_rows_have_unit_variance() -> None:
    points = vectors(load("fashion900"), "pca64")

    found, _, _ = apply_steps(points, check_steps([{"method": "whitening"}], "s"), 0, 2)

    assert np.allclose(np.cov(found.T), np.eye(64), atol=0.01)


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("method", ["pca", "whitening", "umap", "tsne"])
def test_few_or_equal_rows_stay_finite(rows: int, method: str) -> None:
    found, _, _ = apply_steps(np.ones((rows, 4), np.float32), check_steps([{"method": method}], "s"), 0, 1)

    assert len(found) == rows and np.isfinite(found).all()


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"method": "umap", "perplexity": 30}, "s[0].perplexity"),
        ({"method": "umap", "metric": "jaccard"}, "s[0].metric"),
        ({"method": "umap", "n_components": 1}, "s[0].n_components"),
        ({"method": "tsne", "perplexity": 1}, "s[0].perplexity"),
        ({"method": "umap", "n_components": 257}, "s[0].n_components"),
        ({"method": "umap", "n_neighbors": 201}, "s[0].n_neighbors"),
        ({"method": "umap", "n_neighbors": 15.5}, "s[0].n_neighbors"),
        ({"method": "umap", "min_dist": 1.5}, "s[0].min_dist"),
        ({"method": "umap", "random_state": 2**70}, "s[0].random_state"),
        ({"method": "tsne", "perplexity": float("inf")}, "s[0].perplexity"),
        ({"method": "tsne", "perplexity": float("nan")}, "s[0].perplexity"),
        ({"method": "tsne", "learning_rate": "auto"}, "s[0].learning_rate"),
        ({"method": "zca"}, "s[0].method"),
        ({"method": ["umap"]}, "s[0].method"),
        ({"method": "pca", "n_components": 0}, "s[0].n_components"),
        ({"method": "pca", "perplexity": 3}, "s[0].perplexity"),
        ({"method": "whitening", "regularization": -1}, "s[0].regularization"),
    ],
)
def test_invalid_steps_are_rejected_by_name(step: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_steps([step], "s")

    assert refused.value.field == field


@pytest.mark.parametrize("algorithm", ["kmeans", "auto"])
def test_levels_above_the_clusters_are_nested_and_ever_fewer(algorithm: str) -> None:
    points = vectors(load("banking77"))[::3].copy()
    params = {"n_clusters": 60, "n_init": 1} if algorithm == "kmeans" else {}

    found = compute(points, Plan(algorithm=algorithm, params=params, hierarchy_depth=3, components=0, threads=2))

    counts = [found.clusters, *(int(level.max()) + 1 for level in found.hierarchy)]
    assert len(counts) == 3
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 2
    both = np.unique(np.stack(found.hierarchy), axis=1)
    assert both.shape[1] == counts[1]

"""HDBSCAN against scikit-learn's brute force, and behaviour that scikit-learn cannot check."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import HDBSCAN
from sklearn.cluster._hdbscan import hdbscan as their_module
from sklearn.cluster._hdbscan._linkage import make_single_linkage
from sklearn.cluster._hdbscan._tree import tree_to_labels
from sklearn.metrics import adjusted_rand_score

from shared_data import load, vectors
from shoal.engine import Outcome, Plan, compute
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.row_keys import sort_by_key
from shoal.errors import InvalidField

Points = NDArray[np.float32]
Blobs = Callable[..., Points]

SETTINGS: list[dict[str, Any]] = [
    {},
    {"cluster_selection_method": "leaf"},
    {"min_cluster_size": 10, "min_samples": 3},
    {"min_cluster_size": 3, "min_samples": 1},
    {"min_cluster_size": 8, "metric": "cosine"},
    {"min_cluster_size": 4, "max_cluster_size": 30, "alpha": 1.3},
    {"min_cluster_size": 30, "allow_single_cluster": True},
    {"min_cluster_size": 5, "min_samples": 60},
    {"min_cluster_size": 20, "min_samples": 130},
]
settings_of_both = pytest.mark.parametrize(
    "params", SETTINGS, ids=lambda params: "-".join(map(str, params)) or "default"
)


def ours(points: Points, **params: object) -> Outcome:
    return compute(points, Plan(algorithm="hdbscan", params=params, normalize=False, components=0, threads=2))


def stably_linked(tree: Any) -> Any:
    return make_single_linkage(tree[np.argsort(tree["distance"], kind="stable")])


def sklearn_on(points: Points, params: dict[str, Any]) -> tuple[Any, NDArray[np.int64]]:
    """scikit-learn's fit with the rows in Shoal's order, on which its labels depend if distances tie; and that
    order. Distances are precomputed: its own, by expanded squares, differ between (a, b) and (b, a) in the last bits,
    which breaks ties at random. Merges are sorted stably: otherwise their order depends on the processor's
    instructions."""
    cosine = params.get("metric") == "cosine"
    rows = unit_rows(points) if cosine else points
    by_key, _, _ = sort_by_key(rows, 1)
    exact = rows[by_key].astype(np.float64)
    distances = cdist(exact, exact)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(their_module, "_process_mst", stably_linked)
        model = HDBSCAN(copy=True, **{**params, "metric": "precomputed"})
        fitted = model.fit(distances**2 / 2 if cosine else distances)
    return fitted, by_key


def assert_as_sklearn(points: Points, params: dict[str, Any]) -> None:
    fitted, by_key = sklearn_on(points, params)

    found = ours(points, **params)

    assert np.array_equal(found.labels[by_key] < 0, fitted.labels_ < 0)
    assert adjusted_rand_score(found.labels[by_key], fitted.labels_) == 1.0
    assert found.strengths[by_key] == pytest.approx(fitted.probabilities_, abs=1e-6)


@settings_of_both
@pytest.mark.parametrize(("n", "d", "seed"), [(150, 1, 0), (700, 4, 1), (1500, 40, 2)])
def test_labels_are_those_of_scikit_learn(blobs: Blobs, params: dict[str, Any], n: int, d: int, seed: int) -> None:
    assert_as_sklearn(blobs(seed, n=n, d=d, centers=7), params)


def sklearn_with_equal_rows_first(points: Points, params: dict[str, Any]) -> tuple[NDArray[np.int64], Points]:
    """scikit-learn's tree over all rows where equal ones merge before anything else at their height: one row with a
    weight. Labels of the rows, and these in the order of the labels."""
    by_key, firsts, where = sort_by_key(points, 1)
    exact = points[by_key].astype(np.float64)
    away = cdist(exact, exact)
    size = params.get("min_cluster_size", 5)
    core = np.sort(away, axis=1)[:, min(params.get("min_samples") or size, len(points)) - 1]
    reach = np.maximum(away, np.maximum(core, core[:, None]))
    starts = np.searchsorted(where, np.arange(len(firsts)))
    edges = [(float(core[row]), False, row, starts[where[row]]) for row in range(len(points)) if row not in starts]
    reached, key, here = np.zeros(len(firsts), bool), np.full(len(firsts), np.inf), 0
    while True:
        reached[here] = True
        key = np.where(reached, np.inf, np.minimum(key, reach[starts[here]][starts]))
        if reached.all():
            break
        there = int(np.argmin(key))
        edges.append((float(key[there]), True, starts[here], starts[there]))
        here = there
    edges.sort(key=lambda edge: edge[:2])
    tree = np.array([(one, two, height) for height, _, one, two in edges], their_module.MST_edge_dtype)
    labels, _ = tree_to_labels(make_single_linkage(tree), size, params["cluster_selection_method"], False, 0.0, None)
    return labels, points[by_key]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    distinct=st.integers(2, 60),
    copies=st.integers(0, 60),
    size=st.integers(2, 12),
    samples=st.none() | st.integers(1, 30),
    method=st.sampled_from(["eom", "leaf"]),
)
def test_equal_rows_are_one_row_with_a_weight(
    seed: int, distinct: int, copies: int, size: int, samples: int | None, method: str
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(distinct, 2)) + rng.integers(0, 4, (distinct, 1)) * 3
    rows = np.vstack([points, points[rng.integers(0, max(distinct // 3, 1), copies)]]).astype(np.float32)
    params: dict[str, Any] = {"min_cluster_size": size, "cluster_selection_method": method}
    params |= {} if samples is None else {"min_samples": min(samples, len(rows))}

    labels, rows = sklearn_with_equal_rows_first(rows, params)
    found = ours(rows, **params).labels

    assert np.array_equal(found < 0, labels < 0) and adjusted_rand_score(found, labels) == 1.0
    _, where = np.unique(rows, axis=0, return_inverse=True)
    assert len(np.unique(np.stack([where, found]), axis=1).T) == where.max() + 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(6, 70),
    d=st.integers(1, 3),
    whole=st.booleans(),
    size=st.integers(2, 12),
    samples=st.none() | st.integers(1, 12),
    method=st.sampled_from(["eom", "leaf"]),
    epsilon=st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0, 30.0]),
    single=st.booleans(),
    most=st.none() | st.integers(2, 30),
)
def test_labels_of_a_few_rows_are_those_of_scikit_learn_under_all_parameters(
    seed: int,
    n: int,
    d: int,
    whole: bool,
    size: int,
    samples: int | None,
    method: str,
    epsilon: float,
    single: bool,
    most: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d)) + rng.integers(0, 3, (n, 1)) * 2.5
    points = np.unique(np.round(points * 2) if whole else points, axis=0).astype(np.float32)
    size, samples = min(size, len(points)), None if samples is None else min(samples, len(points))
    if len(points) < 3:
        return
    params: dict[str, Any] = {
        "min_cluster_size": size,
        "min_samples": samples,
        "cluster_selection_method": method,
        "cluster_selection_epsilon": epsilon,
        "allow_single_cluster": single,
        "max_cluster_size": most,
    }
    try:
        fitted, by_key = sklearn_on(points, params)
    except TypeError:
        reject()  # its epsilon search converts a one-element array to a scalar, which NumPy 2.4 rejects
    except KeyError:
        reject()  # it takes the root for the one cluster that max_cluster_size leaves
    found = ours(points, **params).labels[by_key]
    theirs = fitted.labels_
    if method == "leaf" and single and found.max() == 0 and (theirs < 0).all():
        return  # scikit-learn forgets the root there
    assert np.array_equal(found < 0, theirs < 0) and adjusted_rand_score(found, theirs) == 1.0


@pytest.mark.slow
@pytest.mark.shared_data
@settings_of_both
@pytest.mark.parametrize("name", ["clinc150", "banking77"])
def test_labels_of_real_texts_are_those_of_scikit_learn(name: str, params: dict[str, Any]) -> None:
    points = unit_rows(vectors(load(name)))[::16]

    assert_as_sklearn(points, params)


def test_many_equal_rows_beside_others_cost_little_and_are_one_cluster() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6000, 16)).astype(np.float32)
    points[1000:] = points[0] + 30

    outcome = ours(points, min_cluster_size=50)

    assert outcome.clusters == 2 and outcome.sizes[0] == 5000
    assert (outcome.labels[1000:] == 0).all() and (outcome.strengths[1000:] == 1).all()


def test_all_equal_rows_are_noise_unless_a_single_cluster_is_allowed() -> None:
    points = np.ones((50, 3), np.float32)

    assert ours(points).clusters == 0
    assert list(ours(points, allow_single_cluster=True).sizes) == [50]


@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_rows_that_do_not_split_are_the_single_cluster_if_allowed(blobs: Blobs, method: str) -> None:
    how: dict[str, Any] = {"cluster_selection_method": method, "allow_single_cluster": True}

    assert ours(blobs(0, n=80, centers=1), min_cluster_size=45, **how).clusters == 1
    assert list(ours(np.ones((60, 3), np.float32), **how).sizes) == [60]


def test_fewer_rows_than_a_cluster_needs_are_noise(blobs: Blobs) -> None:
    assert ours(blobs(n=9), min_cluster_size=10).clusters == 0
    assert ours(blobs(n=1)).clusters == 0


def test_min_samples_above_the_number_of_rows_is_lowered_and_reported(blobs: Blobs) -> None:
    outcome = ours(blobs(n=40), min_samples=400)

    assert outcome.params["min_samples"] == 40
    assert any("min_samples 400" in sentence for sentence in outcome.warnings)


def test_epsilon_keeps_together_clusters_that_split_below_it() -> None:
    line = np.concatenate([start + np.arange(10) * 0.1 for start in (0.0, 2.0, 20.0, 24.0)])
    points = line[:, None].astype(np.float32)  # gaps: 1.1 within the first pair, 3.1 within the second, 17.1 between

    assert ours(points, min_samples=1).clusters == 4
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=2).sizes) == [20, 10, 10]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=5).sizes) == [20, 20]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=4, alpha=2).sizes) == [20, 20]
    assert list(ours(points, min_samples=1, cluster_selection_epsilon=50).sizes) == [20, 20]
    one = ours(points, min_samples=1, cluster_selection_epsilon=50, allow_single_cluster=True)
    assert list(one.sizes) == [40]


def test_matching_the_reference_treats_rows_that_leave_at_birth_as_noise(blobs: Blobs) -> None:
    fewer = 0
    for seed in range(5, 10):
        points = blobs(seed, n=500, centers=6)

        plain = ours(points, min_cluster_size=9)
        reference = ours(points, min_cluster_size=8, match_reference_implementation=True)

        assert (plain.labels[reference.labels >= 0] >= 0).all()
        assert reference.clusters == plain.clusters
        fewer += int((plain.labels >= 0).sum() - (reference.labels >= 0).sum())
    assert fewer > 0


def test_strength_is_one_in_the_core_and_less_at_the_rim() -> None:
    line = np.concatenate([[0.0, 0.5, 0.9], 1.2 + np.arange(12) * 0.1, 100 + np.arange(12) * 0.1])
    outcome = ours(line[:, None].astype(np.float32), min_samples=2)

    rim, core = outcome.strengths[0], outcome.strengths[8]

    assert core == pytest.approx(1.0, abs=0.01) and 0 < rim < 0.3


def test_a_row_beyond_the_reach_of_a_cluster_is_noise_when_assigned() -> None:
    rng = np.random.default_rng(3)
    dense = np.concatenate([rng.normal(size=(200, 2)) * 0.1, rng.normal(size=(200, 2)) * 0.1 + 10])
    points = rng.permutation(np.concatenate([dense, [[5.0, 5.0], [-30.0, 4.0]]])).astype(np.float32)
    between = np.flatnonzero((np.abs(points - [5, 5]) < 1e-6).all(axis=1))
    beyond = np.flatnonzero(points[:, 0] < -20)
    plans = [
        Plan(algorithm="hdbscan", params={"min_cluster_size": 15}, normalize=False, sample_size=150, seed=seed)
        for seed in range(8)
    ]

    for plan in plans:
        outcome = compute(points, plan)
        assert (outcome.labels[beyond] == -1).all()
        assert (outcome.strengths[between] < 0.05).all()
        assert (outcome.labels >= 0).sum() >= 395


@pytest.mark.parametrize("metric", ["manhattan", "l2", None, 3])
def test_other_metrics_are_rejected_with_the_supported_ones(blobs: Blobs, metric: object) -> None:
    if metric is None:
        assert ours(blobs(), metric=None).params["metric"] == "euclidean"
        return
    with pytest.raises(InvalidField, match=r"algorithm_params\.metric: must be euclidean or cosine"):
        ours(blobs(), metric=metric)

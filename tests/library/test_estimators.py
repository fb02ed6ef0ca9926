"""The estimators by scikit-learn's own checks, and what those do not ask."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import shoal
from shared_data import load, vectors
from shoal.errors import InvalidField


def list_inapplicable_checks(estimator: Any) -> dict[str, str]:
    """Map checks that cannot apply to the reason."""
    if isinstance(estimator, shoal.KMeans):
        reason = "steps are not counted: they skip rows that provably keep their cluster"
        return {"check_non_transformer_estimators_n_iter": reason}
    return {}


@pytest.mark.slow
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [shoal.KMeans(n_clusters=3), shoal.HDBSCAN(), shoal.AutoCluster()], expected_failed_checks=list_inapplicable_checks
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", [shoal.KMeans(10), shoal.HDBSCAN(), shoal.AutoCluster()], ids=repr)
def test_a_pickled_clustering_places_rows_as_before(estimator: Any) -> None:
    points = vectors(load("fashion900"), "pca64")
    fitted = clone(estimator).set_params(normalize=True).fit(points[::2])

    again = pickle.loads(pickle.dumps(fitted))

    assert np.array_equal(fitted.predict(points[1::2]), again.predict(points[1::2]))
    assert len(np.unique(fitted.labels_)) > 1


def test_k_means_predicts_the_labels_of_fitted_rows() -> None:
    points = vectors(load("fashion900"), "pca64")
    fitted = shoal.KMeans(10).fit(points)

    assert np.array_equal(fitted.predict(points), fitted.labels_)


def test_auto_needs_no_parameters_and_reports_its_layers() -> None:
    table = load("fashion900")
    fitted = shoal.AutoCluster().fit(vectors(table, "pca64"))
    truth = table["label"].to_numpy(zero_copy_only=False).astype(str)

    assert adjusted_rand_score(truth, fitted.labels_) > 0.3
    assert np.array_equal(fitted.layers_[fitted.layer_], fitted.labels_)


def test_a_random_state_gives_the_seed_of_each_fit() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 8))
    state, same = np.random.RandomState(3), np.random.RandomState(3)
    model, other = shoal.KMeans(20, random_state=state), shoal.KMeans(20, random_state=same)

    first, second = model.fit_predict(rows), model.fit_predict(rows)

    assert np.array_equal(first, other.fit_predict(rows)) and not np.array_equal(first, second)
    assert model.random_state is state  # unchanged: clones and get_params rely on it


@pytest.mark.parametrize("state", [np.random.default_rng(0), "seed", 1.5, -1])
def test_an_invalid_random_state_is_refused_with_the_accepted_types(state: Any) -> None:
    with pytest.raises(InvalidField, match=r"random_state.*must be") as refused:
        shoal.KMeans(2, random_state=state).fit(np.eye(4))

    if isinstance(state, np.random.Generator):
        assert "rng.integers" in str(refused.value)


def test_estimators_stand_in_a_pipeline() -> None:
    points = vectors(load("fashion900"), "pca64")

    labels = make_pipeline(StandardScaler(), shoal.KMeans(5)).fit_predict(points)

    assert np.unique(labels).tolist() == [0, 1, 2, 3, 4]


# ── names, directions, columns ───────────────────────────────────────────────────────────────────────────────────────

ROWS = (np.eye(5)[:3].repeat(12, axis=0) + np.random.default_rng(0).normal(0, 0.05, (36, 5))).astype(np.float32)
ABOUT = ["refund for my card", "password reset fails", "parcel arrived late"]
TEXTS = [f"{ABOUT[row // 12]} {row}" for row in range(36)]
ESTIMATORS = [shoal.KMeans(3), shoal.HDBSCAN(), shoal.AutoCluster()]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_clusters_are_named_from_texts_given_to_fit(estimator: Any) -> None:
    fitted = clone(estimator).fit(ROWS, text=TEXTS)

    names = [fitted.cluster_names_[label] for label in fitted.labels_[[0, 12, 24]]]
    assert names == ["Refund for my card", "Password reset fails", "Parcel arrived late"]
    assert all(fitted.cluster_keywords_)
    assert fitted.cluster_names_ == [cluster.label for cluster in shoal.cluster(ROWS, text=TEXTS).clusters]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_without_texts_clusters_are_numbered(estimator: Any) -> None:
    fitted = clone(estimator).fit(ROWS)

    assert fitted.cluster_names_ == ["Cluster 0", "Cluster 1", "Cluster 2"]
    assert fitted.cluster_keywords_ == [(), (), ()]


def test_texts_reach_an_estimator_in_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), shoal.KMeans(3)).fit(ROWS, kmeans__text=TEXTS)

    assert "Refund for my card" in pipeline[-1].cluster_names_


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimators_compare_directions_as_the_library_does(estimator: Any) -> None:
    lengths = np.random.default_rng(1).uniform(0.01, 100, (36, 1)).astype(np.float32)

    short_and_long = clone(estimator).fit(ROWS * lengths)

    assert np.array_equal(short_and_long.labels_, clone(estimator).fit(ROWS).labels_)
    assert np.array_equal(short_and_long.predict(ROWS * lengths), short_and_long.labels_)
    as_they_are = clone(estimator).set_params(normalize=False).fit(ROWS * lengths)
    assert not np.array_equal(as_they_are.labels_, short_and_long.labels_)


def test_rows_of_zeros_stay_where_they_are() -> None:
    rows = np.vstack([ROWS, np.zeros((3, 5), np.float32)])
    fitted = shoal.KMeans(4).fit(rows)

    assert len(set(fitted.labels_[-3:].tolist())) == 1
    assert np.array_equal(fitted.predict(rows), fitted.labels_)


@pytest.mark.parametrize(
    "column", [pd.Series(list(ROWS)), pl.Series(ROWS.tolist()), pd.Series(map(str, ROWS.tolist()))]
)
def test_a_column_of_vectors_is_fitted_as_its_rows(column: Any) -> None:
    fitted = shoal.KMeans(3).fit(column)

    assert np.array_equal(fitted.labels_, shoal.KMeans(3).fit(ROWS).labels_)
    assert np.array_equal(fitted.predict(column), fitted.labels_)


def test_a_missing_text_is_reported() -> None:
    with pytest.raises(shoal.ShoalError, match="text: must have one value per vector"):
        shoal.KMeans(3).fit(ROWS, text=TEXTS[1:])


def test_stop_words_are_in_no_name_and_wrong_ones_are_refused() -> None:
    stop = {word.casefold() for word in ABOUT[0].split()}

    fitted = shoal.KMeans(3, stop_words=stop).fit(ROWS, text=TEXTS)

    assert not any(stop & set(name.casefold().split()) for name in fitted.cluster_names_)
    with pytest.raises(InvalidField, match="stop_words"):
        shoal.KMeans(3, stop_words="nowhere.txt").fit(ROWS, text=TEXTS)

"""The estimators by scikit-learn's own checks, and what those do not ask."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import shoal
from shared_data import load, vectors


def expected_failures(estimator: Any) -> dict[str, str]:
    """Checks that cannot apply, with the reason."""
    if isinstance(estimator, shoal.KMeans):
        why = "steps are not counted: rows that provably stay are left out of them"
        return {"check_non_transformer_estimators_n_iter": why}
    return {}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [shoal.KMeans(n_clusters=3), shoal.HDBSCAN(), shoal.AutoCluster()], expected_failed_checks=expected_failures
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


def test_fitted_rows_of_k_means_are_placed_where_they_were() -> None:
    points = vectors(load("fashion900"), "pca64")
    fitted = shoal.KMeans(10).fit(points)

    assert np.array_equal(fitted.predict(points), fitted.labels_)


def test_auto_needs_no_parameters_and_tells_its_layers() -> None:
    table = load("fashion900")
    fitted = shoal.AutoCluster(normalize=True).fit(vectors(table, "pca64"))
    truth = table["label"].to_numpy(zero_copy_only=False).astype(str)

    assert adjusted_rand_score(truth, fitted.labels_) > 0.3
    assert np.array_equal(fitted.layers_[fitted.layer_], fitted.labels_)


def test_estimators_stand_in_a_pipeline() -> None:
    points = vectors(load("fashion900"), "pca64")

    labels = make_pipeline(StandardScaler(), shoal.KMeans(5)).fit_predict(points)

    assert np.unique(labels).tolist() == [0, 1, 2, 3, 4]

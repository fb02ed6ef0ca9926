"""`shoal.TextEncoder`: a transformer as scikit-learn expects one."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import shoal
from shoal.errors import InvalidField

TEXTS = ["I lost my card", "my card was stolen", "will it rain tomorrow", "is it raining today"]

APPLICABLE = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
)
"""Those of scikit-learn that send no numbers; it skips all others for a transformer of texts."""


@pytest.mark.parametrize("check", APPLICABLE, ids=lambda check: check.__name__)
def test_scikit_learns_checks_for_transformers_of_texts(check: object) -> None:
    check("TextEncoder", shoal.TextEncoder())  # type: ignore[operator]


def test_texts_of_any_column_become_unit_vectors() -> None:
    vectors = shoal.TextEncoder().fit_transform(TEXTS)

    assert vectors.shape == (4, 256) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for column in (tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS), pd.DataFrame({"a": TEXTS})):
        assert np.array_equal(shoal.TextEncoder("static").fit(column).transform(column), vectors)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_missing_and_unknown_texts_are_rows_of_zeros() -> None:
    vectors = shoal.TextEncoder().fit(TEXTS).transform(["", None, "?!", "card"])

    assert vectors.any(axis=1).tolist() == [False, False, False, True]


def test_a_pipeline_goes_from_texts_to_clusters() -> None:
    pipeline = make_pipeline(shoal.TextEncoder(), shoal.KMeans(2, random_state=1))
    labels = pipeline.fit_predict(TEXTS)

    assert labels[0] == labels[1] != labels[2] == labels[3]
    assert pipeline.predict(["a lost card"])[0] == labels[0]
    assert pipeline[:-1].get_feature_names_out().tolist()[:2] == ["textencoder0", "textencoder1"]


def test_it_is_cloned_and_pickled_without_the_tables() -> None:
    fitted = clone(shoal.TextEncoder(encoder="static")).fit(TEXTS)
    stored = pickle.dumps(fitted)

    assert len(stored) < 100_000
    again = pickle.loads(stored)
    assert np.array_equal(again.transform(TEXTS), fitted.transform(TEXTS))
    assert again.encoder_ == fitted.encoder_ and again.get_params() == {"encoder": "static"}


def test_it_refuses_what_is_no_text_and_to_transform_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError):
        shoal.TextEncoder().transform(TEXTS)
    with pytest.raises(InvalidField, match=r"X\[1\]: must be text, got 5"):
        shoal.TextEncoder().fit(["a", 5])
    with pytest.raises(InvalidField, match="X: holds no text"):
        shoal.TextEncoder().fit(["", None])
    with pytest.raises(InvalidField, match="encoder"):
        shoal.TextEncoder("no-such-encoder").fit(TEXTS)

"""Every parameter of the official SDK's models: known here, with the same default, or refused with the reason."""

from dataclasses import fields
from typing import Any

import pytest
from mixpeek.models.agglomerative_params import AgglomerativeParams
from mixpeek.models.dbscan_params import DBSCANParams
from mixpeek.models.evo_c_params import EVoCParams
from mixpeek.models.gaussian_mixture_params import GaussianMixtureParams
from mixpeek.models.hdbscan_params import HDBSCANParams
from mixpeek.models.k_means_params import KMeansParams
from mixpeek.models.leiden_params import LeidenParams
from mixpeek.models.mean_shift_params import MeanShiftParams
from mixpeek.models.no_reduction import NoReduction
from mixpeek.models.optics_params import OPTICSParams
from mixpeek.models.spectral_params import SpectralParams
from mixpeek.models.tsne_params import TSNEParams
from mixpeek.models.umap_params import UMAPParams
from mixpeek.models.vector_based_config_input import VectorBasedConfigInput
from mixpeek.models.weight_learning_config import WeightLearningConfig
from mixpeek.models.whitening_params import WhiteningParams

from shoal.engine import ALGORITHMS, check_params
from shoal.engine.features.preprocessing import check_steps
from shoal.engine.features.weights import WeightLearning
from shoal.records.clusters.requests import VectorConfig

MODELS: dict[str, Any] = {
    "agglomerative": AgglomerativeParams,
    "dbscan": DBSCANParams,
    "evoc": EVoCParams,
    "gaussian_mixture": GaussianMixtureParams,
    "hdbscan": HDBSCANParams,
    "kmeans": KMeansParams,
    "leiden": LeidenParams,
    "mean_shift": MeanShiftParams,
    "optics": OPTICSParams,
    "spectral": SpectralParams,
}
SEED_OF_THE_PLAN = {"random_state"}
"""None here: the run's seed, which is the SDK's default of 42."""
FROM_DATA = {
    "agglomerative": {"n_clusters"},
    "dbscan": {"eps"},
    "gaussian_mixture": {"n_components", "covariance_type"},
    "mean_shift": {"bandwidth_quantile"},
    "optics": {"cluster_method", "xi"},
    "spectral": {"n_clusters"},
}
"""None here: chosen from the data where the request does not have it. What the SDK sends of itself is taken."""


def _defaults(model: Any) -> dict[str, Any]:
    sent: dict[str, Any] = model().to_dict()
    return sent


@pytest.mark.parametrize("method", sorted(MODELS))
def test_every_parameter_is_known_with_the_default_of_the_sdk(method: str) -> None:
    ours = {field.name: field.default for field in fields(ALGORITHMS[method].params)}
    names = set(MODELS[method].model_fields) - {"additional_properties"}

    assert names <= set(ours)
    for name, value in _defaults(MODELS[method]).items():
        if value is None or name in SEED_OF_THE_PLAN:
            continue
        assert ours[name] == (None if name in FROM_DATA.get(method, ()) else value), name


@pytest.mark.parametrize("method", sorted(MODELS))
def test_what_the_sdk_sends_by_default_is_accepted_without_a_word(method: str) -> None:
    checked, warnings = check_params(method, _defaults(MODELS[method]))

    assert warnings == []
    assert ALGORITHMS[method].params(**checked) is not None


def test_every_field_of_the_vector_configuration_is_known() -> None:
    spoken_of = {"feature_extractor_name", "version", "output_name"}  # deprecated parts of a feature URI
    names = set(VectorBasedConfigInput.model_fields) - {"additional_properties"} - spoken_of

    assert names <= set(VectorConfig.model_fields)


def test_every_field_of_weight_learning_is_known() -> None:
    names = set(WeightLearningConfig.model_fields) - {"additional_properties"}

    assert names == {field.name for field in fields(WeightLearning)}
    assert WeightLearning(**_defaults(WeightLearningConfig)).max_iterations == 20


@pytest.mark.parametrize("model", [NoReduction, TSNEParams, UMAPParams, WhiteningParams])
def test_every_preprocessing_step_takes_what_the_sdk_sends(model: Any) -> None:
    sent = _defaults(model)

    steps = check_steps([sent], "preprocessing_steps")

    assert [step.method for step in steps] == ([] if sent["method"] == "none" else [sent["method"]])
    for step in steps:
        assert not step.without_effect
        assert step.n_components in (sent.get("n_components"), None)

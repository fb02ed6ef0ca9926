"""How parameters are checked, dropped and explained."""

import numpy as np
import pytest

from shoal.engine import ALGORITHMS, Plan, check_params, compute
from shoal.errors import InvalidField

SDK_SET = {
    "n_clusters": 8,
    "max_iter": 300,
    "random_state": 42,
    "n_init": 10,
    "tol": 0.0001,
    "init": "k-means++",
    "verbose": 0,
    "copy_x": True,
    "algorithm": "lloyd",
}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_no_parameters_are_the_defaults(name: str) -> None:
    checked, warnings = check_params(name, {})

    assert ALGORITHMS[name].params(**checked) == ALGORITHMS[name].params()
    assert warnings == []


def test_the_defaults_are_those_of_the_contract() -> None:
    assert check_params("kmeans", {})[0] == {**SDK_SET, "random_state": None}
    assert check_params("hdbscan", {})[0] == {
        "min_cluster_size": 5,
        "min_samples": None,
        "cluster_selection_epsilon": 0.0,
        "max_cluster_size": None,
        "metric": "euclidean",
        "alpha": 1.0,
        "cluster_selection_method": "eom",
        "allow_single_cluster": False,
        "prediction_data": False,
        "match_reference_implementation": False,
        "approximate": None,  # Shoal's own
    }


def test_null_stands_for_the_default() -> None:
    assert check_params("kmeans", dict.fromkeys(SDK_SET)) == check_params("kmeans", {})


def test_unknown_parameters_are_dropped_with_a_warning() -> None:
    checked, (warning,) = check_params("hdbscan", {"eps": 1, "min_cluster_size": 7, "linkage": "ward"})

    assert checked["min_cluster_size"] == 7 and "eps" not in checked
    assert "'eps', 'linkage'" in warning and "min_cluster_size" in warning


def test_the_k_means_defaults_of_the_sdk_are_recognised_for_another_method() -> None:
    checked, (warning,) = check_params("hdbscan", SDK_SET)

    assert checked == check_params("hdbscan", {})[0]
    assert "Mixpeek SDK" in warning and "AlgorithmParams({...})" in warning and "hdbscan_parameters" in warning
    assert check_params("kmeans", SDK_SET) == (SDK_SET, [])


@pytest.mark.parametrize(
    ("algorithm", "own"),
    [
        ("auto", "n_clusters"),
        ("gaussian_mixture", "n_components"),
        ("kmeans", "n_clusters"),
        ("evoc", "approx_n_clusters"),
    ],
)
@pytest.mark.parametrize("name", ["n_clusters", "n_components", "approx_n_clusters"])
def test_the_number_of_clusters_is_accepted_under_every_name(algorithm: str, own: str, name: str) -> None:
    assert check_params(algorithm, {name: 3}) == check_params(algorithm, {own: 3})
    assert check_params(algorithm, {name: 3})[1] == []

    with pytest.raises(InvalidField) as refused:
        check_params(algorithm, {name: -3})
    assert refused.value.field == f"algorithm_params.{name}"
    assert "-3" in str(refused.value)


def test_a_parameter_of_the_method_is_not_mistaken_for_the_number_of_clusters() -> None:
    checked, warnings = check_params("spectral", {"n_components": 3})

    assert (checked["n_components"], checked["n_clusters"]) == (3, check_params("spectral", {})[0]["n_clusters"])
    assert warnings == []


def test_the_methods_own_name_for_the_number_of_clusters_takes_precedence() -> None:
    checked, (warning,) = check_params("auto", {"n_clusters": 3, "approx_n_clusters": 5})

    assert checked["n_clusters"] == 3
    assert "approx_n_clusters" in warning


def test_a_number_of_clusters_among_the_defaults_of_the_sdk_is_used() -> None:
    checked, warnings = check_params("auto", {**SDK_SET, "n_clusters": 3})

    assert checked["n_clusters"] == 3 and warnings == []
    assert check_params("auto", SDK_SET)[0]["n_clusters"] is None


@pytest.mark.parametrize(
    ("name", "sent", "meant"),
    [
        ("auto", "n_cluster", "n_clusters"),
        ("auto", "n_Clusters", "n_clusters"),
        ("hdbscan", "min_clustersize", "min_cluster_size"),
        ("gaussian_mixture", "n_component", "n_components"),
        ("gaussian_mixture", "n_cluster", "n_clusters"),
    ],
)
def test_a_misspelt_parameter_is_dropped_with_a_suggestion(name: str, sent: str, meant: str) -> None:
    checked, (message,) = check_params(name, {sent: 12})

    assert checked == check_params(name, {})[0]
    assert f"{name} does not know {sent!r}; ignored. Did you mean {meant!r}?" in message


def test_an_unrecognisable_parameter_is_dropped_without_a_suggestion() -> None:
    (message,) = check_params("hdbscan", {"n_clusters": 12})[1]

    assert "Did you mean" not in message and "It knows" in message


WRONG: list[tuple[str, str, object]] = [
    ("kmeans", "n_clusters", 0),
    ("kmeans", "n_clusters", True),
    ("kmeans", "n_clusters", 3.5),
    ("kmeans", "n_clusters", "8"),
    ("kmeans", "max_iter", 0),
    ("kmeans", "n_init", 0),
    ("kmeans", "random_state", -1),
    ("kmeans", "tol", -0.1),
    ("kmeans", "tol", float("nan")),
    ("kmeans", "tol", False),
    ("kmeans", "init", "spread"),
    ("kmeans", "algorithm", "auto"),
    ("kmeans", "copy_x", 1),
    ("kmeans", "verbose", -1),
    ("hdbscan", "min_cluster_size", 1),
    ("hdbscan", "min_cluster_size", True),
    ("hdbscan", "min_samples", 0),
    ("hdbscan", "max_cluster_size", 0),
    ("hdbscan", "cluster_selection_epsilon", -1),
    ("hdbscan", "cluster_selection_epsilon", float("inf")),
    ("hdbscan", "alpha", 0),
    ("hdbscan", "metric", ["cosine"]),
    ("hdbscan", "cluster_selection_method", "EOM"),
    ("hdbscan", "allow_single_cluster", "yes"),
]


@pytest.mark.parametrize(("name", "field", "value"), WRONG, ids=lambda value: repr(value))
def test_an_invalid_value_is_rejected_with_its_field(name: str, field: str, value: object) -> None:
    with pytest.raises(InvalidField, match=rf"^algorithm_params\.{field}: must be ") as caught:
        check_params(name, {field: value})

    assert caught.value.field == f"algorithm_params.{field}"


def test_a_thousand_clusters_are_allowed() -> None:
    assert check_params("kmeans", {"n_clusters": 50_000})[0]["n_clusters"] == 50_000


@pytest.mark.parametrize("algorithm", ["kmeans", "gaussian_mixture", "spectral", "leiden", "evoc", "auto"])
@pytest.mark.parametrize("seed", [-1, 2**32, 2**70, 1.5, True])
def test_a_seed_out_of_range_is_rejected_by_its_own_name(algorithm: str, seed: object) -> None:
    with pytest.raises(InvalidField, match="random_state: must be a whole number from 0 to 4294967295"):
        check_params(algorithm, {"random_state": seed})


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_the_seed_of_a_plan_is_rejected_by_its_own_name(seed: int) -> None:
    with pytest.raises(InvalidField, match=r"^seed: must be a whole number from 0 to 4294967295"):
        compute(np.eye(4, dtype=np.float32), Plan(algorithm="kmeans", params={"n_clusters": 2}, seed=seed))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_are_accepted_and_recorded(seed: int) -> None:
    points = np.random.default_rng(1).standard_normal((40, 3)).astype(np.float32)
    found = compute(points, Plan(algorithm="kmeans", params={"n_clusters": 3, "random_state": seed}))

    assert found.params["random_state"] == seed

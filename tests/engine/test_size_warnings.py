"""Warnings about uninformative cluster sizes."""

import re
from typing import Any

import numpy as np
import pytest

from shoal.engine import Plan, compute
from shoal.engine.size_warnings import size_warning

RNG = np.random.default_rng(0)
LOOSE = RNG.uniform(-30, 30, (60, 6))


def noted(points: np.ndarray[Any, Any], algorithm: str, **params: object) -> list[str]:
    plan = Plan(algorithm=algorithm, params=params, normalize=False, components=0)
    warnings = compute(points.astype(np.float32), plan).warnings
    return [warning for warning in warnings if "algorithm auto" in warning]


def groups(*sizes: int) -> np.ndarray[Any, Any]:
    centers = 10 * np.eye(6)[: len(sizes)]
    return np.repeat(centers, sizes, axis=0) + RNG.normal(0, 0.1, (sum(sizes), 6))


@pytest.mark.parametrize(
    ("algorithm", "params"), [("hdbscan", {}), ("dbscan", {"eps": 0.6}), ("optics", {"max_eps": 0.6})]
)
def test_density_with_much_noise_names_the_share_and_suggests_auto(algorithm: str, params: dict[str, object]) -> None:
    few = np.concatenate([groups(15, 15, 15), LOOSE])

    (note,) = noted(few, algorithm, **params)

    # OPTICS leaves the edges of its groups out as well.
    share = r"6[0-3] of 105 documents \((57|58|59|60)%\) are in no cluster"
    assert re.fullmatch(rf"{share}\. Try the algorithm auto: it finds a scale for every region of the data\.", note)
    assert not noted(np.concatenate([groups(30, 30, 30), LOOSE[:20]]), algorithm, **params)


@pytest.mark.parametrize(
    ("algorithm", "params"),
    [
        ("hdbscan", {}),
        ("dbscan", {"eps": 0.6}),
        ("agglomerative", {"n_clusters": 3}),
        ("mean_shift", {"bandwidth": 1.0}),
    ],
)
def test_a_cluster_of_most_documents_is_named_with_its_share(algorithm: str, params: dict[str, object]) -> None:
    (note,) = noted(groups(70, 15, 15), algorithm, **params)

    assert note.startswith("One cluster holds 70 of 100 documents (70%). Try the algorithm auto")
    assert not noted(groups(40, 30, 30), algorithm, **params)


def test_noise_and_a_dominant_cluster_are_one_sentence() -> None:
    (note,) = noted(np.concatenate([groups(66, 10, 10), LOOSE]), "dbscan", eps=0.6)
    assert note.startswith("60 of 146 documents (41%) are in no cluster. Try")

    (note,) = noted(np.concatenate([groups(66), LOOSE[:46]]), "dbscan", eps=0.6)
    assert note.startswith(
        "46 of 112 documents (41%) are in no cluster and one cluster holds 66 of 112 documents (59%). Try the algorithm"
    )


def test_a_requested_single_cluster_is_not_reported() -> None:
    one = np.zeros(60, np.int32)
    assert size_warning("hdbscan", {"allow_single_cluster": False}, one)
    assert not size_warning("hdbscan", {"allow_single_cluster": True}, one)
    assert not noted(groups(30, 30), "agglomerative", n_clusters=1)


def test_two_clusters_may_differ_in_size() -> None:
    assert not noted(groups(60, 40), "hdbscan")
    assert noted(groups(90, 10), "hdbscan")


def test_partitioning_methods_are_not_reported() -> None:
    assert not noted(groups(70, 15, 15), "kmeans", n_clusters=3)
    assert not noted(groups(70, 15, 15), "auto")


def test_too_many_clusters_for_few_documents_are_reported() -> None:
    few = RNG.normal(size=(12, 6)).astype(np.float32)
    warnings = compute(few, Plan(algorithm="kmeans", params={"n_clusters": 5}, components=0)).warnings

    assert warnings == ["5 clusters of 12 documents hold 2.4 on average: too few to tell groups from chance."]
    assert not compute(few, Plan(algorithm="kmeans", params={"n_clusters": 4}, components=0)).warnings


def test_all_noise_is_reported_as_all() -> None:
    (note,) = noted(LOOSE[:12], "hdbscan")
    assert note.startswith("All 12 documents are in no cluster. Try the algorithm auto")

"""Names that no algorithm has: what was meant, also by those who come from another library."""

from typing import Any

import numpy as np
import pytest

import shoal
from shoal.errors import InvalidField

VECTORS = np.eye(4, dtype=np.float32).repeat(5, axis=0)


@pytest.mark.parametrize(
    ("algorithm", "name", "hint"),
    [
        ("auto", "nr_topics", "Did you mean n_clusters?"),
        ("kmeans", "k", "Did you mean n_clusters?"),
        ("auto", "n_cluster", "Did you mean n_clusters?"),
        ("auto", "min_topic_size", "Did you mean min_cluster_size?"),
        ("hdbscan", "min_clusters_size", "Did you mean min_cluster_size?"),
        ("auto", "embeddings", "Did you mean vector?"),
        ("auto", "docs", "Did you mean text?"),
        ("auto", "n_jobs", "Did you mean threads?"),
        ("auto", "verbose", "Did you mean progress?"),
        ("auto", "eps", "dbscan and optics have it. auto takes n_clusters,"),
        ("hdbscan", "noise_level", "auto has it. hdbscan takes min_cluster_size,"),
        ("kmeans", "min_topic_size", "got 3. kmeans takes n_clusters,"),
        ("dbscan", "nonsense", "got 3. dbscan takes eps,"),
    ],
)
def test_an_unknown_parameter_gets_a_suggestion(algorithm: str, name: str, hint: str) -> None:
    parameters: dict[str, Any] = {name: 3}
    with pytest.raises(InvalidField) as refused:
        shoal.cluster(VECTORS, algorithm=algorithm, **parameters)
    assert refused.value.field == name and hint in str(refused.value)


def test_a_number_of_clusters_is_not_proposed_to_those_who_gave_it() -> None:
    with pytest.raises(InvalidField, match=r"n_clusters: is neither a parameter of hdbscan") as refused:
        shoal.cluster(VECTORS, algorithm="hdbscan", n_clusters=3)
    assert "Did you mean" not in str(refused.value) and "kmeans" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("hdbscn", "hdbscan"), ("HDBSCAN", "hdbscan"), ("K-means", "kmeans"), ("gmm", "gaussian_mixture"),
     ("Gaussian Mixture", "gaussian_mixture"), ("hierarchical", "agglomerative"), ("louvain", "leiden")],
)  # fmt: skip
def test_a_misspelt_algorithm_gets_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(InvalidField) as refused:
        shoal.cluster(VECTORS, algorithm=name)
    assert f"Did you mean {suggestion!r}?" in str(refused.value) and "evoc" not in str(refused.value)


def test_an_algorithm_that_is_not_a_name_is_refused() -> None:
    for algorithm_ in (None, ["kmeans"], shoal.KMeans):
        with pytest.raises(InvalidField, match="algorithm: is not known"):
            shoal.cluster(VECTORS, algorithm=algorithm_)  # type: ignore[arg-type]

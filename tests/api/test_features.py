"""Several vectors a document, every method, preprocessing and hierarchies over HTTP."""

from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.engine import ALGORITHMS

CLUSTERS = {
    "kmeans": {"n_clusters": 3, "n_init": 1},
    "agglomerative": {"n_clusters": 3},
    "gaussian_mixture": {"n_components": 3, "covariance_type": "diag"},
    "spectral": {"n_clusters": 3},
}


@pytest.fixture
def two_features(client: httpx.Client) -> list[dict[str, Any]]:
    """Sixty documents whose feature v tells three groups and whose feature w is noise."""
    rng = np.random.default_rng(3)
    made = grouped_documents()
    for document in made:
        document["vectors"]["w"] = rng.normal(size=16).tolist()
    put_documents(client, made)
    return made


@pytest.mark.usefixtures("two_features")
class TestFeatures:
    @pytest.mark.parametrize("method", sorted(ALGORITHMS))
    def test_every_method_runs(self, client: httpx.Client, services: Services, method: str) -> None:
        create(client, method=method, config={"algorithm_params": CLUSTERS.get(method, {})})

        run = execute(client, services)

        assert run["status"] == "completed"
        assert run["num_clusters"] >= 1

    def test_given_weights_decide(self, client: httpx.Client, services: Services) -> None:
        create(client, config={"feature_uris": ["v", "w"], "feature_weights": {"v": 1.0, "w": 0.0}})

        run = execute(client, services)

        assert sorted(c["num_members"] for c in run["centroids"]) == [20, 20, 20]
        assert len({c["label"] for c in run["centroids"]}) == 3

    def test_learned_weights_are_told(self, client: httpx.Client, services: Services) -> None:
        create(client, config={"feature_uris": ["v", "w"], "multi_feature_strategy": "weighted"})

        run = execute(client, services)

        learned = client.get("/clusters/groups").json()["learned_weights"]
        assert run["status"] == "completed"
        assert learned["v"] > learned["w"]
        assert sum(learned.values()) == pytest.approx(1)

    def test_a_document_with_one_of_two_features_is_clustered_by_it(
        self, client: httpx.Client, services: Services, two_features: list[dict[str, Any]]
    ) -> None:
        two_features[0]["vectors"]["w"] = [0.0] * 16
        put_documents(client, two_features[:1])
        create(client, config={"feature_uris": ["v", "w"], "feature_weights": {"v": 0.9, "w": 0.1}})

        run = execute(client, services)

        assert run["num_points"] == 60

    def test_preprocessing_changes_the_space(self, client: httpx.Client, services: Services) -> None:
        create(client, config={"preprocessing_steps": [{"method": "pca", "n_components": 3}]})

        run = execute(client, services)

        shown = client.get(f"/clusters/groups/executions/{run['run_id']}?include_vectors=true").json()["centroids"]
        assert sorted(c["num_members"] for c in run["centroids"]) == [20, 20, 20]
        assert {len(c["centroid_vector"]) for c in shown} == {3}
        output = client.get("/clusters/groups").json()["output_collection_ids"][0]
        listed = client.post(
            f"/collections/{output}/documents/list", json={"filters": {"is_centroid": True}, "return_vectors": True}
        ).json()["results"]
        assert {len(document["vectors"]["v"]) for document in listed} == {8}

    def test_a_hierarchy_joins_clusters_into_groups(self, client: httpx.Client, services: Services) -> None:
        create(
            client,
            config={
                "kmeans_parameters": {"n_clusters": 9, "n_init": 1},
                "hierarchical": True,
                "max_hierarchy_depth": 2,
            },
        )

        run = execute(client, services)

        shown = client.get("/clusters/groups").json()
        links = shown["hierarchy_relationships"]
        assert shown["hierarchy_detected"]
        assert {link["child_cluster_id"] for link in links} == {c["cluster_id"] for c in run["centroids"]}
        assert len({link["parent_cluster_id"] for link in links}) == 3
        assert sum({link["parent_cluster_id"]: link["parent_num_members"] for link in links}.values()) == 60

    @pytest.mark.parametrize("step", [{"method": "umap", "n_components": 3, "min_dist": 0.2}, {"method": "tsne"}])
    def test_places_of_the_neighbour_graph_are_clustered_by_distance(
        self, client: httpx.Client, services: Services, step: dict[str, Any]
    ) -> None:
        create(client, config={"preprocessing_steps": [step]})

        run = execute(client, services)

        assert sorted(c["num_members"] for c in run["centroids"]) == [20, 20, 20]
        assert run["distance_metric"] == "euclidean"
        assert any(step["method"] in told for told in run["warnings"])

"""Several vectors per document, every method, preprocessing and hierarchies over HTTP."""

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
    """Sixty documents whose feature v separates three groups and whose feature w is noise."""
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

    def test_given_weights_take_effect(self, client: httpx.Client, services: Services) -> None:
        create(client, config={"feature_uris": ["v", "w"], "feature_weights": {"v": 1.0, "w": 0.0}})

        run = execute(client, services)

        assert sorted(c["num_members"] for c in run["centroids"]) == [20, 20, 20]
        assert len({c["label"] for c in run["centroids"]}) == 3

    def test_learned_weights_are_reported(self, client: httpx.Client, services: Services) -> None:
        create(client, config={"feature_uris": ["v", "w"], "multi_feature_strategy": "weighted"})

        run = execute(client, services)

        learned = client.get("/clusters/groups").json()["learned_weights"]
        assert run["status"] == "completed"
        assert learned["v"] > learned["w"]
        assert sum(learned.values()) == pytest.approx(1)

    def test_a_document_with_only_one_of_two_features_is_clustered_by_it(
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

    def test_a_hierarchy_merges_clusters_into_groups(self, client: httpx.Client, services: Services) -> None:
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
        of_run = {c["cluster_id"]: c for c in run["centroids"]}
        parents = {link["parent_cluster_id"] for link in links}
        leaves = of_run.keys() - parents
        assert shown["hierarchy_detected"]
        assert (run["num_clusters"], shown["num_clusters"], len(leaves)) == (9, 9, 9)
        assert {link["child_cluster_id"] for link in links} <= leaves
        assert all(of_run[link["child_cluster_id"]]["parent_cluster_id"] == link["parent_cluster_id"] for link in links)
        assert all(of_run[id]["num_members"] == size for id, size in _sizes(links).items())
        assert sum(of_run[id]["num_members"] for id in leaves) == 60
        for link in links:
            assert (link["level"], link["parent_label"]) == (1, of_run[link["parent_cluster_id"]]["label"])

        tops = [c for c in run["centroids"] if c["parent_cluster_id"] is None]
        assert [c["cluster_id"] for c in sorted(tops, key=lambda c: int(c["cluster_id"][3:]))] == [
            f"cl_{number}" for number in range(len(tops))
        ]
        assert {id for id in leaves if "_sub_" in id} == {link["child_cluster_id"] for link in links}
        assert all(id.rpartition("_sub_")[0] == of_run[id]["parent_cluster_id"] for id in leaves if "_sub_" in id)

    def test_every_parent_is_returned_wherever_clusters_are(self, client: httpx.Client, services: Services) -> None:
        parameters = {"n_clusters": 12, "n_init": 1}
        create(client, config={"kmeans_parameters": parameters, "hierarchical": True, "max_hierarchy_depth": 4})

        run = execute(client, services)

        output = client.get("/clusters/groups").json()["output_collection_ids"][0]
        body = {"filters": {"is_centroid": True}, "limit": 100, "return_vectors": True}
        documents = client.post(f"/collections/{output}/documents/list", json=body).json()["results"]
        artifacts = client.get(f"/clusters/groups/executions/{run['run_id']}/artifacts").json()["centroids"]
        for shown in (run["centroids"], documents, artifacts):
            ids = {one["cluster_id"] for one in shown}
            parents = {one["parent_cluster_id"] for one in shown} - {None}
            assert parents and parents <= ids
            for parent in parents:
                children = [one for one in shown if one.get("parent_cluster_id") == parent]
                assert len(children) > 1, "a level of one says nothing"
                own = next(one for one in shown if one["cluster_id"] == parent)
                assert own["num_members"] == sum(child["num_members"] for child in children)
        groups = client.get("/clusters/groups/groups").json()["groups"]
        assert {one["cluster_id"] for one in groups} == {one["cluster_id"] for one in documents}
        assert all(len(document["vectors"]["v"]) == 8 for document in documents)

    def test_a_single_feature_has_full_weight_and_the_metric_as_its_quality(
        self, client: httpx.Client, services: Services
    ) -> None:
        uri = "mixpeek://text_extractor@v1/v"
        learning = {"metric": "silhouette"}
        config = {"feature_uris": [uri], "multi_feature_strategy": "weighted", "weight_learning_config": learning}
        create(client, config=config)

        run = execute(client, services)

        shown = client.get("/clusters/groups").json()
        assert shown["learned_weights"] == {uri: 1.0}
        assert shown["learning_quality_score"] == run["metrics"]["silhouette_score"]

    @pytest.mark.parametrize("step", [{"method": "umap", "n_components": 3, "min_dist": 0.2}, {"method": "tsne"}])
    def test_neighbour_graph_embeddings_are_clustered_by_distance(
        self, client: httpx.Client, services: Services, step: dict[str, Any]
    ) -> None:
        create(client, config={"preprocessing_steps": [step]})

        run = execute(client, services)

        assert sorted(c["num_members"] for c in run["centroids"]) == [20, 20, 20]
        assert run["distance_metric"] == "euclidean"
        assert any(step["method"] in warning for warning in run["warnings"])


def _sizes(links: list[dict[str, Any]]) -> dict[str, int]:
    """For each parent, the total of its children."""
    sizes: dict[str, int] = {}
    for link in links:
        sizes[link["parent_cluster_id"]] = sizes.get(link["parent_cluster_id"], 0) + link["child_num_members"]
    return sizes

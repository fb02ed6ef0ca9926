"""Details of the wire contract, in the form in which clients read them."""

import io
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture
def docs(client: httpx.Client) -> None:
    put_documents(client, grouped_documents(60))


def got(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.usefixtures("docs")
class TestRuns:
    def test_the_last_run_is_the_most_recent_one(self, client: httpx.Client, services: Services) -> None:
        create(client)
        first = execute(client, services)

        task = got(client.post("/clusters/groups/execute"))

        shown = got(client.get("/clusters/groups"))
        assert shown["last_run_id"] == task["additional_data"]["run_id"] != first["run_id"]
        assert shown["current_run_id"] == first["run_id"]

    def test_runs_can_be_searched_by_the_labels_of_their_clusters(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        run = execute(client, services)
        path = f"/clusters/groups/executions/{run['run_id']}/labels"
        made = run["centroids"][1]["label"]
        got(client.patch(path, json={"labels": {"cl_0": "Zeppelins over town"}}))

        def found(text: str) -> int:
            return len(got(client.post("/clusters/groups/executions/list", json={"search": text}))["results"])

        assert (found("zeppelin"), found(made), found("nothing of that kind")) == (1, 1, 0)

    def test_artifacts_contain_labels_and_the_requested_projection(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client, config={"vis_n_components": 3})
        run = execute(client, services)
        path = f"/clusters/groups/executions/{run['run_id']}/artifacts"

        def axes(method: str | None) -> set[int]:
            query = {"include_members": "true", **({} if method is None else {"projection_method": method})}
            body = got(client.get(path, params=query))
            assert all(one["cluster_label"] == one["label"] for one in body["centroids"])
            return {len(member["coordinates"]) for member in body["members"]}

        assert (axes(None), axes("3d"), axes("2d")) == ({3}, {3}, {2})

    def test_a_two_dimensional_map_has_no_third_coordinate(self, client: httpx.Client, services: Services) -> None:
        create(client)
        run = execute(client, services)

        refused = client.get(f"/clusters/groups/executions/{run['run_id']}/artifacts?projection_method=3d")

        assert refused.status_code == 422
        assert "vis_n_components: 3" in refused.json()["error"]["message"]

    def test_data_can_be_requested_as_parquet(self, client: httpx.Client, services: Services) -> None:
        create(client)
        run = execute(client, services)
        accept = {"Accept": "application/vnd.apache.parquet"}

        for path in (f"/clusters/groups/executions/{run['run_id']}/data", "/clusters/groups/data"):
            answer = client.post(path, headers=accept)
            assert answer.headers["Content-Type"] == accept["Accept"]
            assert pq.read_table(io.BytesIO(answer.content)).num_rows == 60

    def test_polling_a_deleted_cluster_is_a_404(self, client: httpx.Client, services: Services) -> None:
        create(client)
        task = got(client.post("/clusters/groups/execute"))
        got(client.delete("/clusters/groups"))

        polled = got(client.get(f"/tasks/{task['task_id']}"))
        run = client.get(f"/clusters/groups/executions/{task['additional_data']['run_id']}")

        assert (polled["status"], polled["error"]) == ("CANCELED", "The cluster was deleted.")
        assert (run.status_code, run.json()["error"]["type"]) == (404, "NotFoundError")


class TestGroups:
    def test_attributes_are_objects_in_output_documents_and_groups(
        self, client: httpx.Client, services: Services, docs: None
    ) -> None:
        body = {
            "collection_ids": ["docs"],
            "cluster_name": "groups",
            "cluster_type": "attribute",
            "attribute_config": {"attributes": ["kind", "even"], "hierarchical_grouping": True},
        }
        got(client.post("/clusters", json=body))
        execute(client, services)

        output = got(client.get("/clusters/groups"))["output_collection_ids"][0]
        documents = got(client.post(f"/collections/{output}/documents/list", json={"filters": {"is_centroid": True}}))
        groups = got(client.get("/clusters/groups/groups"))["groups"]

        assert all(set(one["attributes"]) == {"kind", "even"} for one in (*documents["results"], *groups))
        labels = {group["cluster_id"]: group["label"] for group in groups}
        nested = [group for group in groups if group["parent_cluster_id"] is not None]
        assert len(nested) == 6
        assert all(group["label"].startswith(labels[group["parent_cluster_id"]]) for group in nested)

    def test_clusters_of_independent_features_name_their_feature(
        self, client: httpx.Client, services: Services
    ) -> None:
        documents, rng = grouped_documents(60), np.random.default_rng(3)
        for row, document in enumerate(documents):
            document["vectors"]["w"] = (np.eye(2)[row % 2] + rng.normal(0, 0.02, 2)).tolist()
        put_documents(client, documents)
        create(client, config={"feature_uris": ["v", "w"], "multi_feature_strategy": "independent"})
        execute(client, services)

        groups = got(client.get("/clusters/groups/groups"))["groups"]

        assert {group["feature"] for group in groups} == {"v", "w"}


class TestLists:
    def test_a_cursor_continues_with_get_and_with_post(self, client: httpx.Client) -> None:
        put_documents(client, grouped_documents(5))
        path = "/collections/docs/documents"
        first = got(client.get(path, params={"limit": 2}))

        second = got(client.post(f"{path}/list?limit=2", json={"cursor": first["pagination"]["next_cursor"]}))
        third = got(client.get(path, params={"limit": 2, "cursor": second["pagination"]["next_cursor"]}))

        pages = [[one["document_id"] for one in page["results"]] for page in (first, second, third)]
        assert pages == [["d0000", "d0001"], ["d0002", "d0003"], ["d0004"]]

    def test_a_cursor_belongs_to_its_list(self, client: httpx.Client) -> None:
        put_documents(client, grouped_documents(5))
        cursor = got(client.get("/collections/docs/documents?limit=2"))["pagination"]["next_cursor"]

        assert client.get("/collections", params={"cursor": cursor}).status_code == 400


@pytest.mark.parametrize("name", [".", "..", " topics", "topics ", "\u00a0topics"])
def test_names_that_cannot_occur_in_paths_are_rejected_with_the_reason(
    client: httpx.Client, docs: None, name: str
) -> None:
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    body = {"collection_ids": ["docs"], "cluster_name": name, "vector_config": config}
    for path, sent in (
        ("/clusters", body),
        ("/collections", {"collection_name": name, "source": {"type": "direct_upsert"}}),
        ("/buckets", {"bucket_name": name, "bucket_schema": {"properties": {}}}),
    ):
        answer = client.post(path, json=sent)
        assert answer.status_code == 422, path
        assert "name" in answer.json()["error"]["details"]["field"]


class TestDocumentsCalledLikeRoutes:
    @pytest.fixture
    def words(self, client: httpx.Client) -> str:
        names = ("count", "batch", "bulk", "list", "distinct", "aggregate", "import")
        put_documents(
            client,
            [{"document_id": name, "vectors": {"v": [1.0, 2.0]}, "payload": {"word": name}} for name in names],
            "words",
        )
        return "/collections/words/documents"

    def test_each_such_document_can_be_read_changed_and_deleted(self, client: httpx.Client, words: str) -> None:
        for name in ("count", "batch", "bulk", "list", "distinct", "aggregate", "import"):
            assert got(client.get(f"{words}/{name}"))["word"] == name
            assert got(client.patch(f"{words}/{name}", json={"seen": True}))["seen"] is True
            assert got(client.put(f"{words}/{name}", json={"word": name}))["word"] == name
        for name in ("batch", "bulk", "list", "distinct", "aggregate", "import", "count"):
            assert got(client.delete(f"{words}/{name}"))["success"] is True
        assert got(client.get(f"{words}/count"))["count"] == 0

    def test_the_routes_of_these_names_still_work(self, client: httpx.Client, words: str) -> None:
        update = {"filters": {"word": "bulk"}, "update_data": {"n": 1}}
        assert got(client.get(f"{words}/count"))["count"] == 7
        assert "count" not in got(client.get(f"{words}/%63ount"))
        assert got(client.patch(f"{words}/bulk", json=update))["updated_count"] == 1
        gone = got(client.request("DELETE", f"{words}/batch", json={"document_ids": ["list"]}))
        assert gone["deleted_count"] == 1
        assert client.patch(f"{words}/bulk", json={"update_data": 3}).status_code == 422


class TestOlderSpellings:
    def test_a_metric_may_be_called_dot(self, client: httpx.Client) -> None:
        config = [{"name": "v", "dimension": 2, "metric": "dot"}]
        body = {"namespace_name": "shops", "mode": "standalone", "vector_configs": config}

        assert got(client.post("/namespaces", json=body))["vector_configs"][0]["metric"] == "dot_product"

    @pytest.mark.usefixtures("docs")
    def test_requests_of_the_guide_pages_are_accepted(self, client: httpx.Client, services: Services) -> None:
        body = {
            "source_collection_ids": ["docs"],
            "cluster_name": "groups",
            "feature_addresses": ["v"],
            "algorithm": "kmeans",
            "algorithm_config": {"num_clusters": 3},
            "dimension_reduction": {"method": "pca", "components": 3},
            "llm_labeling": {"enabled": False, "provider": "openai", "model": "gpt-4o-mini-2024-07-18"},
        }

        made = got(client.post("/clusters", json=body))
        run = execute(client, services)

        assert made["preprocessing_steps"] == [{"method": "pca", "n_components": 3}]
        assert made["llm_labeling"]["model_name"] == "gpt-4o-mini-2024-07-18"
        assert (run["status"], run["num_clusters"]) == ("completed", 3)

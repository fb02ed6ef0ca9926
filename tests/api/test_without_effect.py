"""Fields without effect are reported: with a warning if the official clients send them, otherwise with an error that
names the key and the nearest valid one."""

import re
from typing import Any

import httpx
import pytest

from cluster_steps import carry_out, create, grouped_documents, put_documents, vector_body
from shoal.assemble import Services
from shoal.records.clusters.requests import VectorConfig

CONFIG: dict[str, Any] = {"kmeans_parameters": {"n_clusters": 2}}
HDBSCAN: dict[str, Any] = {"feature_uris": ["v"], "clustering_method": "hdbscan"}
VALUES = {"cluster_type": "attribute", "vector_config": None}


@pytest.fixture
def filled(client: httpx.Client) -> httpx.Client:
    put_documents(client, grouped_documents(30))
    return client


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    message: str = answer.json()["error"]["message"]
    return message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"auto_execute_on_batch": True}, "triggers are not available yet"),
        ({"auto_execute_min_documents": 5}, "do nothing without auto_execute_on_batch"),
        (
            {"source_enrichment_config": {"field_mappings": [{"source_field": "cluster_id", "target_field": "c"}]}},
            "runs write nothing into source documents",
        ),
        ({"vector_config": {**HDBSCAN, "kmeans_parameters": {"n_clusters": 2}}}, "kmeans_parameters has no effect"),
        ({"vector_config": {**HDBSCAN, "algorithm_params": {"min_cluster_sizes": 5}}}, "'min_cluster_sizes'"),
        ({"vector_config": {**HDBSCAN, "max_hierarchy_depth": 2}}, "max_hierarchy_depth has no effect"),
        (
            {"vector_config": {**HDBSCAN, "weight_learning_config": {"max_iterations": 5}}},
            "weight_learning_config has no effect",
        ),
        ({"vector_config": {**HDBSCAN, "feature_uri": "w"}}, "feature_uri has no effect beside feature_uris"),
        ({"vector_config": {**HDBSCAN, "face_cluster_merge": {}}}, "face_cluster_merge is stored"),
        ({"attribute_config": {"attributes": ["kind"]}}, "attribute_config has no effect"),
        (
            {"llm_labeling": {"labeling_inputs": {"input_mappings": [{"input_key": "a", "path": "txet"}]}}},
            "has the field 'txet': no name can come from it. Did you mean 'text'?",
        ),
        (
            {
                "llm_labeling": {
                    "labeling_inputs": {"input_mappings": [{"input_key": "a", "source_type": "blob", "path": "b"}]}
                }
            },
            "input_mappings[0] has no effect: source_type 'blob'",
        ),
        (
            {**VALUES, "attribute_config": {"attributes": ["knd"]}},
            "has the field 'knd': those without it go to the group '__missing__'. Did you mean 'kind'?",
        ),
    ],
)
def test_a_new_cluster_warns_about_fields_it_ignores(filled: httpx.Client, more: dict[str, Any], message: str) -> None:
    answer = filled.post("/clusters", json={**vector_body(), **more})
    assert answer.status_code == 200, answer.text
    warnings = answer.json()["warnings"]
    assert len(warnings) == 1 and message in warnings[0]
    assert filled.get("/clusters/groups").json()["warnings"] == warnings


def test_a_cluster_without_ignored_fields_has_no_warnings(filled: httpx.Client) -> None:
    inputs = {"input_mappings": [{"input_key": "text", "source_type": "payload", "path": "text"}]}
    made = create(filled, llm_labeling={"enabled": False, "labeling_inputs": inputs})
    by_value = {"cluster_type": "attribute", "attribute_config": {"attributes": ["kind", "even"]}}
    other = filled.post("/clusters", json={"collection_ids": ["docs"], "cluster_name": "values", **by_value})
    assert made["warnings"] == other.json()["warnings"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**vector_body(), "filtres": {"kind": "a"}}, "filtres: is not known. Did you mean 'filters'?"),
        (
            vector_body(config={"normalise_features": False}),
            "vector_config.normalise_features: is not known. Did you mean 'normalize_features'?",
        ),
        (
            {**vector_body(), "filters": {"field": "row", "operater": "gt", "value": 3}},
            "filters.operater: is not known, got 'gt'. Did you mean 'operator'?",
        ),
        ({**vector_body(), "llm_labeling": {"enabld": True}}, "llm_labeling.enabld: is not known."),
    ],
)
def test_an_unknown_key_is_rejected_with_the_nearest_valid_one(
    filled: httpx.Client, body: dict[str, Any], message: str
) -> None:
    assert message in refusal(filled.post("/clusters", json=body))
    assert filled.get("/clusters/groups").status_code == 404


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_clusters", 10), ("min_cluster_size", 5), ("auto_parameters", {}), ("parameters", {}), ("leiden_params", {})],
)
def test_misplaced_parameters_are_rejected_with_the_right_place(filled: httpx.Client, key: str, value: object) -> None:
    message = refusal(filled.post("/clusters", json=vector_body(config={key: value})))

    assert f"vector_config.{key}: is not known. Did you mean algorithm_params?" in message


def test_keys_that_belong_in_the_vector_config_are_rejected_with_a_hint_to_it(filled: httpx.Client) -> None:
    message = {
        key: refusal(filled.post("/clusters", json={**vector_body(), key: value}))
        for key, value in {"n_clusters": 10, "clustering_method": "auto", "feature_uris": ["v"]}.items()
    }

    assert "Did you mean vector_config.algorithm_params?" in message["n_clusters"]
    assert "Did you mean vector_config.clustering_method?" in message["clustering_method"]
    assert "Did you mean vector_config.feature_uris?" in message["feature_uris"]


def test_a_misspelt_parameter_block_is_rejected_with_the_right_name(filled: httpx.Client) -> None:
    message = refusal(filled.post("/clusters", json=vector_body(config={"hdbscan_params": {}})))

    assert "Did you mean 'hdbscan_parameters'?" in message


def test_a_key_similar_to_no_other_is_rejected_with_all_valid_keys(filled: httpx.Client) -> None:
    message = refusal(filled.post("/clusters", json=vector_body(config={"zzz": 1})))

    assert set(VectorConfig.model_fields) <= set(re.findall(r"\w+", message))


def test_the_parameter_block_of_another_method_gets_a_warning_with_the_right_place(filled: httpx.Client) -> None:
    config = {"feature_uris": ["v"], "clustering_method": "auto", "kmeans_parameters": {"n_clusters": 4}}
    (message,) = filled.post("/clusters", json={**vector_body(), "vector_config": config}).json()["warnings"]

    assert "clustering_method is 'auto', whose parameters stand in algorithm_params" in message


@pytest.mark.parametrize("targets", [("topic", "topic"), ("topic", "topic.id"), ("topic.id", "topic")])
def test_two_mappings_cannot_write_to_the_same_field(filled: httpx.Client, targets: tuple[str, str]) -> None:
    mappings = [
        {"source_field": source, "target_field": target}
        for source, target in zip(("cluster_id", "cluster_label"), targets, strict=True)
    ]
    body = vector_body(enrich_source_collection=True, source_enrichment_config={"field_mappings": mappings})
    assert "field_mappings[1].target_field: is where" in refusal(filled.post("/clusters", json=body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vector_config": HDBSCAN}, "vector_config: cannot be changed"),
        ({"cluster_type": "attribute"}, "cluster_type: cannot be changed"),
        ({"source_enrichment_config": {"field_mappings": None}}, "source_enrichment_config: cannot be changed"),
        ({"algoritm_params": {"n_clusters": 2}}, "Did you mean 'algorithm_params'?"),
    ],
)
def test_a_change_of_an_immutable_field_is_rejected(filled: httpx.Client, change: dict[str, Any], message: str) -> None:
    before = create(filled)
    assert message in refusal(filled.patch("/clusters/groups", json=change))
    assert filled.get("/clusters/groups").json() == before


def test_a_change_warns_about_fields_it_ignores(filled: httpx.Client) -> None:
    create(filled, auto_execute_on_batch=True)
    changed = filled.patch("/clusters/groups", json={"algorithm_params": {"n_cluster": 4}}).json()
    assert len(changed["warnings"]) == 1 and "'n_cluster'" in changed["warnings"][0]
    assert filled.patch("/clusters/groups", json={"description": "d"}).json()["warnings"] == []


def test_grouping_by_values_rejects_parameters_of_vector_clusters(filled: httpx.Client) -> None:
    by_value = {"cluster_type": "attribute", "attribute_config": {"attributes": ["kind"]}}
    filled.post("/clusters", json={"collection_ids": ["docs"], "cluster_name": "values", **by_value})
    for body in ({"sample_size": 10}, {"layout_stability": "align"}):
        assert "is for vector clusters alone" in refusal(filled.patch("/clusters/values", json=body))
        assert "is for vector clusters alone" in refusal(filled.post("/clusters/values/execute", json=body))


def test_a_threshold_without_mode_assign_is_rejected(filled: httpx.Client) -> None:
    create(filled)
    assert "needs mode 'assign'" in refusal(filled.post("/clusters/groups/execute", json={"assignment_threshold": 0.9}))


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/clusters?limt=5", "limt: is not a parameter of this route, got '5'. Did you mean 'limit'?"),
        ("DELETE", "/clusters/groups?keep_everything=true", "It takes: cascade_output_collections"),
        ("GET", "/collections?namespace_id=other", "namespace_id: is not a parameter"),
        ("GET", "/collections/docs/documents/d0000?return_presigned_urls=true", "is not available"),
        ("POST", "/clusters/groups/execute?mode=assign", "It takes none."),
    ],
)
def test_an_unknown_query_parameter_is_rejected(filled: httpx.Client, method: str, path: str, message: str) -> None:
    create(filled)
    assert message in refusal(filled.request(method, path))
    assert filled.get("/clusters/groups").status_code == 200


def test_sdk_fields_that_shoal_does_not_use_cause_a_warning(client: httpx.Client) -> None:
    namespace = client.post("/namespaces", json={"namespace_name": "other", "ttl_seconds": 60, "pinned": None}).json()
    assert namespace["warnings"] == ["ttl_seconds has no effect: namespaces stay until they are deleted"]
    body = {"collection_name": "fed", "source": {"type": "direct_upsert", "field_map": {"a": []}}, "schedule": None}
    client.headers["X-Namespace"] = "default"
    warnings = client.post("/collections", json=body).json()["warnings"]
    assert warnings == ["source.field_map has no effect: Shoal fills no collection by itself"]
    bucket = {"bucket_name": "b", "bucket_schema": {"properties": {}}, "unique_key": {"fields": ["a"]}}
    assert "unique_key is stored, but not enforced" in client.post("/buckets", json=bucket).json()["warnings"][0]


@pytest.mark.process
@pytest.mark.parametrize("name", ["status", "object_id", "created_at", "replayed"])
def test_an_objects_own_field_is_never_dropped_because_of_its_name(client: httpx.Client, name: str) -> None:
    client.post("/buckets", json={"bucket_name": "b", "bucket_schema": {"properties": {}}}).raise_for_status()
    assert f"{name}: is a reserved name" in refusal(client.post("/buckets/b/objects", json={name: "mine"}))
    made = client.post("/buckets/b/objects", json={"title": "t"}).json()
    back = client.put(f"/buckets/b/objects/{made['object_id']}", json={**made, "blobs": [], "title": "u"})
    assert back.status_code == 200 and back.json()["title"] == "u"


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/collections", {"source": {"type": "direct_upsert"}}, ("doc_topics", "run_times", "key_phrases", "col_a")),
        ("/buckets", {"bucket_schema": {"properties": {}}}, ("bkt_images", "doc_k3v9q0c2m1x7a8b4")),
        ("/namespaces", {}, ("ns_x", "col_k3v9q0c2m1x7a8b4")),
    ],
)
def test_only_the_exact_format_of_shoals_ids_is_rejected_as_a_name(
    client: httpx.Client, path: str, body: dict[str, Any], names: tuple[str, ...]
) -> None:
    resource = path.strip("/").removesuffix("s")
    prefix = {"collection": "col", "bucket": "bkt", "namespace": "ns"}[resource]
    client.headers["X-Namespace"] = "default"
    for name in names:
        answer = client.post(path, json={**body, f"{resource}_name": name})
        assert answer.status_code == 200, answer.text
        assert client.get(f"{path}/{name}").json()[f"{resource}_name"] == name
    taken = {**body, f"{resource}_name": f"{prefix}_k3v9q0c2m1x7a8b4"}
    assert "has the form of an id" in refusal(client.post(path, json=taken))


def test_a_namespace_may_be_named_like_its_own_id_but_no_other(client: httpx.Client) -> None:
    id = "ns_k3v9q0c2m1x7a8b4"
    made = client.post("/namespaces/standalone", json={"namespace_id": id, "namespace_name": id})
    assert made.status_code == 200 and made.json()["namespace_name"] == made.json()["namespace_id"] == id
    assert client.post("/namespaces", json={"namespace_name": "plain", "namespace_id": "mine"}).status_code == 200
    for body in ({"namespace_name": "mine"}, {"namespace_name": "new", "namespace_id": "plain"}):
        assert client.post("/namespaces", json=body).status_code == 409
    assert client.patch("/namespaces/mine", json={"namespace_name": "mine"}).status_code == 200


def test_a_run_has_warnings_about_ignored_fields(filled: httpx.Client, services: Services) -> None:
    create(filled)
    labeling = {"labeling_inputs": {"input_mappings": [{"input_key": "a", "source_type": "vector", "path": "v"}]}}
    body = {"defer_visualization": True, "llm_labeling": labeling}
    message = filled.post("/clusters/groups/execute", json=body).json()["additional_data"]["warnings"]
    assert "defer_visualization has no effect" in message[0] and "source_type 'vector'" in message[1]
    assert carry_out(services) == 1
    assert filled.get("/clusters/groups/executions").json()["warnings"][-2:] == message

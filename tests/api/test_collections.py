"""Collections over HTTP."""

from typing import Any

import httpx
import pytest

import cluster_steps

SOURCE: dict[str, Any] = {"type": "bucket", "field_map": {}}


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def create(client: httpx.Client, name: str, **more: object) -> dict[str, Any]:
    return made(client.post("/collections", json={"collection_name": name, "source": SOURCE, "enabled": True, **more}))


def test_a_collection_contains_the_fields_the_sdk_requires(client: httpx.Client) -> None:
    collection = create(client, "products", metadata={"vector_configs": [{"name": "text", "dimension": 4}]})

    assert collection == made(client.get("/collections/products"))
    assert collection == made(client.get(f"/collections/{collection['collection_id']}"))
    extractor = collection["feature_extractor"]
    assert {"feature_extractor_name", "version", "feature_extractor_id"} <= extractor.keys()
    assert collection["vector_indexes"] == [
        {
            "name": "text",
            "feature_uri": "text",
            "type": "dense",
            "index": {"dimension": 4},
            "source": "namespace_vector_config",
        }
    ]
    assert (collection["document_count"], collection["cluster_applications"]) == (0, [])
    assert collection["source"]["type"] == "bucket"


def test_a_named_extractor_is_kept_and_gets_an_id(client: httpx.Client) -> None:
    given = {
        "feature_extractor_name": "text_extractor",
        "version": "v2",
        "input_mappings": {"a": "b", "override": None},
    }

    assert create(client, "abc", feature_extractor=given)["feature_extractor"]["feature_extractor_id"] == (
        "text_extractor_v2"
    )


def test_features_list_what_can_be_clustered(client: httpx.Client) -> None:
    configs = [{"name": "text", "dimension": 4}, {"name": "image", "dimension": 2}]
    collection = create(client, "products", metadata={"vector_configs": configs})

    features = made(client.get(f"/collections/{collection['collection_id']}/features"))["features"]

    assert [(item["feature_uri"], item["vector_index"]["dimensions"]) for item in features] == [
        ("image", 2),
        ("text", 4),
    ]
    assert all(len(item["vector_index"]["description"]) >= 10 for item in features)


def test_collections_can_be_listed_searched_and_paginated(client: httpx.Client) -> None:
    for name in ("one", "two", "three"):
        create(client, name)

    first = made(
        client.post("/collections/list?limit=2&include_total=true", json={"sort": {"field": "collection_name"}})
    )
    cursor = first["pagination"]["next_cursor"]
    rest = made(client.post("/collections/list?limit=2", json={"sort": {"field": "collection_name"}, "cursor": cursor}))
    found = made(client.get("/collections", params={"search": "HRE"}))

    assert [item["collection_name"] for item in first["results"] + rest["results"]] == ["one", "three", "two"]
    assert first["total_count"] == first["pagination"]["total"] == 3
    assert [item["collection_name"] for item in found["results"]] == ["three"]


def test_patch_changes_only_the_sent_fields_and_declares_vectors(client: httpx.Client) -> None:
    create(client, "products")

    body = {
        "description": "d",
        "collection_name": "goods",
        "metadata": {"vector_configs": [{"name": "v", "dimension": 2}]},
    }
    changed = made(client.patch("/collections/products", json=body))

    assert changed["description"] == "d" and changed["enabled"] is True
    assert [index["name"] for index in changed["vector_indexes"]] == ["v"]
    assert client.get("/collections/products").status_code == 404


def test_sources_are_resolved_to_ids_and_buckets_inherited(client: httpx.Client) -> None:
    schema: dict[str, Any] = {"properties": {}}
    bucket = made(client.post("/buckets", json={"bucket_name": "shop", "bucket_schema": schema}))["bucket_id"]
    first = create(client, "first", source={"type": "bucket", "bucket_ids": ["shop"]})

    second = create(client, "second", source={"type": "collection", "collection_id": "first"})

    assert first["source"]["bucket_ids"] == [bucket]
    assert second["source"]["collection_id"] == first["collection_id"]
    assert second["source"]["inherited_bucket_ids"] == [bucket]


def test_deleting_a_collection_deletes_its_documents(client: httpx.Client) -> None:
    create(client, "products")
    made(client.post("/collections/products/documents", json={"document_id": "a", "vectors": {"text": [1, 2]}}))

    assert made(client.delete("/collections/products"))["success"] is True
    assert client.get("/collections/products").status_code == 404
    create(client, "products")
    assert made(client.get("/collections/products/documents/count"))["count"] == 0


def test_taken_invalid_and_foreign_references_are_rejected(client: httpx.Client, stranger: httpx.Client) -> None:
    create(client, "products")

    def refused(**body: object) -> int:
        return client.post("/collections", json={"collection_name": "fresh", "source": SOURCE, **body}).status_code

    assert refused(collection_name="products") == 409
    assert refused(collection_name="ab") == 422
    assert refused(collection_name="x" * 101) == 422
    assert refused(collection_name="list") == 422
    assert refused(source=None) == 422
    assert refused(source={"type": "bucket", "bucket_ids": ["nowhere"]}) == 404
    assert refused(source={"type": "collection", "collection_id": "nowhere"}) == 404
    assert refused(metadata={"vector_configs": [{"name": "v", "dimension": 0}]}) == 422
    assert refused(metadata={"vector_configs": [{"name": "v", "dimension": 2}, {"name": "v", "dimension": 3}]}) == 422
    assert client.get("/collections/fresh").status_code == 404
    assert stranger.get("/collections/products").status_code == 404


def test_deleting_a_collection_reports_its_documents_and_the_clusters_over_it(client: httpx.Client) -> None:
    cluster_steps.put_documents(client, cluster_steps.grouped_documents(12))
    cluster = cluster_steps.create(client)

    answer = client.delete("/collections/docs").json()

    assert answer["documents_deleted"] == 12
    (warning,) = answer["warnings"]
    assert cluster["cluster_id"] in warning and "can no longer be executed" in warning


@pytest.mark.parametrize("source", [None, {}], ids=["no source", "no type"])
def test_a_collection_without_a_source_is_returned_with_the_default_one(
    client: httpx.Client, source: dict[str, Any] | None
) -> None:
    body = {"collection_name": "new"} | ({} if source is None else {"source": source})
    message = client.post("/collections", json=body).json()["error"]["message"]

    assert 'is required. Say {"type": "direct_upsert"}' in message

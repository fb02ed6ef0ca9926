"""Buckets and objects over HTTP."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.process

SCHEMA = {"properties": {"title": {"type": "string", "required": False, "default": None}, "price": {"type": "number"}}}


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture
def bucket(client: httpx.Client) -> dict[str, Any]:
    return made(client.post("/buckets", json={"bucket_name": "shop", "bucket_schema": SCHEMA, "metadata": {"a": 1}}))


def test_a_bucket_is_found_by_id_and_name_and_keeps_its_schema(client: httpx.Client, bucket: dict[str, Any]) -> None:
    by_id = made(client.get(f"/buckets/{bucket['bucket_id']}"))

    assert by_id == made(client.get("/buckets/shop")) == bucket
    assert bucket["bucket_id"].startswith("bkt_")
    assert (bucket["object_count"], bucket["total_size_bytes"], bucket["status"]) == (0, 0, "ACTIVE")
    assert bucket["bucket_schema"]["properties"]["price"]["type"] == "number"


def test_buckets_are_listed_searched_and_counted(client: httpx.Client, bucket: dict[str, Any]) -> None:
    made(client.post("/buckets", json={"bucket_name": "other", "bucket_schema": SCHEMA}))

    every = made(client.post("/buckets/list"))
    one = made(client.get("/buckets", params={"search": "SHO", "include_total": True}))

    assert every["total_count"] == 2 and len(every["results"]) == 2
    assert [item["bucket_name"] for item in one["results"]] == ["shop"] and one["pagination"]["total"] == 1


def test_patch_and_put_change_only_the_sent_fields(client: httpx.Client, bucket: dict[str, Any]) -> None:
    made(client.patch("/buckets/shop", json={"description": "d", "bucket_name": "store"}))
    changed = made(client.put("/buckets/store", json={"metadata": None}))

    assert (changed["description"], changed["metadata"], changed["object_count"]) == ("d", None, 0)
    assert changed["bucket_schema"] == bucket["bucket_schema"]
    assert client.get("/buckets/shop").status_code == 404


def test_objects_keep_their_own_fields_and_blobs(client: httpx.Client, bucket: dict[str, Any]) -> None:
    blob = {"property": "photo", "type": "image", "data": "https://example.org/a.jpg", "metadata": {"w": 3}}
    body = {"title": "hello", "price": 1.5, "blobs": [blob], "skip_duplicates": False}

    created = made(client.post("/buckets/shop/objects", json=body))

    assert created == made(client.get(f"/buckets/{bucket['bucket_id']}/objects/{created['object_id']}"))
    assert (created["title"], created["price"], created["bucket_id"]) == ("hello", 1.5, bucket["bucket_id"])
    assert "skip_duplicates" not in created
    assert created["blobs"][0]["properties"] == {"data": "https://example.org/a.jpg", "w": 3}


def test_the_counters_follow_the_objects(client: httpx.Client, bucket: dict[str, Any]) -> None:
    objects = [{"title": f"t{i}"} for i in range(3)]
    batch = made(client.post("/buckets/shop/objects/batch", json={"objects": objects}))
    first = batch["succeeded"][0]["object_id"]

    full = made(client.get("/buckets/shop"))
    made(client.patch(f"/buckets/shop/objects/{first}", json={"title": "t" * 100}))
    grown = made(client.get("/buckets/shop"))
    assert client.delete(f"/buckets/shop/objects/{first}").status_code == 204
    less = made(client.get("/buckets/shop"))

    assert batch["succeeded_count"] == full["object_count"] == grown["object_count"] == 3
    assert grown["total_size_bytes"] == full["total_size_bytes"] + 98
    assert less["object_count"] == 2
    sizes = [item["size_bytes"] for item in made(client.post("/buckets/shop/objects/list"))["results"]]
    assert sum(sizes) == less["total_size_bytes"]


def test_objects_can_be_listed_with_filters_within_their_bucket(client: httpx.Client, bucket: dict[str, Any]) -> None:
    made(client.post("/buckets", json={"bucket_name": "other", "bucket_schema": SCHEMA}))
    foreign = made(client.post("/buckets/other/objects", json={"title": "x"}))
    objects = [{"title": "x"}, {"title": "y"}]
    made(client.post("/buckets/shop/objects/batch", json={"objects": objects}))

    listed = made(client.post("/buckets/shop/objects/list", json={"filters": {"title": "x"}, "page_size": 100}))

    assert len(listed["results"]) == 1 and listed["stats"]["total_objects"] == 1
    assert client.get(f"/buckets/shop/objects/{foreign['object_id']}").status_code == 404
    assert client.delete(f"/buckets/shop/objects/{foreign['object_id']}").status_code == 404


def test_an_idempotency_key_creates_one_object(client: httpx.Client, bucket: dict[str, Any]) -> None:
    body = {"title": "once", "idempotency_key": "k1"}

    first = made(client.post("/buckets/shop/objects", json=body))
    again = made(client.post("/buckets/shop/objects", json=body))

    assert first == again
    assert made(client.get("/buckets/shop"))["object_count"] == 1


def test_deleting_a_bucket_deletes_its_objects(client: httpx.Client, bucket: dict[str, Any]) -> None:
    made(client.post("/buckets/shop/objects/batch", json={"objects": [{"n": i} for i in range(25)]}))

    assert made(client.delete("/buckets/shop"))["success"] is True
    assert client.get(f"/buckets/{bucket['bucket_id']}").status_code == 404
    again = made(client.post("/buckets", json={"bucket_name": "shop", "bucket_schema": SCHEMA}))
    assert made(client.post(f"/buckets/{again['bucket_id']}/objects/list"))["results"] == []


def test_taken_and_invalid_names_unknown_types_and_other_tenants_are_rejected(
    client: httpx.Client, stranger: httpx.Client, bucket: dict[str, Any]
) -> None:
    def create(**body: object) -> int:
        return client.post("/buckets", json={"bucket_schema": SCHEMA, **body}).status_code

    assert create(bucket_name="shop") == 409
    assert create(bucket_name="bkt_k3v9q0c2m1x7a8b4") == 422
    assert create(bucket_name="x", bucket_schema={"properties": {"a": {"type": "sound"}}}) == 422
    assert create() == 422
    for path in ("/buckets/shop", f"/buckets/{bucket['bucket_id']}"):
        assert stranger.get(path).status_code == 404
        assert stranger.post(f"{path}/objects", json={"a": 1}).status_code == 404

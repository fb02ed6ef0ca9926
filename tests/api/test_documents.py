"""Documents over HTTP, in requests recorded from the official client (contract.md#recorded-requests)."""

import gzip
import io
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.conftest import Clock
from cluster_steps import put_documents
from shoal.assemble import Services
from shoal.records.key import CreateKey
from shoal.records.queries.filters import parse_filter
from shoal.records.scope import Scope
from shoal.services.keys.keys import LOCAL_USER
from shoal.storage.filters.to_mask import mask


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture
def collection(client: httpx.Client) -> str:
    body = {"collection_name": "products", "source": {"type": "bucket"}}
    id: str = made(client.post("/collections", json=body))["collection_id"]
    return id


@pytest.fixture
def three(client: httpx.Client, collection: str) -> list[str]:
    """Documents p0, p1, p2 with metadata.category a, b, a and metadata.price 0, 1, 2."""
    documents = [
        {
            "document_id": f"p{i}",
            "vectors": {"text": [float(i), 1.0]},
            "payload": {"title": f"title {i}"},
            "metadata": {"category": "ab"[i % 2], "price": i},
        }
        for i in range(3)
    ]
    body = {"collection_id": "products", "documents": documents, "options": {"write_token": False}}
    ids: list[str] = made(client.post("/namespaces/default/documents/upsert", json=body))["document_ids"]
    return ids


def listed(client: httpx.Client, **body: object) -> dict[str, Any]:
    return made(client.post("/collections/products/documents/list", json=body))


def ids(body: dict[str, Any]) -> list[str]:
    return [item["document_id"] for item in body["results"]]


def test_a_document_is_created_as_the_sdk_sends_it(client: httpx.Client, collection: str) -> None:
    body = {
        "collection_id": collection,
        "root_bucket_id": "bkt_1",
        "source_type": "bucket",
        "metadata": {"category": "a", "price": 0},
        "vectors": {"text": [1.0, 0.0, 0.0, 0.0]},
        "title": "doc 0",
    }

    created = made(client.post(f"/collections/{collection}/documents", json=body))
    got = made(client.get(f"/collections/products/documents/{created['document_id']}?return_vectors=true"))

    assert created["document_id"].startswith("doc_")
    assert (created["title"], created["metadata"]) == ("doc 0", {"category": "a", "price": 0})
    assert "vectors" not in created and got["vectors"] == {"text": [1, 0, 0, 0]}
    assert created["_internal"]["lineage"] == {"root_bucket_id": "bkt_1", "source_type": "bucket"}
    assert created["_internal"]["collection_id"] == collection


def test_an_upsert_without_a_collection_creates_the_default_one(client: httpx.Client) -> None:
    body = {"documents": [{"document_id": "x", "vectors": {"text": [1, 2]}}], "options": {"write_token": True}}

    first = made(client.post("/namespaces/default/documents/upsert", json=body))
    again = made(client.post("/namespaces/default/documents/upsert", json=body))

    assert (first["inserted"], again["inserted"], first["document_ids"]) == (1, 1, ["x"])
    assert first["write_token"] is None and first["warnings"]
    assert made(client.get("/collections/default"))["document_count"] == 1


def test_a_list_can_be_sorted_filtered_and_counted_and_include_vectors(client: httpx.Client, three: list[str]) -> None:
    sort = {"field": "metadata.price", "direction": "desc"}

    body = listed(client, sort=sort, include_total=True, return_presigned_urls=False, return_vectors=True, limit=2)
    wanted = {"AND": [{"case_sensitive": False, "field": "metadata.category", "operator": "eq", "value": "A"}]}

    assert ids(body) == ["p2", "p1"]
    assert body["results"][0]["vectors"] == {"text": [2.0, 1.0]}
    assert body["pagination"]["total"] == body["total_documents"] == body["stats"]["total_documents"] == 3
    assert ids(listed(client, filters=wanted)) == ["p0", "p2"]
    assert ids(listed(client, filters={"case_sensitive": False, "category": "b"})) == ["p1"]
    assert ids(listed(client, search="TITLE 1")) == ["p1"]


def test_a_cursor_traverses_the_whole_list_once(client: httpx.Client, three: list[str]) -> None:
    seen, cursor = [], None
    for _ in range(3):
        page = listed(client, limit=1, cursor=cursor)
        seen += ids(page)
        cursor = page["pagination"]["next_cursor"]

    assert seen == three and cursor is None
    assert ids(made(client.get("/collections/products/documents", params={"limit": 2, "offset": 1}))) == ["p1", "p2"]


def test_select_and_group_by_shape_the_response(client: httpx.Client, three: list[str]) -> None:
    chosen = listed(client, select=["metadata.price", "absent.x"])["results"]
    grouped = listed(client, group_by="category")

    assert [set(item) for item in chosen] == [{"document_id", "collection_id", "metadata"}] * 3
    assert chosen[1]["metadata"] == {"price": 1}
    assert [(group["group_key"], group["count"]) for group in grouped["groups"]] == [("a", 2), ("b", 1)]
    assert grouped["results"] == [] and grouped["stats"]["total_groups"] == 2


def test_only_the_requested_vectors_are_returned(client: httpx.Client, collection: str) -> None:
    body = {"document_id": "x", "vectors": {"text": [1, 2], "image": [3]}}
    made(client.post("/collections/products/documents", json=body))

    assert listed(client, return_vector_names=["image"])["results"][0]["vectors"] == {"image": [3]}
    assert listed(client, return_vector_names=True)["results"][0]["vectors"] == {"text": [1, 2], "image": [3]}


def test_one_document_can_be_patched_replaced_and_deleted(client: httpx.Client, three: list[str]) -> None:
    path = "/collections/products/documents/p0"

    patched = made(client.patch(path, json={"metadata": {"price": 99}}))
    replaced = made(client.put(path, json={"metadata": {"price": 5}, "vectors": {"text": [7, 7]}}))
    vectors = made(client.get(path, params={"return_vectors": True}))["vectors"]
    deleted = made(client.delete(path))

    assert (patched["title"], patched["metadata"]) == ("title 0", {"category": "a", "price": 99})
    assert "title" not in replaced and replaced["metadata"] == {"price": 5}
    assert vectors == {"text": [7, 7]}
    assert deleted["success"] is True
    for method in ("get", "patch", "put", "delete"):
        answer = client.request(method, path, json=None if method in ("get", "delete") else {})
        assert answer.status_code == 404, method


def test_batch_updates_by_id_report_the_outcome_of_each(client: httpx.Client, three: list[str]) -> None:
    updates = [{"document_id": id, "update_data": {"metadata": {"flag": True}}} for id in ("p0", "nobody")]

    answer = made(client.post("/collections/products/documents/batch", json={"updates": updates}))

    assert (answer["updated_count"], answer["failed_count"]) == (1, 1)
    assert [row["success"] for row in answer["results"]] == [True, False]
    assert ids(listed(client, filters={"metadata.flag": True})) == ["p0"]


def test_bulk_updates_change_matching_documents(client: httpx.Client, three: list[str]) -> None:
    filters = {"case_sensitive": False, "metadata.category": "a"}
    body = {"filters": filters, "update_data": {"metadata": {"seen": 1}}}

    bulk = made(client.request("PATCH", "/collections/products/documents/bulk", json=body))
    batch = made(client.post("/collections/products/documents/batch", json={"filters": {}, "update_data": {"all": 1}}))

    assert (bulk["status"], bulk["updated_count"], bulk["task_id"]) == ("COMPLETED", 2, None)
    assert ids(listed(client, filters={"metadata.seen": 1})) == ["p0", "p2"]
    assert batch["updated_count"] == 3


def test_batches_can_be_deleted_by_id_and_by_filter(client: httpx.Client, three: list[str]) -> None:
    def delete(**body: object) -> dict[str, Any]:
        return made(client.request("DELETE", "/collections/products/documents/batch", json=body))

    by_id = delete(document_ids=["p0", "nobody", "p0"])
    by_filter = delete(filters={"metadata.category": "b"})

    assert (by_id["deleted_count"], by_id["failed_count"]) == (1, 1)
    assert by_filter["deleted_count"] == 1
    assert ids(listed(client)) == ["p2"]


def test_values_can_be_counted_listed_and_aggregated(client: httpx.Client, three: list[str], collection: str) -> None:
    path = "/collections/products/documents"

    count = made(client.get(f"{path}/count"))
    distinct = made(client.post(f"{path}/distinct", json={"field": "metadata.category"}))
    wanted = {
        "group_by": [{"field": "metadata.category", "alias": "category"}],
        "aggregations": [{"function": "avg", "field": "metadata.price", "alias": "mean"}],
    }
    sums = made(client.post(f"{path}/aggregate", json=wanted))

    assert count == {"collection_id": collection, "count": 3}
    assert distinct["values"] == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]
    assert distinct["total_distinct"] == 2
    assert sums["results"] == [
        {"group": {"category": "a"}, "metrics": {"mean": 1.0}},
        {"group": {"category": "b"}, "metrics": {"mean": 1.0}},
    ]


def test_ids_of_any_text_work_in_paths(client: httpx.Client, collection: str) -> None:
    for id in ("a b", "ü✓", "50%", "x?y", "x#y", "a:b;c", "a/b", "https://example.org/?q=1"):
        made(client.post("/collections/products/documents", json={"document_id": id}))
        path = f"/collections/products/documents/{quote(id, safe='')}"
        assert made(client.get(path))["document_id"] == id
        assert made(client.patch(path, json={"seen": 1}))["seen"] == 1
        assert made(client.delete(path))["success"] is True


def test_another_tenant_gets_the_same_404_as_for_a_missing_document(
    client: httpx.Client, stranger: httpx.Client, three: list[str], collection: str
) -> None:
    foreign = stranger.get(f"/collections/{collection}/documents/p0").json()
    nothing = stranger.get("/collections/col_nothing/documents/p0").json()
    upsert = {"collection_id": collection, "documents": [{"document_id": "p0", "vectors": {"text": [0, 0]}}]}

    assert foreign["error"]["type"] == nothing["error"]["type"] == "NotFoundError"
    assert stranger.post("/namespaces/default/documents/upsert", json=upsert).status_code == 404
    assert stranger.delete(f"/collections/{collection}/documents/p0").status_code == 404
    assert made(client.get(f"/collections/{collection}/documents/count"))["count"] == 3


def test_a_filter_has_the_same_meaning_wherever_documents_are_selected(client: httpx.Client, clock: Clock) -> None:
    client.post("/collections", json={"collection_name": "products", "source": {"type": "direct_upsert"}})
    rows = {"early": "2023-12-31T22:30:00-01:00", "edge": "2024-01-01T01:00:00+01:00", "late": "2024-01-01T00:00:00.5Z"}
    for name, moment in rows.items():
        note = "我想退款" if name == "edge" else "drinks"
        body = {"document_id": name, "when": moment, "note": note, "vectors": {"v": [1, 2]}}
        made(client.post("/collections/products/documents", json=body))
        clock.forward(days=1)
    wanted: dict[str, tuple[dict[str, Any], set[str]]] = {
        "moment": ({"field": "when", "operator": "gte", "value": "2024-01-01T00:00:00Z"}, {"edge", "late"}),
        "word": ({"field": "note", "operator": "words", "value": "drinking"}, {"early", "late"}),
        "no spaces": ({"field": "note", "operator": "words", "value": "退款"}, {"edge"}),
        "there": ({"field": "when", "operator": "exists"}, set(rows)),
        "null": ({"field": "gone", "operator": "is_null"}, set(rows)),
        "shown": ({"field": "_internal.created_at", "operator": "gte", "value": "2026-11-24"}, {"edge", "late"}),
        "namespace": ({"field": "_internal.namespace_id", "operator": "is_null"}, set()),
    }

    for condition, expected in wanted.values():
        filters = {"AND": [condition]}
        count = {"filters": filters, "aggregations": [{"function": "push", "field": "document_id", "alias": "ids"}]}
        grouped = made(client.post("/collections/products/documents/aggregate", json=count))["results"]
        distinct = {"field": "document_id", "filters": filters}
        values = made(client.post("/collections/products/documents/distinct", json=distinct))["values"]
        assert set(ids(listed(client, filters=filters))) == expected, condition
        assert {id for row in grouped for id in row["metrics"]["ids"]} == expected, condition
        assert {value["value"] for value in values} == expected, condition
        assert mask(parse_filter(filters), listed(client)["results"]).sum() == len(expected), condition


def test_internal_fields_are_sorted_and_grouped_by_their_displayed_values(client: httpx.Client, clock: Clock) -> None:
    client.post("/collections", json={"collection_name": "products", "source": {"type": "direct_upsert"}})
    for name in ("b", "a", "c"):
        made(client.post("/collections/products/documents", json={"document_id": name, "vectors": {"v": [1, 2]}}))
        clock.forward(days=1)

    newest = listed(client, sort={"field": "_internal.created_at", "direction": "desc"})
    body = {"field": "_internal.created_at"}
    values = made(client.post("/collections/products/documents/distinct", json=body))["values"]

    assert ids(newest) == ["c", "a", "b"]
    shown = {document["_internal"]["created_at"] for document in newest["results"]}
    assert {value["value"] for value in values} == shown
    assert len(shown) == 3


def test_search_does_not_match_internal_fields(client: httpx.Client, three: list[str]) -> None:
    assert ids(listed(client, search="direct_upsert")) == []
    assert len(ids(listed(client, search="TITLE"))) == 3


def test_a_write_only_key_is_shown_no_stored_data(services: Services, client: httpx.Client) -> None:
    put_documents(client, [{"document_id": "d", "vectors": {"v": [1.0]}, "payload": {"secret": "s", "text": "t"}}])
    client.post("/collections/docs/documents", json={"document_id": "bulk", "secret": "s"}).raise_for_status()
    client.post("/buckets", json={"bucket_name": "b", "bucket_schema": {"properties": {}}}).raise_for_status()
    made = {"metadata": {"secret": "s"}, "idempotency_key": "k"}
    object_id = client.post("/buckets/b/objects", json=made).json()["object_id"]
    scope = Scope(services.keys.organizations()[0].organization_id)
    key = services.keys.create(scope, LOCAL_USER, CreateKey(name="writer", permissions=["write"])).key
    writer = {"Authorization": f"Bearer {key}"}

    answers = [
        client.patch("/collections/docs/documents/d", json={"text": "u"}, headers=writer),
        client.put("/collections/docs/documents/d", json={"text": "w"}, headers=writer),
        client.patch("/collections/docs/documents/bulk", json={"text": "u"}, headers=writer),
        client.patch(f"/buckets/b/objects/{object_id}", json={"metadata": {}}, headers=writer),
        client.put(f"/buckets/b/objects/{object_id}", json={"title": "x"}, headers=writer),
        client.post("/buckets/b/objects", json={"idempotency_key": "k"}, headers=writer),
    ]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert all("secret" not in answer.text for answer in answers)
    assert answers[0].json() == {
        "document_id": "d",
        "collection_id": client.get("/collections/docs").json()["collection_id"],
    }
    assert answers[4].json()["title"] == "x"
    for method, path in READING:
        assert client.request(method, path, headers=writer).status_code == 403, path


READING = [
    ("GET", "/collections/docs/documents/d"),
    ("POST", "/collections/docs/documents/list"),
    ("POST", "/collections/docs/documents/aggregate"),
    ("POST", "/collections/docs/documents/distinct"),
    ("GET", "/buckets/b/objects"),
    ("GET", "/tasks/x"),
    ("POST", "/tasks/list"),
    ("GET", "/clusters/c/executions"),
    ("POST", "/clusters/c/executions/r/data"),
    ("GET", "/clusters/c/executions/r/download"),
    ("GET", "/clusters/c/groups"),
]


def test_keys_beside_the_payload_of_an_upserted_document_become_its_fields(client: httpx.Client) -> None:
    sent = {
        "document_id": "d",
        "vectors": {"v": [1.0]},
        "title": "beside",
        "text": "beside",
        "payload": {"text": "inside"},
    }
    put_documents(client, [sent])

    stored = client.get("/collections/docs/documents/d").json()

    assert (stored["title"], stored["text"]) == ("beside", "inside")


@pytest.mark.process
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_extra_columns_of_an_imported_document_become_its_fields(client: httpx.Client, kind: str) -> None:
    rows = [{"id": "d", "vectors": {"v": [1.0, 2.0]}, "title": "beside"}]
    file = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write(orjson.dumps(rows[0]))
    client.post(
        "/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}
    ).raise_for_status()

    done = client.post("/collections/docs/documents/import", params={"format": kind}, content=file.getvalue())

    assert done.status_code == 200, done.text
    assert {k: v for k, v in client.get("/collections/docs/documents/d").json().items() if k != "_internal"} == {
        "title": "beside",
        "document_id": "d",
        "collection_id": done.json()["collection_id"],
    }


@pytest.mark.process
@pytest.mark.parametrize("by", [{"params": {"format": "jsonl"}}, {"headers": {"Content-Type": "application/x-ndjson"}}])
def test_a_compressed_body_is_imported_and_a_damaged_one_rejected(client: httpx.Client, by: dict[str, Any]) -> None:
    body = gzip.compress(b'{"id": "a", "v": [1, 2]}\n{"id": "b", "v": [3, 4]}\n')
    client.post(
        "/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}
    ).raise_for_status()

    refused = client.post("/collections/docs/documents/import", content=body[:-5], **by)
    done = client.post("/collections/docs/documents/import", content=body, **by)

    assert refused.status_code == 422, refused.text
    assert "ends too early" in refused.text
    assert done.json()["inserted"] == 2, done.text


def test_an_upsert_warns_if_float32_loses_the_digits_in_which_vectors_differ(
    client: httpx.Client, collection: str
) -> None:
    near = np.random.default_rng(0).normal(size=(20, 6))
    warnings: dict[float, list[str]] = {}
    for offset in (0.0, 1e8):
        vectors = (near + offset).tolist()
        documents = [
            {"document_id": f"v{i}", "vectors": {"plain": near[i].tolist(), "text": vectors[i]}} for i in range(20)
        ]
        body = {"collection_id": collection, "documents": documents}
        warnings[offset] = made(client.post("/namespaces/default/documents/upsert", json=body)).get("warnings") or []

    assert not warnings[0.0]
    (sentence,) = warnings[1e8]
    assert "text" in sentence and "float32" in sentence

"""Requests with an Idempotency-Key on a real server: executed once, with the same reply for every repetition."""

import io
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import httpx
import numpy as np
import pyarrow as pa
import pytest

from cluster_steps import carry_out
from shoal.api.route_table import find_permission
from shoal.assemble import Services
from shoal.records.scope import Scope


class Clock(Protocol):
    """The return type of the fixture of the same name in lower case."""

    def forward(self, **span: float) -> None: ...


ARROW = "application/vnd.apache.arrow.stream"
VECTORS = np.random.default_rng(5).standard_normal((8, 4)).astype(np.float32).tolist()


def keyed(key: str = "k1") -> dict[str, str]:
    return {"Idempotency-Key": key}


def documents(count: int = 8) -> list[dict[str, Any]]:
    return [{"document_id": f"d{i}", "vectors": {"text": VECTORS[i]}, "payload": {"n": i}} for i in range(count)]


def arrow(count: int = 8) -> bytes:
    sink = io.BytesIO()
    content = pa.table({"id": [f"a{i}" for i in range(count)], "text": VECTORS[:count]})
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)
    return sink.getvalue()


@pytest.fixture
def namespace(client: httpx.Client) -> str:
    """The id of the only namespace."""
    return str(client.get("/namespaces").json()["results"][0]["namespace_id"])


@pytest.fixture
def filled(client: httpx.Client, namespace: str) -> httpx.Client:
    """A client whose collection `docs` holds eight documents, with a cluster `topics` and a bucket `files`."""
    client.headers["X-Namespace"] = namespace
    assert client.post("/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}).is_success
    body = {"collection_id": "docs", "documents": documents()}
    assert client.post(f"/namespaces/{namespace}/documents/upsert", json=body).is_success
    assert client.post("/buckets", json={"bucket_name": "files", "bucket_schema": {"properties": {}}}).is_success
    cluster = {
        "cluster_name": "topics",
        "collection_ids": ["docs"],
        "vector_config": {
            "feature_uris": ["text"],
            "clustering_method": "kmeans",
            "kmeans_parameters": {"n_clusters": 2},
        },
    }
    assert client.post("/clusters", json=cluster).is_success
    return client


Send = Callable[[httpx.Client, str, Mapping[str, str]], httpx.Response]

IN = "/collections/docs/documents"
WRITES: dict[str, Send] = {
    "create namespace": lambda c, ns, h: c.post("/namespaces", json={"namespace_name": "more"}, headers=h),
    "create standalone": lambda c, ns, h: c.post("/namespaces/standalone", json={"namespace_name": "own"}, headers=h),
    "create bucket": lambda c, ns, h: c.post(
        "/buckets", json={"bucket_name": "b2", "bucket_schema": {"properties": {}}}, headers=h
    ),
    "create object": lambda c, ns, h: c.post("/buckets/files/objects", json={"title": "one"}, headers=h),
    "create objects": lambda c, ns, h: c.post(
        "/buckets/files/objects/batch", json={"objects": [{"title": "a"}, {"title": "b"}]}, headers=h
    ),
    "create collection": lambda c, ns, h: c.post(
        "/collections", json={"collection_name": "more", "source": {"type": "direct_upsert"}}, headers=h
    ),
    "create cluster": lambda c, ns, h: c.post(
        "/clusters",
        json={"collection_ids": ["docs"], "vector_config": {"feature_uris": ["text"], "clustering_method": "kmeans"}},
        headers=h,
    ),
    "execute": lambda c, ns, h: c.post("/clusters/topics/execute", headers=h),
    "submit": lambda c, ns, h: c.post("/clusters/topics/execute/submit", json={}, headers=h),
    "create document": lambda c, ns, h: c.post(IN, json={"title": "x", "vectors": {"text": VECTORS[0]}}, headers=h),
    "upsert": lambda c, ns, h: c.post(
        f"/namespaces/{ns}/documents/upsert", json={"collection_id": "docs", "documents": documents()}, headers=h
    ),
    "import": lambda c, ns, h: c.post(f"{IN}/import", content=arrow(), headers={**h, "Content-Type": ARROW}),
    "batch update": lambda c, ns, h: c.post(
        f"{IN}/batch", json={"updates": [{"document_id": "d1", "update_data": {"n": 7}}]}, headers=h
    ),
    "bulk update": lambda c, ns, h: c.patch(f"{IN}/bulk", json={"update_data": {"seen": True}}, headers=h),
    "batch delete": lambda c, ns, h: c.request("DELETE", f"{IN}/batch", json={"document_ids": ["d1", "d2"]}, headers=h),
}


@pytest.mark.parametrize(
    "write", [pytest.param(name, marks=pytest.mark.process) if name == "import" else name for name in WRITES]
)
def test_a_repeated_request_gets_an_identical_reply_and_is_executed_once(
    write: str, filled: httpx.Client, namespace: str, clock: Clock
) -> None:
    first = WRITES[write](filled, namespace, keyed())
    clock.forward(minutes=5)
    state = everything(filled)
    again = WRITES[write](filled, namespace, keyed())

    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert everything(filled) == state


def everything(client: httpx.Client) -> list[Any]:
    """Everything that these writes change, as far as a caller can see it."""
    lists = ("/namespaces/list", "/buckets/list", "/collections/list", "/clusters/list", "/tasks/list")
    bodies = [client.post(path, json={}).json()["results"] for path in (*lists, "/buckets/files/objects/list")]
    found = client.post(f"{IN}/list", json={"return_vectors": True}).json()["results"]
    return [*bodies, found, client.post("/clusters/topics/executions/list").json()["results"]]


def test_every_post_that_writes_accepts_the_header_unless_it_returns_a_secret(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    lacking = {
        path
        for path, methods in paths.items()
        if "post" in methods
        and find_permission("POST", path) != "read"
        and "Idempotency-Key" not in {parameter["name"] for parameter in methods["post"].get("parameters", [])}
    }

    assert lacking and all(path.startswith("/v1/organizations/users/{user_email}/api-keys") for path in lacking)


def test_a_repeated_enrichment_gets_an_identical_reply(filled: httpx.Client, services: Services) -> None:
    filled.post("/clusters/topics/execute")
    assert carry_out(services) == 1
    body = {"clustering_ids": ["topics"], "source_collection_id": "docs"}

    answers = [filled.post("/clusters/enrich", json=body, headers=keyed()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        lambda c: c.post("/buckets", json={"bucket_name": "another", "bucket_schema": {"properties": {}}}),
        lambda c: c.post("/buckets/first/objects?auto_process=false", json={}),
        lambda c: c.post("/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}),
        lambda c: c.post("/collections/docs/documents", json={"title": "x"}),
    ],
    ids=["body", "query", "route", "store"],
)
def test_reusing_the_key_of_another_request_is_a_409(
    other: Callable[[httpx.Client], httpx.Response], filled: httpx.Client
) -> None:
    filled.headers["Idempotency-Key"] = "k1"
    body = {"bucket_name": "first", "bucket_schema": {"properties": {}}}
    assert filled.post("/buckets", json=body).status_code == 200

    answer = other(filled)

    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("AlreadyExistsError", "idempotency_key_reused")
    assert "'k1'" in error["message"] and "new key" in error["message"]
    assert error["details"] == {"idempotency_key": "k1"}
    assert filled.post("/buckets", json=body).headers["idempotent-replayed"] == "true"


def test_a_key_first_used_for_documents_also_applies_to_records(filled: httpx.Client) -> None:
    assert filled.post(IN, json={"title": "x"}, headers=keyed()).status_code == 200

    answer = filled.post("/buckets", json={"bucket_name": "b", "bucket_schema": {"properties": {}}}, headers=keyed())

    assert answer.status_code == 409


def test_the_same_route_under_another_mount_shares_its_keys(filled: httpx.Client, server: str) -> None:
    body = {"bucket_name": "b", "bucket_schema": {"properties": {}}}
    first = filled.post("/buckets", json=body, headers=keyed())

    for mount in ("", "/api/v1"):
        again = filled.post(f"{server}{mount}/buckets", json=body, headers=keyed())
        assert (again.status_code, again.content) == (200, first.content)


def test_sixty_four_concurrent_requests_have_one_effect_and_equal_replies(filled: httpx.Client, namespace: str) -> None:
    for write in ("create object", "create document", "execute"):
        together = threading.Barrier(64)

        def send(_: int, write: str = write, together: threading.Barrier = together) -> httpx.Response:
            together.wait(30)
            return WRITES[write](filled, namespace, keyed(write))

        before = everything(filled)
        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(send, range(64)))
        after = everything(filled)

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
        grown = [len(now) - len(then) for then, now in zip(before, after, strict=True)]
        assert sorted(grown) == sorted([0] * (len(grown) - 1 - (write == "execute")) + [1] * (1 + (write == "execute")))


def test_an_error_is_not_replayed(filled: httpx.Client) -> None:
    body = {"bucket_name": "b", "bucket_schema": {"properties": {}}}
    filled.post("/buckets", json=body)
    assert filled.post("/buckets", json=body, headers=keyed()).status_code == 409
    assert filled.delete("/buckets/b").is_success

    answer = filled.post("/buckets", json=body, headers=keyed())

    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers


@pytest.mark.process
def test_a_rejected_import_can_be_sent_again_with_the_same_key(filled: httpx.Client) -> None:
    headers = keyed() | {"Content-Type": ARROW}
    assert filled.post(f"{IN}/import", content=arrow()[:-40], headers=headers).status_code == 422

    assert filled.post(f"{IN}/import", content=arrow(), headers=headers).json()["inserted"] == 8


@pytest.mark.process
def test_a_key_expires_after_a_day(filled: httpx.Client, clock: Clock) -> None:
    first = filled.post("/buckets/files/objects", json={"title": "one"}, headers=keyed())
    document = filled.post(IN, json={"title": "one"}, headers=keyed("k2"))
    clock.forward(hours=24)
    assert filled.post("/buckets/files/objects", json={"title": "one"}, headers=keyed()).content == first.content
    assert filled.post(IN, json={"title": "one"}, headers=keyed("k2")).content == document.content
    clock.forward(seconds=1)

    fresh = filled.post("/buckets/files/objects", json={"title": "one"}, headers=keyed())
    other = filled.post(IN, json={"title": "another"}, headers=keyed("k2"))

    assert fresh.status_code == 200 and fresh.json()["object_id"] != first.json()["object_id"]
    assert other.status_code == 200 and other.json()["document_id"] != document.json()["document_id"]


@pytest.mark.process
def test_old_replies_are_pruned_in_favour_of_new_ones(
    filled: httpx.Client, services: Services, namespace: str, clock: Clock
) -> None:
    organization = filled.get("/me").json()["organization_id"]
    scope = Scope(organization, namespace)
    for n in range(5):
        filled.post("/buckets/files/objects", json={"title": "x"}, headers=keyed(f"old{n}"))
        filled.post(IN, json={"title": "x"}, headers=keyed(f"doc{n}"))
    clock.forward(hours=25)

    filled.post("/buckets/files/objects", json={"title": "x"}, headers=keyed("new"))
    filled.post(IN, json={"title": "x"}, headers=keyed("new document"))

    assert [services.metadata.get_reply(scope, f"old{n}") for n in range(5)] == [None] * 5
    assert [services.metadata.get_reply(scope, f"doc{n}") for n in range(5)] == [None] * 5
    assert services.metadata.get_reply(scope, "new") is not None
    assert services.metadata.get_reply(scope, "new document") is not None


def test_the_same_key_in_another_scope_is_a_different_key(filled: httpx.Client, stranger: httpx.Client) -> None:
    body = {"bucket_name": "mine", "bucket_schema": {"properties": {}}}
    first = filled.post("/buckets", json=body, headers=keyed())
    theirs = stranger.post("/buckets", json={**body, "description": "theirs"}, headers=keyed())
    filled.post("/namespaces", json={"namespace_name": "second"})
    second = filled.post("/buckets", json={**body, "description": "2"}, headers=keyed() | {"X-Namespace": "second"})

    assert [answer.status_code for answer in (first, theirs, second)] == [200, 200, 200]
    assert len({answer.json()["bucket_id"] for answer in (first, theirs, second)}) == 3
    replayed = stranger.post("/buckets", json={**body, "description": "theirs"}, headers=keyed())
    assert replayed.content == theirs.content


def test_deleting_a_namespace_deletes_its_keys(filled: httpx.Client, services: Services) -> None:
    organization = filled.get("/me").json()["organization_id"]
    made = filled.post("/namespaces", json={"namespace_name": "second", "namespace_id": "ns_second"}).json()
    there = keyed() | {"X-Namespace": made["namespace_id"]}
    filled.post("/buckets", json={"bucket_name": "b", "bucket_schema": {"properties": {}}}, headers=there)

    filled.delete("/namespaces/second")

    assert services.metadata.get_reply(Scope(organization, made["namespace_id"]), "k1") is None


def test_an_upsert_also_accepts_its_key_in_the_body(filled: httpx.Client, namespace: str) -> None:
    path, options = f"/namespaces/{namespace}/documents/upsert", {"idempotency_key": "k1"}
    body = {"collection_id": "docs", "documents": documents(2), "options": options}

    first, again = filled.post(path, json=body), filled.post(path, json=body)
    other = filled.post(path, json={**body, "documents": documents(3)})

    assert first.content == again.content and again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 409
    assert filled.post(path, json={**body, "options": {"idempotency_key": ""}}).status_code == 422


def test_an_upsert_without_a_collection_is_replayed_too(client: httpx.Client, namespace: str) -> None:
    path, body = f"/namespaces/{namespace}/documents/upsert", {"documents": documents(2)}

    answers = [client.post(path, json=body, headers=keyed()) for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert client.get("/collections/default/documents/count").json()["count"] == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "a\x85b", "\xa0"])
def test_an_invalid_key_is_a_422(key: str, client: httpx.Client) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]

    answer = client.post("/namespaces", json={"namespace_name": "more"}, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["validation_errors"][0]["location"] == ["Idempotency-Key"]
    assert client.get("/namespaces/more").status_code == 404


@pytest.mark.parametrize("key", ["x" * 255, "ключ", "a b"])
def test_any_printable_text_is_a_valid_key(key: str, client: httpx.Client) -> None:
    headers = [(b"Idempotency-Key", key.encode())]

    answers = [client.post("/namespaces", json={"namespace_name": "more"}, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_no_plaintext_secret_is_stored(client: httpx.Client, services: Services) -> None:
    path = "/organizations/users/a@example.com/api-keys"
    made = client.post(path, json={"name": "one"}, headers=keyed())
    again = client.post(path, json={"name": "one"}, headers=keyed())

    assert (made.status_code, again.status_code) == (200, 409)
    files = [path.read_bytes() for path in services.settings.data.rglob("*.sqlite*")]
    assert not any(made.json()["key"].encode() in content for content in files)


@pytest.mark.process
def test_large_uploads_of_the_same_size_are_distinguished(filled: httpx.Client) -> None:
    lines = [b'{"id": "%d", "text": [1, 2, 3, %d], "fill": "%s"}\n' % (n, n, b"x" * 9_000) for n in range(150)]
    headers = keyed() | {"Content-Type": "application/x-ndjson"}

    first = filled.post(f"{IN}/import", content=b"".join(lines), headers=headers)
    again = filled.post(f"{IN}/import", content=iter(lines), headers=headers)
    other = filled.post(f"{IN}/import", content=b"".join(lines)[:-5] + b'y"}\n', headers=headers)

    assert first.status_code == again.status_code == 200 and again.content == first.content
    assert other.status_code == 409


def test_without_a_key_a_second_create_is_a_409_that_names_the_first(filled: httpx.Client) -> None:
    for path, body, id in (
        ("/buckets", {"bucket_name": "b", "bucket_schema": {"properties": {}}}, "bucket_id"),
        ("/collections", {"collection_name": "more", "source": {"type": "direct_upsert"}}, "collection_id"),
        ("/namespaces", {"namespace_name": "more"}, "namespace_id"),
    ):
        made = filled.post(path, json=body).json()
        error = filled.post(path, json=body).json()["error"]

        assert error["type"] == "AlreadyExistsError"
        assert error["details"]["existing_id"] == made[id]

"""Invalid documents over HTTP: the error of the contract, naming the field, and nothing stored.

One server serves all these tests: a rejected request leaves no trace for the next test.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app_server import serve_app
from shoal.api.app import create_app
from shoal.assemble import assemble
from shoal.settings import Settings

UPSERT = "/namespaces/default/documents/upsert"
ONE = "/collections/products/documents"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The admin, on a server with an empty collection `products`. Bodies over 1 MiB are rejected here."""
    services = assemble(Settings(data=tmp_path_factory.mktemp("data"), workers=0, max_body_mib=1))
    key = services.keys.bootstrap(services.settings.data / "key")
    with serve_app(create_app(services)) as address:
        headers = {"Authorization": f"Bearer {key}", "X-Namespace": "default"}
        with httpx.Client(base_url=f"{address}/v1", headers=headers, timeout=30, trust_env=False) as admin:
            body = {"collection_name": "products", "source": {"type": "bucket"}}
            assert admin.post("/collections", json=body).status_code == 200
            yield admin
    services.close()


def nothing_stored(client: httpx.Client) -> bool:
    collection = client.get("/collections/products").json()
    return (collection["document_count"], collection["vector_indexes"]) == (0, [])


def refused(answer: httpx.Response, status: int, type: str) -> dict[str, Any]:
    """The error object of a response, after checking its shape (contract.md#errors)."""
    body = answer.json()
    assert (answer.status_code, body["status"], body["success"]) == (status, status, False), answer.text
    assert body["error"]["type"] == type
    assert "detail" not in body
    error: dict[str, Any] = body["error"]
    return error


BAD = [
    ("[0.5, 1e39]", "documents[1].vectors.text[1]"),
    ("[-1e300, 0.5]", "documents[1].vectors.text[0]"),
    ("[0.5]", "documents[1].vectors.text"),
    ("[0.5, 0.5, 0.5]", "documents[1].vectors.text"),
    ("[]", "documents[1].vectors.text"),
    ('["0.5", 0.5]', "documents[1].vectors.text[0]"),
    ("[true, false]", "documents[1].vectors.text[0]"),
    ("[0.5, null]", "documents[1].vectors.text[1]"),
    ("[[0.5, 0.5]]", "documents[1].vectors.text[0]"),
    ('{"indices": [1], "values": [0.5]}', "documents[1].vectors.text"),
    ('"text"', "documents[1].vectors.text"),
    ("1", "documents[1].vectors.text"),
    ("null", "documents[1].vectors.text"),
]


@pytest.mark.parametrize(("vector", "field"), BAD, ids=[vector for vector, _ in BAD])
def test_an_invalid_vector_is_a_422_that_names_it(client: httpx.Client, vector: str, field: str) -> None:
    good = '{"document_id": "a", "vectors": {"text": [0.5, 0.5]}}'
    bad = '{"document_id": "b", "vectors": {"text": %s}}' % vector  # noqa: UP031  # braces are JSON's here
    body = f'{{"collection_id": "products", "documents": [{good}, {bad}, {good.replace("a", "c", 1)}]}}'

    error = refused(client.post(UPSERT, content=body), 422, "ValidationError")

    assert error["details"]["field"] == field
    assert error["details"]["validation_errors"][0]["location"] == [field]
    assert error["message"].startswith(field)
    assert nothing_stored(client)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_an_invalid_json_number_is_malformed(client: httpx.Client, number: str) -> None:
    error = refused(client.post(ONE, content=f'{{"vectors": {{"text": [1, {number}]}}}}'), 400, "BadRequestError")

    assert "NaN and Infinity are not JSON" in error["message"]
    assert nothing_stored(client)


@pytest.mark.parametrize("body", ["{", "[1", '{"a": }', '{"a": 1}}', "\xff", '{"a": 1e999}', '{"a": "\\ud800"}'])
def test_malformed_json_is_a_400_with_its_position(client: httpx.Client, body: str) -> None:
    error = refused(client.post(ONE, content=body.encode("latin-1")), 400, "BadRequestError")

    assert "line 1" in error["message"]
    assert nothing_stored(client)


@pytest.mark.parametrize("depth", [65, 1000, 100_000])
def test_too_deeply_nested_json_is_a_400(client: httpx.Client, depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth

    refused(client.post(ONE, content=deep), 400, "BadRequestError")
    assert nothing_stored(client)


def test_a_body_over_the_limit_is_a_413(client: httpx.Client) -> None:
    refused(client.post(ONE, content=b'{"a": "' + b"x" * 2**20 + b'"}'), 413, "PayloadTooLargeError")
    assert nothing_stored(client)


def test_a_duplicate_id_is_a_422_that_names_both_positions(client: httpx.Client) -> None:
    documents = [{"document_id": id, "vectors": {"text": [1, 2]}} for id in ("a", "b", "a")]

    error = refused(
        client.post(UPSERT, json={"collection_id": "products", "documents": documents}), 422, "ValidationError"
    )

    assert "documents[2].document_id" in error["message"] and "documents[0].document_id" in error["message"]
    assert "'a'" in error["message"]
    assert nothing_stored(client)


def test_more_than_a_thousand_documents_are_a_422(client: httpx.Client) -> None:
    documents = [{"document_id": str(i), "vectors": {}} for i in range(1001)]

    error = refused(
        client.post(UPSERT, json={"collection_id": "products", "documents": documents}), 422, "ValidationError"
    )

    assert error["message"].startswith("documents: ")
    assert nothing_stored(client)


def test_an_unknown_vector_of_a_declared_namespace_is_a_422_with_the_existing_ones(client: httpx.Client) -> None:
    configs = [{"name": "text", "dimension": 2}]
    client.post("/namespaces", json={"namespace_name": "declared", "vector_configs": configs})
    body = {"documents": [{"document_id": "a", "vectors": {"image": [1, 2]}}]}

    error = refused(client.post("/namespaces/declared/documents/upsert", json=body), 422, "ValidationError")

    assert error["details"]["field"] == "documents[0].vectors.image"
    assert "Use one of: text." in error["message"]


def test_a_wrong_dimension_is_reported_with_that_of_the_index(client: httpx.Client) -> None:
    client.post("/namespaces", json={"namespace_name": "apart"})
    apart = {"X-Namespace": "apart"}
    body = {"collection_name": "products", "source": {"type": "bucket"}}
    client.post("/collections", json=body, headers=apart)
    first = client.post(ONE, json={"document_id": "a", "vectors": {"text": [1, 2]}}, headers=apart)
    assert first.status_code == 200

    error = refused(client.post(ONE, json={"vectors": {"text": [1, 2, 3]}}, headers=apart), 422, "ValidationError")

    assert "vectors.text: has 3 numbers where the index has 2" in error["message"]
    assert client.get(f"{ONE}/count", headers=apart).json()["count"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/collections/nowhere/documents", {}),
        ("POST", "/collections/nowhere/documents/list", {}),
        ("GET", "/collections/nowhere/documents/count", None),
        ("POST", "/collections/nowhere/documents/distinct", {"field": "a"}),
        ("PATCH", "/collections/nowhere/documents/bulk", {"update_data": {}}),
        ("DELETE", "/collections/nowhere/documents/batch", {"document_ids": ["a"]}),
        ("GET", f"{ONE}/nobody", None),
        ("PATCH", f"{ONE}/nobody", {"a": 1}),
        ("PUT", f"{ONE}/nobody", {"a": 1}),
        ("DELETE", f"{ONE}/nobody", None),
        ("POST", "/namespaces/nowhere/documents/upsert", {"documents": []}),
    ],
)
def test_missing_resources_are_a_404(client: httpx.Client, method: str, path: str, body: object) -> None:
    answer = client.request(method, path) if body is None else client.request(method, path, json=body)

    assert refused(answer, 404, "NotFoundError")["details"]["id"] in ("nowhere", "nobody")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ONE}/list", {"limit": 0}),
        ("POST", f"{ONE}/list", {"limit": 1001}),
        ("POST", f"{ONE}/list", {"filters": {"AND": [{"field": "a", "operator": "near", "value": 1}]}}),
        ("POST", f"{ONE}/list", {"filters": {"AND": [{"field": "a", "operator": "regex", "value": "("}]}}),
        ("POST", f"{ONE}/list", {"sort": {"field": "a..b"}}),
        ("POST", f"{ONE}/list", {"partition": {"index": 0, "count": 2}}),
        ("POST", f"{ONE}/distinct", {"field": "a..b"}),
        ("POST", f"{ONE}/batch", {}),
        ("POST", f"{ONE}/batch", {"updates": []}),
        ("POST", f"{ONE}/batch", {"updates": [{"document_id": "a", "update_data": {"vectors": {"text": [1]}}}]}),
        ("PATCH", f"{ONE}/bulk", {"filters": {}}),
        ("DELETE", f"{ONE}/batch", {}),
        ("DELETE", f"{ONE}/batch", {"document_ids": []}),
        ("POST", f"{ONE}/aggregate", {"aggregations": []}),
        ("POST", f"{ONE}/aggregate", {"aggregations": [{"function": "median", "field": "a", "alias": "m"}]}),
        ("POST", ONE, {"document_id": ""}),
        ("POST", ONE, {"document_id": "a\u0000b"}),
        ("POST", ONE, {"document_id": "x" * 256}),
        ("POST", ONE, {"metadata": "text"}),
        ("POST", ONE, {"source_type": "elsewhere"}),
        ("POST", ONE, []),
        ("PATCH", f"{ONE}/a", [1]),
    ],
)
def test_an_invalid_request_is_a_422_that_names_the_field(
    client: httpx.Client, method: str, path: str, body: object
) -> None:
    error = refused(client.request(method, path, json=body), 422, "ValidationError")

    assert error["details"]["validation_errors"][0]["location"]
    assert nothing_stored(client)


def test_a_zero_vector_is_rejected_for_cosine_and_accepted_for_euclidean(
    client: httpx.Client,
) -> None:
    configs = [
        {"name": "direction", "dimension": 2},
        {"name": "place", "dimension": 2, "metric": "euclidean"},
    ]
    body = {"namespace_name": "metrics", "vector_configs": configs}
    client.post("/namespaces/standalone", json=body).raise_for_status()
    upsert = "/namespaces/metrics/documents/upsert"

    def documents(name: str) -> dict[str, Any]:
        return {"documents": [{"document_id": f"{n}", "vectors": {name: [n, 0]}} for n in (1, 0)]}

    error = refused(client.post(upsert, json=documents("direction")), 422, "ValidationError")

    assert error["details"]["field"] == "documents[1].vectors.direction"
    assert "euclidean" in error["message"]
    assert client.post(upsert, json=documents("place")).json()["inserted"] == 2

"""Values that break servers, in every place of every operation: never a 5xx, always an explained error."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from contract.checks import is_finite
from contract.description import Json, load_reviewed
from contract.good_bodies import GOOD
from contract.long import LONG
from contract.planted import Planted

pytestmark = pytest.mark.slow

VALUES: Final = [
    r'"\u0000"', '""', r'"\u202eevil\u2066"', '"' + "x" * 10_000 + '"', '"../../etc/passwd"', r'"\ud83d\ude00e\u0301"',
    "-1", "9223372036854775808", "18446744073709551615", "123456789012345678901234567890", "1e39", "1e308", "0.1",
    "1e-400", "true", "null", "[]", "{}", "[null]", "[[[[[]]]]]", '{"$where": "1"}', '{"__proto__": {"a": 1}}',
    '{"": ""}', '{"field": [], "operator": {}, "value": []}', '{"field": "a", "operator": [], "value": 1}',
    '{"AND": {"NOT": [{"OR": []}]}, "case_sensitive": null}', r'{"field": "a\u0000b.c", "value": "\u0000"}',
    '{"field": "\'; DROP TABLE x; --", "operator": "regex", "value": "("}', '[{"field": "a"}, 5, "x"]',
    r'["", "\u0000"]', '{"type": "dynamic"}', '[{"method": "pca", "n_components": 1e30}]',
    '{"max_iterations": "5", "method": []}', '{"n_clusters": 1e30, "min_cluster_size": [], "eps": "x"}',
    '{"enabled": 1, "labeling_inputs": []}',
]  # fmt: skip
TEXTS: Final = ["%00", "..%2F..%2Fetc", "%FF%FE", "a" * 3000, "%F0%9F%98%80", "%E2%80%AE", "%2e%2e", "%25", "%3F%23"]
QUERIES: Final = ["", "-1", "99999999999999999999", "1e9", "NaN", "%00", "%FF", "x" * 3000, "[]", "true", "null"]
HEADERS: Final = ["", "\xff\xfe", "a" * 3000, "ns_unknown", "\u00e9", "default,default", "'; DROP TABLE x; --"]
_PER_PLACE: Final = len(VALUES) if LONG else 4


@pytest.fixture(scope="module")
def description() -> Json:
    return load_reviewed()


def check_answer(answer: httpx.Response) -> None:
    """Check an answer: no 5xx, errors in the contract's form with a message, finite numbers."""
    assert answer.status_code < 500, (
        answer.request.method,
        answer.request.url,
        answer.request.content[:500],
        answer.text,
    )
    if answer.headers.get("content-type") == "application/json" and answer.content:
        assert is_finite(answer.content), answer.text
    if answer.status_code >= 400:
        body = answer.json()
        assert body["success"] is False and body["status"] == answer.status_code, answer.text
        assert body["error"]["message"] and body["error"]["type"] and body["error"]["code"], answer.text


def operations(description: Json, *, with_body: bool = False) -> Iterator[tuple[str, str, Any]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if not with_body or "application/json" in operation.get("requestBody", {}).get("content", {}):
                yield method.upper(), path, operation


def fill_path(planted: Planted, method: str, path: str, **replacements: str) -> str:
    """Fill a path with existing values, except for `replacements`."""
    for part in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        value = replacements.get(part) or quote(planted.choices(part, method)[0], safe="")
        path = path.replace(f"{{{part}}}", value)
    return path.removeprefix("/v1")


def list_input_fields(description: Json, operation: Any) -> list[str]:
    """List the fields of a JSON body, and one unknown field."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for option in schema.get("anyOf", [schema]):
        if "$ref" in option:
            schema = description["components"]["schemas"][option["$ref"].rpartition("/")[2]]
    return [*schema.get("properties", {}), "unheard_of"]


def test_no_value_in_a_body_breaks_an_operation(contract_server: Planted, description: Json) -> None:
    turn = itertools.cycle(range(len(VALUES)))
    for method, path, operation in operations(description, with_body=True):
        good = GOOD.get(f"{method} {path}", {})
        contract_server.restore()
        for field in list_input_fields(description, operation):
            for number in itertools.islice(turn, _PER_PLACE):
                others = {name: value for name, value in good.items() if name != field}
                body = json.dumps(others)[:-1] + (", " if others else "") + f"{json.dumps(field)}: {VALUES[number]}}}"
                check_answer(
                    contract_server.client.request(method, fill_path(contract_server, method, path), content=body)
                )


NESTED: Final[dict[str, tuple[str, dict[str, Any], str | None]]] = {
    "POST /v1/clusters": ("vector_config", {"feature_uris": ["v"], "clustering_method": "kmeans"}, "VectorConfig"),
    "POST /v1/collections/{collection}/documents/aggregate": ("aggregations", {"alias": "a"}, "Aggregation"),
    "POST /v1/namespaces/{namespace}/documents/upsert": (
        "documents",
        {"document_id": "sent", "vectors": {"v": [0.5] * 8}},
        None,
    ),
}


@pytest.mark.parametrize("label", NESTED)
def test_no_value_deeper_in_a_body_breaks_an_operation(contract_server: Planted, description: Json, label: str) -> None:
    method, path = label.split(" ")
    field, good, model = NESTED[label]
    contract_server.restore()
    names = description["components"]["schemas"][model]["properties"] if model else ["vectors", "payload", "features"]
    for name, value in itertools.product(names, VALUES if LONG else VALUES[::2]):
        inner = json.dumps({**good, name: "PLACE"}).replace('"PLACE"', value)
        rest = {key: value for key, value in GOOD[label].items() if key != field}
        wrapped = inner if field == "vector_config" else f"[{inner}]"
        body = json.dumps(rest)[:-1] + (", " if rest else "") + f'"{field}": {wrapped}}}'
        answer = contract_server.client.request(method, fill_path(contract_server, method, path), content=body)
        check_answer(answer)
        if label == "POST /v1/clusters" and answer.status_code == 200:
            contract_server.client.delete(f"/clusters/{answer.json()['cluster_id']}").raise_for_status()


def test_no_text_in_a_path_breaks_an_operation(contract_server: Planted, description: Json) -> None:
    for method, path, _ in operations(description):
        for part in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            for text in TEXTS:
                url = fill_path(contract_server, method, path, **{part: text})
                body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
                check_answer(contract_server.client.request(method, url, content=body))


def test_no_value_in_a_query_breaks_an_operation(contract_server: Planted, description: Json) -> None:
    for method, path, operation in operations(description):
        if method != "GET":
            continue
        for parameter in operation.get("parameters", []):
            for text in QUERIES if parameter["in"] == "query" else ():
                url = f"{fill_path(contract_server, method, path)}?{parameter['name']}={text}"
                check_answer(contract_server.client.get(url))


@pytest.mark.parametrize(
    "name", ["X-Namespace", "X-Request-ID", "Accept", "Content-Type", "Authorization", "Host", "Range"]
)
def test_no_header_breaks_a_server(contract_server: Planted, name: str) -> None:
    run = contract_server.values["run_id"][0]
    paths = ["/clusters", f"/clusters/groups/executions/{run}/export", f"/clusters/groups/executions/{run}/download"]
    for path, value in itertools.product(paths, [*HEADERS, "[", "bytes=abc", "bytes=5-1", "bytes=0-1,2-3"]):
        raw = [(name.encode(), value.strip().encode("latin-1"))]
        headers = [
            (key, header) for key, header in contract_server.client.headers.raw if key.lower() != name.lower().encode()
        ]
        request = httpx.Request("GET", f"{contract_server.address}/v1{path}", headers=[*headers, *raw])
        answer = contract_server.client.send(request)
        assert answer.status_code < 500, (path, value, answer.text)


ROUTES: Final = [
    ("POST", "/collections/docs/documents"),
    ("POST", "/collections/docs/documents/list"),
    ("POST", "/namespaces/default/documents/upsert"),
    ("PATCH", "/collections/docs/documents/d0000"),
    ("POST", "/clusters"),
    ("POST", "/buckets/things/objects"),
    ("POST", "/tasks/list"),
]
BOMBS: Final = {
    "a million lists": b"[" * 400_000,
    "a million objects": b'{"a":' * 150_000,
    "closed lists": b"[" * 100_000 + b"]" * 100_000,
    "deep inside": b'{"metadata": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
    "sixty-five": b'{"metadata": ' + b'{"a":' * 64 + b"1" + b"}" * 65,
    "infinite": b'{"n": 1e999}',
    "not a number": b'{"n": NaN}',
    "a lone surrogate": rb'{"n": "\ud800"}',
    "no UTF-8": b'{"n": "\xff"}',
    "a lone NUL": b"\x00",
    "cut off": b'{"n": ',
    "two values": b"{} {}",
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_text_that_is_not_json_or_nested_too_deeply_is_a_400(contract_server: Planted, method: str, path: str) -> None:
    for name, bomb in BOMBS.items():
        answer = contract_server.client.request(method, path, content=bomb)

        assert answer.status_code == 400, (name, answer.text)
        check_answer(answer)


def test_a_hundred_thousand_keys_are_too_large_for_a_document_and_harmless_elsewhere(contract_server: Planted) -> None:
    keys = ",".join(f'"k{number}":0' for number in range(90_000))
    assert len(keys) < 2**20
    for method, path in ROUTES:
        for body in (f"{{{keys}}}", f'{{"metadata": {{{keys}}}}}', f'{{"filters": {{{keys}}}}}'):
            check_answer(contract_server.client.request(method, path, content=body))


def test_a_million_keys_are_a_413(contract_server: Planted) -> None:
    body = ("{" + ",".join(f'"k{number}":0' for number in range(1_000_000)) + "}").encode()

    answer = contract_server.client.post("/collections/docs/documents", content=body)

    assert answer.status_code == 413
    check_answer(answer)


def test_the_last_value_of_a_repeated_key_counts(contract_server: Planted) -> None:
    body = b'{"document_id": "twice", "n": 1, "n": 2, "vectors": {"v": [1]}, "vectors": {"v": [1,2,3,4,5,6,7,8]}}'

    document = contract_server.client.post("/collections/docs/documents", content=body).raise_for_status().json()

    assert document["n"] == 2
    contract_server.client.delete("/collections/docs/documents/twice").raise_for_status()


@pytest.mark.parametrize("value", [True, "5", 5.5, [5], {"n": 5}, 2**63, 1e30])
def test_a_value_that_is_not_an_integer_is_rejected(contract_server: Planted, value: object) -> None:
    body = {"limit": value} if value != 2**63 else {"limit": 2**63}

    answer = contract_server.client.post("/clusters/list", json=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["validation_errors"][0]["location"] == ["body", "limit"]


@pytest.mark.parametrize("value", [1, 0, "true", "no", 1.0])
def test_a_value_that_is_not_a_boolean_is_rejected(contract_server: Planted, value: object) -> None:
    answer = contract_server.client.post("/collections/docs/documents/list", json={"return_vectors": value})

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["validation_errors"][0]["location"] == ["body", "return_vectors"]


def test_an_integer_may_be_written_with_a_decimal_point(contract_server: Planted) -> None:
    answer = contract_server.client.post("/clusters/list", content=b'{"limit": 1.0}')

    assert answer.status_code == 200 and len(answer.json()["results"]) == 1

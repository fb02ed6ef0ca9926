"""Valid and invalid calls of every operation, made from the description, the same ones each time.

`SHOAL_CONTRACT=long` makes some 15,000 of them instead of some 1,500 (`make contract`).
"""

import os
from collections import Counter
from typing import Any, Final

import pytest
import requests
import schemathesis

from cluster_steps import vector_body
from contract.checks import ALWAYS, AUTHORIZATION
from contract.generated import load, named_in, operations, reachable
from contract.planted import Planted

LONG: Final = os.environ.get("SHOAL_CONTRACT") == "long"
_LEAST: Final = 5_000 if LONG else 1_000

schema: Any = load(examples=100 if LONG else 16, coverage=LONG)
succeeded: set[str] = set()


@schema.parametrize()
@pytest.mark.timeout(600)
def test_answers_as_described(
    case: schemathesis.Case, planted_server: Planted, connection: requests.Session, calls: Counter[str]
) -> None:
    label = case.operation.label
    calls[label] += 1
    reachable(case, planted_server.choices)
    headers = {"Authorization": f"Bearer {planted_server.key}"}
    server = {"base_url": planted_server.address, "session": connection}

    answer = case.call(headers=headers, **server)

    first = answer.status_code < 300 and label not in succeeded
    checks = [*ALWAYS, *(AUTHORIZATION if first else [])]
    case.validate_response(answer, checks=checks, headers=headers, transport_kwargs={**server, "headers": headers})
    if answer.status_code < 300:
        succeeded.add(label)
        if case.method != "GET":
            planted_server.restore()


GOOD: Final[dict[str, Any]] = {
    "POST /v1/clusters": vector_body(name="good"),
    "POST /v1/clusters/enrich": {"clustering_ids": ["groups"], "source_collection_id": "docs"},
    "PATCH /v1/clusters/{cluster_identifier}": {"description": "good"},
    "POST /v1/clusters/{cluster_identifier}/execute": {"mode": "full", "filters": {"kind": ["a", "b", "c"]}},
    "PATCH /v1/clusters/{cluster_identifier}/executions/{run_id}/labels": {"labels": {"cl_0": "Luggage"}},
    "POST /v1/collections": {"collection_name": "good", "source": {"type": "direct_upsert"}},
    "POST /v1/collections/{collection}/documents": {"document_id": "good", "vectors": {"v": [1.0] * 8}, "n": 1},
    "POST /v1/collections/{collection}/documents/aggregate": {
        "group_by": [{"field": "kind"}],
        "aggregations": [{"function": "avg", "field": "row", "alias": "mean"}],
    },
    "POST /v1/collections/{collection}/documents/batch": {
        "updates": [{"document_id": "d0000", "update_data": {"seen": True}}]
    },
    "DELETE /v1/collections/{collection}/documents/batch": {"document_ids": ["d0020", "nobody"]},
    "POST /v1/collections/{collection}/documents/list": {"group_by": "kind", "return_vectors": True},
    "POST /v1/collections/{collection}/documents/distinct": {"field": "kind"},
    "PATCH /v1/clusters/{cluster_identifier}/executions/{run_id}/name": {"run_name": "good"},
    "PATCH /v1/collections/{collection}/documents/bulk": {"update_data": {"seen": True}, "filters": {"kind": "a"}},
    "POST /v1/namespaces": {"namespace_name": "good"},
    "POST /v1/namespaces/standalone": {
        "namespace_name": "good-one",
        "vector_configs": [{"name": "v", "dimension": 2}],
    },
    "POST /v1/namespaces/{namespace}/documents/upsert": {
        "collection_id": "docs",
        "documents": [{"document_id": "sent", "vectors": {"v": [0.5] * 8}, "payload": {"kind": "a"}}],
    },
    "POST /v1/buckets": {"bucket_name": "good", "bucket_schema": {"properties": {"title": {"type": "text"}}}},
    "POST /v1/buckets/{bucket}/objects/batch": {
        "objects": [{"title": "good", "blobs": [{"property": "text", "type": "text", "data": "hello"}]}]
    },
    "POST /v1/organizations/users/{user_email}/api-keys": {"name": "good", "expires_at": "2999-01-01T00:00:00Z"},
}
"""Bodies that a generator seldom or never guesses."""


@pytest.mark.parametrize("label", sorted(operations()))
def test_a_good_call_succeeds_as_described(
    label: str, planted_server: Planted, connection: requests.Session, calls: Counter[str]
) -> None:
    method, path = label.split(" ")
    planted_server.restore()
    operation = schema[path][method]
    sent: dict[str, Any] = {}
    if operation.body:
        sent = {"media_type": next(iter(operation.body)).media_type}
        sent["body"] = GOOD.get(label, {})
        if label.endswith("/import"):
            sent["body"] = b'{"document_id": "line", "vectors": {"v": [1, 2, 3, 4, 5, 6, 7, 8]}}'
            sent["media_type"] = "application/x-ndjson"
    case = operation.Case(
        path_parameters={name: planted_server.good(name, method, path) for name in named_in(path)},
        headers={"X-Namespace": "default"},
        **sent,
    )
    headers = {"Authorization": f"Bearer {planted_server.key}"}
    server = {"base_url": planted_server.address, "session": connection}
    calls[label] += 1

    answer = case.call(headers=headers, **server)

    assert answer.status_code in (200, 204), answer.text
    case.validate_response(
        answer, checks=[*ALWAYS, *AUTHORIZATION], headers=headers, transport_kwargs={**server, "headers": headers}
    )


def test_every_operation_was_called(calls: Counter[str]) -> None:
    if len(calls) < len(operations()):
        pytest.skip("only a part of the file ran")
    assert calls.total() >= _LEAST

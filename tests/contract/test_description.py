"""The description itself: complete, reviewed, and compatible with the reviewed version."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from contract.breaking import find_additions, find_breaks
from contract.description import REVIEWED, Json, build_served, load_reviewed, to_canonical

RENEW: Final = "Review the change; if it is intended, `make openapi` renews tests/contract/openapi.json."
CLUSTER, CREATE = "/v1/clusters/{cluster_identifier}", "/v1/clusters"


@pytest.fixture(scope="module")
def current() -> Json:
    return build_served()


def operations(description: Json) -> list[tuple[str, Any]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_nothing_that_clients_rely_on_is_gone(current: Json) -> None:
    assert find_breaks(load_reviewed(), current) == [], RENEW


def test_the_served_description_was_reviewed(current: Json) -> None:
    assert find_additions(load_reviewed(), current) == [], RENEW
    assert to_canonical(current) == REVIEWED.read_text(), RENEW


def test_every_operation_has_texts_a_stable_id_and_a_known_tag(current: Json) -> None:
    tags = {tag["name"] for tag in current["tags"]}
    ids = Counter(operation["operationId"] for _, operation in operations(current))

    assert [id for id, times in ids.items() if times > 1 or not id.isidentifier()] == []
    for label, operation in operations(current):
        assert operation["summary"] and operation["description"], label
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= tags, label
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], label
            assert parameter.get("description") or parameter["in"] == "query", (label, parameter["name"])


def test_every_operation_documents_its_errors(current: Json) -> None:
    answers = current["components"]["responses"]
    for label, operation in operations(current):
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        public = operation.get("security") == []
        assert {"429", "500", "503"} <= refusals.keys(), label
        assert public or {"401", "403"} <= refusals.keys(), label
        assert public or operation["x-permission"] in ("read", "write", "delete", "admin"), label
        for status, answer in refusals.items():
            body = answers[answer["$ref"].rpartition("/")[2]]
            schema = body["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (label, status)
            assert ("Retry-After" in body["headers"]) == (status in ("429", "503")), (label, status)


def test_successes_are_described_down_to_their_fields(current: Json) -> None:
    for label, operation in operations(current):
        (status,) = [status for status in operation["responses"] if status < "300"]
        answer = operation["responses"][status]
        assert "X-Request-ID" in answer["headers"], label
        if status == "204":
            assert "content" not in answer, label
            continue
        assert answer["content"], label
        for media, content in answer["content"].items():
            assert content["schema"], (label, media)


def test_only_the_probes_need_no_key(current: Json) -> None:
    open_to_all = {label for label, operation in operations(current) if operation.get("security") == []}

    assert open_to_all == {
        f"GET /v1/{path}" for path in ("health", "health/beat", "health/liveness", "livez", "readyz")
    }


def remove_route(description: Json) -> None:
    del description["paths"][CLUSTER]["get"]


def remove_status(description: Json) -> None:
    del description["paths"][CLUSTER]["get"]["responses"]["404"]


def remove_answered_field(description: Json) -> None:
    del description["components"]["schemas"]["Cluster"]["properties"]["num_clusters"]


def let_answered_field_be_missing(description: Json) -> None:
    description["components"]["schemas"]["Cluster"]["required"].remove("status")


def change_answered_type(description: Json) -> None:
    description["components"]["schemas"]["Cluster"]["properties"]["cluster_name"]["type"] = "integer"


def let_answered_field_be_null(description: Json) -> None:
    field = description["components"]["schemas"]["Cluster"]["properties"]["cluster_name"]
    description["components"]["schemas"]["Cluster"]["properties"]["cluster_name"] = {"anyOf": [field, {"type": "null"}]}


def add_answered_state(description: Json) -> None:
    description["components"]["schemas"]["Task"]["properties"]["status"]["enum"].append("QUEUED")


def remove_taken_field(description: Json) -> None:
    del description["components"]["schemas"]["CreateCluster"]["properties"]["filters"]


def require_field(description: Json) -> None:
    description["components"]["schemas"]["CreateBucket"]["required"].append("description")


def refuse_null(description: Json) -> None:
    description["components"]["schemas"]["CreateBucket"]["properties"]["description"] = {"type": "string"}


def lower_a_limit(description: Json) -> None:
    description["components"]["schemas"]["UpsertDocuments"]["properties"]["documents"]["maxItems"] = 10


def refuse_a_method(description: Json) -> None:
    description["components"]["schemas"]["VectorConfig"]["properties"]["clustering_method"]["enum"].remove("hdbscan")


def require_parameter(description: Json) -> None:
    extra = {"name": "why", "in": "query", "required": True, "schema": {"type": "string"}}
    description["paths"][CREATE]["get"]["parameters"].append(extra)


def remove_parameter(description: Json) -> None:
    description["paths"][CREATE]["get"]["parameters"].pop()


def remove_media_type(description: Json) -> None:
    del description["paths"][f"{CLUSTER}/data"]["post"]["responses"]["200"]["content"]["application/x-ndjson"]


def rename_operation(description: Json) -> None:
    description["paths"][CREATE]["get"]["operationId"] = "clusters"


BREAKS: Final[list[tuple[Callable[[Json], None], str]]] = [
    (remove_route, f"GET {CLUSTER} is gone"),
    (remove_status, f"GET {CLUSTER}: status 404 is gone"),
    (remove_answered_field, f"GET {CLUSTER}: 200.num_clusters is gone"),
    (let_answered_field_be_missing, f"GET {CLUSTER}: 200.status may be missing now"),
    (change_answered_type, f"GET {CLUSTER}: 200.cluster_name: integer may be sent now"),
    (let_answered_field_be_null, f"GET {CLUSTER}: 200.cluster_name: null may be sent now"),
    (add_answered_state, "GET /v1/tasks/{task_id}: 200.status: may be ['QUEUED'] now"),
    (remove_taken_field, f"POST {CREATE}: body.filters is gone"),
    (require_field, "POST /v1/buckets: body.description is required now"),
    (refuse_null, "POST /v1/buckets: body.description: null is no longer taken"),
    (lower_a_limit, "POST /v1/namespaces/{namespace}/documents/upsert: body.documents: maxItems is 10 now"),
    (refuse_a_method, f"POST {CREATE}: body.vector_config.clustering_method: takes only"),
    (require_parameter, f"GET {CREATE}: parameter why in query is required now"),
    (remove_parameter, f"GET {CREATE}: parameter X-Namespace in header is gone"),
    (remove_media_type, f"POST {CLUSTER}/data: 200: application/x-ndjson is gone"),
    (rename_operation, f"GET {CREATE}: the operationId is now clusters"),
]


@pytest.mark.parametrize(("change", "expected"), BREAKS, ids=[change.__name__ for change, _ in BREAKS])
def test_a_breaking_change_is_detected(current: Json, change: Callable[[Json], None], expected: str) -> None:
    changed = copy.deepcopy(current)
    change(changed)

    assert any(line.startswith(expected) for line in find_breaks(current, changed)), find_breaks(current, changed)


def test_additions_do_not_break_clients(current: Json) -> None:
    changed = copy.deepcopy(current)
    changed["paths"]["/v1/more"] = {"get": {"responses": {"200": {"description": "more"}}}}
    changed["components"]["schemas"]["Cluster"]["properties"]["mood"] = {"type": "string"}
    changed["components"]["schemas"]["CreateCluster"]["properties"]["mood"] = {"type": "string"}
    changed["paths"][CREATE]["get"]["responses"]["418"] = {"description": "a teapot"}

    assert find_breaks(current, changed) == []
    assert find_additions(current, changed) == [
        "Cluster.mood",
        "CreateCluster.mood",
        "GET /v1/clusters: status 418",
        "GET /v1/more",
        "GET /v1/more: status 200",
    ]

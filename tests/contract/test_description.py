"""The description itself: complete, reviewed, and compatible with what was reviewed before."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from contract.breaking import added, broken
from contract.description import REVIEWED, Json, canonical, reviewed, served

RENEW: Final = "Look at the change; if it is meant, `make openapi` renews tests/contract/openapi.json."
CLUSTER, CREATE = "/v1/clusters/{cluster_identifier}", "/v1/clusters"


@pytest.fixture(scope="module")
def now() -> Json:
    return served()


def operations(described: Json) -> list[tuple[str, Any]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_nothing_that_clients_rely_on_is_gone(now: Json) -> None:
    assert broken(reviewed(), now) == [], RENEW


def test_what_is_served_was_reviewed(now: Json) -> None:
    assert added(reviewed(), now) == [], RENEW
    assert canonical(now) == REVIEWED.read_text(), RENEW


def test_every_operation_has_its_texts_a_stable_id_and_a_known_tag(now: Json) -> None:
    tags = {tag["name"] for tag in now["tags"]}
    ids = Counter(operation["operationId"] for _, operation in operations(now))

    assert [id for id, times in ids.items() if times > 1 or not id.isidentifier()] == []
    for label, operation in operations(now):
        assert operation["summary"] and operation["description"], label
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= tags, label
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], label
            assert parameter.get("description") or parameter["in"] == "query", (label, parameter["name"])


def test_every_operation_tells_how_it_can_be_refused(now: Json) -> None:
    answers = now["components"]["responses"]
    for label, operation in operations(now):
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        public = operation.get("security") == []
        assert {"429", "500", "503"} <= refusals.keys(), label
        assert public or {"401", "403"} <= refusals.keys(), label
        assert public or operation["x-permission"] in ("read", "write", "delete", "admin"), label
        for status, answer in refusals.items():
            told = answers[answer["$ref"].rpartition("/")[2]]
            schema = told["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (label, status)
            assert ("Retry-After" in told["headers"]) == (status in ("429", "503")), (label, status)


def test_successes_are_described_down_to_their_fields(now: Json) -> None:
    for label, operation in operations(now):
        (status,) = [status for status in operation["responses"] if status < "300"]
        answer = operation["responses"][status]
        assert "X-Request-ID" in answer["headers"], label
        if status == "204":
            assert "content" not in answer, label
            continue
        assert answer["content"], label
        for media, content in answer["content"].items():
            assert content["schema"], (label, media)


def test_only_the_probes_need_no_key(now: Json) -> None:
    open_to_all = {label for label, operation in operations(now) if operation.get("security") == []}

    assert open_to_all == {
        f"GET /v1/{path}" for path in ("health", "health/beat", "health/liveness", "livez", "readyz")
    }


def remove_route(described: Json) -> None:
    del described["paths"][CLUSTER]["get"]


def remove_status(described: Json) -> None:
    del described["paths"][CLUSTER]["get"]["responses"]["404"]


def remove_answered_field(described: Json) -> None:
    del described["components"]["schemas"]["Cluster"]["properties"]["num_clusters"]


def let_answered_field_be_missing(described: Json) -> None:
    described["components"]["schemas"]["Cluster"]["required"].remove("status")


def change_answered_type(described: Json) -> None:
    described["components"]["schemas"]["Cluster"]["properties"]["cluster_name"]["type"] = "integer"


def let_answered_field_be_null(described: Json) -> None:
    field = described["components"]["schemas"]["Cluster"]["properties"]["cluster_name"]
    described["components"]["schemas"]["Cluster"]["properties"]["cluster_name"] = {"anyOf": [field, {"type": "null"}]}


def add_answered_state(described: Json) -> None:
    described["components"]["schemas"]["Task"]["properties"]["status"]["enum"].append("QUEUED")


def remove_taken_field(described: Json) -> None:
    del described["components"]["schemas"]["CreateCluster"]["properties"]["filters"]


def require_field(described: Json) -> None:
    described["components"]["schemas"]["CreateBucket"]["required"].append("description")


def refuse_null(described: Json) -> None:
    described["components"]["schemas"]["CreateBucket"]["properties"]["description"] = {"type": "string"}


def lower_a_limit(described: Json) -> None:
    described["components"]["schemas"]["UpsertDocuments"]["properties"]["documents"]["maxItems"] = 10


def refuse_a_method(described: Json) -> None:
    described["components"]["schemas"]["VectorConfig"]["properties"]["clustering_method"]["enum"].remove("hdbscan")


def require_parameter(described: Json) -> None:
    extra = {"name": "why", "in": "query", "required": True, "schema": {"type": "string"}}
    described["paths"][CREATE]["get"]["parameters"].append(extra)


def remove_parameter(described: Json) -> None:
    described["paths"][CREATE]["get"]["parameters"].pop()


def remove_media_type(described: Json) -> None:
    del described["paths"][f"{CLUSTER}/data"]["post"]["responses"]["200"]["content"]["application/x-ndjson"]


def rename_operation(described: Json) -> None:
    described["paths"][CREATE]["get"]["operationId"] = "clusters"


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


@pytest.mark.parametrize(("change", "told"), BREAKS, ids=[change.__name__ for change, _ in BREAKS])
def test_a_breaking_change_is_told(now: Json, change: Callable[[Json], None], told: str) -> None:
    changed = copy.deepcopy(now)
    change(changed)

    assert any(line.startswith(told) for line in broken(now, changed)), broken(now, changed)


def test_what_is_only_added_breaks_nobody(now: Json) -> None:
    changed = copy.deepcopy(now)
    changed["paths"]["/v1/more"] = {"get": {"responses": {"200": {"description": "more"}}}}
    changed["components"]["schemas"]["Cluster"]["properties"]["mood"] = {"type": "string"}
    changed["components"]["schemas"]["CreateCluster"]["properties"]["mood"] = {"type": "string"}
    changed["paths"][CREATE]["get"]["responses"]["418"] = {"description": "a teapot"}

    assert broken(now, changed) == []
    assert added(now, changed) == [
        "Cluster.mood",
        "CreateCluster.mood",
        "GET /v1/clusters: status 418",
        "GET /v1/more",
        "GET /v1/more: status 200",
    ]

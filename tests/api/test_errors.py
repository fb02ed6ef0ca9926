"""Errors as callers see them."""

import errno
import logging
import os
from collections.abc import Callable, Iterator

import httpx
import orjson
import pytest
from fastapi.routing import APIRoute

from shoal import errors
from shoal.api.bodies import JsonRoute
from shoal.api.errors import ERRORS, error_reply, find_wire
from shoal.api.guards.json_text import parse_json
from shoal.api.routes import ROUTERS
from shoal.assemble import Services

ClientMaker = Callable[..., httpx.Client]

EVERY = [
    (errors.InvalidRequest("m"), 400, "BadRequestError"),
    (errors.InvalidField("a.b", "must be x", value=3, remedy="Do y."), 422, "ValidationError"),
    (errors.Unauthorized("m"), 401, "UnauthorizedError"),
    (errors.Forbidden("m"), 403, "ForbiddenError"),
    (errors.NotFound("cluster", "clust_x"), 404, "NotFoundError"),
    (errors.AlreadyExists("cluster", "topics"), 409, "AlreadyExistsError"),
    (errors.KeyReused("k"), 409, "AlreadyExistsError"),
    (errors.Conflict("m"), 409, "ConflictError"),
    (errors.StaleVersion("m"), 409, "ConflictError"),
    (errors.TooLarge("m"), 413, "PayloadTooLargeError"),
    (errors.TooSlow("m"), 408, "RequestTimeoutError"),
    (errors.QueueFull("m", queued=5, limit=5, retry_after_seconds=7), 429, "TooManyRequestsError"),
    (errors.RateLimited("m", limit=5, window=60, retry_after_seconds=7), 429, "TooManyRequestsError"),
    (errors.Overloaded("m", 7), 503, "ServiceUnavailableError"),
    (errors.Contended("m"), 503, "ServiceUnavailableError"),
    (errors.OutOfTime(60), 503, "ServiceUnavailableError"),
    (errors.Unavailable("m", 7), 503, "ServiceUnavailableError"),
    (errors.InsufficientStorage("m"), 507, "InsufficientStorageError"),
    (errors.Corrupt("m"), 500, "StorageError"),
    (errors.Cancelled("m"), 409, "ConflictError"),
    (errors.EncoderFailed("m"), 500, "ProcessingError"),
    (errors.RunFailed("m"), 500, "ProcessingError"),
    (errors.ShoalError("m"), 500, "InternalServerError"),
]


def subclasses(kind: type[errors.ShoalError]) -> Iterator[type[errors.ShoalError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_every_error_class_has_its_own_row_in_the_table() -> None:
    named = {getattr(errors, name) for name in errors.__all__}

    assert named == set(ERRORS) == {type(error) for error, _, _ in EVERY}


@pytest.mark.parametrize(("error", "status", "kind"), EVERY, ids=lambda value: type(value).__name__)
def test_an_error_has_the_documented_shape(error: errors.ShoalError, status: int, kind: str) -> None:
    answer = error_reply(error)
    body = orjson.loads(answer.body)

    assert answer.status_code == body["status"] == status
    assert body["success"] is False
    assert set(body) == {"success", "status", "error"}
    assert set(body["error"]) == {"message", "type", "code", "details"}
    assert body["error"]["type"] == kind
    assert body["error"]["message"] == error.message


def test_a_new_error_class_is_mapped_like_its_nearest_ancestor() -> None:
    class Fresh(errors.StaleVersion):
        pass

    assert find_wire(Fresh) == ERRORS[errors.StaleVersion]


def test_unavailable_says_when_to_retry() -> None:
    answer = error_reply(errors.Unavailable("busy", 7))

    assert answer.headers["Retry-After"] == "7"
    assert orjson.loads(answer.body)["error"]["details"] == {"retryable": True, "retry_after_seconds": 7}


def test_an_invalid_field_is_listed_like_a_validation_error() -> None:
    body = orjson.loads(error_reply(errors.InvalidField("a[0].b", "must be x", value="y", remedy="Do z.")).body)

    assert body["error"]["message"] == "a[0].b: must be x, got 'y'. Do z."
    assert body["error"]["details"]["validation_errors"] == [
        {"type": "invalid_field", "location": ["a[0].b"], "message": "must be x"}
    ]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b'{"a": 1,\n "b": }', "line 2, column 7"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": [1, Infinity]}', "NaN and Infinity are not JSON"),
        (b'{"a": -Infinity}', "NaN and Infinity are not JSON"),
        (b'{"a": 1e999}', "infinity"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'"\xff"', "UTF-8"),
        (b"{", "line 1"),
        (b"[" * 1000 + b"]" * 1000, "more than 64 deep"),
        (b"[" * 65 + b"]" * 65, "more than 64 deep"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "more than 64 deep"),
        (b"[" * 200_000, "more than 64 deep"),
        (b'{"a":' * 200_000, "more than 64 deep"),
    ],
    ids=lambda value: value[:12].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_invalid_json_is_rejected_with_its_position(body: bytes, part: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=part):
        parse_json(body)


def test_a_body_that_is_not_json_is_a_400(client: httpx.Client) -> None:
    for body in (b'{"a": 1,\n "b": }', b'{"a": NaN}', b"[" * 1000 + b"]" * 1000, b"[" * 200_000):
        answer = client.post("/namespaces", content=body)
        assert answer.status_code == 400, body[:20]
        assert answer.json()["error"]["type"] == "BadRequestError"


def test_nesting_of_64_levels_is_accepted() -> None:
    value = parse_json(b"[" * 64 + b"]" * 64)

    for _ in range(63):
        value = value[0]
    assert value == []


def test_the_content_type_is_not_required(client: httpx.Client) -> None:
    for number, content_type in enumerate(("application/json", "text/plain", "application/octet-stream", "")):
        headers = {"Content-Type": content_type} if content_type else {}
        answer = client.post("/namespaces", content=f'{{"namespace_name": "typed{number}"}}', headers=headers)
        assert answer.status_code == 200, content_type


def test_an_absent_body_is_an_empty_object(client: httpx.Client) -> None:
    assert client.post("/namespaces/list").status_code == 200
    refused = client.post("/namespaces")
    assert refused.status_code == 422
    assert refused.json()["error"]["message"] == "namespace_name: is required. Add it to the request body."


def test_a_body_that_is_not_an_object_is_a_422(client: httpx.Client) -> None:
    for body in (b"[]", b"3", b'"x"', b"null", b"true"):
        answer = client.post("/namespaces", content=body)
        assert answer.status_code == 422, body
        assert answer.json()["error"]["type"] == "ValidationError"


def test_a_validation_error_names_the_field_the_value_and_the_rule(client: httpx.Client) -> None:
    body = {"namespace_name": "things", "vector_configs": [{"name": "text", "dimension": 0}]}

    answer = client.post("/namespaces", json=body)

    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["message"] == "vector_configs[0].dimension: must be greater than or equal to 1, got 0."
    assert error["details"]["validation_errors"] == [
        {
            "type": "greater_than_equal",
            "location": ["body", "vector_configs", 0, "dimension"],
            "message": "must be greater than or equal to 1",
        }
    ]


def test_a_huge_value_is_not_echoed(client: httpx.Client) -> None:
    answer = client.post("/namespaces", json={"namespace_name": "x" * 100_000})

    assert answer.status_code == 422
    assert len(answer.content) < 1000


def test_an_unknown_route_is_a_404_with_a_hint(client: httpx.Client) -> None:
    left_out = client.post("/retrievers", json={})
    unknown = client.get("/clusterz/1/2/3")

    assert left_out.status_code == unknown.status_code == 404
    assert left_out.json()["error"]["type"] == "NotFoundError"
    assert "not part of Shoal" in left_out.json()["error"]["details"]["hint"]
    assert "openapi.json" in unknown.json()["error"]["details"]["hint"]


def test_a_wrong_method_is_a_405(client: httpx.Client) -> None:
    for path, allowed in (
        ("/me", "GET, HEAD"),
        ("/clusters/any", "GET, PATCH, DELETE, HEAD"),
        ("/clusters", "GET, POST, HEAD"),
    ):
        answer = client.put(path)

        assert answer.status_code == 405
        assert answer.json()["error"]["type"] == "MethodNotAllowedError"
        assert answer.headers["Allow"] == answer.json()["error"]["details"]["allow"] == allowed


@pytest.mark.parametrize("path", ["/me", "/clusters", "/livez", "/health/beat", "/clusters/nowhere", "/nowhere"])
def test_head_is_answered_like_get_without_a_body(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)

    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "/clusters/triggers", "Triggers"),
        ("POST", "/clusters/triggers/list", "Triggers"),
        ("GET", "/clusters/triggers/trig_1/history", "Triggers"),
        ("POST", "/templates/clusters", "Templates"),
        ("POST", "/taxonomies/from-documents", "Taxonomies"),
        ("POST", "/organizations/webhooks", "Webhooks"),
    ],
)
def test_planned_features_are_rejected_with_these_messages(
    client: httpx.Client, method: str, path: str, what: str
) -> None:
    answer = client.request(method, path, json={})

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"{what} are planned for a later version of Shoal."


def test_a_bug_is_a_500_without_details_and_a_traceback_in_the_log(
    services: Services, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(type(services.namespaces), "search", broken)

    with caplog.at_level(logging.ERROR, "shoal.api"):
        answer = client.get("/namespaces", headers={"X-Request-ID": "mine-1"})

    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalServerError"
    assert answer.json()["error"]["details"] == {"request_id": "mine-1"}
    assert "secret detail" not in answer.text
    assert "mine-1" in caplog.text and "secret detail" in caplog.text


@pytest.mark.parametrize(("number", "status"), [(errno.EIO, 503), (errno.EROFS, 503), (errno.ENOSPC, 507)])
def test_a_failing_disk_is_reported_wherever_it_occurs(
    services: Services, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/secret/place")

    monkeypatch.setattr(type(services.namespaces), "search", broken)

    answer = client.get("/namespaces")

    assert answer.status_code == status
    assert "disk" in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def test_every_response_has_a_request_id(client: httpx.Client, client_for: ClientMaker) -> None:
    answers = [client.get("/me"), client.get("/nothing"), client_for(None).get("/me"), client_for(None).get("/health")]
    ids = [answer.headers["X-Request-ID"] for answer in answers]

    assert len(set(ids)) == 4
    assert client.get("/me", headers={"X-Request-ID": "abc"}).headers["X-Request-ID"] == "abc"
    assert client.get("/me", headers={"X-Request-ID": "a b\t<"}).headers["X-Request-ID"] != "a b\t<"


def test_every_route_parses_its_body_strictly() -> None:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            assert isinstance(route, JsonRoute), route.path


def test_the_schema_lists_only_the_official_mount_and_requires_a_key(server: str) -> None:
    schema = httpx.get(f"{server}/openapi.json", trust_env=False, timeout=60).json()

    assert all(path.startswith("/v1/") for path in schema["paths"])
    assert schema["security"] == [{"APIKey": []}]
    assert schema["paths"]["/v1/health"]["get"]["security"] == []
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    names = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))

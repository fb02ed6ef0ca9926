"""Requests without a key are rejected after the headers, whatever the path looks like."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
from fastapi import FastAPI

from shoal.api.mounts import MOUNTS, PROBES
from tenancy.calls import PREFIXES
from tenancy.cells import Cells
from tenancy.conftest import World
from tenancy.coverage import operations_of
from tenancy.operations import TABLE

_HUGE: Final = 2**40
_WITH_A_BODY: Final = ("POST", "PUT", "PATCH", "DELETE")
_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
_TRICKS: Final = (
    "{}/health", "{}/livez", "{}/openapi.json", "{}/../health", "{}/..%2fhealth", "{}/%2e%2e/health", "{}%2fhealth",
    "{};health", "{};/health", "{}.json", "{}?/health", "{}?path=/v1/health", "{}#/v1/health", "{}%00/health",
    "{}%23/v1/health", "{}\\..\\health", "/{}", "//{}", "/.{}", "/v1/health/..{}", "/v1/health/%2e%2e{}",
    "/v1/health;{}", "/v1/health%2f..{}", "/health{}", "/v1/health/.{}",
)  # fmt: skip
_ODD: Final = (
    "/HEALTH", "/v1/Health", "/v1/health.json", "/v1/health;", "/v1/health%20", "/v1/health%0a", "/v1/health%00",
    "/v1/health/deep", "/v1/health/x", "//health", "/v1//health", "/v1/./health", "/v1/%2fhealth", "/api/health",
    "/api//v1/health", "/v1/api/v1/health", "/v1/livez%2f", "/v1/readyz%3f", "/v2/health", "/", "*", "/v1", "/v1/",
)  # fmt: skip


@pytest.fixture
def place(world: World) -> tuple[str, int]:
    split = urlsplit(world.url)
    assert split.hostname is not None and split.port is not None
    return split.hostname, split.port


def first_line(place: tuple[str, int], head: str, body: bytes = b"") -> str:
    """The first response to a hand-written request of which no more than `body` is ever sent."""
    with socket.create_connection(place, timeout=20) as line:
        line.sendall(head.encode() + b"\r\n\r\n" + body)
        with line.makefile("rb") as answer:
            return answer.readline().decode().strip()


def status_of(place: tuple[str, int], head: str, body: bytes = b"") -> int:
    return int(first_line(place, head, body).split(" ")[1])


def _lines(method: str, path: str, *headers: str) -> str:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers])


def _concrete(path: str) -> str:
    """The path with its parameters filled in; whether they exist must not matter."""
    return path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("mount", PREFIXES)
def test_one_byte_of_a_tebibyte_is_enough_for_the_rejection(
    mount: str, place: tuple[str, int], app: FastAPI, cells: Cells
) -> None:
    bodied = [name for name in operations_of(app.openapi()) if name.split(" ")[0] in _WITH_A_BODY]
    assert len(bodied) > 40
    for name in bodied:
        method, path = name.split(" ")
        sized, chunked = f"Content-Length: {_HUGE}", "Transfer-Encoding: chunked"
        for length, body in ((sized, b"{"), (chunked, b"10000000000\r\n{"), (sized, b""), (chunked, b"")):
            head = _lines(method, mount + _concrete(path), "Accept: application/json", length)
            assert status_of(place, head, body) == 401, name
            cells.count("before the body", name)


def test_a_client_that_sends_expect_100_continue_is_rejected_at_once(place: tuple[str, int]) -> None:
    head = _lines("POST", "/v1/collections/c/documents/import", f"Content-Length: {_HUGE}", "Expect: 100-continue")

    assert first_line(place, head).startswith("HTTP/1.1 401")


def test_a_key_without_permission_is_also_rejected_before_the_body(place: tuple[str, int], world: World) -> None:
    key = f"Authorization: Bearer {world.amber.keys['reader']}"
    head = _lines("POST", "/v1/collections/c/documents/import", f"Content-Length: {_HUGE}", key)

    assert status_of(place, head, b"{") == 403


def test_no_path_trick_opens_a_route(place: tuple[str, int], cells: Cells) -> None:
    for name in sorted(TABLE):
        method, path = name.split(" ")
        for trick in _TRICKS:
            sent = trick.format(f"/v1{_concrete(path)}")
            status = status_of(place, _lines(method, sent))
            assert status == (401 if _leads_to_the_api(sent) else 404) or _is_public(method, sent), (
                method,
                sent,
                status,
            )
            cells.count("with a trick in the path", name)


@pytest.mark.parametrize("method", _METHODS)
def test_no_method_opens_a_route_that_is_not_public(method: str, place: tuple[str, int], world: World) -> None:
    for name in sorted(TABLE):
        path = f"/v1{_concrete(name.split(' ')[1])}"
        if not _is_public(method, path):
            assert status_of(place, _lines(method, path)) == 401, path
    for path in _ODD:
        refused = (401, 400) if _leads_to_the_api(path) else (404, 405, 400)
        status = status_of(place, _lines(method, path))
        assert status in refused or (path == "/" and method in ("GET", "HEAD")), (path, status)


def test_other_headers_grant_no_access(place: tuple[str, int]) -> None:
    for header in (
        "X-HTTP-Method-Override: GET", "X-Original-URL: /v1/health", "X-Rewrite-URL: /v1/health",
        "X-Forwarded-Prefix: /health", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "Cookie: key=x",
        "Authorization: Basic c2tfOg==", "X-API-Key: sk_x", "Authorization: Bearer null", "Authorization: Bearer ",
    ):  # fmt: skip
        assert status_of(place, _lines("GET", "/v1/clusters", header)) == 401, header


def test_a_websocket_upgrade_request_grants_no_access(place: tuple[str, int]) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip

    assert status_of(place, _lines("GET", "/v1/clusters", *upgrade)) == 401
    assert status_of(place, _lines("GET", "/v1/health", *upgrade)) == 200  # handled as the GET that it is


@pytest.mark.parametrize("path", ["/v1/clusters", "/v1/health", "/"])
def test_no_websocket_is_opened_even_if_the_server_supports_it(path: str, app: FastAPI) -> None:
    """Under a server that, unlike ours, passes WebSocket connections to the application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))

    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.fixture(scope="module", params=["health", "livez", "readyz", "openapi.json", "liveness"])
def called_like_a_probe(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """Resources named like a public path."""
    name, amber = str(request.param), world.amber
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    bodies: dict[str, dict[str, Any]] = {
        "namespaces": {"namespace_name": name},
        "collections": {"collection_name": name, "source": {"type": "direct_upsert"}},
        "buckets": {"bucket_name": name, "bucket_schema": {"properties": {}}},
        "clusters": {"cluster_name": name, "collection_ids": [amber.ref("collection")], "vector_config": config},
    }
    for kind, body in bodies.items():
        amber.post(f"/{kind}", body)
    yield name
    for kind in bodies:
        amber.http.delete(f"/{kind}/{name}").raise_for_status()


def test_a_resource_named_like_a_probe_is_as_private_as_others(
    called_like_a_probe: str, place: tuple[str, int], world: World
) -> None:
    name = called_like_a_probe
    for kind in ("namespaces", "collections", "buckets", "clusters"):
        for mount in PREFIXES:
            assert status_of(place, _lines("GET", f"{mount}/{kind}/{name}", "Accept: application/json")) == 401
        assert world.amber.http.get(f"/{kind}/{name}").json()[f"{kind[:-1]}_name"] == name


def _leads_to_the_api(sent: str) -> bool:
    """Whether a request not identified as coming from a program is handled by the API, which requires a key."""
    path = _path(sent)
    return f"{path}/".startswith(tuple(f"{mount}/" for mount in MOUNTS)) or path.rstrip("/") in PROBES


def _path(sent: str) -> str:
    return unquote(sent.partition("?")[0].partition("#")[0])


def _is_public(method: str, sent: str) -> bool:
    path = _path(sent).rstrip("/")
    return method in ("GET", "HEAD") and any(path == mount + probe for mount in (*MOUNTS, "") for probe in PROBES)

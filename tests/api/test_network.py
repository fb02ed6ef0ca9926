"""Connections, framing and addresses: what the server handles before a request."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import Request

from server_process import ServerProcess
from shoal.api.links import base_url
from shoal.assemble import assemble
from shoal.errors import InvalidField
from shoal.settings import Settings

pytestmark = pytest.mark.process

MOST = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    """A server that allows 40 connections and counts wrong keys."""
    data = tmp_path_factory.mktemp("network") / "data"
    limits = {"SHOAL_MAX_CONNECTIONS": str(MOST), "SHOAL_LOG_LEVEL": "info"}
    with ServerProcess(data, workers=0, **limits) as running:
        yield running


def line_to(server: ServerProcess) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port or 80), timeout=10)


def asked(server: ServerProcess, *lines: str, body: bytes = b"") -> bytes:
    """Everything received after a request until the connection is closed."""
    with line_to(server) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
        return answer


def head_of_a_body(key: str) -> bytes:
    """Of a request with a body of 20 bytes."""
    lines = ["POST /v1/namespaces HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", "Content-Length: 20"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_idle_connections_do_not_lock_out_clients_and_the_oldest_are_closed(server: ServerProcess) -> None:
    lines = [line_to(server) for _ in range(3 * MOST)]
    try:
        for _ in range(5):
            assert httpx.get(f"{server.url}/livez", timeout=10).status_code == 200
        with server.client() as client:
            assert client.get("/me").status_code == 200
        assert all(line.recv(1) == b"" for line in lines[:MOST])
        lines[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert lines[-1].recv(12) == b"HTTP/1.1 200"
    finally:
        for line in lines:
            line.close()
    assert any("server.limits" in line for line in server.output)
    assert sum("server.connections_full" in line for line in server.output) == 1


def test_slow_bodies_of_one_organisation_leave_connections_to_the_others(server: ServerProcess) -> None:
    lines: list[socket.socket] = []
    try:
        for _ in range(MOST * 3 // 4):
            lines.append(line_to(server))
            lines[-1].sendall(head_of_a_body(server.key) + b'{"names')  # 7 of 20 bytes
            time.sleep(0.02)  # until its request has been read, the connection counts as idle
        with server.client() as client:
            refused = client.post("/namespaces", json={"namespace_name": "one-more"})
            assert client.get("/me").status_code == 200
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "overloaded"
        lines[0].sendall(b'pace_name": 1')
        assert lines[0].recv(12) == b"HTTP/1.1 400"
    finally:
        for line in lines:
            line.close()


def test_a_connection_over_the_limit_gets_a_response_if_all_others_are_busy(tmp_path: Path) -> None:
    data = tmp_path / "data"
    services = assemble(Settings(data=data))
    services.keys.bootstrap(data / "key")
    other = services.keys.create_organization("elsewhere").key
    services.close()
    with ServerProcess(data, workers=0, SHOAL_MAX_CONNECTIONS="16") as small:
        lines: list[socket.socket] = []
        try:
            for key in [small.key, other] * 8:
                lines.append(line_to(small))
                lines[-1].sendall(head_of_a_body(key))
            time.sleep(1)  # until its request has been read, a connection counts as idle
            answer = asked(small, "GET /livez HTTP/1.1", "Host: x", "Connection: close")
        finally:
            for line in lines:
                line.close()

    assert b" 503 Service Unavailable" in answer and b'"overloaded"' in answer


@pytest.mark.parametrize("path", ["/livez", "/v1/namespaces", "/v1/nowhere"])
def test_a_request_with_both_lengths_is_rejected_and_its_connection_closed(server: ServerProcess, path: str) -> None:
    second = b"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = asked(
        server,
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {server.key}",
        f"Content-Length: {5 + len(second)}",
        "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n" + second,
    )

    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower() and b"not both" in answer


def test_forwarded_addresses_are_trusted_only_from_configured_proxies(server: ServerProcess, tmp_path: Path) -> None:
    assert addresses_of(server) == {"127.0.0.1"}
    with ServerProcess(tmp_path / "data", workers=0, SHOAL_TRUSTED_PROXIES="127.0.0.0/8, ::1") as behind:
        assert addresses_of(behind) == {"192.0.2.7"}


def test_a_request_has_its_own_deadline_whatever_its_connection_carried_before(tmp_path: Path) -> None:
    # A body over 64 KiB pauses and resumes reading from the connection, in the context of its request.
    long, seconds = {"filters": {"note": "x" * 300_000}}, 1
    limits = {"SHOAL_REQUEST_SECONDS": str(seconds)}
    with ServerProcess(tmp_path / "data", workers=0, **limits) as server, server.client() as client:
        for round in range(3):
            client.post("/namespaces/list", json=long)
            time.sleep(1.2 * seconds)
            body = {"collection_name": f"made_later_{round}", "source": {"type": "direct_upsert"}}
            answer = client.post("/collections", json=body)
            assert answer.status_code == 200, answer.text


def addresses_of(server: ServerProcess) -> set[str]:
    """The address from which a namespace was created, according to the audit log."""
    with server.client() as client:
        client.headers["X-Forwarded-For"] = "192.0.2.7"
        client.post("/namespaces", json={"namespace_name": "forwarded"}).raise_for_status()
        rows = client.get("/organizations/audit", params={"action": "namespace.create"}).json()["results"]
    return {row["address"] for row in rows if row["via"] == "http"}


@pytest.mark.parametrize("wrong", ["proxy.example.org", "10.0.0.0/40", "*"])
def test_a_proxy_that_is_not_an_address_is_rejected_at_startup(wrong: str) -> None:
    with pytest.raises(InvalidField, match="addresses or networks"):
        Settings.read({"SHOAL_TRUSTED_PROXIES": wrong})


@pytest.mark.parametrize("wrong", ["shoal.example.org", "ftp://x", "https://x?y=1"])
def test_an_invalid_public_address_is_rejected_at_startup(wrong: str) -> None:
    with pytest.raises(InvalidField, match="http"):
        Settings.read({"SHOAL_PUBLIC_URL": wrong})


@pytest.mark.parametrize(
    ("public", "host", "expected"),
    [
        ("", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("", "localhost:9000", "http://localhost:9000"),
        ("", "[::1]:8000", "http://[::1]:8000"),
        ("", "10.0.0.5", "http://10.0.0.5"),
        ("", "evil.example.org", "http://10.0.0.5:8000"),
        ("", "127.0.0.1:80@evil.example.org", "http://10.0.0.5:8000"),
        ("", "evil.example.org:127.0.0.1", "http://10.0.0.5:8000"),
        ("", "localhost/evil", "http://10.0.0.5:8000"),
        ("", "", "http://10.0.0.5:8000"),
        ("https://shoal.example.org/", "evil.example.org", "https://shoal.example.org"),
        ("https://example.org/shoal", "127.0.0.1:8000", "https://example.org/shoal"),
    ],
)
def test_links_ignore_a_foreign_host_header(tmp_path: Path, public: str, host: str, expected: str) -> None:
    settings = Settings(data=tmp_path, public_url=public)
    app = SimpleNamespace(state=SimpleNamespace(services=SimpleNamespace(settings=settings)))
    headers = [(b"host", host.encode())]
    request = Request({"type": "http", "scheme": "http", "server": ("10.0.0.5", 8000), "headers": headers, "app": app})

    assert base_url(request) == expected

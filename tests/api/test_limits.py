"""Bodies over their limit, declared or undeclared."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

MIB = 2**20


def chunks(total: int, size: int = 64 * 1024) -> Iterator[bytes]:
    """A body of spaces, sent without a Content-Length."""
    for _ in range(total // size):
        yield b" " * size


def status_of_chunked(server: str, key: str, path: str, total: int) -> int:
    """Hand-written, because the response may arrive while the body is still being sent."""
    host, port = urlsplit(server).hostname, urlsplit(server).port
    with socket.create_connection((host, port), timeout=20) as line:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        line.sendall(head.encode())
        try:
            for chunk in chunks(total):
                line.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            line.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has rejected the request and closed the connection
        return int(line.makefile("rb").readline().split()[1])


def test_a_declared_length_over_the_limit_is_a_413_before_the_body(server: str, admin_key: str) -> None:
    host, port = urlsplit(server).hostname, urlsplit(server).port
    with socket.create_connection((host, port), timeout=20) as line:
        head = (
            f"POST /v1/namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_key}\r\n"
            f"Content-Length: {MIB + 1}\r\n\r\n"
        )
        line.sendall(head.encode())
        assert line.makefile("rb").readline().split()[1] == b"413"


def test_a_chunked_body_over_the_limit_is_a_413(server: str, admin_key: str) -> None:
    assert status_of_chunked(server, admin_key, "/v1/namespaces", 64 * MIB) == 413


def test_a_body_at_the_limit_is_accepted(client: httpx.Client) -> None:
    body = b'{"namespace_name": "large"}'

    answer = client.post("/namespaces", content=body + b" " * (MIB - len(body)))

    assert answer.status_code == 200


def test_the_response_is_a_standard_error(client: httpx.Client) -> None:
    answer = client.post("/namespaces", content=b" " * (MIB + 1))

    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "PayloadTooLargeError"
    assert answer.json()["error"]["details"] == {"limit_mib": 1}


@pytest.mark.process
def test_the_bulk_route_has_its_own_limit(server: str, admin_key: str) -> None:
    path = "/v1/collections/nobody/documents/import"

    assert status_of_chunked(server, admin_key, path, 64 * MIB) != 200
    host, port = urlsplit(server).hostname, urlsplit(server).port
    for length, refused in ((2 * MIB, False), (2 * MIB + 1, True)):
        with socket.create_connection((host, port), timeout=20) as line:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_key}\r\n"
            line.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n".encode())
            assert (line.makefile("rb").readline().split()[1] == b"413") is refused

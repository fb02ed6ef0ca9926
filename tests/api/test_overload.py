"""Overload: every request gets a response, nothing is partially written, and the probes keep working."""

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from server_process import ServerProcess
from shoal.assemble import assemble
from shoal.settings import Settings

pytestmark = pytest.mark.process

MIB = 2**20
UPSERT = "/namespaces/default/documents/upsert"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[tuple[ServerProcess, str]]:
    """A server that handles 4 requests at once, buffers 8 MiB of bodies and waits 2 s for them; a foreign key."""
    data = tmp_path_factory.mktemp("small") / "data"
    services = assemble(Settings(data=data))
    services.keys.bootstrap(data / "key")
    stranger = services.keys.create_organization("elsewhere").key
    services.close()
    limits = {
        "SHOAL_MAX_REQUESTS": "4",
        "SHOAL_MAX_BODIES_MIB": "8",
        "SHOAL_MAX_BODY_MIB": "4",
        "SHOAL_BODY_TIMEOUT_SECONDS": "3",
    }
    with ServerProcess(data, workers=0, **limits) as running, running.client() as client:
        body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
        client.post("/collections", json=body).raise_for_status()
        yield running, stranger


@pytest.fixture
def server(small: tuple[ServerProcess, str]) -> ServerProcess:
    return small[0]


class Probe:
    """Polls /livez continuously over its own connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.seen: Counter[object] = Counter()

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            for path in ("/livez", "/readyz", "/health"):
                try:
                    self.seen[httpx.get(self._url + path, timeout=20).status_code] += 1
                except httpx.TransportError as error:
                    self.seen[repr(error)] += 1


def line_to(server: ServerProcess) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port or 80), timeout=30)


def head(server: ServerProcess, path: str, *more: str) -> bytes:
    lines = [f"POST /v1{path} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.key}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_on(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and the first bytes of the body."""
    with line.makefile("rb") as reader:
        status = int(reader.readline().split()[1])
        headers = {}
        while (text := reader.readline()) not in (b"\r\n", b""):
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, reader.read(int(headers.get("content-length", "0")))


def test_every_request_gets_a_response_at_many_times_the_capacity(server: ServerProcess) -> None:
    seen: Counter[int] = Counter()

    def write(client: httpx.Client, n: int) -> None:
        documents = [{"document_id": f"{n}-{i}", "vectors": {"v": [n, i, 1]}, "payload": {"n": n}} for i in range(200)]
        body = {"collection_id": "docs", "documents": documents}
        answer = client.post("/namespaces/default/documents/upsert", json=body)
        seen[answer.status_code] += 1
        if answer.status_code == 200:
            stored.append(n)
        else:
            assert answer.json()["error"]["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1

    stored: list[int] = []
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    headers = {"Authorization": f"Bearer {server.key}"}
    with (
        Probe(server.url) as probe,
        httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60, limits=limits) as client,
        ThreadPoolExecutor(64) as pool,
    ):
        list(pool.map(lambda n: write(client, n), range(600)))

    assert set(seen) == {200, 503} and seen.total() == 600
    assert set(probe.seen) == {200} and probe.seen[200] >= 3
    with server.client() as client:
        found = client.post("/collections/docs/documents/distinct", json={"field": "n", "limit": 1000}).json()
        assert {(entry["value"], entry["count"]) for entry in found["values"]} == {(n, 200) for n in stored}
        assert client.get("/me").status_code == 200


def test_silent_connections_delay_no_request_and_are_closed(server: ServerProcess) -> None:
    lines = [line_to(server) for _ in range(200)]
    try:
        for n, line in enumerate(lines):
            if n % 3 == 0:
                line.sendall(b"POST /v1/clusters HT")
            if n % 3 == 1:
                line.sendall(head(server, "/namespaces", "Content-Length: 100") + b'{"')
        with server.client() as client, Probe(server.url) as probe:
            assert client.post("/namespaces", json={"namespace_name": "while-they-wait"}).status_code == 200
        for n, line in enumerate(lines):
            if n % 3 == 1:
                assert answer_on(line)[0] == 408
            assert line.recv(1) == b""
    finally:
        for line in lines:
            line.close()
    assert set(probe.seen) == {200}
    with server.client() as client:
        client.delete("/namespaces/while-they-wait").raise_for_status()


def test_a_body_that_trickles_in_is_rejected(server: ServerProcess) -> None:
    with line_to(server) as line:
        line.sendall(head(server, "/namespaces", "Content-Length: 1000000"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(300):
                line.sendall(b" ")
                time.sleep(0.05)
        status, headers, body = answer_on(line)

    assert status == 408
    assert headers["connection"] == "close"
    error = json.loads(body)["error"]
    assert error["type"] == "RequestTimeoutError" and 0 < error["details"]["received_bytes"] < 300


def test_a_stalled_upload_is_rejected_and_leaves_nothing_behind(server: ServerProcess) -> None:
    more = ("Content-Type: application/x-ndjson", "Content-Length: 1000000")
    with line_to(server) as line:
        line.sendall(head(server, "/collections/docs/documents/import", *more) + b'{"id": "half", "v": [1, 2, 3]}\n')
        status = answer_on(line)[0]

    assert status == 408
    assert list((server.data / "spool").iterdir()) == []
    with server.client() as client:
        assert client.get("/collections/docs/documents/half").status_code == 404


def test_large_bodies_share_a_budget_and_small_ones_are_exempt(small: tuple[ServerProcess, str]) -> None:
    server, stranger = small
    path, body = UPSERT, b'{"documents": []}' + b" " * (4 * MIB - 17)
    with line_to(server) as first:
        # All but the last byte: 4 of the 6 MiB that one organisation may use.
        first.sendall(head(server, path, f"Content-Length: {len(body)}") + body[:-1])
        wait_until_read(server, path, body)
        with server.client() as client:
            at_once = client.post(path, content=body)
            small_one = client.post("/namespaces/list", json={})
        with httpx.Client(base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {stranger}"}) as other:
            theirs = other.post(path, content=body[: 3 * MIB])
        first.sendall(body[-1:])
        finished = answer_on(first)[0]

    assert (at_once.status_code, at_once.json()["error"]["code"]) == (503, "overloaded")
    assert int(at_once.headers["retry-after"]) >= 1
    assert (small_one.status_code, theirs.status_code, finished) == (200, 200, 200)
    with server.client() as client:
        assert client.post(path, content=body).status_code == 200  # there is capacity again


def wait_until_read(server: ServerProcess, path: str, body: bytes) -> None:
    """Until a second body is rejected: data sent on another connection may still be in a buffer."""
    with server.client() as client:
        for _ in range(100):
            if client.post(path, content=b"{" + body[1:-1]).status_code == 503:
                return
            time.sleep(0.05)
    raise AssertionError("the first body was not read")


def test_a_hundred_large_bodies_at_once_do_not_exhaust_the_memory(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    before, peak = process.memory_info().rss, [0]
    seen: Counter[int] = Counter()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    def send(_: int) -> None:
        with server.client() as client:
            seen[client.post(UPSERT, content=b'{"documents": []}' + b" " * (4 * MIB - 17)).status_code] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(100) as pool:
            list(pool.map(send, range(100)))
    finally:
        over.set()
        watcher.join()

    assert set(seen) <= {200, 503} and seen[200] >= 1
    assert peak[0] - before < 100 * MIB  # all of them would be 400


def test_a_chunked_gibibyte_is_rejected_while_it_streams(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    before, peak = process.memory_info().rss, 0
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with line_to(server) as line:
        line.sendall(head(server, UPSERT, "Transfer-Encoding: chunked"))
        sent = 0
        try:
            while sent < 1024 * MIB:
                line.sendall(piece)
                sent += 65536
                peak = max(peak, process.memory_info().rss)
        except (BrokenPipeError, ConnectionResetError):
            pass
        with contextlib.suppress(ConnectionResetError):
            assert answer_on(line)[0] == 413

    assert 4 * MIB < sent < 1024 * MIB
    assert peak - before < 32 * MIB

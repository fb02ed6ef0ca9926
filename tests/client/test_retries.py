"""`shoal.Client` against a real server behind a connection that breaks, and against servers that are busy."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

import shoal
from server_process import ServerProcess
from shoal.errors import AlreadyExists, NotFound, Overloaded, QueueFull, RateLimited, Unavailable


class BadLine:
    """Passes bytes on in both directions, but hangs up on the next `faults` connections: before the request went out
    ("before"), or when the answer to it comes ("after")."""

    def __init__(self, url: str, fault: str) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._fault = fault
        self.faults = 0
        self.seen = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far, suppress(OSError):
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            while piece := far.recv(65536):
                if self._breaks("after"):
                    break
                near.sendall(piece)
            near.shutdown(socket.SHUT_RDWR)

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while piece := near.recv(65536):
                if self._breaks("before"):
                    break
                far.sendall(piece)
            far.shutdown(socket.SHUT_RDWR)

    def _breaks(self, moment: str) -> bool:
        if self._fault != moment or self.faults == 0:
            return False
        self.faults -= 1
        self.seen += 1
        return True


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("shoal.client.transport.time", SimpleNamespace(sleep=slept.append))
    return slept


@pytest.fixture(params=["before", "after"])
def line(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[BadLine]:
    opened = BadLine(server.url, request.param)
    yield opened
    opened.close()


@pytest.fixture
def shaky(client: shoal.Client, line: BadLine, server: ServerProcess) -> Iterator[shoal.Client]:
    """A client of the same namespace over the bad line."""
    with shoal.Client(line.url, server.key, str(namespace_of(client))) as opened:
        yield opened


def namespace_of(client: shoal.Client) -> object:
    return client._transport._http.headers["X-Namespace"]  # the fixture's own name for it


def broken(line: BadLine, times: int, act: Callable[[], Any]) -> Any:
    """The answer to a call whose first tries break."""
    line.faults, line.seen = times, 0
    answer = act()
    assert line.seen == times
    return answer


@pytest.mark.parametrize("times", [1, 3])
def test_writes_over_a_broken_connection_are_done_once(
    times: int, shaky: shoal.Client, client: shoal.Client, line: BadLine, columns: dict[str, object]
) -> None:
    made = broken(line, times, lambda: shaky.collections.create("docs"))
    done = broken(line, times, lambda: shaky.documents.upload("docs", columns, on_conflict="fail"))
    document = broken(line, times, lambda: shaky.documents.create("docs", {"text": "x"}))
    create = shaky.clusters.create
    cluster = broken(line, times, lambda: create("c", ["docs"], feature="embedding", params={"n_clusters": 3}))
    run = broken(line, times, lambda: shaky.clusters.execute("c"))

    assert client.collections.get("docs").collection_id == made.collection_id
    assert (done.inserted, done.replaced) == (45, 0)
    assert client.documents.get("docs", document["document_id"])["text"] == "x"
    assert client.documents.count("docs") == 46
    assert [item.cluster_id for item in client.clusters.list()] == [cluster.cluster_id]
    run.wait(60)
    assert [item.run_id for item in client.executions.list("c")] == [run.run_id]


def test_reads_changes_and_removals_are_tried_again_too(
    shaky: shoal.Client, client: shoal.Client, line: BadLine
) -> None:
    client.collections.create("docs")

    assert broken(line, 2, lambda: shaky.collections.get("docs")).collection_name == "docs"
    assert broken(line, 2, lambda: shaky.collections.patch("docs", description="d")).description == "d"
    broken(line, 2, lambda: shaky.collections.delete("docs"))
    with pytest.raises(NotFound):
        shaky.collections.delete("docs")


def test_a_broken_connection_is_reported_after_four_attempts(shaky: shoal.Client, line: BadLine) -> None:
    line.faults = 100

    with pytest.raises(Unavailable):
        shaky.collections.create("docs")

    assert line.seen == 4


def test_each_call_has_its_own_idempotency_key(client: shoal.Client) -> None:
    client.collections.create("docs")

    with pytest.raises(AlreadyExists):
        client.collections.create("docs")


@contextmanager
def answering(*answers: tuple[int, dict[str, str]], code: str | None = None) -> Iterator[tuple[str, list[str | None]]]:
    """A server that gives these answers in turn, the last one for ever; its address, and the keys it was sent. `code`
    is the error's, else the usual one."""
    keys: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        left: ClassVar = list(answers)

        def do_POST(self) -> None:
            keys.append(self.headers["Idempotency-Key"])
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, headers = self.left.pop(0) if len(self.left) > 1 else self.left[0]
            told = code or {429: "rate_limited", 503: "overloaded"}.get(status)
            body = b"{}" if told is None else b'{"error": {"message": "busy", "code": "%s"}}' % told.encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", keys
        running.shutdown()


def test_a_busy_server_is_asked_again_when_it_says_and_with_the_same_key(pauses: list[float]) -> None:
    busy = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "400"}), (503, {})]
    with answering(*busy, (200, {})) as (url, keys), shoal.Client(url, "sk_x") as client:
        client._transport.call("POST", "/things", {"a": 1})

    assert pauses == [7.0, 30.0, 4.0]
    assert len(keys) == 4 and len(set(keys)) == 1 and keys[0]


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Overloaded)])
def test_a_busy_server_is_reported_after_four_attempts(status: int, kind: type[Exception]) -> None:
    with answering((status, {})) as (url, keys), shoal.Client(url, "sk_x") as client:
        with pytest.raises(kind, match="busy"):
            client._transport.call("POST", "/things")
        with pytest.raises(kind):
            client._transport.call("POST", "/things")

    assert len(keys) == 8 and len(set(keys)) == 2


def test_a_full_queue_is_reported_at_once(pauses: list[float]) -> None:
    full = (429, {"Retry-After": "10"})
    with (
        answering(full, code="queue_full") as (url, keys),
        shoal.Client(url, "sk_x") as client,
        pytest.raises(QueueFull, match="busy"),
    ):
        client.clusters.execute("c")

    assert (pauses, len(keys)) == ([], 1)


def test_a_server_that_was_never_reached_is_reported_at_once(pauses: list[float]) -> None:
    with shoal.Client("http://127.0.0.1:9", "sk_x") as client, pytest.raises(Unavailable, match="shoal serve"):
        client.collections.create("docs")

    assert pauses == []

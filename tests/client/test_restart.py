"""`shoal.Client` while its server starts again, and behind a gateway that cuts calls which take long."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import shoal
from server_process import ServerProcess
from shoal.errors import InvalidField, Unauthorized, Unavailable

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    """A server that keeps its port when it starts again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ServerProcess(tmp_path_factory.mktemp("restart") / "data")
    server.port = port
    with server as running:
        yield running


def test_a_wait_and_all_kinds_of_calls_go_on_when_the_server_starts_again(
    own_server: ServerProcess, columns: dict[str, object]
) -> None:
    with shoal.Client(own_server.url, own_server.key) as client:
        client.collections.create("docs")
        client.documents.upload("docs", columns)
        client.clusters.create("c", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 3})
        run = client.clusters.execute("c")
        own_server.kill(everything=True)
        starting = threading.Timer(2.0, own_server.start)
        starting.start()

        document = client.documents.create("docs", {"text": "written while it was away"})

        starting.join()
        assert run.wait(120).num_points == 45
        own_server.kill(everything=True)
        starting = threading.Timer(2.0, own_server.start)
        starting.start()
        client.documents.patch("docs", document["document_id"], text="changed")
        starting.join()
        assert client.documents.get("docs", document["document_id"])["text"] == "changed"
        assert client.documents.count("docs") == 46


def test_how_long_a_server_may_be_away_is_a_setting(own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for seconds in (0.0, 10.0):
        monkeypatch.setattr("shoal.client.transport.time", SimpleNamespace(sleep=slept.append))
        with shoal.Client(address, own_server.key, restart_s=seconds) as client:
            client._transport._reached = True
            with pytest.raises(Unavailable, match="Cannot reach") as given_up:
                client.collections.create("never")
        assert "idempotency_key" not in given_up.value.details  # it never went out
        assert sum(slept) <= seconds
    assert sum(slept) > 7


class Cutting:
    """A gateway that forwards each request and answers 504 in its place, until it `passes`."""

    def __init__(self, target: str) -> None:
        gateway, self.passes = self, False

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                values = {name: value for name, value in self.headers.items() if name != "Host"}
                reply = httpx.post(f"{target}{self.path}", content=body, headers=values, timeout=60)
                self.send_response(reply.status_code if gateway.passes else 504)
                content = reply.content if gateway.passes else b"<html>Gateway Time-out</html>"
                self.send_header("Content-Type", "application/json" if gateway.passes else "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_caller_can_find_out_what_was_stored_behind_a_gateway_error(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.client.transport.time", SimpleNamespace(sleep=lambda _: None))
    gateway = Cutting(own_server.url)
    with shoal.Client(gateway.url, own_server.key) as client, shoal.Client(own_server.url, own_server.key) as direct:
        with pytest.raises(Unavailable, match="gateway answered 504") as given_up:
            client.collections.create("cut")
        assert "client.repeating" in given_up.value.message
        gateway.passes = True

        with client.repeating(given_up.value):
            collection = client.collections.create("cut")

        assert direct.collections.get("cut").collection_id == collection.collection_id
        with client.repeating(str(given_up.value.details["idempotency_key"])):
            assert client.collections.create("cut").collection_id == collection.collection_id
        with pytest.raises(InvalidField, match="idempotency key"):
            client.repeating(Unavailable("Cannot reach it."))
    gateway.close()


def test_a_client_waits_for_a_starting_server_and_its_first_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.delenv("SHOAL_API_KEY", raising=False)
    monkeypatch.setenv("SHOAL_DATA", str(tmp_path / "data"))
    server = ServerProcess(tmp_path / "data", workers=0)
    server.port = port
    with shoal.Client(f"http://127.0.0.1:{port}") as client:
        server.spawn()
        try:
            collection = client.collections.create("docs")
            assert client.collections.get("docs").collection_id == collection.collection_id
        finally:
            server.stop()


def test_a_client_without_any_key_names_the_file_it_looked_for(
    own_server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOAL_API_KEY", raising=False)
    monkeypatch.setenv("SHOAL_DATA", str(tmp_path / "other"))
    with shoal.Client(own_server.url) as client, pytest.raises(Unauthorized) as refused:
        client.collections.create("docs")

    assert str(tmp_path / "other" / "key") in refused.value.message and "SHOAL_API_KEY" in refused.value.message


def test_the_error_about_a_wrong_local_key_names_its_file(
    own_server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOAL_API_KEY", raising=False)
    monkeypatch.setenv("SHOAL_DATA", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "key").write_text("sk_of_another_server")
    with shoal.Client(own_server.url) as client, pytest.raises(Unauthorized) as refused:
        client.me()

    assert f"It was read from {tmp_path / 'other' / 'key'}" in refused.value.message

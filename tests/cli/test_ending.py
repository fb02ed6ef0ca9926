"""Shutdown of a server, and its readiness before and during it."""

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from server_process import ServerProcess

pytestmark = pytest.mark.process

DIMENSION = 8


def documents(batch: int) -> list[dict[str, Any]]:
    return [
        {"document_id": f"b{batch:05d}-{row}", "vectors": {"v": [float(batch % 7), *[1.0] * (DIMENSION - 1)]}}
        for row in range(5)
    ]


class RetryingWriter(threading.Thread):
    """Writes batch after batch, each until it is acknowledged, to whichever server `urls` holds now."""

    def __init__(self, number: int, where: list[str], key: str) -> None:
        super().__init__()
        self._where, self._key, self._number = where, key, number
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self.halt = threading.Event()

    def run(self) -> None:
        batch = self._number * 10_000
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
            while not self.halt.is_set():
                body = {"collection_id": "docs", "documents": documents(batch)}
                try:
                    reply = client.post(f"{self._where[0]}/v1/namespaces/default/documents/upsert", json=body)
                except httpx.TransportError:
                    time.sleep(0.2)  # leave the processor to the next server, which is starting
                    continue
                if reply.status_code == 200:
                    self.acknowledged.append(batch)
                    batch += 1
                elif reply.status_code != 503:
                    self.refused.append(reply.text)


def create_collection(client: httpx.Client) -> None:
    body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
    client.post("/collections", json=body).raise_for_status()


def child_processes(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.pid).children(recursive=True)


def wait_for_exit(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=15)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(300)  # four starts of a server, each many seconds on a busy machine
def test_repeated_shutdowns_under_load_lose_nothing_and_leave_no_process(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    with server.client("default") as client:
        create_collection(client)
    where = [server.url]
    writers = [RetryingWriter(number, where, server.key) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            done = sum(len(writer.acknowledged) for writer in writers)
            while sum(len(writer.acknowledged) for writer in writers) < done + 20:
                time.sleep(0.01)
            processes = child_processes(server)
            assert server.stop() == 0, "".join(server.output)
            assert wait_for_exit(processes) == []
            where[0] = server.start().url
    finally:
        for writer in writers:
            writer.halt.set()
        for writer in writers:
            writer.join()
    with server.client("default") as client:
        count = client.get("/collections/docs/documents/count").json()["count"]
        missing = [
            batch
            for writer in writers
            for batch in writer.acknowledged
            if client.get(f"/collections/docs/documents/b{batch:05d}-4").status_code != 200
        ]
    server.stop()

    assert [writer.refused for writer in writers] == [[]] * 3
    assert missing == []
    assert count >= 5 * sum(len(writer.acknowledged) for writer in writers)


def test_an_active_run_returns_to_the_queue_at_shutdown_without_counting_an_attempt(tmp_path: Path) -> None:
    # The run pauses when it writes its tables, the first time only.
    once = tmp_path / "once"
    once.mkdir()
    fault = "artifact.table=sleep:60"
    server = ServerProcess(tmp_path / "data", SHOAL_FAILPOINTS=fault, SHOAL_FAILPOINTS_ONCE=str(once)).start()
    with server.client("default") as client:
        create_collection(client)
        upsert = {"collection_id": "docs", "documents": documents(1) + documents(2) + documents(3)}
        client.post("/namespaces/default/documents/upsert", json=upsert).raise_for_status()
        config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
        body = {"collection_ids": ["docs"], "cluster_name": "topics", "vector_config": config}
        client.post("/clusters", json=body).raise_for_status()
        client.post("/clusters/topics/execute").raise_for_status()
        while not (once / "artifact.table").exists():
            time.sleep(0.02)
    processes = child_processes(server)

    assert server.stop() == 0
    assert wait_for_exit(processes) == []
    with server.start().client("default") as client:
        while (status := client.get("/clusters/topics").json()["status"]) not in ("COMPLETED", "FAILED"):
            time.sleep(0.05)
    server.stop()

    assert status == "COMPLETED"


@pytest.fixture
def draining(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", workers=1, SHOAL_DRAIN_SECONDS="30").start()
    yield server
    with contextlib.suppress(ProcessLookupError):
        server.kill(everything=True)


def test_a_draining_server_serves_requests_and_reports_not_ready(draining: ServerProcess) -> None:
    processes = child_processes(draining)
    with draining.client() as client:
        before = httpx.get(f"{draining.url}/readyz", trust_env=False)
        os.kill(draining.pid, signal.SIGTERM)
        while (ready := httpx.get(f"{draining.url}/readyz", trust_env=False)).status_code == 200:
            time.sleep(0.01)
        served = client.get("/me")
        alive = httpx.get(f"{draining.url}/livez", trust_env=False)

    assert before.json()["checks"]["server"] == {"ok": True, "reason": None}
    assert ready.status_code == 503
    assert ready.json()["error"]["details"]["checks"]["server"] == {
        "ok": False, "reason": "The server is shutting down.",
    }  # fmt: skip
    assert "shutting down" in ready.json()["error"]["message"]
    assert (served.status_code, served.headers["Connection"]) == (200, "close")
    assert alive.status_code == 200

    os.kill(draining.pid, signal.SIGTERM)

    assert draining.wait() == 128 + signal.SIGTERM
    assert wait_for_exit(processes) == []


def test_readiness_reports_missing_workers_without_rejecting_requests(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0, SHOAL_DISK_RESERVE_MIB="900000000") as server:
        reply = httpx.get(f"{server.url}/readyz", trust_env=False)
        with server.client() as client:
            refused = client.post("/collections", json={})
            read = client.get("/me")

    assert reply.status_code == 200
    body = reply.json()
    assert body["status"] == "DEGRADED"
    assert {name for name, check in body["checks"].items() if not check["ok"]} == {"disk", "workers"}
    assert "kept in reserve: new data is rejected" in body["checks"]["disk"]["reason"]
    assert "shoal worker" in body["checks"]["workers"]["reason"]
    assert read.status_code == 200
    assert refused.status_code == 507
    assert refused.json()["error"]["code"] == "insufficient_storage"
    assert refused.headers["Retry-After"] == "5"


def test_readiness_waits_for_the_database_and_liveness_does_not(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0) as server:
        path = server.data / "metadata.sqlite"
        # A connection reads cached pages without the file, so another connection writes to invalidate the cache.
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            other.execute("UPDATE counters SET total = total")
            other.execute("INSERT OR REPLACE INTO counters VALUES ('[\"test\"]', 1, 0)")
            whole = path.read_bytes()
            with path.open("r+b") as file:
                file.write(b"\0" * len(whole))
            ready = httpx.get(f"{server.url}/readyz", trust_env=False)
            alive = httpx.get(f"{server.url}/livez", trust_env=False)
            path.write_bytes(whole)

    assert ready.status_code in (500, 503), ready.text
    assert alive.status_code == 200

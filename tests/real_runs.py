"""A server, its workers and runs that last, as processes; and what is left of them."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "cancel_at_random",
    "children_of",
    "execute",
    "is_over",
    "make_cluster",
    "run_folders",
    "run_of",
    "upload",
    "wait_for",
    "worker_processes",
]

DIMENSION = 64
OVER = ("completed", "failed", "canceled")


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Ask often at first and then less: what is asked is a server, which may share its core with what is waited for."""
    end, pause = time.monotonic() + seconds, 0.02
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.2)


def upload(client: httpx.Client, rows: int, folder: Path, name: str = "docs") -> None:
    """A collection of `rows` documents in ten loose groups."""
    rng = np.random.default_rng(1)
    points = np.eye(10, DIMENSION)[np.arange(rows) % 10] + rng.normal(0, 0.08, (rows, DIMENSION))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(points.astype(np.float32).ravel()), DIMENSION)
    table = pa.table({"id": [f"d{row:06d}" for row in range(rows)], "v": vectors})
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    client.post("/collections", json={"collection_name": name, "source": {"type": "direct_upsert"}}).raise_for_status()
    reply = client.post(
        f"/collections/{name}/documents/import",
        content=path.read_bytes(),
        headers={"Content-Type": "application/vnd.apache.parquet"},
    )
    assert reply.status_code < 300, reply.text


def make_cluster(client: httpx.Client, name: str, method: str, collection: str = "docs") -> dict[str, Any]:
    config: dict[str, Any] = {"feature_uris": ["v"], "clustering_method": method}
    if method == "kmeans":
        config["kmeans_parameters"] = {"n_clusters": 10, "n_init": 1}
    reply = client.post(
        "/clusters", json={"collection_ids": [collection], "cluster_name": name, "vector_config": config}
    )
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def execute(client: httpx.Client, name: str) -> str:
    reply = client.post(f"/clusters/{name}/execute", json={})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["additional_data"]["run_id"])


def run_of(client: httpx.Client, name: str, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = client.get(f"/clusters/{name}/executions/{run_id}").json()
    return run


def is_over(client: httpx.Client, name: str, run_id: str) -> bool:
    return run_of(client, name, run_id)["status"] in OVER


def worker_processes(parent: int) -> list[psutil.Process]:
    """The workers that a server keeps, or the process itself where it is one."""
    processes = [
        process for process in psutil.Process(parent).children() if "shoal.cli.processes.worker" in process.cmdline()
    ]
    return processes or [psutil.Process(parent)]


def children_of(worker: psutil.Process) -> list[psutil.Process]:
    """The processes of its runs: of the one under way, and the one that waits ready."""
    return [child for child in worker.children() if _is_a_run(child)]


def _is_a_run(process: psutil.Process) -> bool:
    try:
        return "shoal.cli.processes.run_child" in process.cmdline()
    except psutil.NoSuchProcess:  # a zombie as well
        return False


def run_folders(data: Path) -> list[str]:
    """The runs that have tables, and what is half written."""
    return sorted(path.name for path in (data / "artifacts").glob("*/*/*"))


def cancel_at_random(
    client: httpx.Client, name: str, times: int, rng: random.Random, within_s: float
) -> dict[str, int]:
    """Execute and cancel again and again; how runs ended. Asserts that each is cancelled and shows nothing, or is
    completed and shows everything, and that a cancel is refused exactly where a run's results were visible."""
    ended: dict[str, int] = {}
    for _ in range(times):
        before = client.get(f"/clusters/{name}").json()["current_run_id"]
        run_id = execute(client, name)
        time.sleep(rng.uniform(0, within_s))
        reply = client.post(f"/clusters/{name}/executions/{run_id}/cancel")
        assert reply.status_code in (200, 409), reply.text
        wait_for(lambda run_id=run_id: is_over(client, name, run_id))  # type: ignore[misc]
        run = run_of(client, name, run_id)
        now = client.get(f"/clusters/{name}").json()["current_run_id"]
        if reply.status_code == 200:
            assert (run["status"], run["published"], now) == ("canceled", False, before), run
        else:
            assert (run["status"], run["published"], now) == ("completed", True, run_id), run
        ended[run["status"]] = ended.get(run["status"], 0) + 1
    return ended

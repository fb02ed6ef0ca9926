"""Is anything acknowledged ever lost, and does a run ever hang, when the server is killed at random moments?

Two clients write and execute against a real server; it is killed with SIGKILL at a random moment (half the time alone,
half the time with its workers), started again on the same folder and checked through its own API:

- every acknowledged batch is there whole, every other batch whole or absent (the ledger lives in this process);
- the vectors of sampled documents are the ones that were sent;
- every run reaches an end, and the results that are visible belong to one finished run: members = points, one centroid
  a cluster, output collection and artifacts of the same run.

    python benchmarks/kill_loop.py --kills 100 --seed 1
"""

import argparse
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from server_process import ServerProcess

BATCH, DIMENSION = 200, 32
RUN_DEADLINE_S = 90.0


class Ledger:
    """What the server said it has. Lives outside the server."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.next = 0
        self.executions = 0


def vectors_of(batch: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The vectors of a batch, made again from its number alone: three blobs."""
    rng = np.random.default_rng(batch)
    centres = np.eye(3, DIMENSION, dtype=np.float32)
    points = centres[rng.integers(0, 3, BATCH)] + rng.normal(0, 0.05, (BATCH, DIMENSION))
    return points.astype(np.float32)


def documents_of(batch: int) -> list[dict[str, Any]]:
    return [
        {"document_id": f"b{batch:05d}-{row:03d}", "vectors": {"v": vector}, "payload": {"batch": batch, "text": "a b"}}
        for row, vector in enumerate(vectors_of(batch).tolist())
    ]


def ingest(url: str, key: str, ledger: Ledger, stop: threading.Event) -> None:
    """Write batch after batch until told to stop or the server is gone."""
    with httpx.Client(base_url=f"{url}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        while not stop.is_set():
            batch = ledger.next
            ledger.next += 1
            body = {"collection_id": "docs", "documents": documents_of(batch)}
            try:
                client.post("/namespaces/default/documents/upsert", json=body).raise_for_status()
            except httpx.TransportError:
                ledger.unknown.append(batch)
                return
            ledger.acknowledged.append(batch)


def execute(url: str, key: str, ledger: Ledger, stop: threading.Event) -> None:
    """Execute the cluster whenever it is idle."""
    with httpx.Client(base_url=f"{url}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        while not stop.is_set():
            try:
                reply = client.post("/clusters/groups3/execute")
            except httpx.TransportError:
                return
            ledger.executions += reply.status_code == 200
            stop.wait(0.1)


@contextmanager
def busy(server: ServerProcess, ledger: Ledger) -> Iterator[None]:
    stop = threading.Event()
    arguments = (server.url, server.key, ledger, stop)
    threads = [threading.Thread(target=work, args=arguments) for work in (ingest, execute)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def check_documents(client: httpx.Client, ledger: Ledger, rng: random.Random) -> None:
    counts = client.post("/collections/docs/documents/distinct", json={"field": "batch", "limit": 10_000}).json()
    stored = {int(item["value"]): int(item["count"]) for item in counts["values"]}
    for batch in ledger.acknowledged:
        assert stored.get(batch) == BATCH, f"acknowledged batch {batch} has {stored.get(batch)} of {BATCH} documents"
    for batch, count in stored.items():
        assert count == BATCH, f"batch {batch} is torn: {count} of {BATCH}"
        assert batch in ledger.acknowledged or batch in ledger.unknown, f"batch {batch} was never sent"
    for batch in rng.sample(ledger.acknowledged, min(3, len(ledger.acknowledged))):
        row = rng.randrange(BATCH)
        found = client.get(f"/collections/docs/documents/b{batch:05d}-{row:03d}?return_vectors=true").json()
        assert np.array_equal(np.float32(found["vectors"]["v"]), vectors_of(batch)[row]), "a vector differs"


def check_runs(client: httpx.Client) -> tuple[int, int]:
    """Wait until no run is active, then compare what is visible. Returns (completed, failed)."""
    end = time.monotonic() + RUN_DEADLINE_S
    while True:
        listed = client.post("/clusters/groups3/executions/list?limit=1000").json()
        by_status: dict[str, int] = listed["stats"]["executions_by_status"]
        if not (by_status.get("pending") or by_status.get("processing")):
            break
        assert time.monotonic() < end, f"a run hangs: {by_status}"
        time.sleep(0.1)
    cluster = client.get("/clusters/groups3").json()
    if cluster["current_run_id"]:
        check_visible(client, cluster)
    return by_status.get("completed", 0), by_status.get("failed", 0)


def failures(client: httpx.Client) -> Counter[str]:
    """What the failed runs say, and how often."""
    wanted = {"filters": {"field": "status", "operator": "eq", "value": "failed"}, "limit": 1000}
    listed = client.post("/clusters/groups3/executions/list", json=wanted).json()
    return Counter(run["error_message"] or "no reason given" for run in listed["results"])


def check_visible(client: httpx.Client, cluster: dict[str, Any]) -> None:
    run = client.get(f"/clusters/groups3/executions/{cluster['current_run_id']}").json()
    assert run["status"] == "completed", run["status"]
    data = client.get("/clusters/groups3/artifacts?include_members=true&limit=1").json()
    assert data["run_id"] == run["run_id"]
    assert data["total_members"] == run["num_points"]
    assert len(data["centroids"]) == run["num_clusters"]
    output = cluster["output_collection_ids"][0]
    count = client.get(f"/collections/{output}/documents/count").json()["count"]
    assert count == run["num_points"] + run["num_clusters"], (count, run["num_points"], run["num_clusters"])
    runs = client.post(f"/collections/{output}/documents/distinct", json={"field": "run_id"}).json()
    assert [item["value"] for item in runs["values"]] == [run["run_id"]], "the output collection mixes runs"


def prepare(client: httpx.Client) -> None:
    source = {"type": "direct_upsert"}
    client.post("/collections", json={"collection_name": "docs", "source": source}).raise_for_status()
    seed = {"collection_id": "docs", "documents": [{"document_id": "seed", "vectors": {"v": [1.0] * DIMENSION}}]}
    client.post("/namespaces/default/documents/upsert", json=seed).raise_for_status()
    client.delete("/collections/docs/documents/seed").raise_for_status()
    parameters = {"n_clusters": 3, "n_init": 1}
    config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": parameters}
    body = {"collection_ids": ["docs"], "cluster_name": "groups3", "vector_config": config}
    client.post("/clusters", json=body).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng, ledger = random.Random(given.seed), Ledger()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data")
        server.start()
        with server.client() as client:
            prepare(client)
        completed = failed = 0
        for kill in range(1, given.kills + 1):
            with busy(server, ledger):
                time.sleep(rng.uniform(0.02, 2.5))
                server.kill(everything=rng.random() < 0.5)
            server.start()
            with server.client() as client:
                check_documents(client, ledger, rng)
                if kill % 5 == 0:
                    completed, failed = check_runs(client)
            print(f"kill {kill}: {len(ledger.acknowledged)} batches acknowledged, {completed} runs done", flush=True)
        with server.client() as client:
            check_documents(client, ledger, rng)
            completed, failed = check_runs(client)
            reasons = failures(client)
        server.stop()
    print(
        f"{given.kills} kills in {time.monotonic() - began:.0f} s: {len(ledger.acknowledged) * BATCH:,} documents "
        f"acknowledged, 0 lost, 0 torn batches; {ledger.executions} executions accepted, {completed} completed, "
        f"{failed} failed, 0 hanging"
    )
    for reason, times in reasons.most_common():
        print(f"  {times} × {reason}")


if __name__ == "__main__":
    main()

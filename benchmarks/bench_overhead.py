"""What does a run cost beside its computing, and when does it begin?

A real server with one worker carries out the same small run again and again, with a pause between. From the run's own
record: from accepted to begun (the queue, the start of a process), and from accepted to completed. The same runs are
then carried out in this process, on the same data, with a clock at each stage; what the engine and the naming take
there is computing, all else is overhead.

    PYTHONPATH=tests python benchmarks/bench_overhead.py --rows 1000 --runs 20
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from server_process import ServerProcess
from shoal.assemble import Services, assemble
from shoal.records.execution import ExecuteCluster
from shoal.records.scope import Scope
from shoal.services.run_states import QUEUE
from shoal.settings import Settings

DIMENSION: Final = 64
NOT_COMPUTING: Final = ("take", "load", "publish", "enrich")
WORDS: Final = ("river", "stone", "cloud", "bread", "music", "paper", "train", "garden", "winter", "coffee")


def prepare(client: httpx.Client, rows: int, method: str) -> None:
    """A collection with ten groups, and a cluster over it."""
    rng = np.random.default_rng(1)
    points = np.eye(10, DIMENSION)[np.arange(rows) % 10] + rng.normal(0, 0.05, (rows, DIMENSION))
    source = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
    client.post("/collections", json=source).raise_for_status()
    for start in range(0, rows, 1000):
        documents = [
            {"document_id": f"d{row:06d}", "vectors": {"v": points[row].tolist()},
             "payload": {"text": " ".join(rng.choice(WORDS, 8))}}
            for row in range(start, min(start + 1000, rows))
        ]  # fmt: skip
        body = {"collection_id": "docs", "documents": documents}
        client.post("/namespaces/default/documents/upsert", json=body).raise_for_status()
    config = {"feature_uris": ["v"], "clustering_method": method}
    cluster = {"collection_ids": ["docs"], "cluster_name": "groups", "vector_config": config}
    client.post("/clusters", json=cluster).raise_for_status()


def through_the_server(client: httpx.Client, runs: int, pause_s: float) -> list[tuple[float, float]]:
    """(accepted to begun, accepted to completed) of each run, in seconds."""
    measured = []
    for _ in range(runs):
        time.sleep(pause_s)
        task = client.post("/clusters/groups/execute", json={}).json()
        run_id = task["additional_data"]["run_id"]
        while True:
            run: dict[str, Any] = client.get(f"/clusters/groups/executions/{run_id}").json()
            if run["status"] not in ("pending", "processing"):
                break
            time.sleep(0.05)
        assert run["status"] == "completed", run
        created, started, ended = (_moment(run[name]) for name in ("created_at", "started_at", "completed_at"))
        measured.append(((started - created).total_seconds(), (ended - created).total_seconds()))
    return measured


def in_this_process(services: Services, scope: Scope) -> dict[str, float]:
    """The seconds of each stage of one run."""
    services.clusters.execute(scope, services.clusters.admit(scope, "groups", ExecuteCluster()))
    now = datetime.now(UTC)
    job = services.metadata.claim(QUEUE, "here", now, now + timedelta(minutes=5))
    assert job is not None
    seconds, tell = _stopwatch()
    services.runner.run(job, tell)
    tell("", 1.0)
    services.metadata.finish(job.job_id, job.fence)
    return seconds


def _stopwatch() -> tuple[dict[str, float], Callable[[str, float], None]]:
    """A progress function and what it measures: seconds by stage."""
    seconds: dict[str, float] = {}
    stage, since = "take", time.perf_counter()

    def tell(next_stage: str, _fraction: float) -> None:
        nonlocal stage, since
        now = time.perf_counter()
        seconds[stage] = seconds.get(stage, 0.0) + now - since
        stage, since = next_stage, now

    return seconds, tell


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between runs, for the worker to make ready")
    parser.add_argument("--method", default="kmeans")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data")
        with server, server.client() as client:
            prepare(client, given.rows, given.method)
            through_the_server(client, 1, given.pause)
            measured = through_the_server(client, given.runs, given.pause)
            cluster = client.get("/clusters/groups").json()
        services = assemble(Settings(data=server.data))
        scope = Scope(cluster["organization_id"], cluster["namespace_id"])
        in_this_process(services, scope)
        stages = [in_this_process(services, scope) for _ in range(given.runs)]
        services.close()
    computing = statistics.median(sum(s for name, s in one.items() if name not in NOT_COMPUTING) for one in stages)
    begun = statistics.median(begun for begun, _ in measured)
    done = statistics.median(done for _, done in measured)
    print(f"{given.rows:,} documents, {given.method}, {given.runs} runs, medians in ms")
    print(f"accepted to begun      {begun * 1e3:8.1f}")
    print(f"accepted to completed  {done * 1e3:8.1f}")
    print(f"computing              {computing * 1e3:8.1f}")
    print(f"overhead               {(done - computing) * 1e3:8.1f}   {(done - computing) / computing:.1%} of computing")
    for name in dict.fromkeys(name for one in stages for name in one):
        print(f"  stage {name:12s}   {statistics.median(one.get(name, 0.0) for one in stages) * 1e3:8.1f}")


if __name__ == "__main__":
    main()

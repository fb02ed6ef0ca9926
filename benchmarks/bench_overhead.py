"""What does a run cost beside its computing, and when does it begin?

A real server with one worker carries out the same run again and again, with a pause between. From the run's own
record: from accepted to begun (the queue, the hand-over to a process), and from accepted to completed. From the
counters behind `shoal_stage_seconds`: how long its process was at each stage. What the engine and the naming took is
computing, all else is overhead: the queue, reading, publishing, the records, and the processes between.

The same runs are then carried out in this process, to measure how much longer each stage takes in a new process.

    PYTHONPATH=tests python benchmarks/bench_overhead.py --rows 1000 --runs 20
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import numpy as np

from server_process import FreshServer
from shoal.assemble import Services, assemble
from shoal.records.runs.execution import ExecuteCluster
from shoal.records.scope import Scope
from shoal.runs.states import QUEUE
from shoal.settings import Settings

NOT_COMPUTING: Final = ("take", "load", "publish", "enrich")
WORDS: Final = ("river", "stone", "cloud", "bread", "music", "paper", "train", "garden", "winter", "coffee")


def prepare(client: httpx.Client, rows: int, dimension: int, method: str) -> None:
    """A collection with ten groups, and a cluster over it."""
    rng = np.random.default_rng(1)
    points = np.eye(10, dimension)[np.arange(rows) % 10] + rng.normal(0, 0.05, (rows, dimension))
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


@dataclass(frozen=True, slots=True)
class Measured:
    """One run through the server, in seconds."""

    begun: float
    """From accepted to begun."""
    completed: float
    """From accepted to completed."""
    stages: Mapping[str, float]

    @property
    def computing(self) -> float:
        return sum(seconds for name, seconds in self.stages.items() if name not in NOT_COMPUTING)


def through_the_server(
    client: httpx.Client, runs: int, pause_s: float, spent: Callable[[], Mapping[str, float]]
) -> list[Measured]:
    """`spent` returns the seconds per stage of all runs so far."""
    measured = []
    for _ in range(runs):
        time.sleep(pause_s)
        before = spent()
        task = client.post("/clusters/groups/execute", json={}).json()
        run_id = task["additional_data"]["run_id"]
        while True:
            run: dict[str, Any] = client.get(f"/clusters/groups/executions/{run_id}").json()
            if run["status"] not in ("pending", "processing"):
                break
            time.sleep(0.05)
        assert run["status"] == "completed", run
        created, started, ended = (_moment(run[name]) for name in ("created_at", "started_at", "completed_at"))
        time.sleep(0.2)  # the counters are the last thing that the process of a run writes
        stages = {name: seconds - before.get(name, 0.0) for name, seconds in spent().items()}
        measured.append(Measured((started - created).total_seconds(), (ended - created).total_seconds(), stages))
    return measured


def stage_counters(services: Services) -> dict[str, float]:
    """The seconds of every run so far, by stage."""
    counters = services.metadata.counters().items()
    return {name[1]: seconds for name, (_, seconds) in counters if name[0] == "stage"}


def in_this_process(services: Services, scope: Scope) -> dict[str, float]:
    """The seconds of each stage of one run."""
    services.clusters.execute(scope, services.clusters.admit(scope, "groups", ExecuteCluster()))
    now = datetime.now(UTC)
    job = services.metadata.claim(QUEUE, "here", now, now + timedelta(minutes=5))
    assert job is not None
    seconds, report = _stopwatch()
    services.runner.run(job, report)
    report("", 1.0)
    services.metadata.finish(job.job_id, job.fence)
    return seconds


def _stopwatch() -> tuple[dict[str, float], Callable[[str, float], None]]:
    """A progress function and what it measures: seconds by stage."""
    seconds: dict[str, float] = {}
    stage, since = "take", time.perf_counter()

    def report(next_stage: str, _fraction: float) -> None:
        nonlocal stage, since
        now = time.perf_counter()
        seconds[stage] = seconds.get(stage, 0.0) + now - since
        stage, since = next_stage, now

    return seconds, report


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between runs, for the worker to make ready")
    parser.add_argument("--method", default="kmeans")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = FreshServer(Path(folder) / "data")
        with server, server.client() as client:
            prepare(client, args.rows, args.dimension, args.method)
            services = assemble(Settings(data=server.data))
            through_the_server(client, 1, args.pause, lambda: stage_counters(services))
            runs = through_the_server(client, args.runs, args.pause, lambda: stage_counters(services))
            cluster = client.get("/clusters/groups").json()
        scope = Scope(cluster["organization_id"], cluster["namespace_id"])
        in_this_process(services, scope)
        warm = [in_this_process(services, scope) for _ in range(args.runs)]
        services.close()
    print(f"{args.rows:,} documents of {args.dimension} dimensions, {args.method}, {args.runs} runs, medians in ms")
    overhead = median(run.completed - run.computing for run in runs)
    share = overhead / median(run.computing for run in runs)
    print(f"accepted to begun      {median(run.begun for run in runs) * 1e3:8.1f}")
    print(f"accepted to completed  {median(run.completed for run in runs) * 1e3:8.1f}")
    print(f"computing              {median(run.computing for run in runs) * 1e3:8.1f}")
    print(f"overhead               {overhead * 1e3:8.1f}   {share:.1%} of computing")
    print("                   in the run   in a warm process")
    for name in dict.fromkeys(name for item in warm for name in item):
        here, there = (median(item.get(name, 0.0) for item in each) for each in ([r.stages for r in runs], warm))
        print(f"  {name:12s}   {here * 1e3:12.1f}   {there * 1e3:12.1f}")


if __name__ == "__main__":
    main()

"""Do readers notice a run? `GET` of a document and of a cluster, on an idle server and while a run uses one core.

The same requests in turn, idle and busy several times over, from one connection of a process of its own. Reported are
the median of the rounds' 50th, 99th percentiles and their ratio; the target is a ratio of at most 3.

    PYTHONPATH=tests python benchmarks/bench_latency.py --rounds 5
"""

import argparse
import http.client
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from server_process import FreshServer

DIMENSION, UPLOADED = 64, 60_000


def put(client: httpx.Client) -> None:
    """Documents enough for a run of a minute, and a cluster over them."""
    import io

    import pyarrow as pa

    rng = np.random.default_rng(5)
    centres = rng.normal(size=(50, DIMENSION))
    points = (centres[rng.integers(0, 50, UPLOADED)] + rng.normal(0, 0.6, (UPLOADED, DIMENSION))).astype(np.float32)
    table = pa.table(
        {
            "document_id": [f"d{row:06d}" for row in range(UPLOADED)],
            "v": pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), DIMENSION),
            "text": ["play some music" for _ in range(UPLOADED)],
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    source = {"type": "direct_upsert"}
    client.post("/collections", json={"collection_name": "docs", "source": source}).raise_for_status()
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    client.post("/collections/docs/documents/import", content=sink.getvalue(), headers=headers).raise_for_status()
    config: dict[str, Any] = {"feature_uris": ["v"], "clustering_method": "hdbscan"}
    body = {"collection_ids": ["docs"], "cluster_name": "groups", "vector_config": config}
    client.post("/clusters", json=body).raise_for_status()


def latencies(url: str, key: str, count: int) -> list[float]:
    """Milliseconds of `count` requests, one after the other."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    headers = {"Authorization": f"Bearer {key}"}
    paths = ["/v1/clusters/groups", "/v1/collections/docs/documents/d000007"]
    taken = []
    for number in range(count):
        start = time.perf_counter()
        connection.request("GET", paths[number % 2], headers=headers)
        reply = connection.getresponse()
        reply.read()
        taken.append((time.perf_counter() - start) * 1000)
        assert reply.status == 200
        time.sleep(0.002)  # readers think; the run has the core meanwhile
    connection.close()
    return taken


def busy(client: httpx.Client) -> bool:
    run = client.get("/clusters/groups/executions").json()
    return bool(run) and run["status"] == "processing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=500)
    args = parser.parse_args()
    result: dict[str, list[list[float]]] = {"idle": [], "busy": []}
    with tempfile.TemporaryDirectory() as folder:
        server = FreshServer(Path(folder) / "data", SHOAL_THREADS="1")
        with server, server.client() as client:
            put(client)
            latencies(server.url, server.key, 200)
            for _ in range(args.rounds):
                result["idle"].append(latencies(server.url, server.key, args.requests))
                task = client.post("/clusters/groups/execute").json()
                while not busy(client):
                    time.sleep(0.05)
                time.sleep(1.0)
                result["busy"].append(latencies(server.url, server.key, args.requests))
                assert busy(client), "the run was over too soon"
                run = task["additional_data"]["run_id"]
                client.post(f"/clusters/groups/executions/{run}/cancel").raise_for_status()
                time.sleep(1.0)
    for quantile in (50, 99):
        values = {
            name: statistics.median(float(np.percentile(round, quantile)) for round in rounds)
            for name, rounds in result.items()
        }
        ratio = values["busy"] / values["idle"]
        print(f"p{quantile}: idle {values['idle']:.2f} ms, beside a run {values['busy']:.2f} ms, {ratio:.2f} times")


if __name__ == "__main__":
    main()

"""How fast does the server take documents, hand vectors to the engine, and answer `GET /v1/clusters/{id}`?

One real server process on loopback, one run: 200,000 × 384 float32 documents through the bulk route (one Arrow stream)
and through JSON (1,000 documents a call), then a full vector scan through the store's `load_matrix`, then 32 keep-alive
connections that ask for one cluster. Quality first: the counts and vector sums are compared with what was sent.

    python benchmarks/bench_server.py --rows 200000 --write docs/performance.md
"""

import argparse
import asyncio
import io
import os
import platform
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from server_process import FreshServer, ServerProcess
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.store import SqliteDocuments

DIMENSION, CHUNK, CONNECTIONS = 384, 10_000, 32
MARKS = ("<!-- bench-server -->", "<!-- /bench-server -->")


def chunk_of(number: int, rows: int) -> NDArray[np.float32]:
    """The vectors of chunk `number`: generated from a seed, so they need no storage."""
    points = np.random.default_rng(number).standard_normal((rows, DIMENSION), dtype=np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def chunks(rows: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, rows, CHUNK):
        yield start, chunk_of(start // CHUNK, min(CHUNK, rows - start))


def arrow_stream(rows: int) -> bytes:
    sink, writer = io.BytesIO(), None
    for start, points in chunks(rows):
        numbers = np.arange(start, start + len(points))
        batch = pa.record_batch(
            {
                "document_id": pa.array([f"doc-{n:08d}" for n in numbers]),
                "title": pa.array([f"Document number {n}" for n in numbers]),
                "category": pa.array([f"category {n % 20}" for n in numbers]),
                "price": pa.array((numbers % 1000).astype(np.float64)),
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), DIMENSION),
            }
        )
        writer = writer or pa.ipc.new_stream(sink, batch.schema)
        writer.write_batch(batch)
    if writer is not None:
        writer.close()
    return sink.getvalue()


def json_calls(rows: int) -> Iterator[bytes]:
    for start, points in chunks(rows):
        for at in range(0, len(points), 1000):
            documents = [
                {
                    "document_id": f"doc-{n:08d}",
                    "vectors": {"embedding": vector},
                    "payload": {
                        "title": f"Document number {n}",
                        "category": f"category {n % 20}",
                        "price": float(n % 1000),
                    },
                }
                for n, vector in enumerate(points[at : at + 1000].tolist(), start + at)
            ]
            yield orjson.dumps({"collection_id": "json", "documents": documents})


class PeakMemory:
    """Largest resident size of the server's process tree while it is watched, in MiB."""

    def __init__(self, pid: int) -> None:
        self._root, self.mib, self._stop = psutil.Process(pid), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.mib = max(self.mib, self._root.memory_info().rss / 2**20)


def time_call(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def make_collection(client: httpx.Client, name: str) -> None:
    body = {"collection_name": name, "source": {"type": "direct_upsert"}}
    client.post("/collections", json=body).raise_for_status()


def bulk(client: httpx.Client, rows: int) -> float:
    make_collection(client, "bulk")
    body = arrow_stream(rows)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    # In pieces: httpx is slow to send one large buffer, and this is not a benchmark of httpx.
    pieces = (body[at : at + 2**20] for at in range(0, len(body), 2**20))
    seconds, reply = time_call(
        lambda: client.post("/collections/bulk/documents/import", content=pieces, headers=headers)
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["inserted"] == rows
    return float(seconds)


def by_json(client: httpx.Client, rows: int) -> float:
    make_collection(client, "json")
    spent = 0.0
    for body in json_calls(rows):
        seconds, reply = time_call(partial(client.post, "/namespaces/default/documents/upsert", content=body))
        assert reply.status_code == 200, reply.text
        spent += seconds
    assert client.get("/collections/json/documents/count").json()["count"] == rows
    return spent


def scan(data: Path, scope: Scope, collection: str, rows: int) -> tuple[float, float]:
    """Seconds until the matrix is there, and until its sum is: the second one has read every byte."""
    store = SqliteDocuments(data / "documents")
    try:
        began = time.perf_counter()
        matrix = store.load_matrix(scope, [collection], ["embedding"])
        opened = time.perf_counter() - began
        total = float(matrix.blocks["embedding"].sum(dtype=np.float64))
        read = time.perf_counter() - began
    finally:
        store.close()
    assert len(matrix) == rows
    expected = sum(float(points.sum(dtype=np.float64)) for _, points in chunks(rows))
    assert abs(total - expected) < 1e-6 * rows, (total, expected)
    return opened, read


async def hammer(url: str, headers: dict[str, str], path: str, seconds: float) -> list[float]:
    """Latencies of GETs over keep-alive connections."""
    parts = urlsplit(url)
    lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head.lower())
            assert length is not None
            await reader.readexactly(int(length.group(1)))
            latencies.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return latencies


def make_cluster(client: httpx.Client) -> str:
    config = {"feature_uris": ["embedding"], "clustering_method": "kmeans", "sample_size": 5000}
    config |= {"kmeans_parameters": {"n_clusters": 20, "n_init": 1, "max_iter": 10}}
    body = {"collection_ids": ["bulk"], "cluster_name": "bench", "vector_config": config}
    cluster = client.post("/clusters", json=body).raise_for_status().json()
    task = client.post("/clusters/bench/execute").raise_for_status().json()
    while client.get(f"/tasks/{task['task_id']}").json()["status"] in ("PENDING", "PROCESSING"):
        time.sleep(0.2)
    assert client.get(f"/tasks/{task['task_id']}").json()["status"] == "COMPLETED"
    return str(cluster["cluster_id"])


def table(rows: int, results: dict[str, str]) -> str:
    about = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in about if line.startswith("model name")), "unknown processor")
    lines = [f"| {rows:,} × {DIMENSION} float32 documents | result |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results.items()]
    where = f"{os.cpu_count()} cores, {cpu}, Python {platform.python_version()}"
    return "\n".join([*lines, "", f"Machine: {where}. One run, one server process; command: `make bench-server`."])


def measure(server: ServerProcess, rows: int, seconds: float) -> dict[str, str]:
    """Every line of the table."""
    results: dict[str, str] = {}
    with server.client(timeout_s=600) as client:
        with PeakMemory(server.pid) as memory:
            spent = bulk(client, rows)
        results["bulk route, one Arrow stream"] = f"{rows / spent:,.0f} documents/s ({spent:.1f} s)"
        results["peak memory of the server during it"] = f"{memory.mib:,.0f} MiB"
        spent = by_json(client, rows)
        results["JSON, 1,000 documents a call"] = f"{rows / spent:,.0f} documents/s ({spent:.1f} s)"
        organization = client.get("/me").json()["organization_id"]
        namespace = client.get("/namespaces/default").json()["namespace_id"]
        collection = client.get("/collections/bulk").json()["collection_id"]
        times = [scan(server.data, Scope(organization, namespace), collection, rows) for _ in range(3)]
        opened, read = (statistics.median(column) for column in zip(*times, strict=True))
        results["full vector scan: matrix ready / every byte read"] = f"{opened:.2f} s / {read:.2f} s"
        cluster = make_cluster(client)
    headers = {"Authorization": f"Bearer {server.key}", "X-Namespace": "default"}
    asyncio.run(hammer(server.url, headers, f"/v1/clusters/{cluster}", 1.0))
    latencies = sorted(asyncio.run(hammer(server.url, headers, f"/v1/clusters/{cluster}", seconds)))
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    results[f"`GET /v1/clusters/{{id}}`, {CONNECTIONS} connections"] = (
        f"{len(latencies) / seconds:,.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--write", type=Path, help="replace the table in this Markdown file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, FreshServer(Path(folder) / "data") as server:
        text = table(args.rows, measure(server, args.rows, args.seconds))
    print(text)
    if args.write:
        before, _, rest = args.write.read_text().partition(MARKS[0])
        args.write.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


if __name__ == "__main__":
    main()

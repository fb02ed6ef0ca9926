"""How many requests does a server answer whose stores take milliseconds a call, as one across a network does?

A real server process for each delay, with the delay added to every store call (`slow_stores.py`), and 32 keep-alive
connections that ask for one cluster. With `--before` the code of another checkout is measured in the same rounds, turn
by turn, so that a busy machine treats both alike.

    PYTHONPATH=tests python benchmarks/bench_store_latency.py [--before OTHER/src] [--delays 0 1 5] [--rounds 7]
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench_server import CONNECTIONS, hammer
from server_process import ServerProcess

_SLOW: Final = Path(__file__).with_name("slow_stores.py")


class SlowServer(ServerProcess):
    """A server without workers whose stores wait `delay_ms` a call."""

    def __init__(self, data: Path, delay_ms: float, source: Path | None) -> None:
        super().__init__(data, workers=0)
        self._slow = [str(_SLOW), "--delay-ms", str(delay_ms), *(["--source", str(source)] if source else []), "--"]

    def _begun(self, arguments: list[str], output: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, *self._slow, *arguments]
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=self._environ, start_new_session=True
        )


@dataclass(slots=True)
class Measured:
    """One server, and what each round found."""

    name: str
    delay_ms: float
    server: ServerProcess
    path: str = ""
    rates: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time of the server a request: what a busy machine disturbs least."""

    def prepare(self) -> None:
        with self.server.client() as client:
            source = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
            client.post("/collections", json=source).raise_for_status()
            documents = [{"document_id": f"d{n}", "vectors": {"v": [n, 1.0]}, "payload": {}} for n in range(10)]
            body = {"collection_id": "docs", "documents": documents}
            client.post("/namespaces/default/documents/upsert", json=body).raise_for_status()
            config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
            cluster = {"collection_ids": ["docs"], "cluster_name": "bench", "vector_config": config}
            answer = client.post("/clusters", json=cluster).raise_for_status()
        self.path = f"/v1/clusters/{answer.json()['cluster_id']}"

    def forget(self) -> None:
        for figures in (self.rates, self.p50_ms, self.p99_ms, self.cpu_ms):
            figures.clear()

    def round(self, seconds: float) -> None:
        headers = {"Authorization": f"Bearer {self.server.key}", "X-Namespace": "default"}
        before = self._cpu_seconds()
        latencies = sorted(asyncio.run(hammer(self.server.url, headers, self.path, seconds)))
        self.cpu_ms.append((self._cpu_seconds() - before) * 1000 / len(latencies))
        self.rates.append(len(latencies) / seconds)
        self.p50_ms.append(latencies[len(latencies) // 2] * 1000)
        self.p99_ms.append(latencies[int(len(latencies) * 0.99)] * 1000)

    def _cpu_seconds(self) -> float:
        times = psutil.Process(self.server.pid).cpu_times()
        return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the src folder of another checkout")
    parser.add_argument("--delays", type=float, nargs="+", default=[0.0, 5.0], metavar="MS")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round of one server")
    args = parser.parse_args()
    sources = [("before", args.before), ("now", None)] if args.before else [("now", None)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        measured = []
        for delay in args.delays:
            for name, source in sources:
                server = SlowServer(Path(folder) / f"{name}-{delay}", delay, source)
                measured.append(Measured(name, delay, running.enter_context(server)))
        for item in measured:
            item.prepare()
            item.round(0.5)
            item.forget()
        for _ in range(args.rounds):
            for item in measured:
                item.round(args.seconds)
    print(f"GET /v1/clusters/{{id}}, {CONNECTIONS} connections, medians of {args.rounds} rounds")
    print("delay of a store call   code     requests/s     p50 ms     p99 ms     CPU ms")
    for item in measured:
        medians = [median(figures) for figures in (item.rates, item.p50_ms, item.p99_ms, item.cpu_ms)]
        print(
            f"{item.delay_ms:18.1f} ms   {item.name:7s} {medians[0]:10.0f} {medians[1]:10.1f} {medians[2]:10.1f}",
            end="",
        )
        print(f" {medians[3]:10.2f}")
    for before, now in zip(measured[::2], measured[1::2], strict=True) if args.before else ():
        ratio = median(b / a for a, b in zip(before.rates, now.rates, strict=True))
        print(f"{now.delay_ms:.1f} ms: now / before = {ratio:.2f} (median of the rounds' ratios)")


if __name__ == "__main__":
    main()

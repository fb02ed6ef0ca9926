"""Upload every mutation to a real server and cluster it with the library: `python -m files.mutation_run --count 2400`.

Whatever a file contains, the answer is a document count or an error message: no 5xx, no traceback, and the server stays
small and answers its probe.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from files.mutations import Mutation, mutations
from peak_memory import PeakMemory
from server_process import FreshServer
from shoal.errors import ShoalError
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import cluster_file
from shoal.library.request import Request

__all__ = ["Outcome", "run_library", "run_server"]

_LIBRARY_BYTES = 3 * 2**30
_IMPORT = "/collections/products/documents/import"


@dataclass(slots=True)
class Outcome:
    """Outcome of a run. `faults` are messages; peaks are bytes above idle, `slowest_probe` is in seconds."""

    files: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak_server: int = 0
    peak_children: int = 0
    slowest_probe: float = 0.0


def run_server(files: Iterable[Mutation], folder: Path) -> Outcome:
    """Upload every file to a server on a new data folder."""
    outcome = Outcome()
    with FreshServer(folder, workers=0) as server, server.client("default", timeout_s=300) as client:
        client.post("/namespaces", json={"namespace_name": "default", "mode": "standalone"})
        collection = client.post("/collections", json={"collection_name": "products", "source": {"type": "bucket"}})
        assert collection.status_code == 200, collection.text
        with PeakMemory(server.pid) as peak, _probe_server(server.url, outcome):
            for file in files:
                _upload(client, file, outcome)
        outcome.peak_server, outcome.peak_children = peak.server - peak.idle, peak.children
        outcome.faults += [f"the log has: {line.strip()}" for line in server.output if "Traceback" in line]
    return outcome


def _upload(client: httpx.Client, file: Mutation, outcome: Outcome) -> None:
    answer = client.post(_IMPORT, params={"format": file.format}, content=file.content)
    outcome.files += 1
    outcome.answers[str(answer.status_code)] += 1
    if answer.status_code not in (200, 413, 422):
        outcome.faults.append(f"{file.name} ({file.format}): {answer.status_code} {answer.text[:300]}")
    elif answer.status_code != 200 and not answer.json()["error"]["message"].strip():
        outcome.faults.append(f"{file.name} ({file.format}): {answer.status_code} without a sentence")


@contextmanager
def _probe_server(url: str, outcome: Outcome) -> Iterator[None]:
    done = threading.Event()

    def probe() -> None:
        with httpx.Client(timeout=120) as client:
            while not done.wait(0.02):
                began = time.perf_counter()
                client.get(f"{url}/livez").raise_for_status()
                outcome.slowest_probe = max(outcome.slowest_probe, time.perf_counter() - began)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run_library(files: Iterable[Mutation], folder: Path) -> Outcome:
    """Cluster every file through the function behind `shoal cluster`, each in a fork of this process."""
    outcome = Outcome()
    for file in files:
        path = folder / f"file.{file.format}"
        path.write_bytes(file.content)
        answer, fault = _cluster_in_fork(path)
        outcome.files += 1
        outcome.answers[answer] += 1
        if fault:
            outcome.faults.append(f"{file.name} ({file.format}): {fault}")
    return outcome


def _cluster_in_fork(path: Path) -> tuple[str, str]:
    """Return the outcome, and a fault if it was not acceptable."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_DATA, (_LIBRARY_BYTES, _LIBRARY_BYTES))
        os.write(writer, json.dumps(_cluster(path)).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        words = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code or not words:
        return "ended", f"the process ended with {code}"
    answer, fault = json.loads(words)
    return answer, fault


def _cluster(path: Path) -> tuple[str, str]:
    try:
        cluster_file(
            Request(path=path, format=path.suffix[1:], cluster_options=ClusterOptions(n_clusters=2, threads=1))
        )
    except ShoalError as error:
        return type(error).__name__, "" if error.message.strip() else "an error without a sentence"
    except BaseException:  # noqa: BLE001  # what the test looks for
        return "traceback", traceback.format_exc()[-1500:]
    return "clustered", ""


def main() -> int:
    """Run both and print the figures. Returns exit code 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-bombs", action="store_true", help="leave out files that take long to generate")
    parser.add_argument("--only", choices=["library", "server"])
    args = parser.parse_args()
    faults = 0
    for name, run in (("library", run_library), ("server", run_server)):
        if args.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(mutations(args.count, args.seed, bombs=not args.no_bombs), Path(folder))
        answers = ", ".join(f"{count} x {answer}" for answer, count in sorted(outcome.answers.items()))
        print(f"{name}: {outcome.files} files: {answers}; faults: {len(outcome.faults)}")
        if name == "server":
            server, children = outcome.peak_server // 2**20, outcome.peak_children // 2**20
            print(f"  peak memory: server {server} MiB above idle, its children {children} MiB")
            print(f"  slowest /livez: {outcome.slowest_probe:.3f} s")
        for fault in outcome.faults:
            print(f"  {fault}")
        faults += len(outcome.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs all shapes at once against a real server, again and again for a while, and measures what the others notice."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from hostile.shapes import COLLECTION, SHAPES, UPSERT, Shape, documents
from server_process import ServerProcess

__all__ = ["Outcome", "run_load"]

PROBED = ("/livez", "/readyz")
_TESTS = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Outcome:
    """`answers` by shape; `seconds` each shape took at most; milliseconds of probes; bytes above the idle server."""

    answers: dict[str, Counter[int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    probes: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    idle_bytes: int = 0
    peak_bytes: int = 0

    @property
    def above_idle(self) -> int:
        """Memory of the server at its peak, beside what it took before."""
        return self.peak_bytes - self.idle_bytes

    def wrong(self) -> dict[str, list[int]]:
        """What shapes were answered that they must not be."""
        allowed = {shape.__name__: statuses for shape, statuses in SHAPES.items()}
        unexpected = {name: sorted(set(statuses) - allowed[name]) for name, statuses in self.answers.items()}
        return {name: statuses for name, statuses in unexpected.items() if statuses}


def run_load(server: ServerProcess, *, count: int, mib: int, rounds: int, at_once: int, silent_lines: int) -> Outcome:
    """Fill a collection with `count` documents, then send every shape `rounds` times, `at_once` at a time, beside
    connections that say nothing."""
    outcome = Outcome()
    _fill(server, count)
    process = psutil.Process(server.pid)
    outcome.idle_bytes = process.memory_info().rss
    with (
        _watch_memory(process, outcome),
        _probe_server(server, outcome),
        _silent(server, silent_lines),
        ThreadPoolExecutor(at_once) as pool,
    ):
        list(pool.map(lambda shape: _send(server, shape, mib, outcome), list(SHAPES) * rounds))
    return outcome


def _fill(server: ServerProcess, count: int) -> None:
    with server.client() as client:
        body = {"collection_name": COLLECTION, "source": {"type": "direct_upsert"}}
        client.post("/collections", json=body).raise_for_status()
        everything = documents(count)
        while piece := list(islice(everything, 1000)):
            client.post(UPSERT, json={"collection_id": COLLECTION, "documents": piece}).raise_for_status()


def _send(server: ServerProcess, shape: Shape, mib: int, outcome: Outcome) -> None:
    name, began = shape.__name__, time.monotonic()
    with server.client(timeout_s=300) as client:
        try:
            status = shape(client, mib)
        except httpx.TransportError:  # the answer came while the body was being sent, and was lost
            status = 413 if 413 in SHAPES[shape] else 0
    outcome.answers.setdefault(name, Counter())[status] += 1
    outcome.seconds[name] = max(outcome.seconds.get(name, 0.0), time.monotonic() - began)


@contextlib.contextmanager
def _watch_memory(process: psutil.Process, outcome: Outcome) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            outcome.peak_bytes = max(outcome.peak_bytes, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _probe_server(server: ServerProcess, outcome: Outcome) -> Iterator[None]:
    command = [sys.executable, "-m", "hostile.probe"]
    environ = {**os.environ, "PYTHONPATH": str(_TESTS)}
    started = [
        subprocess.Popen([*command, server.url + path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
        for path in PROBED
    ]
    try:
        yield
    finally:
        for path, process in zip(PROBED, started, strict=True):
            lines = process.communicate()[0].decode().splitlines()
            outcome.probes[path] = [(float(line.split()[0]), int(line.split()[1])) for line in lines]


@contextlib.contextmanager
def _silent(server: ServerProcess, count: int) -> Iterator[None]:
    address = urlsplit(server.url)
    with contextlib.ExitStack() as held:
        for n in range(count):
            line = held.enter_context(socket.create_connection((address.hostname, address.port or 80), timeout=60))
            if n % 2:
                with contextlib.suppress(OSError):
                    line.sendall(b"POST /v1/clusters/list HT")
        yield

"""D8 and the poison job: runs that take their process down, and what becomes of the server and of everybody else's.

`little_memory` gives a run's process less and less memory (RLIMIT_AS, set from outside as soon as it exists): it
completes or is recorded as failed, and a run of another cluster completes afterwards. `poison` puts a run that aborts
its process each time among fifty good ones.
"""

import contextlib
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from faults.disk import quick_folder
from faults.invariants import Violated, check_all, check_files, check_settled, settle
from faults.victim import Victim, victim
from faults.workload import Operations

__all__ = ["MEMORY_MIB", "Hard", "little_memory", "poison"]

MEMORY_MIB: Final = (200, 300, 400, 600, 800, 1000, 1250, 1500, 1750, 2000)
_DEADLINE: Final = 300.0
_PLANTED: Final = Path(__file__).with_name("planted")


@dataclass(slots=True)
class Hard:
    """What came of it."""

    done: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """How the hard runs ended, with the words of their failure."""
    attempts: int = 0
    completed: int = 0
    """Good runs that completed."""
    violations: list[str] = field(default_factory=list)


def little_memory(sizes: tuple[int, ...] = MEMORY_MIB) -> Hard:
    """A run for each size, and after each a good one."""
    hard = Hard()
    try:
        with quick_folder() as folder, victim(folder) as server:
            for mib in sizes:
                hard.done += 1
                _run_in_little_memory(server, mib, hard)
            _check_server(server)
    except (Violated, RuntimeError) as problem:
        hard.violations.append(f"{sizes[hard.done - 1]} MiB: {problem}")
    return hard


def poison(good: int) -> Hard:
    """Queue one run that aborts its process at each attempt among `good` healthy runs."""
    hard = Hard()
    try:
        with quick_folder() as folder, _poison_victim(folder) as server:
            _run_with_poison(server, good, hard)
            _check_server(server)
    except (Violated, RuntimeError) as problem:
        hard.violations.append(str(problem))
    return hard


def _poison_victim(folder: Path) -> AbstractContextManager[Victim]:
    return victim(folder, SHOAL_PLANTED="abort_poison", PYTHONPATH=str(_PLANTED))


def _run_in_little_memory(server: Victim, mib: int, hard: Hard) -> None:
    with server.client() as client:
        ops = Operations(client, server.ledger)
        with _limit_memory(server, mib * 2**20, hard):
            run = _await_run(client, "plain", ops.execute("plain").reply["run_id"])
        hard.ended[f"{run['status']}: {run['error_message']}" if run["error_message"] else run["status"]] += 1
        good = _await_run(client, "rich", ops.execute("rich").reply["run_id"])
        if good["status"] != "completed":
            raise Violated("I7", f"a good run after it is {good['status']}: {good['error_message']}")
        hard.completed += 1


@contextmanager
def _limit_memory(server: Victim, size: int, hard: Hard) -> Iterator[None]:
    """Limit the address space of every run process that starts inside the block to `size` bytes."""
    stop, pids = threading.Event(), set[int]()

    def limit() -> None:
        while not stop.wait(0.005):
            for process in server.processes("run_child"):
                if process.pid not in pids:
                    pids.add(process.pid)
                    with contextlib.suppress(ProcessLookupError):
                        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, size))

    thread = threading.Thread(target=limit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for process in server.processes("run_child"):  # idle ones have the limit too
            if process.pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        hard.attempts = max(hard.attempts, len(pids))


def _run_with_poison(server: Victim, good: int, hard: Hard) -> None:
    config: dict[str, Any] = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    config |= {"kmeans_parameters": {"n_clusters": 3, "n_init": 1}}
    names = [f"good{number}" for number in range(good)]
    names.insert(good // 2, "poison")
    with server.client() as client:
        ops, runs = Operations(client, server.ledger), {}
        for name in names:
            ops.create("clusters", {"collection_ids": ["docs"], "cluster_name": name, "vector_config": config})
        for name in names:
            runs[name] = ops.execute(name).reply["run_id"]
        for name, run_id in runs.items():
            run = _await_run(client, name, run_id)
            hard.done += 1
            if name == "poison":
                hard.ended[f"{run['status']}: {run['error_message']}"] += 1
                _check_poison(run)
            elif run["status"] == "completed":
                hard.completed += 1
            else:
                raise Violated("I7", f"the good run {name} is {run['status']}: {run['error_message']}")


def _check_poison(run: dict[str, Any]) -> None:
    if run["status"] != "failed" or "tried" not in (run["error_message"] or ""):
        raise Violated("I7", f"the run that aborts is {run['status']}: {run['error_message']}")


def _await_run(client: httpx.Client, cluster: str, run_id: str) -> dict[str, Any]:
    end = time.monotonic() + _DEADLINE
    while True:
        run: dict[str, Any] = client.get(f"/clusters/{cluster}/executions/{run_id}").raise_for_status().json()
        if run["status"] not in ("pending", "processing"):
            return run
        if time.monotonic() > end:
            raise Violated("I7", f"run {run_id} of {cluster} hangs as {run['status']}")
        time.sleep(0.05)


def _check_server(server: Victim) -> None:
    """The server process is the same, everything is stored, and nothing is left over."""
    if not psutil.pid_exists(server.pid):
        raise Violated("I10", "the server ended")
    with server.client() as client:
        settle(client)
        check_settled(client)
        check_all(client, server.ledger)
    server.stop()
    server.check_gone()
    check_files(server.data, idle=True)

"""D1: SIGKILL at random moments, of the server, of everything, of a run's process, and again during the recovery.

Meanwhile clients write, execute, edit and delete, and readers read. Each folder takes `ROUND` kills, so that the checks
after each kill stay bounded; then a new folder is used.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from faults.disk import quick_folder
from faults.invariants import Violated, check_all, check_canary, check_files, check_settled
from faults.readers import watching
from faults.victim import Victim, moment, victim
from faults.workload import DELETABLE, EDITABLE, Gone, Operations

__all__ = ["KillResult", "busy", "kill_at_random"]

ROUND: Final = 20
_LONGEST: Final = 2.5
_AGAIN: Final = 0.3
_PROCESS_SECONDS: Final = 30.0
_SETTLED_EVERY: Final = 4
TARGETS: Final = ("server", "everything", "run")
Work = Callable[[Operations, Victim, threading.Event, random.Random], None]


@dataclass(slots=True)
class KillResult:
    """Outcome of the kills."""

    kills: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    mixed: list[str] = field(default_factory=list)
    """Reads that mixed two runs (I6)."""
    violations: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)


def kill_at_random(kills: int, seed: int) -> KillResult:
    """Kill `kills` times; the seed fixes the moments, up to the timing of the machine."""
    result = KillResult()
    rng = random.Random(seed)
    while sum(result.kills.values()) < kills and not result.violations:
        count = min(ROUND, kills - sum(result.kills.values()))
        try:
            with quick_folder() as folder, victim(folder) as server:
                _round(server, count, rng, result)
        except (Violated, RuntimeError, TimeoutError) as problem:
            done = sum(result.kills.values())
            result.violations.append(f"seed {seed}, kill {done} of {kills}, {dict(result.kills)}: {problem}")
    return result


def _round(server: Victim, kills: int, rng: random.Random, result: KillResult) -> None:
    with watching(server, 2) as observations:
        for kill in range(1, kills + 1):
            since = len(server.ledger.entries)
            with busy(server, rng):
                time.sleep(moment(rng, _LONGEST))
                _kill(server, rng, result)
            _check(server, since, settle=kill % _SETTLED_EVERY == 0 or kill == kills)
    result.reads += observations.reads
    result.mixed += observations.mixed
    result.other += observations.other
    result.operations.update(server.ledger.counts())
    with server.client() as client:
        result.runs.update(check_settled(client))
    server.stop()
    server.check_gone()
    server.check_log()
    check_files(server.data, idle=True)


def _kill(server: Victim, rng: random.Random, result: KillResult) -> None:
    target = rng.choice(TARGETS)
    if target == "run":
        end = time.monotonic() + _PROCESS_SECONDS
        while not server.kill_run():
            if time.monotonic() > end:
                raise Violated("I10", f"for {_PROCESS_SECONDS} s there was no process for runs")
            time.sleep(0.05)
        result.kills[target] += 1
        return
    result.kills[target] += 1
    server.kill(everything=target == "everything")
    if rng.random() < _AGAIN:
        result.kills["recovery"] += 1
        server.spawn()
        time.sleep(moment(rng, 2.0))
        server.kill(everything=rng.random() < 0.5)
    server.start()


def _check(server: Victim, since: int, *, settle: bool) -> None:
    with server.client() as client:
        if settle:
            check_settled(client)
        check_all(client, server.ledger, since=since)
        check_canary(client, server.tenants)
    check_files(server.data, idle=False)


@contextmanager
def busy(server: Victim, rng: random.Random) -> Iterator[None]:
    """Run clients during the block: one writes batches, one edits and deletes, one executes."""
    stop = threading.Event()
    seeds = [rng.random() for _ in range(3)]
    works = (_ingest, _edit, _execute)
    threads = [
        threading.Thread(target=_until_gone, args=(work, server, stop, random.Random(seed)))
        for work, seed in zip(works, seeds, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _until_gone(work: Work, server: Victim, stop: threading.Event, rng: random.Random) -> None:
    try:
        with server.client() as client:
            work(Operations(client, server.ledger), server, stop, rng)
    except Gone:
        return


def _ingest(ops: Operations, server: Victim, stop: threading.Event, rng: random.Random) -> None:
    for _ in range(40):
        if stop.wait(rng.uniform(0, 0.1)):
            return
        ops.ingest(sum(1 for _ in server.ledger.of_kind("ingest")) + 1)


def _edit(ops: Operations, server: Victim, stop: threading.Event, rng: random.Random) -> None:
    deleted = {entry.detail["number"] for entry in server.ledger.of_kind("delete")}
    for turn in range(100):
        if stop.wait(rng.uniform(0, 0.05)):
            return
        ops.edit(rng.randrange(EDITABLE))
        if turn % 10 == 0 and (number := len(deleted)) < DELETABLE:
            deleted.add(number)
            ops.delete(number)


def _execute(ops: Operations, server: Victim, stop: threading.Event, rng: random.Random) -> None:
    while not stop.is_set():
        ops.execute(rng.choice(("plain", "rich")))
        stop.wait(0.3)

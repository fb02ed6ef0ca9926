"""D1: SIGKILL at random moments, of the server, of everything, of a run's process, and again during the recovery.

Clients write, execute, edit and delete all the while, readers look. Every folder sees `ROUND` kills, so that what has
to be checked after each stays bounded; then the next one is begun.
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

__all__ = ["Killed", "busy", "kill_at_random"]

ROUND: Final = 20
_LONGEST: Final = 2.5
_AGAIN: Final = 0.3
_FOUND_SECONDS: Final = 30.0
_SETTLED_EVERY: Final = 4
HOW: Final = ("server", "everything", "run")
Work = Callable[[Operations, Victim, threading.Event, random.Random], None]


@dataclass(slots=True)
class Killed:
    """What came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    mixed: list[str] = field(default_factory=list)
    """What readers saw of two runs at once (I6)."""
    violations: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)


def kill_at_random(kills: int, seed: int) -> Killed:
    """That many kills, the same moments for the same seed as far as the machine allows."""
    killed = Killed()
    rng = random.Random(seed)
    while sum(killed.kills.values()) < kills and not killed.violations:
        count = min(ROUND, kills - sum(killed.kills.values()))
        try:
            with quick_folder() as folder, victim(folder) as server:
                _round(server, count, rng, killed)
        except (Violated, RuntimeError, TimeoutError) as problem:
            done = sum(killed.kills.values())
            killed.violations.append(f"seed {seed}, kill {done} of {kills}, {dict(killed.kills)}: {problem}")
    return killed


def _round(server: Victim, kills: int, rng: random.Random, killed: Killed) -> None:
    with watching(server, 2) as seen:
        for kill in range(1, kills + 1):
            since = len(server.ledger.entries)
            with busy(server, rng):
                time.sleep(moment(rng, _LONGEST))
                _kill(server, rng, killed)
            _check(server, since, settle=kill % _SETTLED_EVERY == 0 or kill == kills)
    killed.reads += seen.reads
    killed.mixed += seen.mixed
    killed.other += seen.other
    killed.operations.update(server.ledger.counts())
    with server.client() as client:
        killed.runs.update(check_settled(client))
    server.stop()
    server.check_gone()
    server.check_log()
    check_files(server.data, idle=True)


def _kill(server: Victim, rng: random.Random, killed: Killed) -> None:
    how = rng.choice(HOW)
    if how == "run":
        end = time.monotonic() + _FOUND_SECONDS
        while not server.kill_run():
            if time.monotonic() > end:
                raise Violated("I10", f"for {_FOUND_SECONDS} s there was no process for runs")
            time.sleep(0.05)
        killed.kills[how] += 1
        return
    killed.kills[how] += 1
    server.kill(everything=how == "everything")
    if rng.random() < _AGAIN:
        killed.kills["recovery"] += 1
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
    """Clients at work while the block runs: one writes batches, one edits and deletes, one executes."""
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

"""D9: deaths inside a DELETE of a namespace, a collection, a cluster with runs.

`die_in_deletes` forks a victim for each death, which the system ends at a random moment between the beginning of the
DELETE and shortly after its end. `kill_in_deletes` kills real servers and their workers within 50 ms of the request.
Then the folder is opened again: each target of a DELETE is whole or gone, as the audit log says, and once housekeeping
has run nothing of a deleted target is left on disk.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from faults.disk import quick_folder
from faults.invariants import Violated, check_files, check_orphans, check_removals
from faults.template import Template
from faults.victim import Victim, victim
from faults.workload import Gone, Operations, scratch_name

__all__ = ["DeletionResult", "die_in_deletes", "kill_in_deletes"]

ROUND: Final = 30
LONGEST_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 60.0
KINDS: Final = ("namespace", "collection", "cluster")


@dataclass(slots=True)
class DeletionResult:
    """Outcome of the deletions. `fates` counts (target, "ack" if the DELETE was answered, else "open")."""

    deaths: int = 0
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


# ── forked victims ───────────────────────────────────────────────────────────────────────────────────────────────────


def die_in_deletes(template: Template, deaths: int, seed: int) -> DeletionResult:
    """Kill that many DELETEs, cycling through `KINDS`. `template` holds a scratch namespace."""
    result, rng = DeletionResult(), random.Random(seed)
    spans = dict(_measure_spans(template))
    for number in range(deaths):
        what = KINDS[number % len(KINDS)]
        after = rng.uniform(0.0, 1.2 * spans[what])
        try:
            with template.case() as case:
                case.act(script=[(f"drop_{what}", 0)], die_after=after)
                book = case.entries()
                (fate,) = [entry.fate for entry in book.of_kind("drop")]
                book.close()
                result.fates[what, fate] += 1
                case.recover(keep_working=False)
        except (Violated, TimeoutError) as problem:
            result.violations.append(f"{what}, {after * 1000:.1f} ms after its DELETE began: {problem}")
        result.deaths += 1
    return result


def _measure_spans(template: Template) -> Iterator[tuple[str, float]]:
    """Measure how long each DELETE takes uninterrupted, in seconds."""
    for what in KINDS:
        with template.case() as case:
            _, report = case.act(script=[(f"drop_{what}", 0)])
            yield what, report["seconds"]


# ── real servers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def kill_in_deletes(kills: int, seed: int) -> DeletionResult:
    """Kill server and workers that many times, each within 50 ms of a DELETE."""
    result, rng = DeletionResult(), random.Random(seed)
    while result.deaths < kills and not result.violations:
        try:
            with quick_folder() as folder, victim(folder, prepared=False) as server:
                for _ in range(min(ROUND, kills - result.deaths)):
                    _kill_in_one_delete(server, rng, result)
        except (Violated, RuntimeError, TimeoutError) as problem:
            result.violations.append(f"seed {seed}, kill {result.deaths} of {kills}: {problem}")
    return result


def _kill_in_one_delete(server: Victim, rng: random.Random, result: DeletionResult) -> None:
    number, what = result.deaths, rng.choice(KINDS)
    with server.client() as client:
        ops = Operations(client, server.ledger)
        ops.scratch(number)
        ops.scratch_run(number)
        _await_runs(client, number)
        sender = threading.Thread(target=_send, args=(ops, what, number))
        sender.start()
        time.sleep(rng.uniform(0.0, LONGEST_SECONDS))
        server.kill(everything=True)
        sender.join()
    result.deaths += 1
    *_, drop = server.ledger.of_kind("drop")
    result.fates[what, drop.fate] += 1
    server.start()
    with server.client() as client:
        check_removals(client, server.ledger)
    _await_cleanup(server.data)
    check_files(server.data, idle=False)


def _send(ops: Operations, what: str, number: int) -> None:
    try:
        getattr(ops, f"drop_{what}")(number)
    except Gone:
        return


def _await_runs(client: httpx.Client, number: int) -> None:
    """Wait until both clusters show a run and no run is active."""
    end = time.monotonic() + SETTLE_SECONDS
    where = {"X-Namespace": scratch_name(number)}
    for name in ("groups", "extra"):
        while client.get(f"/clusters/{name}", headers=where).json()["status"] != "COMPLETED":
            if time.monotonic() > end:
                raise Violated("I7", f"the run of {name} in {scratch_name(number)} does not end")
            time.sleep(0.02)


def _await_cleanup(data: Path) -> None:
    """I10: the restarted worker removes what was being deleted."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            check_orphans(data)
            return
        except Violated:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)

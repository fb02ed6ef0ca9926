"""D9: deaths inside a DELETE of a namespace, a collection, a cluster with runs.

`die_in_deletes` forks a victim for each death, which the system ends at a random moment between the beginning of the
DELETE and a little after its end. `kill_in_deletes` kills real servers with their workers, within 50 ms of the request.
Then the folder is opened again: what was to be deleted is whole or gone, as the audit log says, and once housekeeping
was there no byte of what is gone is left.
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
from faults.invariants import Violated, check_files, check_known, check_removals
from faults.template import Template
from faults.victim import Victim, victim
from faults.workload import Gone, Operations, scratch_name

__all__ = ["Deleted", "die_in_deletes", "kill_in_deletes"]

ROUND: Final = 30
LONGEST_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 60.0
KINDS: Final = ("namespace", "collection", "cluster")


@dataclass(slots=True)
class Deleted:
    """What came of it. `fates`: what was deleted, and whether its sender was answered ("ack") or not ("open")."""

    deaths: int = 0
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


# ── forked victims ───────────────────────────────────────────────────────────────────────────────────────────────────


def die_in_deletes(template: Template, deaths: int, seed: int) -> Deleted:
    """That many deaths, the kinds of things in turn. `template` is one whose folder holds a scratch namespace."""
    deleted, rng = Deleted(), random.Random(seed)
    spans = dict(_spans(template))
    for number in range(deaths):
        what = KINDS[number % len(KINDS)]
        after = rng.uniform(0.0, 1.2 * spans[what])
        try:
            with template.case() as case:
                case.act(script=[(f"drop_{what}", 0)], die_after=after)
                book = case.entries()
                (fate,) = [entry.fate for entry in book.of_kind("drop")]
                book.close()
                deleted.fates[what, fate] += 1
                case.recover(go_on=False)
        except (Violated, TimeoutError) as problem:
            deleted.violations.append(f"{what}, {after * 1000:.1f} ms after its DELETE began: {problem}")
        deleted.deaths += 1
    return deleted


def _spans(template: Template) -> Iterator[tuple[str, float]]:
    """How long each DELETE takes, in seconds, when nothing ends it."""
    for what in KINDS:
        with template.case() as case:
            _, told = case.act(script=[(f"drop_{what}", 0)])
            yield what, told["seconds"]


# ── real servers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def kill_in_deletes(kills: int, seed: int) -> Deleted:
    """That many kills of everything, each within 50 ms of a DELETE."""
    deleted, rng = Deleted(), random.Random(seed)
    while deleted.deaths < kills and not deleted.violations:
        try:
            with quick_folder() as folder, victim(folder, prepared=False) as server:
                for _ in range(min(ROUND, kills - deleted.deaths)):
                    _one(server, rng, deleted)
        except (Violated, RuntimeError, TimeoutError) as problem:
            deleted.violations.append(f"seed {seed}, kill {deleted.deaths} of {kills}: {problem}")
    return deleted


def _one(server: Victim, rng: random.Random, deleted: Deleted) -> None:
    number, what = deleted.deaths, rng.choice(KINDS)
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
    deleted.deaths += 1
    *_, drop = server.ledger.of_kind("drop")
    deleted.fates[what, drop.fate] += 1
    server.start()
    with server.client() as client:
        check_removals(client, server.ledger)
    _await_tidy(server.data)
    check_files(server.data, idle=False)


def _send(ops: Operations, what: str, number: int) -> None:
    try:
        getattr(ops, f"drop_{what}")(number)
    except Gone:
        return


def _await_runs(client: httpx.Client, number: int) -> None:
    """Wait until both clusters show a run and nothing is under way."""
    end = time.monotonic() + SETTLE_SECONDS
    where = {"X-Namespace": scratch_name(number)}
    for name in ("groups", "extra"):
        while client.get(f"/clusters/{name}", headers=where).json()["status"] != "COMPLETED":
            if time.monotonic() > end:
                raise Violated("I7", f"the run of {name} in {scratch_name(number)} does not end")
            time.sleep(0.02)


def _await_tidy(data: Path) -> None:
    """I10: what was being deleted is cleared away by the worker that started."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            check_known(data)
            return
        except Violated:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)

"""The parts of the long form: what is done to break each promise, how often, and the rows that come of it."""

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from faults import corruption, io_faults, power_loss, selftest, signals, sweep
from faults.deletes import die_in_deletes, kill_in_deletes
from faults.disk import NoDisk, quick_folder
from faults.disk_sizes import SIZES, Filled, fill
from faults.hard_runs import little_memory, poison
from faults.kills import kill_at_random
from faults.minimize import minimize
from faults.network import deliver
from faults.readers import flip_under_readers
from faults.report import Row
from faults.suites import SUITES, Suite
from faults.template import Template
from real_runs import cancel_at_random, children_of, make_cluster, run_folders, upload, wait_for, worker_processes
from server_process import ServerProcess
from simulation.run import STEPS, broken_in_pieces

__all__ = ["PARTS", "Given", "NotHere"]

Given = argparse.Namespace
_KIND_NAMES: Final = {"wal": "write-ahead log", "commits": "count of commits"}


class NotHere(Exception):
    """This machine lacks what the part needs; the message says what."""


def _kills(given: Given) -> Iterator[Row]:
    killed = kill_at_random(given.kills, given.seed)
    total, acked = sum(killed.kills.values()), killed.operations["ack"]
    how = ", ".join(f"{count} {name}" for name, count in killed.kills.most_common())
    yield Row(
        "A1, A2, A4: a 2xx means stored, whole, and every run comes to an end",
        f"SIGKILL at random moments while clients write, execute, edit and delete ({how})",
        total,
        given.seed,
        f"{acked:,} operations acknowledged, 0 lost, 0 torn; runs: {_counted(killed.runs)}",
        killed.violations,
    )
    yield Row(
        "A3: results appear together (readers during the kills)",
        "2 readers compare artifacts, pages, summary and output collection",
        killed.reads,
        given.seed,
        f"{len(killed.mixed)} mixed reads" + (f"; other answers: {_counted(killed.other)}" if killed.other else ""),
        killed.mixed,
    )


def _deletes(given: Given) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder, scratch=True) as template:
        forked = die_in_deletes(template, given.deletes, given.seed)
    served = kill_in_deletes(given.deletes // 10, given.seed)
    how = {"ended at a random moment of": forked, "SIGKILL of server and workers within 50 ms of": served}
    for what, deleted in how.items():
        fates = ", ".join(f"{count} {kind} {fate}" for (kind, fate), count in sorted(deleted.fates.items()))
        yield Row(
            "A4: what is deleted is whole or gone, as the audit log says, and no byte of it stays",
            f"{what} a DELETE of a namespace, a collection, a cluster with runs",
            deleted.deaths,
            given.seed,
            f"{len(deleted.violations)} torn ({fates})",
            deleted.violations,
        )


def _flips(given: Given) -> Iterator[Row]:
    seen = flip_under_readers(given.executions, 4)
    yield Row(
        "A3: results appear together",
        f"4 readers while {given.executions} executions publish",
        seen.reads,
        None,
        f"{len(seen.runs)} runs seen, {len(seen.mixed)} mixed reads"
        + (f"; other answers: {_counted(seen.other)}" if seen.other else ""),
        seen.mixed,
    )


def _points(given: Given) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder) as template:
        passed = sweep.passes(template)
        missing = sweep.unreached(passed)
        faults = iter([sweep.Fault(arm=given.arm)]) if given.arm else sweep.points(passed)
        swept = sweep.sweep(template, faults)
        small = [str(minimize(template, fault)) for fault in swept.failed[:2]]
    yield Row(
        "A1–A4, A10: a fault between any two steps",
        "crash, EIO and ENOSPC at the first, second and last pass of every failpoint",
        swept.done,
        None,
        f"{len(passed) - len(missing)} of {len(passed)} failpoints passed; answers: {_counted(swept.statuses)}",
        [f"never passed: {', '.join(missing)}"] * bool(missing) + _bugs(swept.statuses) + swept.violations + small,
    )


def _calls(given: Given) -> Iterator[Row]:
    if reason := io_faults.why_not():
        raise NotHere(reason)
    with quick_folder() as folder, Template(folder, io_faults.preloaded()) as template:
        swept = sweep.sweep(template, sweep.calls(template, step=given.step))
        small = [str(minimize(template, fault)) for fault in swept.failed[:2]]
    yield Row(
        "A1, A2, A18: any single system call may fail",
        f"the n-th write, sync, rename, create, truncate or unlink fails (every {given.step}th n, until none is left)",
        swept.done,
        None,
        f"0 lost, 0 torn; answers: {_counted(swept.statuses)}",
        _bugs(swept.statuses) + swept.violations + small,
    )


def _power(given: Given) -> Iterator[Row]:
    if reason := io_faults.why_not():
        raise NotHere(reason)
    with quick_folder() as folder, Template(folder, io_faults.preloaded()) as template:
        states, violations = power_loss.sweep(template, given.losses, given.seed)
    yield Row(
        "A1: acknowledged writes survive power loss",
        "every call of ingest and runs recorded; the disk rebuilt after a cut: what was synced, and parts of the rest",
        states,
        given.seed,
        "every state opened, everything acknowledged was there" if not violations else "",
        violations,
    )


def _signals(given: Given) -> Iterator[Row]:
    ended = signals.terminate(given.signals, given.seed)
    yield Row(
        "A20: SIGTERM ends cleanly",
        "SIGTERM under clients",
        ended.done,
        given.seed,
        f"exit code 0, slowest {ended.slowest_s:.1f} s, 0 acknowledged lost, 0 processes left",
        ended.violations,
    )
    cut = signals.terminate_then_kill(max(1, given.signals // 4), given.seed)
    yield Row(
        "A1, A20: … and a kill half a second later",
        "SIGTERM, then SIGKILL",
        cut.done,
        given.seed,
        "0 lost",
        cut.violations,
    )


def _zombies(given: Given) -> Iterator[Row]:
    back = signals.zombies(given.zombies, given.seed)
    yield Row(
        "A8: a worker that was taken over changes nothing",
        "worker and run stopped (SIGSTOP) longer than the lease, then continued",
        back.done,
        given.seed,
        "all of their writes refused",
        back.violations,
    )


def _disks(given: Given) -> Iterator[Row]:
    del given
    filled = Filled()
    try:
        for mib in SIZES:
            fill(mib, filled)
    except NoDisk as reason:
        raise NotHere(str(reason)) from reason
    yield Row(
        "A18: a full disk refuses writes and recovers by itself",
        f"file systems of {SIZES[0]} to {SIZES[-1]} MiB filled by ingest, then room made",
        filled.disks,
        None,
        f"0 acknowledged lost; full answers: {_counted(filled.statuses)}; writing again after {filled.slowest_s:.1f} s",
        _bugs(filled.statuses) + filled.violations,
    )


def _corruption(given: Given) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder) as template:
        found = corruption.corrupt(template, given.damages, given.seed)
    for kind, verdicts in found.verdicts.items():
        silent = [line for line in found.silent if _of_kind(line, kind)]
        other = [line for line in found.crashes + found.unclean if _of_kind(line, kind)]
        yield Row(
            f"A19: damage is reported, never served: {_KIND_NAMES.get(kind, kind)}",
            "bits flipped, pages zeroed, files cut or removed",
            sum(verdicts.values()),
            given.seed,
            _counted(verdicts),
            silent + other,
        )


def _of_kind(line: str, kind: str) -> bool:
    return corruption.kind_of(Path(line.partition(": ")[0].rpartition(" ")[2])) == kind


def _network(given: Given) -> Iterator[Row]:
    given_share = 0.3
    delivered = deliver(given.requests, given.seed, share=given_share)
    bad = [f"{len(delivered.doubled)} requests were done twice"] * bool(delivered.doubled)
    bad += [f"{len(delivered.lost)} acknowledged requests are lost"] * bool(delivered.lost)
    bad += [f"{len(delivered.never_answered)} were never answered"] * bool(delivered.never_answered)
    bad += [f"{count} × {answer}" for answer, count in delivered.refused.items()]
    yield Row(
        "A7: a keyed request is done once",
        f"a proxy that resets, drops, cuts, stalls ({delivered.faults:,} faults in {delivered.attempts:,} attempts)",
        delivered.requests,
        given.seed,
        f"{len(delivered.doubled)} done twice, {len(delivered.lost)} lost",
        bad,
    )


def _memory(given: Given) -> Iterator[Row]:
    del given
    hard = little_memory()
    yield Row(
        "A5: a run without memory is recorded, the server stays",
        "address space of the run's process limited to 200 … 2,000 MiB",
        hard.done,
        None,
        f"{_counted(hard.ended)}; {hard.completed} good runs after them completed; at most {hard.attempts} attempts",
        hard.violations,
    )


def _poison(given: Given) -> Iterator[Row]:
    hard = poison(given.good)
    yield Row(
        "A5: a run that kills its worker is stopped",
        f"one run that aborts its process among {given.good} good ones",
        hard.done,
        None,
        f"{_counted(hard.ended)}; {hard.completed} good runs completed",
        hard.violations,
    )


def _cancels(given: Given) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with ServerProcess(data) as server, server.client() as client:
            upload(client, 2_000, Path(folder))
            make_cluster(client, "groups", "kmeans")
            ended = cancel_at_random(client, "groups", given.cancels, random.Random(given.seed), within_s=1.5)
            (worker,) = worker_processes(server.pid)
            wait_for(lambda: len(children_of(worker)) <= 1)
            wait_for(lambda: len(run_folders(data)) == ended.get("completed", 0))
    yield Row(
        "A9: a cancelled run is gone, a completed one whole",
        "cancelled at a random moment, from before it begins to after its results are visible",
        sum(ended.values()),
        given.seed,
        f"{_counted(ended)}, 0 others, 0 processes or files left",
    )


def _simulation(given: Given) -> Iterator[Row]:
    failures = broken_in_pieces(range(1, given.seeds + 1))
    yield Row(
        "A2–A5, A8, A9: workers, queue and store under a virtual clock",
        f"seeds 1 to {given.seeds:,}, {STEPS} steps each: crashes, stalls, clocks that jump, stores that do not answer",
        given.seeds,
        None,
        f"{len(failures)} broke a promise",
        [f"seed {seed}: {where}" for seed, where in failures],
    )


def _suite(suite: Suite, given: Given) -> Iterator[Row]:
    del given
    ran = suite.run()
    yield Row(suite.promise, suite.done, ran.tries, None, f"{ran.passed} tests passed", list(ran.failed))


def _selftest(given: Given) -> Iterator[Row]:
    del given
    missed = []
    with quick_folder() as folder, Template(folder, io_faults.preloaded_where_possible()) as clean:
        for bug, run in selftest.PLANTED.items():
            if selftest.found(clean, bug, run) is None:
                missed.append(f"{bug} was not found by: {run}")
        said = {run: selftest.said_of(clean, run) for run in selftest.runs()}
        false = [f"without any bug, {run} says: {what}" for run, what in said.items() if what]
    yield Row(
        "The harness finds what it is for",
        f"planted bugs: {', '.join(name.replace('_', ' ') for name in selftest.PLANTED)}",
        len(selftest.PLANTED),
        None,
        f"{len(selftest.PLANTED) - len(missed)} found, {len(false)} false alarms",
        missed + false,
    )


def _bugs(statuses: Mapping[int, int]) -> list[str]:
    """A fault is answered by what went wrong, never as a bug of ours."""
    return [f"{statuses[500]} answers were a 500"] if statuses.get(500) else []


def _counted(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


PARTS: Final[dict[str, Callable[[Given], Iterator[Row]]]] = {
    "selftest": _selftest,
    "points": _points,
    "calls": _calls,
    "power": _power,
    "corruption": _corruption,
    "kills": _kills,
    "deletes": _deletes,
    "flips": _flips,
    "signals": _signals,
    "zombies": _zombies,
    "disks": _disks,
    "network": _network,
    "memory": _memory,
    "poison": _poison,
    "cancels": _cancels,
    "simulation": _simulation,
    **{name: partial(_suite, suite) for name, suite in SUITES.items()},
}

"""The parts of the long form: how each promise is attacked, how often, and the resulting rows."""

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
from faults.disk_sizes import SIZES, FillResult, fill
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
from simulation.run import STEPS, find_broken_in_parallel

__all__ = ["PARTS", "Options", "Unsupported"]

Options = argparse.Namespace
_KIND_NAMES: Final = {"wal": "write-ahead log", "commits": "count of commits"}


class Unsupported(Exception):
    """This machine lacks something that the part needs; the message names it."""


def _kills(options: Options) -> Iterator[Row]:
    result = kill_at_random(options.kills, options.seed)
    total, acked = sum(result.kills.values()), result.operations["ack"]
    targets = ", ".join(f"{count} {name}" for name, count in result.kills.most_common())
    yield Row(
        "A1, A2, A4: a 2xx means stored, whole, and every run comes to an end",
        f"SIGKILL at random moments while clients write, execute, edit and delete ({targets})",
        total,
        options.seed,
        f"{acked:,} operations acknowledged, 0 lost, 0 torn; runs: {_format_counts(result.runs)}",
        result.violations,
    )
    yield Row(
        "A3: results appear together (readers during the kills)",
        "2 readers compare artifacts, pages, summary and output collection",
        result.reads,
        options.seed,
        f"{len(result.mixed)} mixed reads"
        + (f"; other answers: {_format_counts(result.other)}" if result.other else ""),
        result.mixed,
    )


def _deletes(options: Options) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder, scratch=True) as template:
        forked = die_in_deletes(template, options.deletes, options.seed)
    served = kill_in_deletes(options.deletes // 10, options.seed)
    outcomes = {"ended at a random moment of": forked, "SIGKILL of server and workers within 50 ms of": served}
    for what, deleted in outcomes.items():
        fates = ", ".join(f"{count} {kind} {fate}" for (kind, fate), count in sorted(deleted.fates.items()))
        yield Row(
            "A4: what is deleted is whole or gone, as the audit log says, and no byte of it stays",
            f"{what} a DELETE of a namespace, a collection, a cluster with runs",
            deleted.deaths,
            options.seed,
            f"{len(deleted.violations)} torn ({fates})",
            deleted.violations,
        )


def _flips(options: Options) -> Iterator[Row]:
    observations = flip_under_readers(options.executions, 4)
    yield Row(
        "A3: results appear together",
        f"4 readers while {options.executions} executions publish",
        observations.reads,
        None,
        f"{len(observations.runs)} runs seen, {len(observations.mixed)} mixed reads"
        + (f"; other answers: {_format_counts(observations.other)}" if observations.other else ""),
        observations.mixed,
    )


def _points(options: Options) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder) as template:
        passed = sweep.count_passes(template)
        missing = sweep.find_unreached(passed)
        faults = iter([sweep.Fault(arm=options.arm)]) if options.arm else sweep.points(passed)
        result = sweep.sweep(template, faults)
        small = [str(minimize(template, fault)) for fault in result.failed[:2]]
    yield Row(
        "A1–A4, A10: a fault between any two steps",
        "crash, EIO and ENOSPC at the first, second and last pass of every failpoint",
        result.done,
        None,
        f"{len(passed) - len(missing)} of {len(passed)} failpoints passed; answers: {_format_counts(result.statuses)}",
        [f"never passed: {', '.join(missing)}"] * bool(missing)
        + _describe_bugs(result.statuses)
        + result.violations
        + small,
    )


def _calls(options: Options) -> Iterator[Row]:
    if reason := io_faults.find_obstacle():
        raise Unsupported(reason)
    with quick_folder() as folder, Template(folder, io_faults.preload_environ()) as template:
        result = sweep.sweep(template, sweep.calls(template, step=options.step))
        small = [str(minimize(template, fault)) for fault in result.failed[:2]]
    yield Row(
        "A1, A2, A18: any single system call may fail",
        f"the n-th write, sync, rename, create, truncate or unlink fails (every {options.step}th call)",
        result.done,
        None,
        f"0 lost, 0 torn; answers: {_format_counts(result.statuses)}",
        _describe_bugs(result.statuses) + result.violations + small,
    )


def _power(options: Options) -> Iterator[Row]:
    if reason := io_faults.find_obstacle():
        raise Unsupported(reason)
    with quick_folder() as folder, Template(folder, io_faults.preload_environ()) as template:
        states, violations = power_loss.sweep(template, options.losses, options.seed)
    yield Row(
        "A1: acknowledged writes survive power loss",
        "every call of ingest and runs recorded; the disk rebuilt after a cut: what was synced, and parts of the rest",
        states,
        options.seed,
        "every state opened, everything acknowledged was there" if not violations else "",
        violations,
    )


def _signals(options: Options) -> Iterator[Row]:
    ended = signals.terminate(options.signals, options.seed)
    yield Row(
        "A20: SIGTERM ends cleanly",
        "SIGTERM under clients",
        ended.done,
        options.seed,
        f"exit code 0, slowest {ended.slowest_s:.1f} s, 0 acknowledged lost, 0 processes left",
        ended.violations,
    )
    cut = signals.terminate_then_kill(max(1, options.signals // 4), options.seed)
    yield Row(
        "A1, A20: … and a kill half a second later",
        "SIGTERM, then SIGKILL",
        cut.done,
        options.seed,
        "0 lost",
        cut.violations,
    )


def _zombies(options: Options) -> Iterator[Row]:
    back = signals.zombies(options.zombies, options.seed)
    yield Row(
        "A8: a worker that was taken over changes nothing",
        "worker and run stopped (SIGSTOP) longer than the lease, then continued",
        back.done,
        options.seed,
        "all of their writes refused",
        back.violations,
    )


def _disks(options: Options) -> Iterator[Row]:
    del options
    result = FillResult()
    try:
        for mib in SIZES:
            fill(mib, result)
    except NoDisk as reason:
        raise Unsupported(str(reason)) from reason
    yield Row(
        "A18: a full disk refuses writes and recovers by itself",
        f"file systems of {SIZES[0]} to {SIZES[-1]} MiB filled by ingest, then room made",
        result.disks,
        None,
        f"0 acknowledged lost; refusals: {_format_counts(result.statuses)}; writable after {result.slowest_s:.1f} s",
        _describe_bugs(result.statuses) + result.violations,
    )


def _corruption(options: Options) -> Iterator[Row]:
    with quick_folder() as folder, Template(folder) as template:
        damage = corruption.corrupt(template, options.damages, options.seed)
    for kind, verdicts in damage.verdicts.items():
        silent = [line for line in damage.silent if _of_kind(line, kind)]
        other = [line for line in damage.crashes + damage.unclear if _of_kind(line, kind)]
        yield Row(
            f"A19: damage is reported, never served: {_KIND_NAMES.get(kind, kind)}",
            "bits flipped, pages zeroed, files cut or removed",
            sum(verdicts.values()),
            options.seed,
            _format_counts(verdicts),
            silent + other,
        )


def _of_kind(line: str, kind: str) -> bool:
    return corruption.kind_of(Path(line.partition(": ")[0].rpartition(" ")[2])) == kind


def _network(options: Options) -> Iterator[Row]:
    fault_share = 0.3
    result = deliver(options.requests, options.seed, share=fault_share)
    bad = [f"{len(result.doubled)} requests were executed twice"] * bool(result.doubled)
    bad += [f"{len(result.lost)} acknowledged requests are lost"] * bool(result.lost)
    bad += [f"{len(result.never_answered)} were never answered"] * bool(result.never_answered)
    bad += [f"{count} × {answer}" for answer, count in result.refused.items()]
    yield Row(
        "A7: a keyed request is executed once",
        f"a proxy that resets, drops, cuts, stalls ({result.faults:,} faults in {result.attempts:,} attempts)",
        result.requests,
        options.seed,
        f"{len(result.doubled)} executed twice, {len(result.lost)} lost",
        bad,
    )


def _memory(options: Options) -> Iterator[Row]:
    del options
    result = little_memory()
    yield Row(
        "A5: a run without memory is recorded, the server stays",
        "address space of the run's process limited to 200 … 2,000 MiB",
        result.done,
        None,
        f"{_format_counts(result.ended)}; {result.completed} good runs completed; attempts ≤ {result.attempts}",
        result.violations,
    )


def _poison(options: Options) -> Iterator[Row]:
    result = poison(options.good)
    yield Row(
        "A5: a run that kills its worker is stopped",
        f"one run that aborts its process among {options.good} good ones",
        result.done,
        None,
        f"{_format_counts(result.ended)}; {result.completed} good runs completed",
        result.violations,
    )


def _cancels(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with ServerProcess(data) as server, server.client() as client:
            upload(client, 2_000, Path(folder))
            make_cluster(client, "groups", "kmeans")
            ended = cancel_at_random(client, "groups", options.cancels, random.Random(options.seed), within_s=1.5)
            (worker,) = worker_processes(server.pid)
            wait_for(lambda: len(children_of(worker)) <= 1)
            wait_for(lambda: len(run_folders(data)) == ended.get("completed", 0))
    yield Row(
        "A9: a cancelled run is gone, a completed one whole",
        "cancelled at a random moment, from before it begins to after its results are visible",
        sum(ended.values()),
        options.seed,
        f"{_format_counts(ended)}, 0 others, 0 processes or files left",
    )


def _simulation(options: Options) -> Iterator[Row]:
    failures = find_broken_in_parallel(range(1, options.seeds + 1))
    yield Row(
        "A2–A5, A8, A9: workers, queue and store under a virtual clock",
        f"seeds 1 to {options.seeds:,}, {STEPS} steps each: crashes, stalls, clock jumps, unresponsive stores",
        options.seeds,
        None,
        f"{len(failures)} broke a promise",
        [f"seed {seed}: {where}" for seed, where in failures],
    )


def _suite(suite: Suite, options: Options) -> Iterator[Row]:
    del options
    result = suite.run()
    yield Row(suite.promise, suite.done, result.tries, None, f"{result.passed} tests passed", list(result.failed))


def _selftest(options: Options) -> Iterator[Row]:
    del options
    missed = []
    with quick_folder() as folder, Template(folder, io_faults.preload_environ_if_possible()) as clean:
        for bug, run in selftest.PLANTED.items():
            if selftest.run_with_bug(clean, bug, run) is None:
                missed.append(f"{bug} was not found by: {run}")
        messages = {run: selftest.run_without_bug(clean, run) for run in selftest.runs()}
        false = [f"without a bug, {run} reports: {what}" for run, what in messages.items() if what]
    yield Row(
        "The harness finds planted bugs",
        f"planted bugs: {', '.join(name.replace('_', ' ') for name in selftest.PLANTED)}",
        len(selftest.PLANTED),
        None,
        f"{len(selftest.PLANTED) - len(missed)} found, {len(false)} false alarms",
        missed + false,
    )


def _describe_bugs(statuses: Mapping[int, int]) -> list[str]:
    """Report answers with status 500: a fault must be answered by its cause, never as an internal error."""
    return [f"{statuses[500]} answers were a 500"] if statuses.get(500) else []


def _format_counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


PARTS: Final[dict[str, Callable[[Options], Iterator[Row]]]] = {
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

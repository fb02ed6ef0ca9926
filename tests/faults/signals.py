"""D3: a server that is asked to end, one that is not given the time, and workers that are stopped and come back.

`terminate`: SIGTERM under clients; exit code 0 within 30 s, nothing acknowledged is lost, no process left.
`terminate_then_kill`: SIGKILL half a second after SIGTERM.
`zombies`: a worker and its run are stopped longer than their lease, while another carries the run out, and then go on:
nothing may change any more.
"""

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from faults.disk import quick_folder
from faults.inside import seen_of
from faults.invariants import Violated, check_all, check_files, check_settled, settle
from faults.kills import busy
from faults.victim import Victim, moment, victim
from faults.workload import Operations

__all__ = ["Signalled", "terminate", "terminate_then_kill", "zombies"]

_LONGEST_END: Final = 30.0
_LEASE: Final = 2.0
_SLEEP: Final = 3.0
"""Seconds in which a run is found and stopped; over by the time it goes on."""
_ASLEEP: Final = "artifact.before_manifest"
_ROUND: Final = 25


@dataclass(slots=True)
class Signalled:
    """What came of it."""

    done: int = 0
    slowest_s: float = 0.0
    violations: list[str] = field(default_factory=list)


Act = Callable[[Victim, Signalled], None]


def terminate(count: int, seed: int) -> Signalled:
    """That many SIGTERMs at random moments."""
    return _in_rounds(count, seed, _terminated)


def terminate_then_kill(count: int, seed: int) -> Signalled:
    """SIGTERM, and SIGKILL to everything half a second later."""
    return _in_rounds(count, seed, _cut_short)


def _in_rounds(count: int, seed: int, act: Act) -> Signalled:
    signalled, rng = Signalled(), random.Random(seed)
    while signalled.done < count and not signalled.violations:
        try:
            with quick_folder() as folder, victim(folder) as server:
                for _ in range(min(_ROUND, count - signalled.done)):
                    signalled.done += 1
                    _one(server, rng, act, signalled)
                with server.client() as client:
                    check_settled(client)
                server.stop()
                server.check_gone()
                server.check_log()
                check_files(server.data, idle=True)
        except (Violated, RuntimeError, subprocess.TimeoutExpired) as problem:
            signalled.violations.append(f"seed {seed}, signal {signalled.done} of {count}: {problem}")
    return signalled


def _one(server: Victim, rng: random.Random, act: Act, signalled: Signalled) -> None:
    since = len(server.ledger.entries)
    with busy(server, rng):
        time.sleep(moment(rng, 1.5))
        act(server, signalled)
    server.check_gone()
    server.start()
    with server.client() as client:
        check_all(client, server.ledger, since=since)


def _terminated(server: Victim, signalled: Signalled) -> None:
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    code = server.wait_for_end(_LONGEST_END)
    signalled.slowest_s = max(signalled.slowest_s, time.monotonic() - began)
    if code != 0:
        raise Violated("I10", f"a server that was asked to end did so with {code}: {''.join(server.output)[-600:]}")


def _cut_short(server: Victim, signalled: Signalled) -> None:
    del signalled
    server.signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait_for_end(0.5)
    server.kill(everything=True)


def zombies(count: int, seed: int) -> Signalled:
    """That many workers stopped in the middle of a run, at the moment before its results would be named."""
    signalled = Signalled()
    try:
        with quick_folder() as folder:
            once = folder / "once"
            once.mkdir()
            with victim(
                folder,
                workers=2,
                SHOAL_LEASE_SECONDS=str(_LEASE),
                SHOAL_FAILPOINTS=f"{_ASLEEP}=sleep:{_SLEEP}",
                SHOAL_FAILPOINTS_ONCE=str(once),
            ) as server:
                for _ in range(count):
                    signalled.done += 1
                    _come_back(server, once / _ASLEEP)
                server.stop()
                server.check_gone()
                check_files(server.data, idle=True)
    except (Violated, RuntimeError, TimeoutError) as problem:
        signalled.violations.append(f"seed {seed}, zombie {signalled.done} of {count}: {problem}")
    return signalled


def _come_back(server: Victim, asleep: Path) -> None:
    with server.client() as client:
        settle(client)
        asleep.unlink(missing_ok=True)
        run_id = Operations(client, server.ledger).execute("plain").reply["run_id"]
        _wait(asleep.exists, "the run does not come to its results")
        run = client.get(f"/clusters/plain/executions/{run_id}").raise_for_status().json()
        stopped = _stop_the_run(server, run["worker"])
        try:
            settle(client)  # the other worker takes the run over once the lease is out
            before = seen_of(client, run_id)
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        _wait(lambda: not _goes_on(stopped[-1]), "the zombie goes on for ever")
        if before["run"]["status"] != "completed" or before["run"]["worker"] == run["worker"]:
            raise Violated("I7", f"the run was not taken over: {before['run']['status']} by {before['run']['worker']}")
        _unchanged(client, run_id, before)


def _stop_the_run(server: Victim, worker_name: str) -> list[psutil.Process]:
    """SIGSTOP to a worker, whose name begins with its process id, and to the run it has under way."""
    worker = psutil.Process(int(worker_name.partition("-")[0]))
    mine = [process for process in server.run_processes() if process.ppid() == worker.pid]
    if not mine:
        raise TimeoutError("the run was over before it could be stopped")
    stopped = [worker, mine[0]]  # the oldest: the others wait for a run
    for process in stopped:
        process.suspend()
    return stopped


def _goes_on(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _unchanged(client: httpx.Client, run_id: str, before: dict[str, object]) -> None:
    after = seen_of(client, run_id)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        raise Violated("I7", f"a worker that was taken over changed {', '.join(changed)}")


def _wait(done: Callable[[], bool], problem: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(problem)
        time.sleep(0.02)

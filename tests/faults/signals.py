"""D3: servers that are terminated, or killed while they terminate, and workers that are suspended and resumed.

`terminate`: SIGTERM under load; exit code 0 within 30 s, nothing acknowledged is lost, no process left.
`terminate_then_kill`: SIGKILL half a second after SIGTERM.
`zombies`: a worker and its run are suspended longer than their lease while another worker executes the run. When they
are resumed, nothing may change any more.
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
from faults.inside import snapshot
from faults.invariants import Violated, check_all, check_files, check_settled, settle
from faults.kills import busy
from faults.victim import Victim, moment, victim
from faults.workload import Operations

__all__ = ["SignalResult", "terminate", "terminate_then_kill", "zombies"]

_MAX_SHUTDOWN_SECONDS: Final = 30.0
_LEASE: Final = 2.0
_PAUSE_SECONDS: Final = 3.0
"""Seconds in which a run is found and suspended; over when the run is resumed."""
_PAUSE_POINT: Final = "artifact.before_manifest"
_ROUND: Final = 25


@dataclass(slots=True)
class SignalResult:
    """Outcome of the signals."""

    done: int = 0
    slowest_s: float = 0.0
    violations: list[str] = field(default_factory=list)


Act = Callable[[Victim, SignalResult], None]


def terminate(count: int, seed: int) -> SignalResult:
    """Send `count` SIGTERMs at random moments."""
    return _in_rounds(count, seed, _terminate_once)


def terminate_then_kill(count: int, seed: int) -> SignalResult:
    """Send SIGTERM, and SIGKILL to all processes half a second later."""
    return _in_rounds(count, seed, _terminate_then_kill_once)


def _in_rounds(count: int, seed: int, act: Act) -> SignalResult:
    result, rng = SignalResult(), random.Random(seed)
    while result.done < count and not result.violations:
        try:
            with quick_folder() as folder, victim(folder) as server:
                for _ in range(min(_ROUND, count - result.done)):
                    result.done += 1
                    _signal_under_load(server, rng, act, result)
                with server.client() as client:
                    check_settled(client)
                server.stop()
                server.check_gone()
                server.check_log()
                check_files(server.data, idle=True)
        except (Violated, RuntimeError, subprocess.TimeoutExpired) as problem:
            result.violations.append(f"seed {seed}, signal {result.done} of {count}: {problem}")
    return result


def _signal_under_load(server: Victim, rng: random.Random, act: Act, result: SignalResult) -> None:
    since = len(server.ledger.entries)
    with busy(server, rng):
        time.sleep(moment(rng, 1.5))
        act(server, result)
    server.check_gone()
    server.start()
    with server.client() as client:
        check_all(client, server.ledger, since=since)


def _terminate_once(server: Victim, result: SignalResult) -> None:
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    code = server.wait_for_end(_MAX_SHUTDOWN_SECONDS)
    result.slowest_s = max(result.slowest_s, time.monotonic() - began)
    if code != 0:
        raise Violated("I10", f"a terminated server exited with {code}: {''.join(server.output)[-600:]}")


def _terminate_then_kill_once(server: Victim, result: SignalResult) -> None:
    del result
    server.signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait_for_end(0.5)
    server.kill(everything=True)


def zombies(count: int, seed: int) -> SignalResult:
    """Suspend `count` workers in the middle of a run, just before its results are named."""
    result = SignalResult()
    try:
        with quick_folder() as folder:
            once = folder / "once"
            once.mkdir()
            with victim(
                folder,
                workers=2,
                SHOAL_LEASE_SECONDS=str(_LEASE),
                SHOAL_FAILPOINTS=f"{_PAUSE_POINT}=sleep:{_PAUSE_SECONDS}",
                SHOAL_FAILPOINTS_ONCE=str(once),
            ) as server:
                for _ in range(count):
                    result.done += 1
                    _suspend_and_resume(server, once / _PAUSE_POINT)
                server.stop()
                server.check_gone()
                check_files(server.data, idle=True)
    except (Violated, RuntimeError, TimeoutError) as problem:
        result.violations.append(f"seed {seed}, zombie {result.done} of {count}: {problem}")
    return result


def _suspend_and_resume(server: Victim, marker: Path) -> None:
    with server.client() as client:
        settle(client)
        marker.unlink(missing_ok=True)
        run_id = Operations(client, server.ledger).execute("plain").reply["run_id"]
        _wait_until(marker.exists, "the run does not reach its results")
        run = client.get(f"/clusters/plain/executions/{run_id}").raise_for_status().json()
        stopped = _suspend_run(server, run["worker"])
        try:
            settle(client)  # the other worker takes over once the lease has expired
            before = snapshot(client, run_id)
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        _wait_until(lambda: not _is_running(stopped[-1]), "the zombie does not end")
        if before["run"]["status"] != "completed" or before["run"]["worker"] == run["worker"]:
            raise Violated("I7", f"the run was not taken over: {before['run']['status']} by {before['run']['worker']}")
        _check_unchanged(client, run_id, before)


def _suspend_run(server: Victim, worker_name: str) -> list[psutil.Process]:
    """Suspend a worker, whose name begins with its process id, and its active run."""
    worker = psutil.Process(int(worker_name.partition("-")[0]))
    runs = [process for process in server.run_processes() if process.ppid() == worker.pid]
    if not runs:
        raise TimeoutError("the run was over before it could be stopped")
    stopped = [worker, runs[0]]  # the oldest: the others are idle
    for process in stopped:
        process.suspend()
    return stopped


def _is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _check_unchanged(client: httpx.Client, run_id: str, before: dict[str, object]) -> None:
    after = snapshot(client, run_id)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        raise Violated("I7", f"a worker that was taken over changed {', '.join(changed)}")


def _wait_until(done: Callable[[], bool], problem: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(problem)
        time.sleep(0.02)

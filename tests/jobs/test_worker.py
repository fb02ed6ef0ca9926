"""Workers with real child processes on a real store."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shoal.errors import Unavailable
from shoal.jobs.child import ChildProcesses
from shoal.jobs.limits import OUT_OF_MEMORY
from shoal.jobs.liveness import is_alive
from shoal.jobs.worker import MAX_ATTEMPTS, MAX_STARTS, Worker
from shoal.records.scope import Scope
from shoal.storage.protocols.queue import Job
from single_writes import SqliteStore

pytestmark = pytest.mark.process

SCOPE = Scope("org_a", "ns_a")


def now() -> datetime:
    return datetime.now(UTC)


class Script:
    """A handler whose child runs Python code with the job in JOB. It records the failures reported to it."""

    def __init__(self, code: str) -> None:
        self.command = [sys.executable, "-c", f"import json, sys; JOB = json.loads(sys.stdin.readline()); {code}"]
        self.failures: list[str] = []
        self.cleared: list[str] = []

    def gave_up(self, job: Job, cause: str) -> None:
        self.failures.append(cause)

    def out_of_memory(self, job: Job) -> None:
        self.failures.append("memory")

    def out_of_time(self, job: Job) -> None:
        self.failures.append("time")

    def stopped(self, job: Job) -> None:
        self.cleared.append(job.job_id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "metadata.sqlite")
    yield store
    store.close()


def worker_of(
    store: SqliteStore, handler: Script, folder: Path, *, children: ChildProcesses | None = None, **more: Any
) -> Worker:
    options: dict[str, Any] = {"is_alive": lambda name: is_alive(folder, name), **more}
    children = children or ChildProcesses(handler.command, standby=False)
    return Worker(
        store, handler, children, name="this", queue_name="q", lease=timedelta(seconds=30), now=now, **options
    )


def job_of(store: SqliteStore, id: str) -> Job:
    job = store.get_job(SCOPE, id)
    assert job is not None
    return job


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_a_job_whose_child_succeeds_is_done_after_one_attempt(store: SqliteStore, tmp_path: Path) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())

    assert worker_of(store, Script("pass"), tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.state, job.attempts) == ("done", 1)


def test_progress_of_the_child_reaches_the_store(store: SqliteStore, tmp_path: Path) -> None:
    code = 'import time; print(\'{"stage": "cluster", "fraction": 0.5}\', flush=True); time.sleep(1)'
    store.enqueue(SCOPE, "one", "q", {}, now())

    worker_of(store, Script(code), tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.stage, job.fraction) == ("cluster", 0.5)


def test_a_job_whose_child_always_crashes_is_abandoned_after_three_attempts(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    while worker.run_one():
        pass

    assert job_of(store, "one").attempts == MAX_ATTEMPTS
    assert handler.failures == ["The run was tried 3 times; the last time it was killed by SIGSEGV."]


def test_a_job_whose_child_crashes_once_is_retried(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("import sys; sys.exit(1 if JOB['attempt'] == 1 else 0)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    while worker.run_one():
        pass

    job = job_of(store, "one")
    assert (job.state, job.attempts, handler.failures) == ("done", 2, [])


def test_cancelling_kills_the_child_even_if_it_ignores_sigterm(store: SqliteStore, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    store.enqueue(SCOPE, "one", "q", {}, now())
    thread = threading.Thread(target=worker_of(store, Script(code), tmp_path / "workers").run_one)
    thread.start()
    wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")

    store.request_cancel(SCOPE, "one")
    thread.join(30)

    assert not thread.is_alive()
    assert job_of(store, "one").state == "done"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_stopping_worker_releases_its_job_without_counting_the_attempt(store: SqliteStore, tmp_path: Path) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, Script("import time; time.sleep(600)"), tmp_path / "workers")
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_for(lambda: job_of(store, "one").state == "running")

    worker.stop()
    thread.join(30)

    job = job_of(store, "one")
    assert (job.state, job.attempts) == ("queued", 0)


@pytest.mark.process
def test_the_job_of_a_killed_worker_is_resumed_at_once(store: SqliteStore, tmp_path: Path) -> None:
    """The lease lasts minutes longer, but the dead worker's lock is free."""
    folder = tmp_path / "workers"
    folder.mkdir()
    code = (
        "import fcntl, pathlib, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(600)"
    )
    path = folder / "dead.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        store.enqueue(SCOPE, "one", "q", {}, now())
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        worker = worker_of(store, Script("pass"), folder)
        assert is_alive(folder, "dead")
        assert not worker.run_one()

        holder.send_signal(signal.SIGKILL)
        holder.wait()

    assert worker.run_one()
    job = job_of(store, "one")
    assert (job.state, job.attempts) == ("done", 1)


def test_a_run_survives_any_number_of_killed_workers_below_the_limit(store: SqliteStore, tmp_path: Path) -> None:
    """Restarting a server, or killing it with its workers, costs a run no attempt."""
    handler = Script("pass")
    store.enqueue(SCOPE, "one", "q", {}, now())
    for _ in range(MAX_STARTS - 1):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")

    assert worker_of(store, handler, tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.state, job.attempts, handler.failures) == ("done", 1, [])


def test_a_run_that_kills_its_worker_each_time_is_eventually_abandoned(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("pass")
    store.enqueue(SCOPE, "one", "q", {}, now())
    for _ in range(MAX_STARTS):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")

    assert worker_of(store, handler, tmp_path / "workers").run_one()

    assert job_of(store, "one").state == "done"
    assert handler.failures == ["The run was started 25 times, and its server or worker ended each time."]


def test_crashes_of_the_child_count_even_if_workers_died_between_them(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("raise SystemExit(1)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    for _ in range(MAX_ATTEMPTS):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")
        assert worker.run_one()

    assert job_of(store, "one").state == "done"
    assert handler.failures == ["The run was tried 3 times; the last time it exited with code 1 (see its log)."]


def test_a_worker_that_lost_its_lease_cannot_finish_the_job(store: SqliteStore) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())
    first = store.claim("q", "slow", now(), now() - timedelta(seconds=1))
    second = store.claim("q", "quick", now(), now() + timedelta(seconds=30))
    assert first is not None and second is not None

    assert store.heartbeat("one", first.fence, now(), now() + timedelta(seconds=30), "cluster", 0.5) is None
    assert not store.finish("one", first.fence)
    assert store.finish("one", second.fence)


def test_a_poisoned_job_among_fifty_good_ones_blocks_none_of_them(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("import os; os.abort() if JOB['job'] == 'poison' else None")
    for number in range(25):
        store.enqueue(SCOPE, f"before_{number}", "q", {}, now())
    store.enqueue(SCOPE, "poison", "q", {}, now())
    for number in range(25):
        store.enqueue(SCOPE, f"after_{number}", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    while worker.run_one():
        pass

    good = [job_of(store, f"{side}_{number}") for side in ("before", "after") for number in range(25)]
    assert {(job.state, job.attempts) for job in good} == {("done", 1)}
    assert (job_of(store, "poison").state, job_of(store, "poison").attempts) == ("done", MAX_ATTEMPTS)
    assert handler.failures == ["The run was tried 3 times; the last time it was killed by SIGABRT."]


def test_a_child_that_hit_its_memory_limit_is_not_retried(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script(f"sys.exit({OUT_OF_MEMORY})")
    store.enqueue(SCOPE, "one", "q", {}, now())

    assert worker_of(store, handler, tmp_path / "workers").run_one()

    assert (job_of(store, "one").state, job_of(store, "one").attempts) == ("done", 1)
    assert handler.failures == ["memory"]


def test_a_child_that_takes_too_long_is_killed_and_not_retried(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("import time; time.sleep(600)")
    store.enqueue(SCOPE, "one", "q", {}, now())

    assert worker_of(store, handler, tmp_path / "workers", run_seconds=0.3).run_one()

    assert (job_of(store, "one").state, handler.failures) == ("done", ["time"])


def test_a_job_with_its_own_time_limit_gets_no_more_than_that(store: SqliteStore, tmp_path: Path) -> None:
    handler = Script("import time; time.sleep(600)")
    store.enqueue(SCOPE, "one", "q", {"seconds": 0.3}, now())
    store.enqueue(SCOPE, "two", "q", {"seconds": 3600}, now())

    assert worker_of(store, handler, tmp_path / "workers").run_one()
    assert worker_of(store, handler, tmp_path / "workers", run_seconds=0.3).run_one()

    assert handler.failures == ["time", "time"]


def test_a_worker_skips_jobs_of_organisations_at_their_limit(store: SqliteStore, tmp_path: Path) -> None:
    for id in ("one", "two"):
        store.enqueue(SCOPE, id, "q", {}, now())
    store.claim("q", "other", now(), now() + timedelta(minutes=10))
    worker = worker_of(store, Script("pass"), tmp_path / "workers", most_of_one=lambda: 1, is_alive=lambda name: True)

    assert not worker.run_one()

    store.enqueue(Scope("org_other", "ns_other"), "theirs", "q", {}, now())
    assert worker.run_one()
    assert job_of(store, "two").state == "queued"


@pytest.mark.process
def test_the_memory_limit_applies_to_additional_memory_and_excludes_mapped_files(tmp_path: Path) -> None:
    """In 64 MiB, one 48 MiB array fits but not two; a file of 256 MiB mapped for reading always fits."""
    big = tmp_path / "vectors"
    with big.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    code = f"""
import numpy as np
from shoal.jobs.limits import limit_memory
limit_memory(64)
mapped = np.memmap({str(big)!r}, np.uint8, "r")
first = np.ones(48 * 1024 * 1024, np.uint8)
print(mapped.sum() + first[0])
try:
    second = np.ones(48 * 1024 * 1024, np.uint8)
except MemoryError:
    print("refused")
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.split() == ["1", "refused"]


def test_a_process_waits_in_standby_and_takes_the_next_job(store: SqliteStore, tmp_path: Path) -> None:
    """If it has died in the meantime, another one takes its place."""
    pids = tmp_path / "pids"
    handler = Script(f"import os; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')")
    children = ChildProcesses(handler.command)
    worker = worker_of(store, handler, tmp_path / "workers", children=children)
    waiting = []
    for id in ("one", "two", "three"):
        children.prepare()
        ready = children._ready
        assert ready is not None
        waiting.append(ready._process.pid)
        if id == "two":
            ready._process.kill()
            wait_for(lambda: children._ready is not None and children._ready.poll() is not None)
        store.enqueue(SCOPE, id, "q", {}, now())
        assert worker.run_one()
    children.prepare()
    left = children._ready
    children.close()

    ran = [int(line) for line in pids.read_text().split()]
    assert [ran[0], ran[2]] == [waiting[0], waiting[2]]
    assert ran[1] != waiting[1]
    assert left is not None and left.poll() is not None
    assert {job_of(store, id).attempts for id in ("one", "two", "three")} == {1}


def test_a_standby_process_ends_with_its_worker(store: SqliteStore, tmp_path: Path) -> None:
    children = ChildProcesses([sys.executable, "-m", "shoal.cli.processes.run_child", "--data", str(tmp_path / "data")])
    children.prepare()
    ready = children._ready
    assert ready is not None and ready._process.stdin is not None

    ready._process.stdin.close()

    assert ready._process.wait(60) == 0
    children.close()


def test_an_idle_worker_is_notified_of_a_job_before_its_next_poll(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a write by another process makes a worker poll again before its second is over."""
    steady = [0.0]
    worker = worker_of(store, Script("pass"), tmp_path / "workers", steady=lambda: steady[0])
    claims: list[str] = []
    claim = store.claim

    def counted(*arguments: Any) -> Job | None:
        claims.append("claim")
        return claim(*arguments)

    monkeypatch.setattr(store, "claim", counted)
    for _ in range(5):
        assert not worker.step()
    assert len(claims) == 1

    other = SqliteStore(tmp_path / "metadata.sqlite")
    other.enqueue(SCOPE, "one", "q", {}, now())
    other.close()

    assert worker.step()
    assert len(claims) == 2
    worker._return_job()


def test_a_lease_extended_by_a_clock_set_back_ends_by_the_monotonic_clock(store: SqliteStore, tmp_path: Path) -> None:
    """A suspended worker still holds its lock; its lease seems to last for a day."""
    steady = [0.0]
    store.enqueue(SCOPE, "one", "q", {}, now())
    store.claim("q", "stopped", now(), now() + timedelta(days=1))
    worker = worker_of(
        store, Script("pass"), tmp_path / "workers", steady=lambda: steady[0], is_alive=lambda _name: True
    )
    assert not worker.step()

    for _ in range(35):
        steady[0] += 1.0
        if worker.step():
            break
    worker._return_job()

    assert steady[0] == 31.0
    assert job_of(store, "one").fence == 2


def test_a_temporarily_unavailable_store_costs_no_run(store: SqliteStore, tmp_path: Path) -> None:
    """Neither the child nor its outcome is lost."""
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, Script("import time; time.sleep(1)"), tmp_path / "workers")
    assert worker.step()
    refused: list[str] = []

    def unanswered(*_: Any) -> Any:
        refused.append("")
        raise Unavailable("The disk is full.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "heartbeat", unanswered)
        patch.setattr(store, "finish", unanswered)
        while len(refused) < 8:
            try:
                if not worker.step():
                    worker._wait()
            except Unavailable:
                time.sleep(0.05)
    assert worker.busy
    while worker.busy:
        if not worker.step():
            worker._wait()

    assert (job_of(store, "one").state, job_of(store, "one").attempts) == ("done", 1)

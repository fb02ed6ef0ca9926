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

import pytest

from shoal.jobs.child import ChildProcesses
from shoal.jobs.liveness import is_alive
from shoal.jobs.worker import MAX_ATTEMPTS, MAX_STARTS, Worker
from shoal.records.scope import Scope
from shoal.storage.base import Job
from shoal.storage.metadata import SqliteMetadata

SCOPE = Scope("org_a", "ns_a")


def now() -> datetime:
    return datetime.now(UTC)


class Script:
    """A handler whose child runs a piece of Python, with the job in JOB. It notes the failures it was told of."""

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
def store(tmp_path: Path) -> Iterator[SqliteMetadata]:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    yield store
    store.close()


def worker_of(store: SqliteMetadata, handler: Script, folder: Path, *, run_seconds: float = 0.0) -> Worker:
    return Worker(
        store,
        handler,
        ChildProcesses(handler.command, standby=False),
        name="this",
        queue="q",
        lease=timedelta(seconds=30),
        is_alive=lambda name: is_alive(folder, name),
        now=now,
        run_seconds=run_seconds,
    )


def job_of(store: SqliteMetadata, id: str) -> Job:
    job = store.get_job(SCOPE, id)
    assert job is not None
    return job


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_a_job_whose_child_ends_well_is_done_after_one_attempt(store: SqliteMetadata, tmp_path: Path) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())

    assert worker_of(store, Script("pass"), tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.state, job.attempts) == ("done", 1)


def test_progress_that_the_child_tells_reaches_the_store(store: SqliteMetadata, tmp_path: Path) -> None:
    code = 'import time; print(\'{"stage": "cluster", "fraction": 0.5}\', flush=True); time.sleep(1)'
    store.enqueue(SCOPE, "one", "q", {}, now())

    worker_of(store, Script(code), tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.stage, job.fraction) == ("cluster", 0.5)


def test_a_child_that_always_crashes_is_given_up_after_three_attempts(store: SqliteMetadata, tmp_path: Path) -> None:
    handler = Script("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    while worker.run_one():
        pass

    assert job_of(store, "one").attempts == MAX_ATTEMPTS
    assert handler.failures == ["The run was tried 3 times; the last time it was killed by SIGSEGV."]


def test_a_child_that_crashes_once_is_tried_again(store: SqliteMetadata, tmp_path: Path) -> None:
    handler = Script("import sys; sys.exit(1 if JOB['attempt'] == 1 else 0)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    while worker.run_one():
        pass

    job = job_of(store, "one")
    assert (job.state, job.attempts, handler.failures) == ("done", 2, [])


def test_cancelling_kills_the_child_even_where_it_does_not_listen(store: SqliteMetadata, tmp_path: Path) -> None:
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


def test_a_stopping_worker_hands_its_job_back_without_counting_the_attempt(
    store: SqliteMetadata, tmp_path: Path
) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, Script("import time; time.sleep(600)"), tmp_path / "workers")
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_for(lambda: job_of(store, "one").state == "running")

    worker.stop()
    thread.join(30)

    job = job_of(store, "one")
    assert (job.state, job.attempts) == ("queued", 0)


def test_the_job_of_a_worker_that_was_killed_is_taken_up_at_once(store: SqliteMetadata, tmp_path: Path) -> None:
    """The lease has minutes to go; the dead worker's lock tells."""
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


def test_a_run_outlives_any_number_of_killed_workers_that_is_less_than_the_bound(
    store: SqliteMetadata, tmp_path: Path
) -> None:
    """A server that is restarted, or killed with its workers, takes no attempt from a run."""
    handler = Script("pass")
    store.enqueue(SCOPE, "one", "q", {}, now())
    for _ in range(MAX_STARTS - 1):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")

    assert worker_of(store, handler, tmp_path / "workers").run_one()

    job = job_of(store, "one")
    assert (job.state, job.attempts, handler.failures) == ("done", 1, [])


def test_a_run_that_takes_its_worker_down_each_time_is_given_up_at_last(store: SqliteMetadata, tmp_path: Path) -> None:
    handler = Script("pass")
    store.enqueue(SCOPE, "one", "q", {}, now())
    for _ in range(MAX_STARTS):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")

    assert worker_of(store, handler, tmp_path / "workers").run_one()

    assert job_of(store, "one").state == "done"
    assert handler.failures == ["The run was started 25 times, and its server or worker ended each time."]


def test_crashes_of_the_child_count_also_where_workers_died_between_them(store: SqliteMetadata, tmp_path: Path) -> None:
    handler = Script("raise SystemExit(1)")
    store.enqueue(SCOPE, "one", "q", {}, now())
    worker = worker_of(store, handler, tmp_path / "workers")

    for _ in range(MAX_ATTEMPTS):
        store.claim("q", "dead", now(), now() + timedelta(minutes=10))
        store.release_worker("dead")
        assert worker.run_one()

    assert job_of(store, "one").state == "done"
    assert handler.failures == ["The run was tried 3 times; the last time it exited with code 1."]


def test_a_worker_that_lost_its_lease_cannot_finish_the_job(store: SqliteMetadata) -> None:
    store.enqueue(SCOPE, "one", "q", {}, now())
    first = store.claim("q", "slow", now(), now() - timedelta(seconds=1))
    second = store.claim("q", "quick", now(), now() + timedelta(seconds=30))
    assert first is not None and second is not None

    assert store.heartbeat("one", first.fence, now(), now() + timedelta(seconds=30), "cluster", 0.5) is None
    assert not store.finish("one", first.fence)
    assert store.finish("one", second.fence)

"""A worker: claims jobs one at a time and runs each in a child process of its own.

The child may crash, be killed or run out of memory; the worker lives on, extends the lease while the child works,
kills it when the job is cancelled or the lease was lost, and tells the handler how it ended. A job whose child crashed
goes back to the queue until it was tried `MAX_ATTEMPTS` times. An attempt that ended because its worker ended does not
count: nobody's run fails because a server was restarted. Only `MAX_STARTS` bounds those, for a run that takes its whole
machine down each time.

A worker holds a lock on a file named after it for as long as it lives; the operating system drops the lock with the
process, so other workers see at once that it is gone and need not wait for its lease to end.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import orjson

from shoal.storage.base import Job, MetadataStore

__all__ = ["MAX_ATTEMPTS", "MAX_STARTS", "Handler", "Heartbeat", "Worker", "is_alive"]

MAX_ATTEMPTS: Final = 3
MAX_STARTS: Final = 25
_IDLE_SECONDS: Final = 0.2
_BEAT_SECONDS: Final = 0.25
_GRACE_SECONDS: Final = 5.0
_log = logging.getLogger("shoal.worker")


class Handler(Protocol):
    """What a worker asks of the owner of a kind of job."""

    def command(self, job: Job) -> Sequence[str]:
        """The child's command line. The child exits with 0 once the job's outcome, good or bad, is recorded."""

    def gave_up(self, job: Job, cause: str) -> None:
        """The job was tried often enough: record the failure. `cause` is a sentence."""

    def stopped(self, job: Job) -> None:
        """The child was killed because the job was cancelled or removed: clear away what it left."""


@dataclass(slots=True)
class Heartbeat:
    """The child's last word on its progress: one JSON object `{"stage", "fraction"}` a line on its output."""

    stage: str = "start"
    fraction: float = 0.0

    def listen(self, lines: "subprocess.Popen[bytes]") -> None:
        """Read until the child closes its output."""
        if lines.stdout is None:
            return
        for line in lines.stdout:
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
                said = orjson.loads(line)
                self.stage, self.fraction = str(said["stage"]), float(said["fraction"])


class Worker:
    """Runs jobs of one queue until stopped. `now` is the clock, `folder` holds the lock files of all workers."""

    def __init__(
        self,
        store: MetadataStore,
        handler: Handler,
        *,
        queue: str,
        folder: Path,
        lease: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._handler, self._queue, self._now, self._lease = store, handler, queue, now, lease
        self._folder = folder
        self._stopping = threading.Event()
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"

    def stop(self) -> None:
        """Finish nothing more: the running job goes back to the queue."""
        self._stopping.set()

    def run(self) -> None:
        """Claim and run until `stop`."""
        with _alive(self._folder, self.name):
            while not self._stopping.is_set():
                if not self.run_one():
                    self._stopping.wait(_IDLE_SECONDS)

    def run_one(self) -> bool:
        """Whether there was a job."""
        self._release_the_dead()
        now = self._now()
        job = self._store.claim(self._queue, self.name, now, now + self._lease)
        if job is None:
            return False
        if job.attempts > MAX_ATTEMPTS:
            self._give_up(job, f"The run was tried {MAX_ATTEMPTS} times; the last time its worker stopped answering.")
        elif job.fence > MAX_STARTS:  # every claim has a fence of its own
            self._give_up(job, f"The run was started {MAX_STARTS} times, and its server or worker ended each time.")
        else:
            self._run(job)
        return True

    def _run(self, job: Job) -> None:
        _log.info("job.started", extra={"job_id": job.job_id, "attempt": job.attempts})
        child = subprocess.Popen(
            self._handler.command(job), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        beat = Heartbeat()
        listener = threading.Thread(target=beat.listen, args=(child,), daemon=True)
        listener.start()
        try:
            code = self._watch(child, job, beat)
        finally:
            _end(child)
            listener.join()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        self._settle(job, code)

    def _watch(self, child: "subprocess.Popen[bytes]", job: Job, beat: Heartbeat) -> int | None:
        """The child's exit code, or None where it was stopped: cancelled, lease lost, or this worker is stopping."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(_BEAT_SECONDS)
            now = self._now()
            held = self._store.heartbeat(job.job_id, job.fence, now, now + self._lease, beat.stage, beat.fraction)
            if held is None or held.cancel_requested:
                return None
            if self._stopping.is_set():
                self._store.requeue(job.job_id, job.fence, crashed=False)
                return None

    def _settle(self, job: Job, code: int | None) -> None:
        if code is None:
            current = self._store.get_job(job.scope, job.job_id)
            if current is None or current.cancel_requested:
                self._handler.stopped(job)
                self._store.finish(job.job_id, job.fence)
            return
        if code == 0:
            self._store.finish(job.job_id, job.fence)
        elif job.attempts >= MAX_ATTEMPTS:
            self._give_up(job, f"The run crashed {MAX_ATTEMPTS} times; the last time {_cause(code)}.")
        else:
            _log.warning("job.crashed", extra={"job_id": job.job_id, "attempt": job.attempts, "cause": _cause(code)})
            self._store.requeue(job.job_id, job.fence)

    def _give_up(self, job: Job, cause: str) -> None:
        _log.error("job.gave_up", extra={"job_id": job.job_id, "cause": cause})
        self._handler.gave_up(job, cause)
        self._store.finish(job.job_id, job.fence)

    def _release_the_dead(self) -> None:
        for worker in self._store.running_workers():
            if worker != self.name and not is_alive(self._folder, worker):
                self._store.release_worker(worker)


@contextlib.contextmanager
def _alive(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock file of this worker."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the worker of that name holds its lock. Its file is removed once it is known to be dead."""
    path = folder / f"{name}.lock"
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    path.unlink(missing_ok=True)
    return False


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of the child's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(_GRACE_SECONDS)


def _cause(code: int) -> str:
    """The exit of a child in words."""
    if code >= 0:
        return f"it exited with code {code}"
    name = signal.Signals(-code).name
    return f"it was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")

"""A worker: claims jobs one at a time and executes each in a child process.

The child may crash, be killed or run out of memory; the worker survives. It extends the lease while the child works,
kills the child when the job is cancelled, times out or loses its lease, and reports the outcome to the handler. A job
whose child crashed goes back to the queue until it was tried `MAX_ATTEMPTS` times. An attempt that ended because its
worker ended does not count: restarting a server fails no run. Only `MAX_STARTS` bounds those, for a run that takes its
whole machine down each time.

Only `run` and `run_one` wait: `step` checks the state once, and everything it depends on (store, children, clocks,
liveness of workers) is passed in. So tests drive it step by step with their own clock.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from shoal.errors import ShoalError, Unavailable
from shoal.jobs.child import Child, Executor
from shoal.jobs.limits import OUT_OF_MEMORY
from shoal.storage.protocols.queue import Job, JobQueue

__all__ = ["BEAT_SECONDS", "MAX_ATTEMPTS", "MAX_STARTS", "Handler", "Worker"]

MAX_ATTEMPTS: Final = 3
MAX_STARTS: Final = 25
BEAT_SECONDS: Final = 0.25
_IDLE_SECONDS: Final = 0.1
_SWEEP_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0
_log = logging.getLogger("shoal.worker")


class Handler(Protocol):
    """Callbacks for the owner of a kind of job. Each may be called again where the store did not respond."""

    def gave_up(self, job: Job, cause: str) -> None:
        """Record the failure of a job that reached the maximum number of attempts. `cause` is a sentence."""

    def out_of_memory(self, job: Job) -> None:
        """Record the failure of a job whose child reached its memory limit; it is not retried."""

    def out_of_time(self, job: Job) -> None:
        """Record the failure of a job whose child exceeded its time limit."""

    def stopped(self, job: Job) -> None:
        """Clean up after a job that was cancelled or removed; its child has ended."""


Outcome = int | Literal["stopped", "out of time"]
"""How a child ended: its exit code, or the reason for which it was killed."""


@dataclass(slots=True)
class _Running:
    """The running job. Times are those of the steady clock."""

    job: Job
    child: Child
    started: float
    last_beat: float
    beat_due: float
    outcome: Outcome | None = None


class Worker:
    """Runs jobs of one queue until stopped.

    Parameters
    ----------
    queue, queue_name
        The store of jobs, and the queue to claim from.
    handler
        Callbacks for jobs that do not complete.
    executor
        Starts the children.
    name
        The name of this worker, unique among all processes.
    lease
        How long a claim lasts without a heartbeat.
    is_alive
        Whether the worker with a name is alive.
    now
        The wall clock, in UTC, for stored times.
    steady
        A monotonic clock in seconds, for durations.
    run_seconds
        The time limit of an attempt, 0 for none; `seconds` in the payload of a job is a further limit.
    most_of_one
        Returns the maximum number of active jobs of one organisation, None for no limit.
    """

    def __init__(
        self,
        queue: JobQueue,
        handler: Handler,
        executor: Executor,
        *,
        name: str,
        queue_name: str,
        lease: timedelta,
        is_alive: Callable[[str], bool],
        now: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
        run_seconds: float = 0.0,
        most_of_one: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.name = name
        self._queue, self._handler, self._executor, self._queue_name = queue, handler, executor, queue_name
        self._lease, self._is_alive, self._now, self._steady = lease, is_alive, now, steady
        self._run_seconds, self._most_of_one = run_seconds, most_of_one
        self._stopping = threading.Event()
        self._current: _Running | None = None
        self._revision: int | None = None
        self._sweep_due = 0.0
        self._leases: dict[tuple[str, int], tuple[datetime | None, float]] = {}

    def stop(self) -> None:
        """Stop: the running job goes back to the queue. For signal handlers and other threads."""
        self._stopping.set()

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._current is not None

    def run(self) -> None:
        """Claim and run jobs until `stop`. Retries while the store does not respond; the child goes on meanwhile."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self.step():
                        self._wait()
                except Unavailable as error:
                    _log.warning("worker.store_unavailable", extra={"cause": error.message})
                    self._stopping.wait(_RETRY_SECONDS)
        finally:
            self._return_job()
            self._executor.close()

    def run_one(self) -> bool:
        """Claim a job and run it to its end. Returns whether there was one."""
        self._revision, self._sweep_due = None, 0.0
        if not self.step():
            return False
        while self._current is not None:
            if not self.step():
                self._wait()
        return True

    def step(self) -> bool:
        """Check the running job, or else the queue, once. Returns whether there was anything to do.

        Raises Unavailable where the store did not respond; the next step tries again.
        """
        return self._claim() if self._current is None else self._supervise(self._current)

    # ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _claim(self) -> bool:
        revision, steady = self._queue.wait_for_change(self._revision, 0.0), self._steady()
        is_due = steady >= self._sweep_due
        if revision == self._revision and not is_due:
            return False
        self._revision = None
        if is_due:
            self._sweep_due = steady + _SWEEP_SECONDS
            self._release_lost_jobs(steady)
        now = self._now()
        job = self._queue.claim(self._queue_name, self.name, now, now + self._lease, self._most_of_one())
        if job is None:
            self._revision = revision
            return False
        self._begin(job, steady)
        return True

    def _begin(self, job: Job, steady: float) -> None:
        if job.cancel_requested:
            self._end(job, "job.cancelled", lambda: self._handler.stopped(job))
        elif job.damaged:
            self._give_up(job, "What the queue holds of this run is damaged. Execute the cluster again.")
        elif job.attempts > MAX_ATTEMPTS:
            self._give_up(job, f"The run was tried {MAX_ATTEMPTS} times; the last time its worker stopped answering.")
        elif job.fence > MAX_STARTS:  # every claim has a new fencing token
            self._give_up(job, f"The run was started {MAX_STARTS} times, and its server or worker ended each time.")
        else:
            _log.info("job.started", extra={"job_id": job.job_id, "attempt": job.attempts})
            child = self._executor.start(job)
            self._current = _Running(job, child, steady, steady, steady + BEAT_SECONDS)

    def _release_lost_jobs(self, steady: float) -> None:
        """Release the jobs of dead workers, and of those without a heartbeat for a whole lease by this steady clock, in
        case the wall clock was set back and leases appear to last."""
        running = [job for job in self._queue.running_jobs(self._queue_name) if job.worker != self.name]
        for worker in sorted({str(job.worker) for job in running}):
            if not self._is_alive(worker):
                self._queue.release_worker(worker)
        earlier, self._leases = self._leases, {}
        for job in running:
            key = (job.job_id, job.fence)
            lease, since = earlier.get(key, (None, steady))
            self._leases[key] = (job.lease_until, since if lease == job.lease_until else steady)
            if steady - self._leases[key][1] > self._lease.total_seconds():
                self._queue.requeue(job.job_id, job.fence)

    # ── the running job ──────────────────────────────────────────────────────────────────────────────────────────────

    def _supervise(self, running: _Running) -> bool:
        steady = self._steady()
        if running.outcome is None:
            running.outcome = running.child.poll()
        if running.outcome is None and steady - running.started >= self._time_limit(running.job):
            running.outcome = "out of time"
        if running.outcome is None and steady >= running.beat_due:
            running.beat_due = steady + BEAT_SECONDS
            if not self._heartbeat(running, steady):
                running.outcome = "stopped"
        if running.outcome is None:
            return False
        running.child.kill()
        self._settle(running.job, running.outcome)
        self._current = None
        return True

    def _time_limit(self, job: Job) -> float:
        return min(filter(None, (job.payload.get("seconds"), self._run_seconds)), default=float("inf"))

    def _heartbeat(self, running: _Running, steady: float) -> bool:
        """Extend the lease. Returns whether the child may go on."""
        job, progress, now = running.job, running.child.progress, self._now()
        try:
            lease = self._queue.heartbeat(
                job.job_id, job.fence, now, now + self._lease, progress.stage, progress.fraction
            )
        except Unavailable:
            # No worker can take the job over while the store does not respond, nor for the rest of the lease.
            if steady - running.last_beat < self._lease.total_seconds():
                raise
            return False
        running.last_beat = steady
        return lease is not None and not lease.cancel_requested

    def _settle(self, job: Job, outcome: Outcome) -> None:
        """Record the outcome. Raises Unavailable; the next step tries again."""
        if outcome == "stopped":
            self._settle_stopped(job)
        elif outcome == "out of time":
            self._end(job, "job.out_of_time", lambda: self._handler.out_of_time(job))
        elif outcome == OUT_OF_MEMORY:
            self._end(job, "job.out_of_memory", lambda: self._handler.out_of_memory(job))
        elif outcome == 0:
            self._queue.finish(job.job_id, job.fence)
        elif job.attempts >= MAX_ATTEMPTS:
            self._give_up(job, f"The run was tried {MAX_ATTEMPTS} times; the last time {_cause(outcome)}.")
        else:
            _log.warning("job.crashed", extra={"job_id": job.job_id, "attempt": job.attempts, "cause": _cause(outcome)})
            self._queue.requeue(job.job_id, job.fence)

    def _settle_stopped(self, job: Job) -> None:
        """Clean up after a cancelled or removed job; one that another worker took over is left alone."""
        current = self._queue.get_job(job.scope, job.job_id)
        if current is None or current.cancel_requested:
            self._end(job, "job.stopped", lambda: self._handler.stopped(job))

    def _give_up(self, job: Job, cause: str) -> None:
        self._end(job, "job.gave_up", lambda: self._handler.gave_up(job, cause), cause=cause)

    def _end(self, job: Job, event: str, notify: Callable[[], None], **more: str) -> None:
        _log.warning(event, extra={"job_id": job.job_id, **more})
        try:
            notify()
        except Unavailable:
            raise
        except ShoalError as error:  # damaged data: a retry would not help, and other jobs must not wait
            _log.error("job.not_cleared", extra={"job_id": job.job_id, "cause": error.message})
        self._queue.finish(job.job_id, job.fence)

    def _return_job(self) -> None:
        running, self._current = self._current, None
        if running is None:
            return
        running.child.kill()
        try:
            self._queue.requeue(running.job.job_id, running.job.fence, crashed=False)
        except Unavailable:  # this process's lock is released in a moment, and another worker requeues the job
            _log.warning("job.not_handed_back", extra={"job_id": running.job.job_id})

    def _wait(self) -> None:
        running = self._current
        if running is None:
            self._executor.prepare()
            self._queue.wait_for_change(self._revision, _IDLE_SECONDS)
            return
        if (
            self._steady() - running.started > _SWEEP_SECONDS
        ):  # not at once, so that a short job need not share its cores
            self._executor.prepare()
        running.child.wait(max(running.beat_due - self._steady(), 0.001))


def _cause(outcome: Outcome) -> str:
    """Describe the exit of a child."""
    code = int(outcome)
    if code >= 0:
        return f"it exited with code {code} (see its log)"
    name = signal.Signals(-code).name
    return f"it was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")

"""A worker: claims jobs one at a time and has each carried out by a child of its own.

The child may crash, be killed or run out of memory; the worker lives on, extends the lease while the child works, kills
it when the job is cancelled, takes too long or the lease was lost, and tells the handler how it ended. A job whose
child crashed goes back to the queue until it was tried `MAX_ATTEMPTS` times. An attempt that ended because its worker
ended does not count: nobody's run fails because a server was restarted. Only `MAX_STARTS` bounds those, for a run that
takes its whole machine down each time.

Nothing here waits or looks at a clock by itself, except `run` and `run_one`: `step` is one look at the world, and the
world (store, children, clocks, who is alive) is passed in. So tests drive it step by step under a clock of their own.
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
_LOOK_SECONDS: Final = 1.0
_TROUBLE_SECONDS: Final = 1.0
_log = logging.getLogger("shoal.worker")


class Handler(Protocol):
    """What a worker asks of the owner of a kind of job. Each may be called again where the store did not answer."""

    def gave_up(self, job: Job, cause: str) -> None:
        """The job was tried often enough: record the failure. `cause` is a sentence."""

    def out_of_memory(self, job: Job) -> None:
        """The child met its memory limit, as it would the next time: record the failure."""

    def out_of_time(self, job: Job) -> None:
        """The child took longer than it may: record the failure."""

    def stopped(self, job: Job) -> None:
        """The job was cancelled or removed, and its child is gone: clear away what it left."""


Ending = int | Literal["stopped", "out of time"]
"""How a child ended: its exit code, or what it was killed for."""


@dataclass(slots=True)
class _Running:
    """The job under way. Times are of the steady clock."""

    job: Job
    child: Child
    began: float
    beaten: float
    beat_due: float
    ending: Ending | None = None


class Worker:
    """Runs jobs of one queue until stopped.

    `now` is the clock that is written down; `steady` only ever goes forward and measures spans, in seconds. `is_alive`
    tells whether the worker of a name lives. `run_seconds` bounds an attempt, 0 does not; a job that names `seconds`
    in its payload has a bound of its own as well. `most_of_one` says how many jobs of one organisation may be under way
    when one more is claimed, None for any number.
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
        self._seen: int | None = None
        self._look_due = 0.0
        self._silent: dict[tuple[str, int], tuple[datetime | None, float]] = {}

    def stop(self) -> None:
        """Finish nothing more: the running job goes back to the queue. For signal handlers and other threads."""
        self._stopping.set()

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._current is not None

    def run(self) -> None:
        """Claim and run until `stop`. A store that does not answer is asked again; the child works on meanwhile."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self.step():
                        self._wait()
                except Unavailable as error:
                    _log.warning("worker.store_unavailable", extra={"cause": error.message})
                    self._stopping.wait(_TROUBLE_SECONDS)
        finally:
            self._hand_back()
            self._executor.close()

    def run_one(self) -> bool:
        """Claim a job and see it through. Whether there was one."""
        self._seen, self._look_due = None, 0.0
        if not self.step():
            return False
        while self._current is not None:
            if not self.step():
                self._wait()
        return True

    def step(self) -> bool:
        """One look: at the job under way, or at the queue. Whether there was anything to do.

        Raises Unavailable where the store did not answer; the next step tries again.
        """
        return self._claim() if self._current is None else self._look_after(self._current)

    # ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _claim(self) -> bool:
        revision, steady = self._queue.wait_for_change(self._seen, 0.0), self._steady()
        look = steady >= self._look_due
        if revision == self._seen and not look:
            return False
        self._seen = None
        if look:
            self._look_due = steady + _LOOK_SECONDS
            self._release_the_lost(steady)
        now = self._now()
        job = self._queue.claim(self._queue_name, self.name, now, now + self._lease, self._most_of_one())
        if job is None:
            self._seen = revision
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
        elif job.fence > MAX_STARTS:  # every claim has a fence of its own
            self._give_up(job, f"The run was started {MAX_STARTS} times, and its server or worker ended each time.")
        else:
            _log.info("job.started", extra={"job_id": job.job_id, "attempt": job.attempts})
            child = self._executor.start(job)
            self._current = _Running(job, child, steady, steady, steady + BEAT_SECONDS)

    def _release_the_lost(self, steady: float) -> None:
        """Free the jobs of workers that are dead, and of those that were silent for a whole lease: the latter by our
        steady clock, in case the other was set back and leases seem to last."""
        running = [job for job in self._queue.running_jobs(self._queue_name) if job.worker != self.name]
        for worker in sorted({str(job.worker) for job in running}):
            if not self._is_alive(worker):
                self._queue.release_worker(worker)
        known, self._silent = self._silent, {}
        for job in running:
            key = (job.job_id, job.fence)
            lease, since = known.get(key, (None, steady))
            self._silent[key] = (job.lease_until, since if lease == job.lease_until else steady)
            if steady - self._silent[key][1] > self._lease.total_seconds():
                self._queue.requeue(job.job_id, job.fence)

    # ── the job under way ────────────────────────────────────────────────────────────────────────────────────────────

    def _look_after(self, running: _Running) -> bool:
        steady = self._steady()
        if running.ending is None:
            running.ending = running.child.poll()
        if running.ending is None and steady - running.began >= self._seconds_of(running.job):
            running.ending = "out of time"
        if running.ending is None and steady >= running.beat_due:
            running.beat_due = steady + BEAT_SECONDS
            if not self._beat(running, steady):
                running.ending = "stopped"
        if running.ending is None:
            return False
        running.child.kill()
        self._settle(running.job, running.ending)
        self._current = None
        return True

    def _seconds_of(self, job: Job) -> float:
        return min(filter(None, (job.payload.get("seconds"), self._run_seconds)), default=float("inf"))

    def _beat(self, running: _Running, steady: float) -> bool:
        """Whether the child may go on."""
        job, said, now = running.job, running.child.progress, self._now()
        try:
            held = self._queue.heartbeat(job.job_id, job.fence, now, now + self._lease, said.stage, said.fraction)
        except Unavailable:
            # Nobody can take the job over while the store does not answer, nor for the rest of the lease.
            if steady - running.beaten < self._lease.total_seconds():
                raise
            return False
        running.beaten = steady
        return held is not None and not held.cancel_requested

    def _settle(self, job: Job, ending: Ending) -> None:
        """Record how it ended. Raises Unavailable: the next step tries again."""
        if ending == "stopped":
            self._settle_stopped(job)
        elif ending == "out of time":
            self._end(job, "job.out_of_time", lambda: self._handler.out_of_time(job))
        elif ending == OUT_OF_MEMORY:
            self._end(job, "job.out_of_memory", lambda: self._handler.out_of_memory(job))
        elif ending == 0:
            self._queue.finish(job.job_id, job.fence)
        elif job.attempts >= MAX_ATTEMPTS:
            self._give_up(job, f"The run was tried {MAX_ATTEMPTS} times; the last time {_cause(ending)}.")
        else:
            _log.warning("job.crashed", extra={"job_id": job.job_id, "attempt": job.attempts, "cause": _cause(ending)})
            self._queue.requeue(job.job_id, job.fence)

    def _settle_stopped(self, job: Job) -> None:
        """Cancelled or removed, or else taken over: then it is somebody else's."""
        current = self._queue.get_job(job.scope, job.job_id)
        if current is None or current.cancel_requested:
            self._end(job, "job.stopped", lambda: self._handler.stopped(job))

    def _give_up(self, job: Job, cause: str) -> None:
        self._end(job, "job.gave_up", lambda: self._handler.gave_up(job, cause), cause=cause)

    def _end(self, job: Job, event: str, tell: Callable[[], None], **more: str) -> None:
        _log.warning(event, extra={"job_id": job.job_id, **more})
        try:
            tell()
        except Unavailable:
            raise
        except ShoalError as error:  # damage: trying again would not help, and the others must not wait for it
            _log.error("job.not_cleared", extra={"job_id": job.job_id, "cause": error.message})
        self._queue.finish(job.job_id, job.fence)

    def _hand_back(self) -> None:
        running, self._current = self._current, None
        if running is None:
            return
        running.child.kill()
        try:
            self._queue.requeue(running.job.job_id, running.job.fence, crashed=False)
        except Unavailable:  # our lock is free in a moment, and another worker returns it to the queue
            _log.warning("job.not_handed_back", extra={"job_id": running.job.job_id})

    def _wait(self) -> None:
        running = self._current
        if running is None:
            self._executor.prepare()
            self._queue.wait_for_change(self._seen, _IDLE_SECONDS)
            return
        if self._steady() - running.began > _LOOK_SECONDS:  # not at once: a short job is not made to share its cores
            self._executor.prepare()
        running.child.wait(max(running.beat_due - self._steady(), 0.001))


def _cause(ending: Ending) -> str:
    """The exit of a child in words."""
    code = int(ending)
    if code >= 0:
        return f"it exited with code {code} (its log tells why)"
    name = signal.Signals(-code).name
    return f"it was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")

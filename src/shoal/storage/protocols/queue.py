"""The job queue: atomic moves only; policy (leases, retries, limits) lives in `jobs/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["Job", "JobQueue", "JobReader", "JobWriter"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job in the queue. `fence` grows with each claim: a write with an older fencing token is refused."""

    job_id: str
    scope: Scope
    queue: str
    payload: Json
    state: Literal["queued", "running", "done"]
    fence: int
    attempts: int
    worker: str | None
    lease_until: datetime | None
    cancel_requested: bool
    stage: str
    fraction: float
    damaged: bool = False
    """Whether the payload could not be read; it is empty then."""


class JobReader(Protocol):
    """Reads of jobs, of the queue or inside a transaction."""

    def get_job(self, scope: Scope, job_id: str) -> Job | None:
        """Return a job; None if the scope has no such job."""

    def count_queued(self, scope: Scope, queue: str) -> int:
        """Count the waiting jobs of the organisation, in all its namespaces."""


class JobWriter(Protocol):
    """Changes of the queue that belong to a change of records, inside its transaction."""

    def enqueue(
        self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime, *, subject: str | None = None
    ) -> None:
        """Append a job to the queue of its organisation. Of the jobs of one `subject` at most one runs at a time.

        Raises AlreadyExists for a job id that was ever used, and Conflict while another job holds the subject: one that
        is open, and was neither cancelled nor has released it.
        """

    def release_subject(self, scope: Scope, job_id: str) -> None:
        """Allow another job of the same subject to be queued, now that the outcome is recorded.

        It runs once this one is done.
        """

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """Cancel a job: a queued one becomes done, a running one is asked to stop.

        Returns the job as it is afterwards, None if there is no such job.
        """

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """Remove a job; its worker stops at the next heartbeat. Returns whether it existed."""


class JobQueue(JobReader, Protocol):
    """The queue for workers. Each call is its own transaction, serialisable with all others."""

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        """Claim the next job; its fence and attempts grow by 1. Returns None if no job may be claimed.

        A job may be claimed when all of these hold:

        - it is of this queue and not done;
        - it is queued, or it is running and its lease ended at or before `now`;
        - no other job of its subject (in the same queue, organisation and namespace) is running, whatever its lease: a
          worker that missed its heartbeats may still be working;
        - its organisation has fewer than `most_of_one` jobs running with a lease that lasts beyond `now`.

        The next job is that of the organisation with the fewest such running jobs; then of the one that was served
        longest ago, those never served first; then of the smaller organisation id. Of its jobs it is the one stored
        first, whatever its time.

        The claim and these conditions are one transaction: two workers never get one job, nor two jobs of one subject.
        """

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """Extend the lease and record the progress.

        Returns None if the fence is stale or the job is done: the worker must stop at once.
        """

    def finish(self, job_id: str, fence: int) -> bool:
        """Mark a job as done. Returns False if the fence is stale."""

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """Return a running job to its old place in the queue; the attempt counts only if it crashed.

        Returns False if the fence is stale.
        """

    def release_worker(self, worker: str) -> int:
        """Requeue the running jobs of a worker that is known to be dead, without counting the attempt.

        Returns their number.
        """

    def running_jobs(self, queue: str) -> Sequence[Job]:
        """Return the jobs that are running, or were when their worker died."""

    def running_workers(self) -> Sequence[str]:
        """Return the distinct workers that hold a running job, sorted."""

    def waiting(self, queue: str) -> tuple[int, datetime | None]:
        """Count the waiting jobs of a queue, of all organisations, and return the time of the oldest."""

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """Wait until another caller changes the store, at most `seconds`, and return its current version.

        `version` is the answer of the previous call; with None, or with `seconds` 0, this returns at once. The version
        differs after every change by another caller; changes by this thread may count or not. A store may poll or use
        notifications.
        """

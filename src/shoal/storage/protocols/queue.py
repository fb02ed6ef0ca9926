"""The queue of jobs: atomic moves only; policy (leases, retries, who may claim) lives in `jobs/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["Job", "JobQueue", "JobReader", "JobWriter"]


@dataclass(frozen=True, slots=True)
class Job:
    """A place in the queue. `fence` grows with each claim: a write that carries an older fence is refused."""

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
        """None where the scope has no such job."""

    def queued(self, scope: Scope, queue: str) -> int:
        """How many jobs of the organisation wait, in all its namespaces."""


class JobWriter(Protocol):
    """Changes of the queue that belong to a change of records, inside its transaction."""

    def enqueue(
        self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime, *, subject: str | None = None
    ) -> None:
        """Put a job at the end of its organisation's queue. Of the jobs of one `subject` at most one runs at a time.
        Raises AlreadyExists for a job id that was ever used, Conflict while another job holds the subject: one that is
        open and was neither cancelled nor let go."""

    def let_go(self, scope: Scope, job_id: str) -> None:
        """The outcome is recorded: another job of the same subject may be queued. It runs once this one is done."""

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """A queued job becomes done; a running one is asked to stop. Returns the job afterwards, None if unknown."""

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """Forget a job; its worker stops at the next heartbeat. Whether there was something to remove."""


class JobQueue(JobReader, Protocol):
    """The queue as workers see it. Each call is a transaction of its own, serialisable with all others."""

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        """Take the job whose turn it is; its fence and attempts grow by 1. None where there is none to take.

        A job may be claimed when all of these hold:

        - it is of this queue and not done;
        - it is queued, or it is running and its lease ended at or before `now`;
        - no other job of its subject (in the same queue, organisation and namespace) is running, whatever its lease
          says: a worker that was silent for too long may still be at work;
        - its organisation has fewer than `most_of_one` jobs running with a lease that lasts beyond `now`.

        Of several, whose turn it is: the organisation with the fewest such running jobs; then the one that was served
        longest ago, those never served first; then the smaller organisation id. Of its jobs the one stored first,
        whatever the clock said.

        The claim and these conditions are one transaction: two workers never get one job, nor two jobs of one subject.
        """

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """Extend the lease and note the progress. None where the fence is stale or the job is done: stop at once."""

    def finish(self, job_id: str, fence: int) -> bool:
        """Move to done. False where the fence is stale."""

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """Hand a running job back to the queue, in its old place; the attempt does not count where nothing crashed.
        False where the fence is stale."""

    def release_worker(self, worker: str) -> int:
        """Return the running jobs of a worker known to be dead to the queue; the attempt does not count. Returns how
        many."""

    def running_jobs(self, queue: str) -> Sequence[Job]:
        """The jobs that are being carried out, or were when their worker died."""

    def running_workers(self) -> Sequence[str]:
        """The distinct workers that hold a running job, in order."""

    def waiting(self, queue: str) -> tuple[int, datetime | None]:
        """How many jobs of a queue wait, of all organisations, and since when the oldest does."""

    def wait_for_change(self, seen: int | None, seconds: float) -> int:
        """Wait until the store was changed by another caller since it answered `seen`, at most so many seconds, and
        return the number of its present state: another one after every such change. Changes by this thread itself may
        be counted or not. With `seen` None, or `seconds` 0, it returns at once. A store may poll or be told."""

"""The moves of the queue in memory. Each runs under the lock of the store, so that it never conflicts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from shoal.storage.memory.outbox import MemoryAccess
from shoal.storage.memory.state import Place
from shoal.storage.memory.transaction import MemoryTransaction
from shoal.storage.memory.view import View
from shoal.storage.protocols.queue import Job

__all__ = ["MemoryQueue"]


class MemoryQueue(MemoryAccess):
    """The JobQueue."""

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        """See JobQueue."""

        def claim(transaction: MemoryTransaction) -> Job | None:
            place = _next(transaction, queue, now, most_of_one)
            if place is None:
                return None
            job, turns = place.job, transaction.state.turns
            served = max((number for _, number in transaction.rows(turns, queue)), default=0)
            transaction.put(turns, (queue, job.scope.organization_id), served + 1)
            taken = replace(
                job,
                state="running",
                worker=worker,
                lease_until=lease_until,
                fence=job.fence + 1,
                attempts=job.attempts + 1,
            )
            return transaction.move(place, place._replace(job=taken))

        return self._change(claim)

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """See JobQueue."""

        def extend(place: Place) -> Place:
            job = replace(place.job, lease_until=lease_until, stage=stage, fraction=fraction)
            return place._replace(job=job)

        return self._move(job_id, fence, extend)

    def finish(self, job_id: str, fence: int) -> bool:
        """See JobQueue."""

        def done(place: Place) -> Place:
            return place._replace(job=replace(place.job, state="done", lease_until=None), holds=False)

        return self._move(job_id, fence, done) is not None

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """See JobQueue."""
        return self._move(job_id, fence, lambda place: _back(place, crashed=crashed)) is not None

    def release_worker(self, worker: str) -> int:
        """See JobQueue."""

        def release(transaction: MemoryTransaction) -> int:
            held = [
                place for place in transaction.places() if place.job.worker == worker and place.job.state == "running"
            ]
            for place in held:
                transaction.move(place, _back(place, crashed=False))
            return len(held)

        return self._change(release)

    def running_jobs(self, queue: str) -> Sequence[Job]:
        """See JobQueue."""
        jobs = [place.job for place in self._look(lambda view: list(view.places()))]
        return [job for job in jobs if job.state == "running" and job.queue == queue]

    def running_workers(self) -> Sequence[str]:
        """See JobQueue."""
        jobs = [place.job for place in self._look(lambda view: list(view.places()))]
        return sorted({job.worker for job in jobs if job.state == "running" and job.worker is not None})

    def waiting(self, queue: str) -> tuple[int, datetime | None]:
        """See JobQueue."""
        places = self._look(lambda view: list(view.places()))
        since = [place.created_at for place in places if place.job.state == "queued" and place.job.queue == queue]
        return len(since), min(since, default=None)

    def _move(self, job_id: str, fence: int, change: Callable[[Place], Place]) -> Job | None:
        """Change the place of a job that is running under a fence; None if it is not."""

        def move(transaction: MemoryTransaction) -> Job | None:
            place = transaction.row(transaction.state.jobs, job_id)
            if place is None or place.job.fence != fence or place.job.state != "running":
                return None
            return transaction.move(place, change(place))

        return self._change(move)


def _back(place: Place, *, crashed: bool) -> Place:
    attempts = place.job.attempts - (0 if crashed else 1)
    return place._replace(job=replace(place.job, state="queued", worker=None, lease_until=None, attempts=attempts))


def _next(view: View, queue: str, now: datetime, most: int | None) -> Place | None:
    """Return the next job that may be claimed, by the conditions of `JobQueue.claim`."""
    open_jobs = [place for place in view.places() if place.job.queue == queue and place.job.state != "done"]
    running = [place for place in open_jobs if place.job.state == "running"]
    busy: dict[str, int] = {}
    subjects: dict[tuple[object, str], set[str]] = {}
    for place in running:
        job = place.job
        if not _has_ended(job, now):
            busy[job.scope.organization_id] = busy.get(job.scope.organization_id, 0) + 1
        if place.subject is not None:
            subjects.setdefault((job.scope, place.subject), set()).add(job.job_id)
    first: dict[str, Place] = {}
    for place in open_jobs:
        job = place.job
        others = subjects.get((job.scope, place.subject or ""), set()) - {job.job_id}
        if (job.state == "queued" or _has_ended(job, now)) and not (place.subject is not None and others):
            first.setdefault(job.scope.organization_id, place)
    served = {key[1]: number for key, number in view.rows(view.state.turns, queue)}
    free = [organization for organization in first if most is None or busy.get(organization, 0) < most]
    chosen = min(
        free,
        key=lambda organization: (busy.get(organization, 0), served.get(organization, 0), organization),
        default=None,
    )
    return None if chosen is None else first[chosen]


def _has_ended(job: Job, now: datetime) -> bool:
    return job.lease_until is not None and job.lease_until <= now

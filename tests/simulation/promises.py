"""What must hold after every step, and at the end."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from shoal.jobs.worker import MAX_ATTEMPTS
from shoal.records.runs.execution import ACTIVE, MOVES
from shoal.records.scope import Scope
from shoal.storage.protocols.queue import Job
from simulation.actors import Client, Parts, SimulatedWorker
from simulation.world import JobSeen

__all__ = ["Promises"]

Json = dict[str, Any]
_TASK_OF = {"pending": "PENDING", "processing": "PROCESSING", "failed": "FAILED", "canceled": "CANCELED"}


class Promises:
    """Reads what is stored after each step, from outside, and compares."""

    def __init__(self, parts: Parts, clients: Sequence[Client], workers: Mapping[str, SimulatedWorker]) -> None:
        self._parts, self._clients, self._workers = parts, clients, workers
        self._versions: dict[tuple[str, str, str, str], int] = {}
        self._runs: dict[str, Json] = {}
        self._fences: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._claims = 0
        self._tried: dict[str, int] = {}

    # ── after each step ──────────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        if self._changed_records():
            self._check_active()
        self._check_jobs()

    def _changed_records(self) -> bool:
        """Whether any record of a run or a cluster changed; each that did is looked at."""
        versions = self._parts.store.versions()
        now = {key: version for key, version in versions.items() if key[0] in ("execution", "cluster")}
        changed = [key for key, version in now.items() if self._versions.get(key) != version]
        gone = [key for key in self._versions if key not in now]
        self._versions = now
        for key in gone:
            self._runs.pop(key[3], None)
        for kind, organization, namespace, id in changed:
            body = self._parts.store.body(kind, organization, namespace, id)
            if kind == "execution":
                self._check_run(Scope(organization, namespace), self._runs.get(id), body)
                self._runs[id] = body
        for kind, organization, namespace, id in changed:
            if kind == "cluster":
                self._check_visible(self._parts.store.body(kind, organization, namespace, id))
        return bool(changed or gone)

    def _check_run(self, scope: Scope, before: Json | None, run: Json) -> None:
        id, status = run["run_id"], run["status"]
        moves = [change["status"] for change in run["history"]]
        assert moves[0] == "pending" and moves[-1] == status, f"{id}: the history {moves} ends in {status}"
        for one, next_one in pairwise(moves):
            assert next_one in MOVES[one], f"{id}: {one} became {next_one}"
        if before is not None:
            assert run["history"][: len(before["history"])] == before["history"], f"{id}: its history was rewritten"
        if run["published"]:
            assert run["num_clusters"] == 1, f"{id}: published without results"
            assert status != "canceled", f"{id}: published and cancelled"
        if status == "completed":
            assert run["published"], f"{id}: completed without results"
        task = self._parts.store.body("task", scope.organization_id, "", run["task_id"])
        assert task["status"] == _TASK_OF.get(status, "COMPLETED"), f"{id}: {status}, its task {task['status']}"
        crashes = self._parts.crashes.get(id, 0)
        assert crashes <= MAX_ATTEMPTS, f"{id}: crashed {crashes} times and was begun again each time"
        assert run["attempts"] <= MAX_ATTEMPTS, f"{id}: begun {run['attempts']} times"

    def _check_visible(self, cluster: Json) -> None:
        """What a cluster shows is a run that was published, with the tables of the claim that published it."""
        shown = cluster["current_run_id"]
        if shown is None:
            return
        assert self._runs[shown]["published"], f"{shown} is visible and was not published"
        assert self._runs[shown]["cluster_id"] == cluster["cluster_id"], f"{shown} is shown by another cluster"
        self._check_tables(shown)

    def _check_tables(self, shown: str) -> None:
        written, published = self._parts.artifacts.written.get(shown), self._parts.published[shown]
        assert written == published, f"{shown} was published by claim {published}, its tables are of {written}"

    def _check_active(self) -> None:
        active: dict[str, str] = {}
        for id, run in self._runs.items():
            if run["status"] in ACTIVE:
                other = active.setdefault(run["cluster_id"], id)
                assert other == id, f"{id} and {other} of one cluster are active"
            if run["published"]:
                self._check_tables(id)

    def _check_jobs(self) -> None:
        subjects: dict[str, str] = {}
        now = self._parts.clock.now()
        for job in self._parts.store.jobs():
            assert job.fence >= self._fences.get(job.job_id, 0), f"{job.job_id}: the fence went back"
            self._fences[job.job_id] = job.fence
            if job.state == "running" and _lasts(job, now):
                other = subjects.setdefault(str(job.subject), job.job_id)
                assert other == job.job_id, f"{job.job_id} and {other} of one cluster run at once"

    # ── at each claim ────────────────────────────────────────────────────────────────────────────────────────────────

    def watching(self, claim: Callable[..., Job | None]) -> Callable[..., Job | None]:
        """The claim, checked against plain counting: whose turn was it?"""

        def watched(
            queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
        ) -> Job | None:
            with self._parts.store.uninterrupted():
                fair = self._fair(now)
                job = claim(queue, worker, now, lease_until, most_of_one)
                chosen = None if job is None else job.scope.organization_id
                assert chosen in fair if fair else chosen is None, f"it was the turn of {fair}, {chosen} was served"
                if job is not None:
                    self._check_claim(job)
            return job

        return watched

    def watching_release(self, release: Callable[[str], int]) -> Callable[[str], int]:
        """The release of a dead worker's jobs: those claims do not count."""

        def watched(worker: str) -> int:
            with self._parts.store.uninterrupted():
                for job in self._parts.store.jobs():
                    if job.worker == worker and job.state == "running":
                        self._tried[job.job_id] -= 1
                return release(worker)

        return watched

    def _fair(self, now: datetime) -> set[str]:
        jobs = [job for job in self._parts.store.jobs() if job.state != "done"]
        at_work = [job for job in jobs if job.state == "running"]
        held = [job for job in at_work if _lasts(job, now)]
        waiting = {
            job.organization_id
            for job in jobs
            if job not in held
            and not any(other.job_id != job.job_id and other.cluster == job.cluster for other in at_work)
        }
        running = {one: len([job for job in held if job.organization_id == one]) for one in waiting}
        fewest = [one for one in waiting if running[one] == min(running.values())]
        oldest = min((self._turns.get(one, 0) for one in fewest), default=0)
        return {one for one in fewest if self._turns.get(one, 0) == oldest}

    def _check_claim(self, job: Job) -> None:
        self._claims += 1
        self._tried[job.job_id] = self._tried.get(job.job_id, 0) + 1
        self._turns[job.scope.organization_id] = self._claims
        known = self._fences.get(job.job_id, 0)
        assert job.fence > known, f"{job.job_id} was claimed twice with fence {job.fence}"
        self._fences[job.job_id] = job.fence

    # ── at the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def under_way(self) -> list[JobSeen]:
        return [job for job in self._parts.store.jobs() if job.state != "done"]

    def all_over(self) -> bool:
        return not self.under_way() and not any(
            worker.worker.busy for worker in self._workers.values() if not worker.dead
        )

    def check_end(self) -> None:
        for id, run in self._runs.items():
            assert not MOVES[run["status"]], f"{id} is {run['status']} and nobody will end it"
            assert len([change for change in run["history"] if not MOVES[change["status"]]]) == 1
            self._check_why(id, run)
        for client in self._clients:
            left = {key[3] for key in self._parts.store.versions() if key[0] == "cluster"}
            for id, cluster in client.accepted.items():
                assert id in self._runs or cluster not in left, f"{id} was accepted and is lost"
            for id in client.cancelled & set(self._runs):
                assert self._runs[id]["status"] == "canceled", f"{id} was cancelled and is {self._runs[id]['status']}"
        living = [child for worker in self._workers.values() for child in worker.children if child.ready()]
        assert not living, f"children are left: {[child.job.job_id for child in living]}"

    def _check_why(self, id: str, run: Json) -> None:
        """A run fails for being tried often only if it was: workers that died do not count."""
        if run["status"] == "failed" and "tried" in str(run["error_message"]):
            tried = self._tried.get(id, 0)
            assert tried >= MAX_ATTEMPTS, f"{id} was given up after {tried} claims by workers that lived"


def _lasts(job: JobSeen, now: datetime) -> bool:
    """Whether the lease of a running job lasts."""
    return job.lease_until is not None and job.lease_until > now

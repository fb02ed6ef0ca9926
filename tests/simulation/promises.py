"""Promises that must hold after every step and at the end."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from shoal.jobs.worker import MAX_ATTEMPTS
from shoal.records.runs.execution import ACTIVE, MOVES
from shoal.records.scope import Scope
from shoal.storage.protocols.queue import Job
from simulation.actors import Client, SharedState, SimulatedWorker
from simulation.world import JobSnapshot

__all__ = ["Promises"]

Json = dict[str, Any]
_TASK_OF = {"pending": "PENDING", "processing": "PROCESSING", "failed": "FAILED", "canceled": "CANCELED"}


class Promises:
    """Checks the stored state after each step, from outside."""

    def __init__(self, shared: SharedState, clients: Sequence[Client], workers: Mapping[str, SimulatedWorker]) -> None:
        self._shared, self._clients, self._workers = shared, clients, workers
        self._versions: dict[tuple[str, str, str, str], int] = {}
        self._runs: dict[str, Json] = {}
        self._fences: dict[str, int] = {}
        self._last_served: dict[str, int] = {}
        self._claims = 0
        self._attempts: dict[str, int] = {}

    # ── after each step ──────────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        if self._check_changed_records():
            self._check_active()
        self._check_jobs()

    def _check_changed_records(self) -> bool:
        """Check each run or cluster record that changed. Returns whether any did."""
        versions = self._shared.store.versions()
        now = {key: version for key, version in versions.items() if key[0] in ("execution", "cluster")}
        changed = [key for key, version in now.items() if self._versions.get(key) != version]
        gone = [key for key in self._versions if key not in now]
        self._versions = now
        for key in gone:
            self._runs.pop(key[3], None)
        for kind, organization, namespace, id in changed:
            body = self._shared.store.body(kind, organization, namespace, id)
            if kind == "execution":
                self._check_run(Scope(organization, namespace), self._runs.get(id), body)
                self._runs[id] = body
        for kind, organization, namespace, id in changed:
            if kind == "cluster":
                self._check_visible(self._shared.store.body(kind, organization, namespace, id))
        return bool(changed or gone)

    def _check_run(self, scope: Scope, before: Json | None, run: Json) -> None:
        id, status = run["run_id"], run["status"]
        moves = [change["status"] for change in run["history"]]
        assert moves[0] == "pending" and moves[-1] == status, f"{id}: the history {moves} ends in {status}"
        for status_, next_status in pairwise(moves):
            assert next_status in MOVES[status_], f"{id}: {status_} became {next_status}"
        if before is not None:
            assert run["history"][: len(before["history"])] == before["history"], f"{id}: its history was rewritten"
        if run["published"]:
            assert run["num_clusters"] == 1, f"{id}: published without results"
            assert status != "canceled", f"{id}: published and cancelled"
        if status == "completed":
            assert run["published"], f"{id}: completed without results"
        task = self._shared.store.body("task", scope.organization_id, "", run["task_id"])
        assert task["status"] == _TASK_OF.get(status, "COMPLETED"), f"{id}: {status}, its task {task['status']}"
        crashes = self._shared.crashes.get(id, 0)
        assert crashes <= MAX_ATTEMPTS, f"{id}: crashed {crashes} times and was restarted each time"
        assert run["attempts"] <= MAX_ATTEMPTS, f"{id}: begun {run['attempts']} times"

    def _check_visible(self, cluster: Json) -> None:
        """The visible run of a cluster was published, and its tables are of the claim that published it."""
        visible = cluster["current_run_id"]
        if visible is None:
            return
        assert self._runs[visible]["published"], f"{visible} is visible and was not published"
        assert self._runs[visible]["cluster_id"] == cluster["cluster_id"], f"{visible} is shown by another cluster"
        self._check_tables(visible)

    def _check_tables(self, visible: str) -> None:
        written, published = self._shared.artifacts.written.get(visible), self._shared.published[visible]
        assert written == published, f"{visible} was published by claim {published}, its tables are of {written}"

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
        now = self._shared.clock.now()
        for job in self._shared.store.jobs():
            assert job.fence >= self._fences.get(job.job_id, 0), f"{job.job_id}: the fence went back"
            self._fences[job.job_id] = job.fence
            if job.state == "running" and _has_lease(job, now):
                other = subjects.setdefault(str(job.subject), job.job_id)
                assert other == job.job_id, f"{job.job_id} and {other} of one cluster run at once"

    # ── at each claim ────────────────────────────────────────────────────────────────────────────────────────────────

    def check_claims(self, claim: Callable[..., Job | None]) -> Callable[..., Job | None]:
        """Wrap `claim` with a check of fairness against plain counting."""

        def claim_and_check(
            queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
        ) -> Job | None:
            with self._shared.store.atomic_step():
                candidates = self._find_fair_choices(now)
                job = claim(queue, worker, now, lease_until, most_of_one)
                chosen = None if job is None else job.scope.organization_id
                assert chosen in candidates if candidates else chosen is None, (
                    f"fair choices were {candidates}, {chosen} was served"
                )
                if job is not None:
                    self._check_claim(job)
            return job

        return claim_and_check

    def uncount_released(self, release: Callable[[str], int]) -> Callable[[str], int]:
        """Wrap `release` so that claims of dead workers do not count as attempts."""

        def release_and_uncount(worker: str) -> int:
            with self._shared.store.atomic_step():
                for job in self._shared.store.jobs():
                    if job.worker == worker and job.state == "running":
                        self._attempts[job.job_id] -= 1
                return release(worker)

        return release_and_uncount

    def _find_fair_choices(self, now: datetime) -> set[str]:
        jobs = [job for job in self._shared.store.jobs() if job.state != "done"]
        running_jobs = [job for job in jobs if job.state == "running"]
        leased = [job for job in running_jobs if _has_lease(job, now)]
        waiting = {
            job.organization_id
            for job in jobs
            if job not in leased
            and not any(other.job_id != job.job_id and other.cluster == job.cluster for other in running_jobs)
        }
        running = {name: len([job for job in leased if job.organization_id == name]) for name in waiting}
        fewest = [name for name in waiting if running[name] == min(running.values())]
        oldest = min((self._last_served.get(name, 0) for name in fewest), default=0)
        return {name for name in fewest if self._last_served.get(name, 0) == oldest}

    def _check_claim(self, job: Job) -> None:
        self._claims += 1
        self._attempts[job.job_id] = self._attempts.get(job.job_id, 0) + 1
        self._last_served[job.scope.organization_id] = self._claims
        last_fence = self._fences.get(job.job_id, 0)
        assert job.fence > last_fence, f"{job.job_id} was claimed twice with fence {job.fence}"
        self._fences[job.job_id] = job.fence

    # ── at the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def list_active_jobs(self) -> list[JobSnapshot]:
        return [job for job in self._shared.store.jobs() if job.state != "done"]

    def is_finished(self) -> bool:
        return not self.list_active_jobs() and not any(
            worker.worker.busy for worker in self._workers.values() if not worker.dead
        )

    def check_end(self) -> None:
        for id, run in self._runs.items():
            assert not MOVES[run["status"]], f"{id} is {run['status']} and will never end"
            assert len([change for change in run["history"] if not MOVES[change["status"]]]) == 1
            self._check_failure_cause(id, run)
        for client in self._clients:
            left = {key[3] for key in self._shared.store.versions() if key[0] == "cluster"}
            for id, cluster in client.accepted.items():
                assert id in self._runs or cluster not in left, f"{id} was accepted and is lost"
            for id in client.cancelled & set(self._runs):
                assert self._runs[id]["status"] == "canceled", f"{id} was cancelled and is {self._runs[id]['status']}"
        living = [child for worker in self._workers.values() for child in worker.children if child.ready()]
        assert not living, f"children are left: {[child.job.job_id for child in living]}"

    def _check_failure_cause(self, id: str, run: Json) -> None:
        """A run fails for too many attempts only after that many: claims of workers that died do not count."""
        if run["status"] == "failed" and "tried" in str(run["error_message"]):
            attempts = self._attempts.get(id, 0)
            assert attempts >= MAX_ATTEMPTS, f"{id} was given up after {attempts} claims by surviving workers"


def _has_lease(job: JobSnapshot, now: datetime) -> bool:
    """Return whether the lease of a running job is still valid."""
    return job.lease_until is not None and job.lease_until > now

"""The moves of a run. Execution, task, cluster and job change together, in one transaction, or not at all."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shoal.errors import Cancelled, Conflict
from shoal.records.cluster import Cluster
from shoal.records.execution import MOVES, STATUS_ON_TASK, Execution, RunStatus
from shoal.records.ids import new_id, new_task_id
from shoal.records.scope import Scope
from shoal.records.task import Status, Task
from shoal.services.audit import note
from shoal.services.repository import Repository
from shoal.storage.base import Job, MetadataStore

__all__ = ["QUEUE", "RunStates"]

QUEUE = "executions"
Edits = Mapping[str, Any]
_NONE: Edits = {}


class RunStates:
    """Every change of a run's state goes through here."""

    def __init__(self, store: MetadataStore, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self.clusters = Repository(store, "cluster", Cluster, id_field="cluster_id", name_field="cluster_name")
        self.executions = Repository(store, "execution", Execution, id_field="run_id")
        self.tasks = Repository(store, "task", Task, id_field="task_id")

    def create(self, scope: Scope, cluster: Cluster, request: dict[str, Any], partition: str | None) -> Task:
        """A pending run with its task, in the queue. Call within the transaction that checked that none is active."""
        now, run_id, task_id = self._now(), new_id("run"), new_task_id()
        run = Execution(
            run_id=run_id,
            cluster_id=cluster.cluster_id,
            namespace_id=scope.namespace_id,
            task_id=task_id,
            mode=request.get("mode", "full"),
            created_at=now,
            request=request,
            algorithm=cluster.algorithm,
            algorithm_params=cluster.algorithm_params,
            partition=partition,
        )
        about = {"run_id": run_id, "cluster_id": cluster.cluster_id, "namespace_id": scope.namespace_id}
        task = Task(
            task_id=task_id,
            task_type="engine_cluster_build",
            inputs=[cluster.cluster_id],
            additional_data=about,
            created_at=now,
            updated_at=now,
        )
        with self._store.transaction():
            self.executions.add(scope, run)
            self.tasks.add(scope.organization, task)
            self._on_cluster(
                scope, cluster.cluster_id, status="PENDING", last_execution_task_id=task_id, last_executed_at=now
            )
            # The outputs stand in the job as well: whoever cleans up may find the cluster gone.
            outputs = [] if cluster.enrich_source else cluster.output_collection_ids
            self._store.enqueue(scope, run_id, QUEUE, about | {"outputs": outputs}, now)
            note(scope, "cluster.execute", cluster.cluster_id, run_id=run_id, mode=run.mode)
        return task

    def processing(self, job: Job) -> Execution:
        """A worker took the run up. Raises Cancelled where it is over already."""
        with self._store.transaction():
            self.check(job)
            run = self._move(job.scope, job.job_id, "processing", started_at=self._now())
            self._on_cluster(job.scope, run.cluster_id, status="PROCESSING")
        return run

    def publish(self, job: Job, run_edits: Edits, cluster_edits: Edits, generations: Callable[[], None]) -> None:
        """The one flip: results, cluster summary and output generations become visible together.

        Raises Cancelled where the run was cancelled or another worker holds it.
        """
        with self._store.transaction():
            self.check(job)
            generations()
            run = self.executions.change(
                job.scope, job.job_id, lambda run: run.model_copy(update={**run_edits, "published": True})
            )
            self._on_cluster(
                job.scope, run.cluster_id, current_run_id=run.run_id, last_run_id=run.run_id, **cluster_edits
            )

    def complete(self, job: Job, *, enriched: int | None, imperfect: bool) -> None:
        """Everything is written: the run is over."""
        status: Status = "COMPLETED_WITH_ERRORS" if imperfect else "COMPLETED"
        with self._store.transaction():
            self.check(job)
            run = self.executions.get(job.scope, job.job_id)
            seconds = _seconds(run.started_at, self._now())
            self._move(
                job.scope,
                job.job_id,
                "completed",
                completed_at=self._now(),
                execution_time_seconds=seconds,
                enriched_documents=enriched,
            )
            self._on_task(job.scope, run, status, warnings=run.warnings, num_clusters=run.num_clusters)
            self._on_cluster(
                job.scope,
                run.cluster_id,
                status=status,
                completed_at=self._now(),
                execution_time_seconds=seconds,
                error=None,
                failure_category=None,
            )

    def fail(self, scope: Scope, run_id: str, message: str, category: str) -> None:
        """Record the failure; results of earlier runs stay visible. Nothing happens to a run that is over or gone."""
        with self._store.transaction():
            run = self.executions.find_one(scope, run_id)
            if run is None or not MOVES[run.status]:
                return
            self._move(scope, run_id, "failed", error_message=message, completed_at=self._now())
            self._on_task(scope, run, "FAILED", message=message)
            self._on_cluster(scope, run.cluster_id, status="FAILED", error=message, failure_category=category)

    def cancel(self, scope: Scope, run_id: str) -> Execution:
        """Stop a run. Its worker kills the child at the next heartbeat; nothing it does afterwards can be published.

        Raises NotFound, Conflict where the run is over.
        """
        with self._store.transaction():
            run = self.executions.get(scope, run_id)
            if not MOVES[run.status]:
                raise Conflict(f"Run {run_id} is {run.status} already.", run_id=run_id, status=run.status)
            self._store.request_cancel(scope, run_id)
            cancelled = self._move(scope, run_id, "canceled", completed_at=self._now())
            self._on_task(scope, run, "CANCELED")
            self._on_cluster(scope, run.cluster_id, status="CANCELED")
            note(scope, "run.cancel", run_id, cluster_id=run.cluster_id)
        return cancelled

    def forget(self, scope: Scope, run: Execution) -> None:
        """Remove a run with its task and its job; where it is under way, its worker stops at the next heartbeat."""
        self._store.remove_job(scope, run.run_id)
        self.tasks.remove(scope.organization, run.task_id)
        self.executions.remove(scope, run.run_id)

    def check(self, job: Job) -> None:
        """Raises Cancelled where this claim of the job is no longer the one that counts."""
        held = self._store.get_job(job.scope, job.job_id)
        if held is None or held.cancel_requested or held.state != "running" or held.fence != job.fence:
            raise Cancelled(f"Run {job.job_id} was cancelled or taken over.")

    def _move(self, scope: Scope, run_id: str, to: RunStatus, **edits: object) -> Execution:
        def moved(run: Execution) -> Execution:
            if to not in MOVES[run.status]:
                raise Conflict(f"Run {run_id} is {run.status} and cannot become {to}.", run_id=run_id)
            return run.model_copy(update={**edits, "status": to})

        run = self.executions.change(scope, run_id, moved)
        if to == "processing":
            self._on_task(scope, run, STATUS_ON_TASK[to])
        return run

    def _on_task(
        self, scope: Scope, run: Execution, status: Status, message: str | None = None, **more: object
    ) -> None:
        def edited(task: Task) -> Task:
            data = {**task.additional_data, **more, **({"error": message} if message else {})}
            return task.model_copy(
                update={
                    "status": status,
                    "error": message,
                    "error_message": message,
                    "additional_data": data,
                    "updated_at": self._now(),
                }
            )

        self.tasks.change(scope.organization, run.task_id, edited)

    def _on_cluster(self, scope: Scope, cluster_id: str, **edits: object) -> None:
        self.clusters.change(
            scope, cluster_id, lambda cluster: cluster.model_copy(update={**edits, "updated_at": self._now()})
        )


def _seconds(start: datetime | None, end: datetime) -> float | None:
    return None if start is None else round((end - start).total_seconds(), 3)

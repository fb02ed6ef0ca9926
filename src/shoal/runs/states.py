"""State transitions of a run: execution, task, cluster and job change together, in one transaction.

Writes of a worker carry its claim (`Job`), whose fencing token is checked inside the same transaction: a worker that
lost its lease, or whose run was cancelled, cannot write any more.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal, Protocol

from shoal.errors import Cancelled, Conflict, QueueFull
from shoal.jobs.worker import MAX_ATTEMPTS
from shoal.records.clusters.cluster import Cluster
from shoal.records.ids import new_id, new_task_id
from shoal.records.runs.execution import ACTIVE, MOVES, STATUS_ON_TASK, Execution, RunStatus, StatusChange
from shoal.records.runs.plan import RunPlan
from shoal.records.scope import Scope
from shoal.records.task import Status, Task
from shoal.repositories.audit import note
from shoal.repositories.repository import Repository
from shoal.runs.grouping.groups import with_link_labels
from shoal.runs.results import ClusterResult, RunResult
from shoal.storage.protocols.queue import Job, JobQueue, JobReader
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["QUEUE", "RunStates"]

QUEUE = "executions"
_log = logging.getLogger("shoal.run")
_QUEUE_FULL_RETRY_SECONDS = 10


class RunStore(RecordStore, JobQueue, Protocol):
    """The store of runs: their records and their jobs, in one transaction."""


class RunStates:
    """All state transitions of runs."""

    def __init__(self, store: RunStore, now: Callable[[], datetime], *, max_queued: int = 0) -> None:
        self._store, self._now, self._max_queued = store, now, max_queued
        self.clusters = Repository(store, "cluster", Cluster, id_field="cluster_id", name_field="cluster_name")
        self.executions = Repository(store, "execution", Execution, id_field="run_id")
        self.tasks = Repository(store, "task", Task, id_field="task_id")

    def creation(
        self,
        scope: Scope,
        cluster: Cluster,
        request: dict[str, Any],
        partition: str | None,
        plan: RunPlan | None = None,
        warnings: Sequence[str] = (),
    ) -> Callable[[Transaction], Task]:
        """Return the body of the transaction that creates a pending run with its task and queues it.

        Both carry the warnings. The body raises Conflict while another run of the cluster is active, and QueueFull if
        too many runs of the organisation are waiting.
        """
        now, run_id, task_id, cluster_id = self._now(), new_id("run"), new_task_id(), cluster.cluster_id
        run = Execution(
            run_id=run_id,
            cluster_id=cluster_id,
            sequence=1,
            namespace_id=scope.namespace_id,
            task_id=task_id,
            mode=request.get("mode", "full"),
            created_at=now,
            request=request,
            partition=partition,
            warnings=list(warnings),
            history=[StatusChange(status="pending", at=now)],
        )
        about = {"run_id": run_id, "cluster_id": cluster_id, "namespace_id": scope.namespace_id}
        task = Task(
            task_id=task_id,
            task_type="engine_cluster_build",
            inputs=[cluster_id],
            additional_data=about | ({"warnings": list(warnings)} if warnings else {}),
            created_at=now,
            updated_at=now,
        )

        def create(tx: Transaction) -> Task:
            self._check_queue(tx, scope)
            current = self.clusters.within(tx).get(scope, cluster_id)  # it may have been changed since
            sequence = current.runs_started + 1
            self.executions.within(tx).add(scope, run.with_changes(sequence=sequence, **_method(current)))
            self.tasks.within(tx).add(scope.organization, task)
            self._on_cluster(
                tx,
                scope,
                cluster_id,
                status="PENDING",
                last_execution_task_id=task_id,
                last_run_id=run_id,
                last_executed_at=now,
                runs_started=sequence,
            )
            # The job lists the outputs too: the cluster may be gone when it is cleaned up.
            outputs = [] if current.enrich_source else current.output_collection_ids
            payload = about | {"outputs": outputs} | _time_of(plan)
            tx.enqueue(scope, run_id, QUEUE, payload, now, subject=cluster_id)
            note(tx, scope, "cluster.execute", cluster_id, run_id=run_id, mode=run.mode)
            self._append_event(tx, scope, run, "created")
            return task

        return create

    def processing(self, job: Job) -> tuple[Execution, Cluster]:
        """Record that a worker has started the run, and the method of the cluster at this moment, with which it is
        computed. Returns both. Raises Cancelled if the run is over."""

        def start(tx: Transaction) -> tuple[Execution, Cluster]:
            self.check(tx, job)
            run = self.executions.within(tx).find_one(job.scope, job.job_id)
            if run is None or not MOVES[run.status]:
                raise Cancelled(f"Run {job.job_id} is over.")
            start_fields = {"started_at": self._now(), "attempts": job.attempts, "worker": job.worker}
            cluster = self._on_cluster(tx, job.scope, run.cluster_id, status="PROCESSING")
            method = {} if run.published else _method(cluster)
            return self._move(tx, job.scope, job.job_id, "processing", job, **start_fields, **method), cluster

        return self._store.transact(start)

    def publish(
        self,
        job: Job,
        run_result: RunResult,
        cluster_result: ClusterResult,
        generations: Callable[[Transaction, Execution], None],
        *,
        labels_from: str | None = None,
        carry_labels: Callable[[Mapping[str, str]], dict[str, str]] = lambda _: {},
    ) -> None:
        """The one flip: results, cluster summary and output generations become visible together.

        The run takes over the labels that people gave to clusters of the run `labels_from`, as they are at this moment,
        of which it has those that are `carry_labels`; `generations` is called in the transaction with the run, and the
        relationships of its clusters get its labels.

        Raises Cancelled where the run was cancelled or another worker holds it.
        """

        def flip(tx: Transaction) -> None:
            self.check(tx, job)
            labels = self._labels(tx, job.scope, labels_from, carry_labels)
            edits = {**_fields(run_result), "label_overrides": labels, "published": True}
            executions = self.executions.within(tx)
            run = executions.change(job.scope, job.job_id, lambda run: run.with_changes(**edits))
            generations(tx, run)
            summary = {**_fields(cluster_result), "current_run_id": run.run_id}
            links = cluster_result.hierarchy_relationships
            if links:
                summary["hierarchy_relationships"] = with_link_labels(links, run.labels)
            self._on_cluster(tx, job.scope, run.cluster_id, **summary)
            self._append_event(tx, job.scope, run, "published")

        self._store.transact(flip)

    def _labels(
        self,
        tx: Transaction,
        scope: Scope,
        run_id: str | None,
        carry_labels: Callable[[Mapping[str, str]], dict[str, str]],
    ) -> dict[str, str]:
        """The labels that people gave in a run, of those clusters that the results have too."""
        run = None if run_id is None else self.executions.within(tx).find_one(scope, run_id)
        return {} if run is None else carry_labels(run.label_overrides)

    def complete(self, job: Job, *, enriched: int | None) -> None:
        """Complete a run whose results are all written."""

        def complete(tx: Transaction) -> float | None:
            self.check(tx, job)
            run = self.executions.within(tx).get(job.scope, job.job_id)
            seconds = _seconds(run.started_at, self._now())
            self._move(
                tx,
                job.scope,
                job.job_id,
                "completed",
                job,
                completed_at=self._now(),
                execution_time_seconds=seconds,
                enriched_documents=enriched,
            )
            tx.release_subject(job.scope, job.job_id)
            status: Status = "COMPLETED_WITH_ERRORS" if run.llm_labeling_errors else "COMPLETED"
            facts = {"warnings": run.warnings, "num_clusters": run.num_clusters}
            errors = {"llm_labeling_errors": run.llm_labeling_errors} if run.llm_labeling_errors else {}
            self._on_task(tx, job.scope, run, status, None, **facts, **errors)
            self._on_cluster(
                tx,
                job.scope,
                run.cluster_id,
                status=status,
                completed_at=self._now(),
                execution_time_seconds=seconds,
                error=None,
                failure_category=None,
            )
            return seconds

        seconds = self._store.transact(complete)
        _log.info("run.completed", extra={"run_id": job.job_id, "seconds": round(seconds or 0.0, 2)})

    def fail(self, job: Job, message: str, category: str) -> None:
        """Record the failure; results of earlier runs stay visible.

        Does nothing if the run is over or gone, was cancelled, or is held by another worker.
        """

        def fail(tx: Transaction) -> bool:
            run = self.executions.within(tx).find_one(job.scope, job.job_id)
            if run is None or not MOVES[run.status] or not self._holds(tx, job):
                return False
            over = {"error_message": message, "completed_at": self._now(), "attempts": min(job.attempts, MAX_ATTEMPTS)}
            self._move(tx, job.scope, job.job_id, "failed", job, **over)
            tx.release_subject(job.scope, job.job_id)
            self._on_task(tx, job.scope, run, "FAILED", message=message)
            self._on_cluster(tx, job.scope, run.cluster_id, status="FAILED", error=message, failure_category=category)
            return True

        if self._store.transact(fail):
            _log.warning("run.failed", extra={"run_id": job.job_id, "category": category})

    def cancel(self, scope: Scope, run_id: str) -> Execution:
        """Cancel a run. Its worker kills the child process at the next heartbeat; nothing can be published afterwards.

        Raises NotFound, and Conflict if the run is over or its results are already visible.
        """
        return self._store.transact(lambda tx: self.cancel_within(tx, scope, run_id))

    def cancel_within(self, tx: Transaction, scope: Scope, run_id: str) -> Execution:
        """Cancel a run inside a transaction. See `cancel`."""
        run = self.executions.within(tx).get(scope, run_id)
        if not MOVES[run.status]:
            raise Conflict(f"Run {run_id} is already {run.status}.", run_id=run_id, status=run.status)
        if run.published:
            raise Conflict(
                f"The results of run {run_id} are already visible, and it is about to complete. Wait for it.",
                run_id=run_id,
                status=run.status,
            )
        tx.request_cancel(scope, run_id)
        cancelled = self._move(tx, scope, run_id, "canceled", completed_at=self._now())
        self._on_task(tx, scope, run, "CANCELED")
        self._on_cluster(tx, scope, run.cluster_id, status="CANCELED")
        note(tx, scope, "run.cancel", run_id, cluster_id=run.cluster_id)
        tx.on_commit(lambda: _log.info("run.canceled", extra={"run_id": run_id}))
        return cancelled

    def forget(self, tx: Transaction, scope: Scope, run: Execution) -> None:
        """Remove a run with its task and its job.

        The worker of an active run stops at the next heartbeat, and its task stays, cancelled, for clients that poll
        it.
        """
        tx.remove_job(scope, run.run_id)
        tasks = self.tasks.within(tx)
        if run.status in ACTIVE and tasks.find_one(scope.organization, run.task_id) is not None:
            self._on_task(tx, scope, run, "CANCELED", "The cluster was deleted.")
        else:
            tasks.remove(scope.organization, run.task_id)
        self.executions.within(tx).remove(scope, run.run_id)

    def note_figures(self, job: Job, seconds: Mapping[str, float]) -> None:
        """Count figures of a run for operators: seconds by stage and algorithm, and whether it resumed another
        attempt."""
        run = self.executions.find_one(job.scope, job.job_id)

        def count(tx: Transaction) -> None:
            if job.fence > 1:
                tx.count("recoveries")
            for stage, spent in seconds.items():
                tx.count("stage", stage, run.algorithm or "none" if run else "none", amount=spent)

        self._store.transact(count)

    def waiting(self) -> tuple[int, float]:
        """Return the number of waiting runs, and how long the oldest has been waiting, in seconds."""
        count, oldest = self._store.waiting(QUEUE)
        return count, 0.0 if oldest is None else max(0.0, (self._now() - oldest).total_seconds())

    def check(self, jobs: JobReader, job: Job) -> None:
        """Raise Cancelled if this claim of the job is no longer valid.

        `jobs` is the transaction whose writes depend on it, or the store, for an answer that may be outdated at once.
        """
        if not self._holds(jobs, job):
            raise Cancelled(f"Run {job.job_id} was cancelled or taken over by another worker.")

    def check_now(self, job: Job) -> None:
        """Raise Cancelled if this claim of the job is no longer valid; it may become invalid a moment later."""
        self.check(self._store, job)

    def _holds(self, jobs: JobReader, job: Job) -> bool:
        held = jobs.get_job(job.scope, job.job_id)
        if held is None or held.cancel_requested:
            return False
        return held.state == "running" and held.fence == job.fence

    def _check_queue(self, jobs: JobReader, scope: Scope) -> None:
        if not self._max_queued:
            return
        waiting = jobs.count_queued(scope, QUEUE)
        if waiting >= self._max_queued:
            raise QueueFull(
                f"{waiting:,} runs of this organisation are waiting, which is the limit. Wait until some are done, or "
                "cancel some. The operator of the server can raise SHOAL_MAX_QUEUED_RUNS.",
                queued=waiting,
                limit=self._max_queued,
                retry_after_seconds=_QUEUE_FULL_RETRY_SECONDS,
            )

    def _move(
        self, tx: Transaction, scope: Scope, run_id: str, to: RunStatus, claim: Job | None = None, **edits: object
    ) -> Execution:
        def move(run: Execution) -> Execution:
            if to not in MOVES[run.status]:
                raise Conflict(f"Run {run_id} is {run.status} and cannot become {to}.", run_id=run_id)
            change = StatusChange(status=to, at=self._now())
            if claim is not None:
                change = change.with_changes(attempt=claim.attempts, worker=claim.worker)
            return run.with_changes(**edits, status=to, history=[*run.history, change])

        run = self.executions.within(tx).change(scope, run_id, move)
        self._append_event(tx, scope, run, to)
        if not MOVES[to]:
            tx.count("runs", to)
        if to == "processing":
            self._on_task(tx, scope, run, STATUS_ON_TASK[to])
        return run

    def _append_event(
        self, tx: Transaction, scope: Scope, run: Execution, what: RunStatus | Literal["created", "published"]
    ) -> None:
        data = {"cluster_id": run.cluster_id, "task_id": run.task_id, "mode": run.mode, "attempt": run.attempts}
        tx.append_event(scope, f"run.{what}", run.run_id, data, self._now())

    def _on_task(
        self,
        tx: Transaction,
        scope: Scope,
        run: Execution,
        status: Status,
        message: str | None = None,
        **more: object,
    ) -> None:
        def edit(task: Task) -> Task:
            data = {**task.additional_data, **more, **({"error": message} if message else {})}
            return task.with_changes(
                status=status, error=message, error_message=message, additional_data=data, updated_at=self._now()
            )

        self.tasks.within(tx).change(scope.organization, run.task_id, edit)

    def _on_cluster(self, tx: Transaction, scope: Scope, cluster_id: str, **edits: object) -> Cluster:
        return self.clusters.within(tx).change(
            scope, cluster_id, lambda cluster: cluster.with_changes(**edits, updated_at=self._now())
        )


def _method(cluster: Cluster) -> dict[str, Any]:
    return {"algorithm": cluster.algorithm, "algorithm_params": cluster.algorithm_params}


def _fields(result: RunResult | ClusterResult) -> dict[str, Any]:
    """Return the fields with lists and dicts, as records need them."""
    return {field.name: _to_plain(getattr(result, field.name)) for field in fields(result)}


def _to_plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _seconds(start: datetime | None, end: datetime) -> float | None:
    # The clock may have been set back meanwhile.
    return None if start is None else max(0.0, round((end - start).total_seconds(), 3))


def _time_of(plan: RunPlan | None) -> dict[str, float]:
    """Return the time limit of the job and the planned time, as its worker reads them."""
    return {} if plan is None else {"seconds": plan.seconds_limit, "planned": plan.seconds}

"""Tasks and their progress."""

from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.records.task import TERMINAL, Task
from shoal.runs.states import RunStates, RunStore
from shoal.storage.protocols.queue import JobReader
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import Transaction

__all__ = ["Tasks"]


class Tasks:
    """Tasks belong to the organisation (contract.md#addresses-and-headers)."""

    def __init__(self, store: RunStore, states: RunStates) -> None:
        self._store, self._states = store, states

    def get(self, scope: Scope, task_id: str) -> Task:
        """Return a task with its progress. Raises NotFound."""
        return _with_progress(self._store, scope, self._states.tasks.get(scope.organization, task_id))

    def search(self, scope: Scope, query: Query) -> Listing[Task]:
        listing = self._states.tasks.search(scope.organization, query)
        return Listing(
            [_with_progress(self._store, scope, task) for task in listing.items], listing.total, listing.more
        )

    def kill(self, scope: Scope, task_id: str) -> Task:
        """Cancel a task; one that has ended stays as it is, so killing twice is harmless."""
        return self._store.transact(lambda tx: self.kill_within(tx, scope, task_id))

    def kill_within(self, tx: Transaction, scope: Scope, task_id: str) -> Task:
        """As `kill`, inside a transaction."""
        tasks = self._states.tasks.within(tx)
        task = tasks.get(scope.organization, task_id)
        if task.status not in TERMINAL and "run_id" in task.additional_data:
            run_scope = Scope(scope.organization_id, str(task.additional_data["namespace_id"]))
            self._states.cancel_within(tx, run_scope, str(task.additional_data["run_id"]))
            task = tasks.get(scope.organization, task_id)
        return _with_progress(tx, scope, task)


def _with_progress(jobs: JobReader, scope: Scope, task: Task) -> Task:
    if task.status != "PROCESSING" or "run_id" not in task.additional_data:
        return task
    namespace = Scope(scope.organization_id, str(task.additional_data["namespace_id"]))
    job = jobs.get_job(namespace, str(task.additional_data["run_id"]))
    if job is None:
        return task
    progress = {"stage": job.stage, "fraction": job.fraction}
    return task.with_changes(additional_data={**task.additional_data, "progress": progress})

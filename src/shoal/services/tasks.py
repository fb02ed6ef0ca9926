"""Tasks: what is under way, and how far."""

from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.records.task import TERMINAL, Task
from shoal.runs.states import RunStates
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Query

__all__ = ["Tasks"]


class Tasks:
    """Tasks belong to the organisation (contract.md#addresses-and-headers)."""

    def __init__(self, store: MetadataStore, states: RunStates) -> None:
        self._store, self._states = store, states

    def get(self, scope: Scope, task_id: str) -> Task:
        """The task with its progress. Raises NotFound."""
        return self._with_progress(scope, self._states.tasks.get(scope.organization, task_id))

    def search(self, scope: Scope, query: Query) -> Listing[Task]:
        found = self._states.tasks.search(scope.organization, query)
        return Listing([self._with_progress(scope, task) for task in found.items], found.total, found.more)

    def kill(self, scope: Scope, task_id: str) -> Task:
        """Cancel what the task does; a task that is over stays as it is, so killing twice is harmless."""
        task = self._states.tasks.get(scope.organization, task_id)
        if task.status not in TERMINAL and "run_id" in task.additional_data:
            run_scope = Scope(scope.organization_id, str(task.additional_data["namespace_id"]))
            self._states.cancel(run_scope, str(task.additional_data["run_id"]))
        return self.get(scope, task_id)

    def _with_progress(self, scope: Scope, task: Task) -> Task:
        if task.status != "PROCESSING" or "run_id" not in task.additional_data:
            return task
        namespace = Scope(scope.organization_id, str(task.additional_data["namespace_id"]))
        job = self._store.get_job(namespace, str(task.additional_data["run_id"]))
        if job is None:
            return task
        progress = {"stage": job.stage, "fraction": job.fraction}
        return task.model_copy(update={"additional_data": {**task.additional_data, "progress": progress}})

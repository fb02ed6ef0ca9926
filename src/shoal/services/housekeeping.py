"""Removal of data that is no longer needed. Safe to call at any time, by several processes at once."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shoal.errors import Corrupt, InvalidField, NotFound
from shoal.records.namespace import Namespace
from shoal.records.queries.filters import Condition
from shoal.records.runs.execution import ACTIVE, Execution
from shoal.records.scope import Scope
from shoal.repositories.audit import Audit
from shoal.repositories.retention_clock import RetentionClock
from shoal.runs.generations import Generations
from shoal.runs.history import runs_of
from shoal.runs.models.answers import AnswerStore
from shoal.runs.relabeling import Relabelings
from shoal.runs.states import RunStates
from shoal.services.idempotency import REPLY_LIFETIME, Idempotency
from shoal.services.keys.keys import Keys
from shoal.services.namespaces import Namespaces
from shoal.services.removals import Removals
from shoal.storage.protocols.documents import DocumentUpkeep
from shoal.storage.protocols.maintenance import RunFiles

__all__ = ["Housekeeping", "TidyReport"]

_log = logging.getLogger("shoal.housekeeping")


@dataclass(frozen=True, slots=True)
class TidyReport:
    """What was removed: generations of output collections, results (artifacts) of runs, checkpoints of runs."""

    generations: int = 0
    results: int = 0
    checkpoints: int = 0


class Housekeeping:
    """Periodic cleanup, which reads all records. `keep_runs` finished runs of a cluster keep their results beside the
    visible one; 0 keeps all."""

    def __init__(
        self,
        keys: Keys,
        namespaces: Namespaces,
        documents: DocumentUpkeep,
        audit: Audit,
        retention: RetentionClock,
        states: RunStates,
        removals: Removals,
        relabelings: Relabelings,
        generations: Generations,
        idempotency: Idempotency,
        answers: AnswerStore,
        artifacts: RunFiles,
        checkpoints: RunFiles,
        now: Callable[[], datetime],
        *,
        keep_runs: int,
    ) -> None:
        self._keys, self._namespaces, self._documents, self._audit = keys, namespaces, documents, audit
        self._states, self._removals, self._retention = states, removals, retention
        self._relabelings, self._idempotency = relabelings, idempotency
        self._generations, self._artifacts, self._checkpoints = generations, artifacts, checkpoints
        self._answers, self._now, self._keep_runs = answers, now, keep_runs

    def tidy(self) -> TidyReport:
        """Remove superseded outputs, results beyond `keep_runs`, and leftovers of crashed, cancelled and deleted runs;
        and finish updates of custom labels in documents. The next call completes what was interrupted."""
        self._retention.tick()
        generations = 0
        for scope, namespace in self._scopes():
            try:
                generations += self._tidy_scope(scope, namespace)
            except (Corrupt, InvalidField, NotFound) as error:  # damaged data of one tenant does not affect others
                _log.warning("tidy.skipped", extra={"namespace_id": scope.namespace_id, "cause": error.message})
        return TidyReport(generations, self._remove_results(), self._remove_checkpoints())

    def _tidy_scope(self, scope: Scope, namespace: Namespace) -> int:
        self._namespaces.declare(scope.organization, namespace)
        self._removals.finish_all(scope)
        self._relabelings.finish_all(scope)
        self._idempotency.forget(scope)
        self._answers.drop_expired(scope)
        self._documents.forget_writes(scope, self._retention() - 2 * REPLY_LIFETIME)
        # From the documents, since the collection itself may be gone.
        generated = self._documents.list_generated_collections(scope)
        cleared = sum(self._generations.clear(scope, id) for id in generated)
        if self._keep_runs:
            self._expire(scope)
        return cleared

    def _scopes(self) -> Iterator[tuple[Scope, Namespace]]:
        for organization in self._keys.organizations():
            organization_scope = Scope(organization.organization_id)
            self._audit.prune(organization_scope)
            self._removals.finish_all(organization_scope)
            for namespace in self._namespaces.records.all(organization_scope):
                yield Scope(organization_scope.organization_id, namespace.namespace_id), namespace

    def _expire(self, scope: Scope) -> None:
        """Mark the results of runs beyond `keep_runs` as removed, so that they can be deleted."""
        for cluster in self._states.clusters.all(scope):
            with_results = Condition("results_removed_at", "is_null", True)
            published = runs_of(cluster.cluster_id, Condition("published", "eq", True), with_results)
            finished = self._states.executions.all(scope, published)
            superseded = [run for run in finished if run.run_id != cluster.current_run_id and run.status not in ACTIVE]
            for run in superseded[self._keep_runs :]:
                self._states.executions.change(scope, run.run_id, self._without_results)

    def _without_results(self, run: Execution) -> Execution:
        return run.with_changes(results_removed_at=self._now())

    def _remove_results(self) -> int:
        """Delete artifacts of runs that never published, are gone, or whose results expired."""
        removed = 0
        for scope, run_id, run in self._with_records(self._artifacts.runs()):
            if run is None or (run.status not in ACTIVE and (not run.published or run.results_removed_at is not None)):
                self._artifacts.delete(scope, run_id)
                removed += 1
        return removed

    def _with_records(self, runs: Sequence[tuple[Scope, str]]) -> Iterator[tuple[Scope, str, Execution | None]]:
        """Yield each run with its record; runs with a damaged record are skipped."""
        for scope, run_id in runs:
            try:
                yield scope, run_id, self._states.executions.find_one(scope, run_id)
            except Corrupt as error:
                _log.warning("tidy.skipped", extra={"run_id": run_id, "cause": error.message})

    def _remove_checkpoints(self) -> int:
        removed = 0
        for scope, run_id, run in self._with_records(self._checkpoints.runs()):
            if run is None or run.status not in ACTIVE:
                self._checkpoints.delete(scope, run_id)
                removed += 1
        return removed

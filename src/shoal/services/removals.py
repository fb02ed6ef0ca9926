"""Crash-safe deletion of what is spread over several stores.

The records are deleted first, in one transaction with the row of the audit log and a tombstone (`begin`): from then on
the resource is gone for every reader, and writers are rejected. Then documents, artifacts and checkpoints are removed
(`finish`). A crash in between leaves the tombstone, and housekeeping, which also runs when a worker starts, finishes
the deletion (`finish_all`).
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime

from shoal.errors import NotFound, ShoalError, Unavailable
from shoal.failpoints import hit
from shoal.records.ids import new_id
from shoal.records.queries.filters import And, Condition
from shoal.records.removal import Removal
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.intents import EnrichmentIntents
from shoal.runs.models.answers import AnswerStore
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.checkpoints import CheckpointStore
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Removals"]

_log = logging.getLogger("shoal.removals")


class Removals:
    """Tombstones and their processing. `alone` is a lock across all processes of the data folder; `now` is UTC."""

    def __init__(
        self,
        store: RecordStore,
        documents: DocumentStore,
        artifacts: ArtifactStore,
        checkpoints: CheckpointStore,
        now: Callable[[], datetime],
        alone: Callable[[], AbstractContextManager[None]],
        answers: AnswerStore,
    ) -> None:
        self._store, self._documents, self._now, self._alone = store, documents, now, alone
        self._artifacts, self._checkpoints, self._answers = artifacts, checkpoints, answers
        self._intents = EnrichmentIntents(store, now)
        self._records = Repository(store, "removal", Removal, id_field="removal_id")

    # ── deletion ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def of_namespace(self, namespace_id: str) -> Removal:
        """Return the removal of a namespace."""
        return Removal(**self._new_fields(namespace_id), whole_namespace=True)

    def of(
        self,
        scope: Scope,
        *,
        collections: Sequence[str] = (),
        runs: Sequence[str] = (),
        cluster_id: str | None = None,
        clear_results: bool = False,
    ) -> Removal:
        """Return the removal of the documents of collections, of the artifacts and checkpoints of runs and, with
        `clear_results`, of the fields that a cluster wrote into documents."""
        return Removal(
            **self._new_fields(scope.namespace_id),
            collection_ids=list(collections),
            run_ids=list(runs),
            cluster_id=cluster_id,
            clear_results=clear_results,
        )

    def begin(self, tx: Transaction, scope: Scope, removal: Removal) -> None:
        """Record a removal, in the transaction that deletes the records of what it removes."""
        self._records.within(tx).add(scope, removal)
        hit("remove.recorded")

    def finish(self, scope: Scope, removal: Removal) -> None:
        """Remove the data of a removal, in the scope in which it was begun. Call it after the transaction.

        Errors of the stores are only logged: the resource is already deleted, and housekeeping tries again.
        """
        hit("remove.committed")
        try:
            self._clear(scope, removal)
        except (ShoalError, OSError) as error:
            _log.warning("removal.postponed", extra={"removal_id": removal.removal_id, "cause": str(error)})

    # ── cleanup ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish_all(self, scope: Scope) -> int:
        """Finish the unfinished removals of a scope. Returns the number of attempts."""
        pending = self._records.all(scope)
        for removal in pending:
            self.finish(scope, removal)
        return len(pending)

    def finish_earlier_removals(self, organization: Scope, namespace_id: str) -> None:
        """Finish the removals of an earlier namespace with this id, so that the id can be reused."""
        for removal in self._records.all(organization, _of_whole_namespace(namespace_id)):
            self._clear(organization, removal.with_changes(cleared=True))

    def check_no_earlier_removal(self, tx: Transaction, organization: Scope, namespace_id: str) -> None:
        """Raise Unavailable where an earlier namespace with this id was just deleted. Call it in the transaction that
        creates a namespace."""
        if self._records.within(tx).all(organization, _of_whole_namespace(namespace_id)):
            raise Unavailable(f"An earlier namespace {namespace_id!r} is being removed. Try again.")

    # ── internals ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_fields(self, namespace_id: str) -> dict[str, object]:
        return {"removal_id": new_id("rem"), "created_at": self._now(), "namespace_id": namespace_id}

    def _clear(self, scope: Scope, removal: Removal) -> None:
        within = Scope(scope.organization_id, removal.namespace_id)
        if removal.whole_namespace:
            # Under the lock: once the tombstone is gone, the id may be reused for a namespace that must not be deleted.
            with self._alone():
                if self._records.find_one(scope, removal.removal_id) is not None:
                    self._clear_namespace(within)
                    self._note_cleared(scope, removal)
            return
        for collection_id in removal.collection_ids:
            self._clear_collection(within, collection_id)
        hit("remove.collections")
        for run_id in removal.run_ids:
            self._artifacts.delete(within, run_id)
            self._checkpoints.delete(within, run_id)
        hit("remove.runs")
        if removal.cluster_id is not None:
            more = removal.clear_results
            while more:
                more = self._documents.clear_all_results(within, removal.cluster_id, now=self._now())
                hit("remove.results")
            self._documents.forget_results(within, removal.cluster_id)
            self._intents.forget_cluster(within, removal.cluster_id)
            while self._answers.drop_of(within, removal.cluster_id):
                pass
        self._note_cleared(scope, removal)

    def _clear_namespace(self, within: Scope) -> None:
        self._documents.drop_namespace(within)
        hit("remove.documents")
        self._artifacts.delete_scope(within)
        hit("remove.artifacts")
        self._checkpoints.delete_scope(within)
        hit("remove.checkpoints")

    def _clear_collection(self, within: Scope, collection_id: str) -> None:
        self._documents.drop_collection(within, collection_id)
        for generation in self._documents.generations(within, collection_id):
            hit("remove.generation")
            self._documents.drop_collection(within, f"{collection_id}@{generation}")
        self._intents.forget_target(within, collection_id)

    def _note_cleared(self, scope: Scope, removal: Removal) -> None:
        if removal.cleared:
            self._records.remove(scope, removal.removal_id)
            return
        with suppress(NotFound):  # finished meanwhile, or its namespace was deleted
            self._records.change(scope, removal.removal_id, lambda newest: newest.with_changes(cleared=True))


def _of_whole_namespace(namespace_id: str) -> Query:
    """Return the query for removals of namespaces with an id."""
    whole = Condition("whole_namespace", "eq", True)
    return Query(filter=And((whole, Condition("namespace_id", "eq", namespace_id, case_sensitive=True))))

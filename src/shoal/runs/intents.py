"""Enrichment intents in the metadata store, with the cursors of their progress."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shoal.errors import StaleVersion
from shoal.failpoints import hit
from shoal.records.queries.filters import And, Condition
from shoal.records.runs.enrichment import EnrichmentIntent
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository, RepositoryReads, TransactionRepository
from shoal.storage.protocols.documents import Results
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["EnrichmentIntents", "results_of"]


class EnrichmentIntents:
    """The enrichment intents of all namespaces. `now` returns UTC."""

    def __init__(self, metadata: RecordStore, now: Callable[[], datetime]) -> None:
        self._store, self._now = metadata, now
        self._records = Repository(metadata, "enrichment", EnrichmentIntent, id_field="intent_id")

    def begin(self, scope: Scope, requested: EnrichmentIntent, *, again: bool = False) -> EnrichmentIntent:
        """Record an intent, or return the one of an earlier call, with its progress.

        Unless `again`, an interrupted intent with other labels or fields is resumed too; with `again`, a completed one
        restarts from the first row. Intents of earlier runs of the cluster for the same target are removed.
        """

        def begin(tx: Transaction) -> EnrichmentIntent:
            records = self._records.within(tx)
            existing = _matching(records, scope, ("target", requested.target), ("cluster_id", requested.cluster_id))
            begun = None if again else _find_interrupted(existing, requested)
            if begun is not None:
                return begun
            for earlier in existing:
                if earlier.sequence < requested.sequence:
                    records.remove(scope, earlier.intent_id)
            return self._start(records, scope, requested, again)

        begun = self._store.transact(begin)
        hit("enrich.intent")
        return begun.with_changes(by_run=requested.by_run, partition=requested.partition)

    def move(self, scope: Scope, before: EnrichmentIntent, position: int, enriched: int) -> EnrichmentIntent:
        """Move the cursor after documents were written. Raises StaleVersion if another process moved it meanwhile."""

        def move(tx: Transaction) -> EnrichmentIntent:
            records = self._records.within(tx)
            newest = records.find_one(scope, before.intent_id)
            if newest is None or (newest.rows_before, newest.position) != (before.rows_before, before.position):
                raise StaleVersion(f"Another process writes the results of run {before.run_id} into these documents.")
            moved = {"position": position, "enriched": enriched, "updated_at": self._now()}
            return records.change(scope, before.intent_id, lambda intent: intent.with_changes(**moved))

        after = self._store.transact(move)
        hit("enrich.cursor")
        return after.with_changes(by_run=before.by_run, partition=before.partition)

    def of_run(self, scope: Scope, run_id: str) -> list[EnrichmentIntent]:
        """Return the intents of a run, oldest first."""
        return _matching(self._records, scope, ("run_id", run_id))

    def forget_cluster(self, scope: Scope, cluster_id: str) -> None:
        """Remove the intents of a deleted cluster."""
        self._forget(scope, ("cluster_id", cluster_id))

    def forget_target(self, scope: Scope, collection: str) -> None:
        """Remove the intents for a deleted collection, named by its storage key."""
        self._forget(scope, ("target", collection))

    def _start(
        self, records: TransactionRepository[EnrichmentIntent], scope: Scope, requested: EnrichmentIntent, again: bool
    ) -> EnrichmentIntent:
        existing = records.find_one(scope, requested.intent_id)
        if existing is None:
            return records.add(scope, requested)
        if not again or not existing.done:
            return existing
        restarted = {
            "position": 0,
            "enriched": 0,
            "rows_before": existing.rows_before + existing.total,
            "updated_at": self._now(),
        }
        return records.change(scope, requested.intent_id, lambda intent: intent.with_changes(**restarted))

    def _forget(self, scope: Scope, field: tuple[str, str]) -> None:
        if _matching(self._records, scope, field):
            self._store.transact(lambda tx: self._remove(tx, scope, field))

    def _remove(self, tx: Transaction, scope: Scope, field: tuple[str, str]) -> None:
        records = self._records.within(tx)
        for intent in _matching(records, scope, field):
            records.remove(scope, intent.intent_id)


def _matching(
    records: RepositoryReads[EnrichmentIntent], scope: Scope, *fields: tuple[str, str]
) -> list[EnrichmentIntent]:
    """Return the intents with these values, oldest first."""
    conditions = tuple(Condition(name, "eq", value, case_sensitive=True) for name, value in fields)
    return records.all(scope, Query(filter=And(conditions)))[::-1]


def results_of(intent: EnrichmentIntent) -> Results:
    """Describe an intent for the document store."""
    return Results(
        id=intent.intent_id,
        cluster_id=intent.cluster_id,
        run_id=intent.run_id,
        sequence=intent.sequence,
        by_run=intent.by_run,
        partition=intent.partition,
        target=intent.target,
    )


def _find_interrupted(existing: Sequence[EnrichmentIntent], requested: EnrichmentIntent) -> EnrichmentIntent | None:
    """Find an interrupted intent for the same run and source with other labels or fields.

    Its writes are not repeated, because they may have been edited meanwhile.
    """
    family = requested.intent_id.rpartition(":")[0]
    for intent in existing:
        same = intent.run_id == requested.run_id and intent.total == requested.total
        if same and not intent.done and intent.intent_id.rpartition(":")[0] == family:
            return intent
    return None

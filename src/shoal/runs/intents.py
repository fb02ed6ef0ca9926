"""Enrichment intents in the metadata store: put on record, moved on behind the documents, found by run."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shoal.errors import StaleVersion
from shoal.failpoints import hit
from shoal.records.enrichment import EnrichmentIntent
from shoal.records.queries.filters import And, Condition
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository, RepositoryReads, TransactionRepository
from shoal.storage.protocols.documents import Results
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["EnrichmentIntents", "results_of"]


class EnrichmentIntents:
    """The intents of a namespace. `now` is UTC."""

    def __init__(self, metadata: RecordStore, now: Callable[[], datetime]) -> None:
        self._store, self._now = metadata, now
        self._records = Repository(metadata, "enrichment", EnrichmentIntent, id_field="intent_id")

    def begin(self, scope: Scope, asked: EnrichmentIntent, *, again: bool = False) -> EnrichmentIntent:
        """Put an intent on record, as far as an earlier call has come: under its id or, unless `again`, with other
        labels or fields; with `again` one that is done starts from the first row. Intents of earlier runs of the
        cluster for the same target are forgotten."""

        def begin(tx: Transaction) -> EnrichmentIntent:
            records = self._records.within(tx)
            known = _matching(records, scope, ("target", asked.target), ("cluster_id", asked.cluster_id))
            begun = None if again else _interrupted(known, asked)
            if begun is not None:
                return begun
            for earlier in known:
                if earlier.sequence < asked.sequence:
                    records.remove(scope, earlier.intent_id)
            return self._started(records, scope, asked, again)

        begun = self._store.transact(begin)
        hit("enrich.intent")
        return begun.with_changes(by_run=asked.by_run, partition=asked.partition)

    def move(self, scope: Scope, before: EnrichmentIntent, position: int, enriched: int) -> EnrichmentIntent:
        """Move the cursor on, after the documents were written. Raises StaleVersion where another process moved it
        meanwhile."""

        def move(tx: Transaction) -> EnrichmentIntent:
            records = self._records.within(tx)
            newest = records.find_one(scope, before.intent_id)
            if newest is None or (newest.rows_before, newest.position) != (before.rows_before, before.position):
                raise StaleVersion(f"Another process writes the results of run {before.run_id} into these documents.")
            moved = {"position": position, "enriched": enriched, "updated_at": self._now()}
            return records.change(scope, before.intent_id, lambda one: one.with_changes(**moved))

        after = self._store.transact(move)
        hit("enrich.cursor")
        return after.with_changes(by_run=before.by_run, partition=before.partition)

    def of_run(self, scope: Scope, run_id: str) -> list[EnrichmentIntent]:
        """The intents of a run, in the order in which they were put on record."""
        return _matching(self._records, scope, ("run_id", run_id))

    def forget_cluster(self, scope: Scope, cluster_id: str) -> None:
        """Remove the intents of a cluster that is deleted."""
        self._forget(scope, ("cluster_id", cluster_id))

    def forget_target(self, scope: Scope, collection: str) -> None:
        """Remove the intents for a collection, named by its storage key, that is deleted."""
        self._forget(scope, ("target", collection))

    def _started(
        self, records: TransactionRepository[EnrichmentIntent], scope: Scope, asked: EnrichmentIntent, again: bool
    ) -> EnrichmentIntent:
        known = records.find_one(scope, asked.intent_id)
        if known is None:
            return records.add(scope, asked)
        if not again or not known.done:
            return known
        restarted = {
            "position": 0,
            "enriched": 0,
            "rows_before": known.rows_before + known.total,
            "updated_at": self._now(),
        }
        return records.change(scope, asked.intent_id, lambda one: one.with_changes(**restarted))

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
    """The intents with these values, the oldest first."""
    conditions = tuple(Condition(name, "eq", value, case_sensitive=True) for name, value in fields)
    return records.all(scope, Query(filter=And(conditions)))[::-1]


def results_of(intent: EnrichmentIntent) -> Results:
    """What the document store has to know of an intent."""
    return Results(
        id=intent.intent_id,
        cluster_id=intent.cluster_id,
        run_id=intent.run_id,
        sequence=intent.sequence,
        by_run=intent.by_run,
        partition=intent.partition,
        target=intent.target,
    )


def _interrupted(known: Sequence[EnrichmentIntent], asked: EnrichmentIntent) -> EnrichmentIntent | None:
    """The intent to do the same with other labels or fields that was interrupted: what it wrote is not written again,
    because people may have changed it meanwhile."""
    family = asked.intent_id.rpartition(":")[0]
    for one in known:
        same = one.run_id == asked.run_id and one.total == asked.total
        if same and not one.done and one.intent_id.rpartition(":")[0] == family:
            return one
    return None

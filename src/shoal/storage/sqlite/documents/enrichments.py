"""The table `enrichments` of a namespace: intents to write results into documents, moved with the documents."""

from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final

from shoal.errors import Conflict, StaleVersion
from shoal.records.base import stored_time
from shoal.storage.protocols.documents import Enrichment

__all__ = ["Enrichments"]

_COLUMNS: Final = "id, cluster_id, run_id, run_time, target, total, position, enriched, sequence"


class Enrichments:
    """The intents as one connection sees them; changes belong inside its write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, intent: Enrichment, stamp: str, *, again: bool) -> Enrichment:
        """See DocumentStore.begin_enrichment."""
        self._check_latest(intent)
        begun = None if again else self._begun(intent)
        if begun is not None:
            return begun
        self._connection.execute(
            "DELETE FROM enrichments WHERE target = ? AND cluster_id = ? AND sequence < ?",
            (intent.target, intent.cluster_id, intent.sequence),
        )
        self._connection.execute(
            f"INSERT INTO enrichments ({_COLUMNS}, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO NOTHING",
            (
                *(intent.id, intent.cluster_id, intent.run_id, stored_time(intent.run_time)),
                *(intent.target, intent.total, intent.position, intent.enriched, intent.sequence, stamp),
            ),
        )
        if again:
            self._connection.execute(
                "UPDATE enrichments SET position = 0, enriched = 0, updated_at = ? WHERE id = ? AND position = total",
                (stamp, intent.id),
            )
        (row,) = self._connection.execute(f"SELECT {_COLUMNS} FROM enrichments WHERE id = ?", (intent.id,)).fetchall()
        return _enrichment(row, intent)

    def _begun(self, intent: Enrichment) -> Enrichment | None:
        """The intent to do the same with other labels or fields that was interrupted: what it wrote is not written
        again, because people may have changed it meanwhile."""
        family = intent.id.rpartition(":")[0] + ":"
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM enrichments WHERE run_id = ? AND target = ? AND substr(id, 1, ?) = ? "
            "AND position < total AND total = ? ORDER BY rowid LIMIT 1",
            (intent.run_id, intent.target, len(family), family, intent.total),
        ).fetchall()
        return _enrichment(rows[0], intent) if rows else None

    def move(self, before: Enrichment, after: Enrichment, stamp: str) -> None:
        """Raises StaleVersion where the intent stands at `before` no more, Conflict where a later one is there."""
        self._check_latest(before)
        moved = self._connection.execute(
            "UPDATE enrichments SET position = ?, enriched = ?, updated_at = ? WHERE id = ? AND position = ?",
            (after.position, after.enriched, stamp, before.id, before.position),
        ).rowcount
        if not moved:
            raise StaleVersion(f"Another process writes the results of run {before.run_id} into these documents.")

    def of_run(self, run_id: str) -> list[Enrichment]:
        """Those of a run, in the order in which they were put on record."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM enrichments WHERE run_id = ? ORDER BY rowid", (run_id,)
        )
        return [_enrichment(row) for row in rows.fetchall()]

    def check_latest_anywhere(self, intent: Enrichment) -> None:
        """Raises Conflict where a later run of the cluster was written into any collection."""
        self._check(intent, "? IS NOT NULL")

    def forget(self, target: str) -> None:
        """Remove those of a collection that is dropped."""
        self._connection.execute("DELETE FROM enrichments WHERE target = ?", (target,))

    def _check_latest(self, intent: Enrichment) -> None:
        self._check(intent, "target = ?")

    def _check(self, intent: Enrichment, where: str) -> None:
        (later,) = self._connection.execute(
            f"SELECT max(run_id) FROM enrichments WHERE {where} AND cluster_id = ? AND sequence > ?",
            (intent.target, intent.cluster_id, intent.sequence),
        ).fetchone()
        if later is not None:
            raise Conflict(
                f"The documents hold the results of a later run, {later}; those of {intent.run_id} were not written.",
                run_id=later,
            )


def _enrichment(row: tuple[Any, ...], asked: Enrichment | None = None) -> Enrichment:
    """A row, with what is not stored from the intent that was asked for."""
    id, cluster_id, run_id, run_time, target, total, position, enriched, sequence = row
    return Enrichment(
        id=id,
        cluster_id=cluster_id,
        run_id=run_id,
        run_time=datetime.fromisoformat(run_time),
        target=target,
        total=total,
        position=position,
        enriched=enriched,
        sequence=sequence,
        by_run=asked is not None and asked.by_run,
        partition="" if asked is None else asked.partition,
    )

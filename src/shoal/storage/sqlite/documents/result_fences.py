"""The table `result_fences` of a namespace: the latest run of each cluster that wrote results into a collection.

It is read and updated in the transaction of the documents, so that a run never overwrites a later one.
"""

from datetime import datetime
from sqlite3 import Connection
from typing import Final

from shoal.storage.protocols.documents import Results
from shoal.storage.result_marks import conflict_with_later_run
from shoal.storage.sqlite.documents.rows import stamp_of

__all__ = ["FENCES_SCHEMA", "ResultFences"]

FENCES_SCHEMA: Final = """
CREATE TABLE result_fences (
    target TEXT NOT NULL, cluster_id TEXT NOT NULL, sequence INTEGER NOT NULL, run_id TEXT NOT NULL,
    written_at TEXT NOT NULL, PRIMARY KEY (target, cluster_id)
) WITHOUT ROWID;
INSERT OR REPLACE INTO result_fences (target, cluster_id, sequence, run_id, written_at)
    SELECT target, cluster_id, sequence, run_id, max(updated_at) OVER (PARTITION BY target, cluster_id)
    FROM enrichments ORDER BY sequence, run_time;
ALTER TABLE written ADD COLUMN step INTEGER NOT NULL DEFAULT 0;
"""
"""The row of the latest run wins. The target "" is for runs that wrote into all sources."""


class ResultFences:
    """The fences on one connection, inside its write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pass_target(self, results: Results, now: datetime) -> None:
        """Record that a run writes into its target. Raises Conflict if a later run of the cluster did."""
        self._check(results, "target = ? OR (target = '' AND ?)", results.target, results.by_run)
        self._raise(results, results.target, now)

    def pass_everywhere(self, results: Results, now: datetime) -> None:
        """Record that a run clears what earlier ones wrote.

        Raises Conflict if a later run wrote into any collection or, for results requested by a caller, into the target.
        """
        self._check(results, "? OR target = ?", results.by_run, results.target)
        self._raise(results, "" if results.by_run else results.target, now)

    def forget_target(self, target: str) -> None:
        """Delete the fences of a dropped collection."""
        self._connection.execute("DELETE FROM result_fences WHERE target = ?", (target,))

    def forget_cluster(self, cluster_id: str) -> None:
        """Delete the fences of a cluster."""
        self._connection.execute("DELETE FROM result_fences WHERE cluster_id = ?", (cluster_id,))

    def _check(self, results: Results, where: str, *values: object) -> None:
        later = self._connection.execute(
            f"SELECT run_id FROM result_fences WHERE ({where}) AND cluster_id = ? AND sequence > ? "
            "ORDER BY sequence DESC LIMIT 1",
            (*values, results.cluster_id, results.sequence),
        ).fetchone()
        if later is not None:
            raise conflict_with_later_run(results.run_id, later[0])

    def _raise(self, results: Results, target: str, now: datetime) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO result_fences (target, cluster_id, sequence, run_id, written_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (target, results.cluster_id, results.sequence, results.run_id, stamp_of(now)),
        )

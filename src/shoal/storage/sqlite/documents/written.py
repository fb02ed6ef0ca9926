"""The table `written` of a namespace: which fields of which documents hold results of a cluster, so that they can be
cleared when its next run does not write them again.

A row is written in the transaction of its document. `fields` has the shape of what was written, with the CRC-32 of each
value in its place: a field that somebody else has changed since is not cleared. Neither is one that another cluster
wrote with the same value, since it is as much its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, Final
from zlib import crc32

import orjson

from shoal.errors import Corrupt
from shoal.storage.checksums import text_checksum
from shoal.storage.protocols.documents import Results
from shoal.storage.protocols.records import Json
from shoal.storage.result_marks import cleared, marks_of, merged, paths_of, unchanged, without

__all__ = ["WRITTEN_SCHEMA", "Written"]

WRITTEN_SCHEMA: Final = """
CREATE TABLE writers (number INTEGER PRIMARY KEY, cluster_id TEXT NOT NULL UNIQUE);
CREATE TABLE written (
    writer INTEGER NOT NULL, document INTEGER NOT NULL, run INTEGER NOT NULL, intent INTEGER NOT NULL,
    partition TEXT NOT NULL, by_run INTEGER NOT NULL, fields TEXT NOT NULL, stale TEXT,
    PRIMARY KEY (writer, document)
) WITHOUT ROWID;
CREATE INDEX written_of_a_document ON written (document);
ALTER TABLE enrichments ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
"""
"""`run` and `intent` are hashes of ids. `stale` are fields of earlier intents that this one has not written so far."""

_AT_ONCE: Final = 1_000
_STORE: Final = "UPDATE documents SET payload = ?, updated_at = ?, checksum = ? WHERE number = ?"


class Written:
    """The rows as one connection sees them; all belongs inside its write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def done(self, results: Results, numbers: Iterable[int], step: int) -> set[int]:
        """The documents (by row number) that hold the results of this step, or of a later one of the same intent."""
        rows = self._rows(
            "SELECT document FROM written WHERE intent = ? AND step >= ? "
            "AND writer = (SELECT number FROM writers WHERE cluster_id = ?) "
            "AND document IN (SELECT value FROM json_each(?))",
            *(_hash(results.id), step, results.cluster_id, _listed(numbers)),
        )
        return {number for (number,) in rows}

    def note(self, results: Results, updates: Sequence[tuple[int, Json]], step: int) -> None:
        """Documents (by row number) hold these results of an intent now."""
        writer, run, this = self._writer(results.cluster_id), _hash(results.run_id), _hash(results.id)
        for start in range(0, len(updates), _AT_ONCE):
            piece = updates[start : start + _AT_ONCE]
            known = {
                number: (of == this, by_run, orjson.loads(fields), orjson.loads(stale or "{}"))
                for number, of, by_run, fields, stale in self._rows(
                    "SELECT document, intent, by_run, fields, stale FROM written "
                    "WHERE writer = ? AND document IN (SELECT value FROM json_each(?))",
                    *(writer, _listed(number for number, _ in piece)),
                )
            }
            rows: dict[int, tuple[Any, ...]] = {}
            for number, update in piece:
                same, by_run, before, stale = known.get(number, (True, False, {}, {}))
                fields = merged(before, marks_of(update)) if same else marks_of(update)
                stale = without(stale if same else merged(before, stale), fields)
                by_run = bool(by_run or results.by_run)
                known[number] = (True, by_run, fields, stale)
                rows[number] = (
                    *(writer, number, run, this, results.partition, by_run, orjson.dumps(fields).decode()),
                    *(orjson.dumps(stale).decode() if stale else None, step),
                )
            self._connection.executemany(
                "INSERT OR REPLACE INTO written (writer, document, run, intent, partition, by_run, fields, stale, "
                "step) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows.values(),
            )

    def rewrite(self, target: str, cluster_id: str, run_id: str, updates: Mapping[int, Json], stamp: str) -> int:
        """Replace fields of documents (by row number) of a collection that hold what this run wrote, except those that
        another cluster wrote after it, were it with the same value. How many documents changed."""
        run, numbers = _hash(run_id), _listed(updates)
        marks = {
            number: orjson.loads(fields)
            for number, fields in self._rows(
                "SELECT document, fields FROM written WHERE run = ? "
                "AND writer = (SELECT number FROM writers WHERE cluster_id = ?) "
                "AND document IN (SELECT value FROM json_each(?))",
                *(run, cluster_id, numbers),
            )
        }
        later = self._written_later(target, cluster_id, marks)
        documents, fields = [], []
        for number, id, text, created, updated, checksum in self._payloads(marks):
            _check_payload(text, id, created, updated, checksum)
            payload = orjson.loads(text)
            fresh = unchanged(payload, marks[number], without(updates[number], later.get(number, {})))
            after = orjson.dumps(merged(payload, fresh)).decode()
            if after != text:
                documents.append((after, stamp, text_checksum(after, id, created, stamp), number))
                fields.append((orjson.dumps(merged(marks[number], marks_of(fresh))).decode(), number, run))
        self._connection.executemany(_STORE, documents)
        self._connection.executemany(
            f"UPDATE written SET fields = ? WHERE document = ? AND run = ? AND writer = {self._writer(cluster_id)}",
            fields,
        )
        return len(documents)

    def clear_earlier(self, results: Results, after: int, most: int, stamp: str) -> int | None:
        """Clear what the cluster wrote in earlier runs and has not written again: at most `most` documents whose row
        numbers lie above `after`. Returns the last one of them, None where no more are left.

        For an intent of a run: what runs wrote, in any collection; with a partition only what runs of that partition
        wrote. For one that a caller asked for: what is in its target, whoever asked for it.
        """
        writer, run = self._writer(results.cluster_id), _hash(results.run_id)
        if results.by_run:
            chosen, values = "by_run AND (? = '' OR partition = ?)", [results.partition, results.partition]
        else:
            chosen = "document IN (SELECT d.number FROM documents d JOIN collections c ON c.number = d.collection "
            chosen, values = chosen + "WHERE c.key = ?)", [results.target]
        rows = self._rows(
            "SELECT document, run = ?, fields, stale FROM written WHERE writer = ? AND document > ? "
            f"AND (run <> ? OR stale IS NOT NULL) AND {chosen} ORDER BY document LIMIT ?",
            *(run, writer, after, run, *values, most),
        )
        self._clear(writer, rows, stamp)
        return rows[-1][0] if len(rows) == most else None

    def clear_all(self, cluster_id: str, most: int, stamp: str) -> bool:
        """Clear what a cluster wrote, wherever and whoever asked for it: at most `most` documents. Whether more may be
        left."""
        writer = self._writer(cluster_id)
        rows = self._rows("SELECT document, 0, fields, stale FROM written WHERE writer = ? LIMIT ?", writer, most)
        self._clear(writer, rows, stamp)
        return len(rows) == most

    def forget_cluster(self, cluster_id: str) -> None:
        """The documents keep what they hold; nothing tells any more where it is from."""
        self._connection.execute(
            "DELETE FROM written WHERE writer IN (SELECT number FROM writers WHERE cluster_id = ?)", (cluster_id,)
        )
        self._connection.execute("DELETE FROM writers WHERE cluster_id = ?", (cluster_id,))

    def forget_documents(self, numbers: Sequence[int]) -> None:
        """Documents that are deleted; their row numbers may be used again."""
        self._connection.execute(
            "DELETE FROM written WHERE document IN (SELECT value FROM json_each(?))", (_listed(numbers),)
        )

    def forget_collection(self, number: int) -> None:
        """All documents of a collection are deleted."""
        documents = "(SELECT number FROM documents WHERE collection = ?)"
        self._connection.execute(f"DELETE FROM written WHERE document IN {documents}", (number,))

    def result_fields(self, collections: Sequence[str]) -> frozenset[str]:
        """Dotted paths of what was written into documents of collections, named by their storage keys."""
        rows = self._rows(
            "SELECT fields, stale FROM written WHERE document IN (SELECT min(w.document) FROM written w "
            "JOIN documents d ON d.number = w.document JOIN collections c ON c.number = d.collection "
            "WHERE c.key IN (SELECT value FROM json_each(?)) GROUP BY w.writer, w.intent, w.stale IS NULL)",
            orjson.dumps(list(collections)).decode(),
        )
        shapes = [orjson.loads(text) for row in rows for text in row if text is not None]
        return frozenset(path for shape in shapes for path in paths_of(shape))

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _clear(self, writer: int, rows: Sequence[tuple[Any, ...]], stamp: str) -> None:
        """Take fields out of documents. Rows are (document, whether only the stale fields go, fields, stale)."""
        for start in range(0, len(rows), _AT_ONCE):
            piece = rows[start : start + _AT_ONCE]
            doomed = {
                number: orjson.loads(stale or "{}")
                if kept
                else merged(orjson.loads(fields), orjson.loads(stale or "{}"))
                for number, kept, fields, stale in piece
            }
            self._take_out(writer, doomed, stamp)
            gone = [number for number, kept, *_ in piece if not kept]
            for statement, numbers in (
                ("DELETE FROM written WHERE writer = ? AND document IN (SELECT value FROM json_each(?))", gone),
                (
                    "UPDATE written SET stale = NULL WHERE writer = ? AND document IN (SELECT value FROM json_each(?))",
                    [number for number, kept, *_ in piece if kept],
                ),
            ):
                self._connection.execute(statement, (writer, _listed(numbers)))

    def _take_out(self, writer: int, doomed: Mapping[int, Json], stamp: str) -> None:
        listed = _listed(doomed)
        others: dict[int, Json] = {}
        for number, fields in self._rows(
            "SELECT document, fields FROM written WHERE writer <> ? AND document IN (SELECT value FROM json_each(?))",
            *(writer, listed),
        ):
            others[number] = merged(others.get(number, {}), orjson.loads(fields))
        changed = []
        for number, id, text, created, updated, checksum in self._payloads(doomed):
            _check_payload(text, id, created, updated, checksum)
            payload = cleared(orjson.loads(text), doomed[number], others.get(number, {}))
            after = orjson.dumps(payload).decode()
            if after != text:
                changed.append((after, stamp, text_checksum(after, id, created, stamp), number))
        self._connection.executemany(_STORE, changed)

    def _written_later(self, target: str, cluster_id: str, numbers: Iterable[int]) -> dict[int, Json]:
        """The fields of documents of a collection that other clusters wrote after this one did."""
        rows = self._rows(
            "SELECT document, fields FROM written WHERE document IN (SELECT value FROM json_each(?)) AND writer IN ("
            "SELECT number FROM writers WHERE cluster_id IN (SELECT cluster_id FROM result_fences WHERE target = ? "
            "AND written_at > (SELECT written_at FROM result_fences WHERE target = ? AND cluster_id = ?)))",
            *(_listed(numbers), target, target, cluster_id),
        )
        found: dict[int, Json] = {}
        for number, fields in rows:
            found[number] = merged(found.get(number, {}), orjson.loads(fields))
        return found

    def _payloads(self, numbers: Iterable[int]) -> list[tuple[Any, ...]]:
        return self._rows(
            "SELECT number, document_id, payload, created_at, updated_at, checksum FROM documents "
            "WHERE number IN (SELECT value FROM json_each(?))",
            _listed(numbers),
        )

    def _writer(self, cluster_id: str) -> int:
        self._connection.execute("INSERT INTO writers (cluster_id) VALUES (?) ON CONFLICT DO NOTHING", (cluster_id,))
        return int(self._rows("SELECT number FROM writers WHERE cluster_id = ?", cluster_id)[0][0])

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()


def _check_payload(text: str, id: str, created: str, updated: str, checksum: int | None) -> None:
    """Damage must not be taken for the old state. Raises Corrupt."""
    if checksum is not None and text_checksum(text, id, created, updated) != checksum:
        raise Corrupt(f"The payload of document {id!r} is damaged on disk. Store the document again.")


def _hash(text: str) -> int:
    """64 bits, signed as SQLite has them; ids are random, so it is enough."""
    return crc32(text.encode()) << 31 ^ crc32(text[::-1].encode())


def _listed(numbers: Iterable[int]) -> str:
    return orjson.dumps(list(numbers)).decode()

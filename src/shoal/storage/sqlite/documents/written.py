"""The table `written` of a namespace: the fields of documents that hold results of a cluster, so that they can be
cleared when its next run does not write them again.

A row is written in the transaction of its document. `fields` has the shape of what was written, with the CRC-32 of each
value: a field that was edited since is not cleared. Neither is one that another cluster wrote with the same value.
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
from shoal.storage.result_marks import clear_fields, keep_unchanged, marks_of, merge_fields, paths_of, without

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
"""`run` and `intent` are hashes of ids. `stale` are fields of earlier intents that this one has not written yet."""

_AT_ONCE: Final = 1_000
_STORE: Final = "UPDATE documents SET payload = ?, updated_at = ?, checksum = ? WHERE number = ?"


class Written:
    """The rows of the table on one connection, inside its write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_done(self, results: Results, numbers: Iterable[int], step: int) -> set[int]:
        """Find the documents (row numbers) that hold results of this step, or of a later one of the same intent."""
        rows = self._rows(
            "SELECT document FROM written WHERE intent = ? AND step >= ? "
            "AND writer = (SELECT number FROM writers WHERE cluster_id = ?) "
            "AND document IN (SELECT value FROM json_each(?))",
            *(_hash(results.id), step, results.cluster_id, _json_list(numbers)),
        )
        return {number for (number,) in rows}

    def record(self, results: Results, updates: Sequence[tuple[int, Json]], step: int) -> None:
        """Record that documents (row numbers) now hold these results of an intent."""
        writer, run, this = self._writer(results.cluster_id), _hash(results.run_id), _hash(results.id)
        for start in range(0, len(updates), _AT_ONCE):
            piece = updates[start : start + _AT_ONCE]
            before_rows = {
                number: (of == this, by_run, orjson.loads(fields), orjson.loads(stale or "{}"))
                for number, of, by_run, fields, stale in self._rows(
                    "SELECT document, intent, by_run, fields, stale FROM written "
                    "WHERE writer = ? AND document IN (SELECT value FROM json_each(?))",
                    *(writer, _json_list(number for number, _ in piece)),
                )
            }
            rows: dict[int, tuple[Any, ...]] = {}
            for number, update in piece:
                same, by_run, before, stale = before_rows.get(number, (True, False, {}, {}))
                fields = merge_fields(before, marks_of(update)) if same else marks_of(update)
                stale = without(stale if same else merge_fields(before, stale), fields)
                by_run = bool(by_run or results.by_run)
                before_rows[number] = (True, by_run, fields, stale)
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
        """Replace fields of documents (row numbers) of a collection that still hold what this run wrote.

        Fields that another cluster wrote later stay, even with the same value. Returns the number of documents changed.
        """
        run, numbers = _hash(run_id), _json_list(updates)
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
            fresh = keep_unchanged(payload, marks[number], without(updates[number], later.get(number, {})))
            after = orjson.dumps(merge_fields(payload, fresh)).decode()
            if after != text:
                documents.append((after, stamp, text_checksum(after, id, created, stamp), number))
                fields.append((orjson.dumps(merge_fields(marks[number], marks_of(fresh))).decode(), number, run))
        self._connection.executemany(_STORE, documents)
        self._connection.executemany(
            f"UPDATE written SET fields = ? WHERE document = ? AND run = ? AND writer = {self._writer(cluster_id)}",
            fields,
        )
        return len(documents)

    def clear_earlier(self, results: Results, after: int, most: int, stamp: str) -> int | None:
        """Clear what the cluster wrote in earlier runs and has not written again.

        At most `most` documents with row numbers above `after` are processed. Returns the last row number, None if no
        more are left. For an intent of a run, this covers what runs wrote, in any collection; with a partition, only
        what runs of that partition wrote. For an intent of a caller, it covers everything in its target.
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
        """Clear everything that a cluster wrote, in at most `most` documents. Returns whether more may be left."""
        writer = self._writer(cluster_id)
        rows = self._rows("SELECT document, 0, fields, stale FROM written WHERE writer = ? LIMIT ?", writer, most)
        self._clear(writer, rows, stamp)
        return len(rows) == most

    def forget_cluster(self, cluster_id: str) -> None:
        """Forget what a cluster wrote; the documents keep it."""
        self._connection.execute(
            "DELETE FROM written WHERE writer IN (SELECT number FROM writers WHERE cluster_id = ?)", (cluster_id,)
        )
        self._connection.execute("DELETE FROM writers WHERE cluster_id = ?", (cluster_id,))

    def forget_documents(self, numbers: Sequence[int]) -> None:
        """Forget deleted documents, whose row numbers may be reused."""
        self._connection.execute(
            "DELETE FROM written WHERE document IN (SELECT value FROM json_each(?))", (_json_list(numbers),)
        )

    def forget_collection(self, number: int) -> None:
        """Forget all documents of a deleted collection."""
        documents = "(SELECT number FROM documents WHERE collection = ?)"
        self._connection.execute(f"DELETE FROM written WHERE document IN {documents}", (number,))

    def result_fields(self, collections: Sequence[str]) -> frozenset[str]:
        """Return the dotted paths written into documents of collections, named by their storage keys."""
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
        """Clear fields of documents. Rows are (document, whether only stale fields are cleared, fields, stale)."""
        for start in range(0, len(rows), _AT_ONCE):
            piece = rows[start : start + _AT_ONCE]
            doomed = {
                number: orjson.loads(stale or "{}")
                if is_current
                else merge_fields(orjson.loads(fields), orjson.loads(stale or "{}"))
                for number, is_current, fields, stale in piece
            }
            self._clear_documents(writer, doomed, stamp)
            gone = [number for number, is_current, *_ in piece if not is_current]
            for statement, numbers in (
                ("DELETE FROM written WHERE writer = ? AND document IN (SELECT value FROM json_each(?))", gone),
                (
                    "UPDATE written SET stale = NULL WHERE writer = ? AND document IN (SELECT value FROM json_each(?))",
                    [number for number, is_current, *_ in piece if is_current],
                ),
            ):
                self._connection.execute(statement, (writer, _json_list(numbers)))

    def _clear_documents(self, writer: int, doomed: Mapping[int, Json], stamp: str) -> None:
        listed = _json_list(doomed)
        others: dict[int, Json] = {}
        for number, fields in self._rows(
            "SELECT document, fields FROM written WHERE writer <> ? AND document IN (SELECT value FROM json_each(?))",
            *(writer, listed),
        ):
            others[number] = merge_fields(others.get(number, {}), orjson.loads(fields))
        changed = []
        for number, id, text, created, updated, checksum in self._payloads(doomed):
            _check_payload(text, id, created, updated, checksum)
            payload = clear_fields(orjson.loads(text), doomed[number], others.get(number, {}))
            after = orjson.dumps(payload).decode()
            if after != text:
                changed.append((after, stamp, text_checksum(after, id, created, stamp), number))
        self._connection.executemany(_STORE, changed)

    def _written_later(self, target: str, cluster_id: str, numbers: Iterable[int]) -> dict[int, Json]:
        """Return the fields of documents of a collection that other clusters wrote after this one."""
        rows = self._rows(
            "SELECT document, fields FROM written WHERE document IN (SELECT value FROM json_each(?)) AND writer IN ("
            "SELECT number FROM writers WHERE cluster_id IN (SELECT cluster_id FROM result_fences WHERE target = ? "
            "AND written_at > (SELECT written_at FROM result_fences WHERE target = ? AND cluster_id = ?)))",
            *(_json_list(numbers), target, target, cluster_id),
        )
        later: dict[int, Json] = {}
        for number, fields in rows:
            later[number] = merge_fields(later.get(number, {}), orjson.loads(fields))
        return later

    def _payloads(self, numbers: Iterable[int]) -> list[tuple[Any, ...]]:
        return self._rows(
            "SELECT number, document_id, payload, created_at, updated_at, checksum FROM documents "
            "WHERE number IN (SELECT value FROM json_each(?))",
            _json_list(numbers),
        )

    def _writer(self, cluster_id: str) -> int:
        self._connection.execute("INSERT INTO writers (cluster_id) VALUES (?) ON CONFLICT DO NOTHING", (cluster_id,))
        return int(self._rows("SELECT number FROM writers WHERE cluster_id = ?", cluster_id)[0][0])

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()


def _check_payload(text: str, id: str, created: str, updated: str, checksum: int | None) -> None:
    """Raise Corrupt for a damaged payload, which must not be merged into."""
    if checksum is not None and text_checksum(text, id, created, updated) != checksum:
        raise Corrupt(f"The payload of document {id!r} is damaged on disk. Store the document again.")


def _hash(text: str) -> int:
    """Hash an id to a signed 64-bit integer of SQLite; ids are random, so this is enough."""
    return crc32(text.encode()) << 31 ^ crc32(text[::-1].encode())


def _json_list(numbers: Iterable[int]) -> str:
    return orjson.dumps(list(numbers)).decode()

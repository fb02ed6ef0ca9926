"""Changes to the documents of a namespace inside one write transaction."""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final

import numpy as np
import orjson

from shoal.columns import DocumentBatch, Points, VectorColumn
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import Filter
from shoal.records.scope import Scope
from shoal.storage.checksums import text_checksum
from shoal.storage.filters.expressions import sql
from shoal.storage.protocols.documents import DerivedVectors, Results, Write
from shoal.storage.protocols.records import Json
from shoal.storage.result_marks import merge_fields
from shoal.storage.sqlite.batches import split_batches
from shoal.storage.sqlite.documents.intake import Intake
from shoal.storage.sqlite.documents.receipts import find_receipt, put_receipt, withdraw
from shoal.storage.sqlite.documents.result_fences import ResultFences
from shoal.storage.sqlite.documents.rows import check_payloads, json_list, missing_file, pieces, stamp_of
from shoal.storage.sqlite.documents.slots import compact
from shoal.storage.sqlite.documents.vectors import SegmentKey, VectorSegments
from shoal.storage.sqlite.documents.view import View
from shoal.storage.sqlite.documents.written import Written

__all__ = ["Change", "empty"]

_TABLES: Final = (
    "receipts",
    "result_fences",
    "written",
    "writers",
    "enrichments",
    "replies",
    "slots",
    "segments",
    "vector_spaces",
    "documents",
    "collections",
)
_PIECE: Final = 1_000
_CHANGED_CHARACTERS: Final = 8 * 2**20
"""Characters of payloads changed at once."""


class Change(View):
    """Changes inside a write transaction. `left` are the segments to unlink after its commit."""

    def __init__(self, connection: Connection, files: VectorSegments, scope: Scope) -> None:
        super().__init__(connection, files, scope)
        self.left: list[SegmentKey] = []

    def intake(self, collection: str, now: datetime) -> "Intake":
        if self.collection_number(collection) is None:
            self.connection.execute("INSERT INTO collections (key) VALUES (?)", (collection,))
        return Intake(self, collection, stamp_of(now))

    def receipt(self, write: Write | None) -> Any | None:
        """Return the stored answer of a named write, as JSON; None if it was not carried out. Raises WriteWithdrawn."""
        return find_receipt(self.connection, write)

    def withdraw(self, write: Write) -> bool:
        """Prevent a named write, unless it was carried out. Returns whether it is prevented."""
        return withdraw(self.connection, write)

    def keep_receipt(self, write: Write | None, answer: object) -> None:
        """Store the answer of a named write."""
        put_receipt(self.connection, write, answer)

    def replace_vectors(self, collection: str, batch: DocumentBatch) -> None:
        """Replace vectors of existing documents, for the names in the batch; other names stay."""
        numbers = self.numbers_of(collection, batch.ids)
        for row, document_id in enumerate(batch.ids):
            if document_id in numbers:
                single = _single(batch, row)
                with Intake(self, collection, "") as intake:
                    number = [numbers[document_id]]
                    self.slots.add_to_lists(number, intake.add_vectors(single, number))
                    intake.finish()

    def store_derived(self, collection: str, derived: DerivedVectors, now: datetime) -> list[str]:
        """Store derived vectors of the documents that still hold what was read. Returns their ids."""
        ids = [id for id, _ in derived.updates]
        numbers = self.numbers_of(collection, ids)
        unchanged = self._find_unchanged(derived, numbers)
        rows = np.flatnonzero([id in unchanged for id in ids])
        new = np.isin(derived.column.rows, rows)
        positions = derived.column.rows[new].tolist()
        bare = set(rows.tolist()) - set(positions)
        self._remove_vectors(derived.name, [numbers[ids[row]] for row in sorted(bare)])
        if positions:
            self._add_vectors(collection, derived, [numbers[ids[row]] for row in positions], derived.column.values[new])
        for piece in pieces(rows.tolist()):
            self._put([(numbers[ids[row]], derived.updates[row][1]) for row in piece], now, merge=True)
        return [ids[row] for row in rows.tolist()]

    def _find_unchanged(self, derived: DerivedVectors, numbers: dict[str, int]) -> set[str]:
        """Return the ids of the documents that hold what was read."""
        read = dict(zip((id for id, _ in derived.updates), derived.read, strict=True))
        space = self.slots.spaces().get(derived.name)
        unchanged = set[str]()
        for piece in pieces(numbers.values()):
            lists = self.slots.lists_of(piece)
            left = piece
            while left and (rows := self._some_rows(left)):
                for number, id, payload, *_ in rows:
                    held = find_field(orjson.loads(payload), derived.field)[1]
                    has_vector = space is not None and space.number in lists[number]
                    if held == read[id] and not (held is None and has_vector):
                        unchanged.add(id)
                done = {row[0] for row in rows}
                left = [number for number in left if number not in done]
        return unchanged

    def _add_vectors(self, collection: str, derived: DerivedVectors, numbers: Sequence[int], values: Points) -> None:
        column = VectorColumn(np.arange(len(numbers), dtype=np.int64), np.ascontiguousarray(values))
        batch = DocumentBatch([""] * len(numbers), [b"{}"] * len(numbers), {derived.name: column})
        with Intake(self, collection, "") as intake:
            self.slots.add_to_lists(numbers, intake.add_vectors(batch, numbers))
            intake.finish()

    def _remove_vectors(self, name: str, numbers: Sequence[int]) -> None:
        space = self.slots.spaces().get(name)
        if space is not None and numbers:
            self.connection.execute(
                "DELETE FROM slots WHERE space = ? AND document IN (SELECT value FROM json_each(?))",
                (space.number, json_list(numbers)),
            )
            self.slots.remove_from_lists(numbers, space)

    def update(
        self,
        collection: str,
        updates: Iterable[tuple[str, Json]],
        now: datetime,
        merge: bool,
        *,
        only_changes: bool = False,
    ) -> list[str]:
        updated: dict[str, None] = {}
        for piece in pieces(updates):
            numbers = self.numbers_of(collection, [document_id for document_id, _ in piece])
            existing = [(document_id, update) for document_id, update in piece if document_id in numbers]
            self._put([(numbers[document_id], update) for document_id, update in existing], now, merge, only_changes)
            updated |= dict.fromkeys(document_id for document_id, _ in existing)
        return list(updated)

    def write_results(
        self, results: Results, updates: Iterable[tuple[str, Json]], step: int, now: datetime
    ) -> list[str]:
        """Merge results into documents that do not hold those of this step or a later one.

        Returns the ids that exist.
        """
        ResultFences(self.connection).pass_target(results, now)
        written, present = Written(self.connection), dict[str, None]()
        for piece in pieces(updates):
            numbers = self.numbers_of(results.target, [document_id for document_id, _ in piece])
            done = written.find_done(results, numbers.values(), step)
            fresh = [(numbers[id], update) for id, update in piece if id in numbers and numbers[id] not in done]
            self._put(fresh, now, merge=True, only_changes=True)
            written.record(results, fresh, step)
            present |= dict.fromkeys(id for id, _ in piece if id in numbers)
        return list(present)

    def rewrite_results(
        self, collection: str, cluster_id: str, run_id: str, updates: Iterable[tuple[str, Json]], now: datetime
    ) -> int:
        """Replace values that a run wrote and that were not edited since. Returns the number of documents changed."""
        changed = 0
        for piece in pieces(updates):
            numbers = self.numbers_of(collection, [document_id for document_id, _ in piece])
            existing = {numbers[document_id]: update for document_id, update in piece if document_id in numbers}
            changed += Written(self.connection).rewrite(collection, cluster_id, run_id, existing, stamp_of(now))
        return changed

    def update_where(self, collection: str, filter: Filter, update: Json, now: datetime) -> int:
        numbers = self.numbers(collection, filter)
        for piece in pieces(numbers):
            self._put([(number, update) for number in piece], now, True)
        return len(numbers)

    def delete(self, collection: str, ids: Sequence[str]) -> list[str]:
        numbers: dict[str, int] = {}
        for piece in split_batches(ids, _PIECE):
            numbers |= self.numbers_of(collection, piece)
        self._forget(collection, list(numbers.values()))
        return [document_id for document_id in dict.fromkeys(ids) if document_id in numbers]

    def delete_where(self, collection: str, filter: Filter) -> int:
        numbers = self.numbers(collection, filter)
        self._forget(collection, numbers)
        return len(numbers)

    def delete_some(self, collection: str, filter: Filter, most: int) -> int:
        numbers = self.numbers(collection, filter)[:most]
        self._forget(collection, numbers)
        return len(numbers)

    def drop_collection(self, collection: str) -> None:
        number = self.collection_number(collection)
        if number is None:
            return
        self.left += self.slots.segments_of(number)
        documents = "(SELECT number FROM documents WHERE collection = ?)"
        self.connection.execute(f"DELETE FROM slots WHERE document IN {documents}", (number,))
        ResultFences(self.connection).forget_target(collection)
        Written(self.connection).forget_collection(number)
        for table, column in (("segments", "collection"), ("documents", "collection"), ("collections", "number")):
            self.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))

    def compact(self) -> int:
        before = self.slots.segments_of()
        freed = self.files.sweep(before)
        try:
            self.left += compact(self.connection, self.files)
        except FileNotFoundError as error:
            # Files are only removed under the write lock.
            raise missing_file(error) from error
        created = set(self.slots.segments_of()) - set(before)
        return freed + self.files.size_of(self.left) - self.files.size_of(created)

    def _put(self, updates: Sequence[tuple[int, Json]], now: datetime, merge: bool, only_changes: bool = False) -> None:
        """Merge each update into the payload of its document, or replace it, in order.

        With `only_changes`, a document whose payload does not change keeps its update time.
        """
        left = list(updates)
        while left and (rows := self._some_rows([number for number, _ in left])):
            read_now = {row[0] for row in rows}
            self._put_into(rows, [pair for pair in left if pair[0] in read_now], stamp_of(now), merge, only_changes)
            left = [pair for pair in left if pair[0] not in read_now]

    def _some_rows(self, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        """Read as many of these documents as are changed at once: some megabytes of payloads, at least one."""
        query = sql(
            "SELECT number, document_id, payload, created_at, updated_at, checksum FROM documents "
            "WHERE number IN (SELECT value FROM json_each({}))",
            json_list(numbers),
        )
        rows: list[tuple[Any, ...]] = []
        size = 0
        with contextlib.closing(self.connection.execute(*query)) as cursor:
            while size < _CHANGED_CHARACTERS and (row := cursor.fetchone()):
                rows.append(row)
                size += len(row[2])
        return rows

    def _put_into(
        self,
        rows: Sequence[tuple[Any, ...]],
        updates: Sequence[tuple[int, Json]],
        stamp: str,
        merge: bool,
        only_changes: bool,
    ) -> None:
        if merge:  # damaged payloads must not be merged into
            check_payloads(row[1:] for row in rows)
        payloads: dict[int, Json] = {row[0]: orjson.loads(row[2]) if merge else {} for row in rows}
        about = {row[0]: (row[1], row[3]) for row in rows}
        for number, update in updates:
            payloads[number] = merge_fields(payloads[number], update) if merge else update
        before = {row[0]: row[2] for row in rows} if only_changes else {}
        texts = ((number, orjson.dumps(payload).decode()) for number, payload in payloads.items())
        self.connection.executemany(
            "UPDATE documents SET payload = ?, updated_at = ?, checksum = ? WHERE number = ?",
            (
                (text, stamp, text_checksum(text, *about[number], stamp), number)
                for number, text in texts
                if text != before.get(number)
            ),
        )

    def _forget(self, collection: str, numbers: Sequence[int]) -> None:
        Written(self.connection).forget_documents(numbers)
        listed = json_list(numbers)
        for table, column in (("slots", "document"), ("documents", "number")):
            self.connection.execute(
                f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (listed,)
            )
        if numbers and not self._rows(sql("SELECT 1 FROM documents d WHERE {} LIMIT 1", self._where([collection]))):
            self.drop_collection(collection)


def empty(connection: Connection) -> None:
    """Delete every row of a namespace. Call it within a write transaction."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")


def _single(batch: DocumentBatch, row: int) -> DocumentBatch:
    """Return a batch of one of its documents."""
    columns = {name: (column, np.flatnonzero(column.rows == row)) for name, column in batch.vectors.items()}
    vectors = {
        name: VectorColumn(np.zeros(len(place), dtype=np.int64), column.values[place])
        for name, (column, place) in columns.items()
        if len(place)
    }
    return DocumentBatch([batch.ids[row]], [batch.payloads[row]], vectors)

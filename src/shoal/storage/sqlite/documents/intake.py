"""Ingestion of batches of documents, with their vectors, into a collection."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from types import TracebackType
from typing import Self, cast

import orjson

from shoal.columns import DocumentBatch
from shoal.errors import AlreadyExists
from shoal.storage.checksums import text_checksum
from shoal.storage.protocols.documents import WriteCount
from shoal.storage.sqlite.documents.rows import json_list
from shoal.storage.sqlite.documents.slots import SlotWriter, Space
from shoal.storage.sqlite.documents.space_lists import space_lists
from shoal.storage.sqlite.documents.view import View

__all__ = ["Intake"]


class Intake:
    """Writes batches of documents into one collection. Nothing is stored before `finish` and the commit."""

    def __init__(self, view: View, collection: str, stamp: str) -> None:
        number = view.collection_number(collection)
        self._view = view
        self._collection = collection
        self._number = cast("int", number)
        self._stamp = stamp
        self._writer = SlotWriter(view.connection, view.files, self._number, collection)
        self._inserted = 0
        self._replaced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def add(self, batch: DocumentBatch, *, may_replace: bool) -> None:
        """Store one batch. Raises AlreadyExists if an id is taken and must not be replaced."""
        existing = self._view.numbers_of(self._collection, batch.ids)
        if existing and not may_replace:
            raise AlreadyExists("document", next(document_id for document_id in batch.ids if document_id in existing))
        numbers = self._numbers(batch.ids, existing)
        texts = _canonical(batch.payloads)
        lists = self._lists(batch, numbers)
        if existing:
            self._replace(batch.ids, texts, lists, existing)
        self._insert(batch.ids, texts, lists, numbers, existing)
        self.add_vectors(batch, numbers)
        self._inserted += len(batch) - len(existing)
        self._replaced += len(existing)

    def add_vectors(self, batch: DocumentBatch, numbers: Sequence[int]) -> list[Space]:
        """Store the vectors of a batch for documents with these row numbers, aligned with the batch.

        Returns the spaces with new vectors.
        """
        spaces = self._spaces(batch)
        for space, column in zip(spaces, batch.vectors.values(), strict=True):
            every = len(column.rows) == len(numbers)
            documents = numbers if every else [numbers[row] for row in column.rows.tolist()]
            self._writer.store(space, documents, column.values)
        return [space for space, column in zip(spaces, batch.vectors.values(), strict=True) if len(column.rows)]

    def finish(self) -> WriteCount:
        """Sync the vectors, so that the transaction can be committed."""
        self._writer.sync()
        return WriteCount(self._inserted, self._replaced)

    def _spaces(self, batch: DocumentBatch) -> list[Space]:
        return [self._view.slots.declare(name, column.dimension) for name, column in batch.vectors.items()]

    def _lists(self, batch: DocumentBatch, numbers: Sequence[int]) -> list[bytes]:
        """Return for each document of the batch the list of the spaces in which it has a vector."""
        columns = list(zip(self._spaces(batch), batch.vectors.values(), strict=True))
        whole = tuple(space.number for space, column in columns if len(column.rows) == len(batch))
        spaces = [whole] * len(batch)
        for space, column in columns:
            if len(column.rows) < len(batch):
                for row in column.rows.tolist():
                    spaces[row] = (*spaces[row], space.number)
        return space_lists(numbers, spaces)

    def _numbers(self, ids: Sequence[str], existing: Mapping[str, int]) -> Sequence[int]:
        last = self._view.connection.execute("SELECT coalesce(max(number), 0) FROM documents").fetchone()[0]
        if not existing:
            return range(last + 1, last + 1 + len(ids))
        fresh = iter(range(last + 1, last + 1 + len(ids)))
        return [existing[document_id] if document_id in existing else next(fresh) for document_id in ids]

    def _insert(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        lists: Sequence[bytes],
        numbers: Sequence[int],
        existing: Mapping[str, int],
    ) -> None:
        stamps = repeat(self._stamp)
        checksums = map(text_checksum, texts, ids, repeat(self._stamp), repeat(self._stamp))
        rows = zip(numbers, repeat(self._number), ids, texts, stamps, stamps, checksums, lists)
        self._view.connection.executemany(
            "INSERT INTO documents "
            "(number, collection, document_id, payload, created_at, updated_at, checksum, spaces) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row for row in rows if row[2] not in existing) if existing else rows,
        )

    def _replace(
        self, ids: Sequence[str], texts: Sequence[str], lists: Sequence[bytes], existing: Mapping[str, int]
    ) -> None:
        connection = self._view.connection
        listed = json_list(list(existing.values()))
        connection.execute("DELETE FROM slots WHERE document IN (SELECT value FROM json_each(?))", (listed,))
        creation_times = dict(
            connection.execute(
                "SELECT number, created_at FROM documents WHERE number IN (SELECT value FROM json_each(?))", (listed,)
            ).fetchall()
        )
        rows = zip(ids, texts, lists, strict=True)
        replaced = [(text, i, spaces, existing[i]) for i, text, spaces in rows if i in existing]
        connection.executemany(
            "UPDATE documents SET payload = ?, updated_at = ?, checksum = ?, spaces = ? WHERE number = ?",
            (
                (
                    text,
                    self._stamp,
                    text_checksum(text, document_id, creation_times[number], self._stamp),
                    spaces,
                    number,
                )
                for text, document_id, spaces, number in replaced
            ),
        )


def _canonical(payloads: Sequence[bytes]) -> list[str]:
    """Return the payloads with as few escapes as JSON allows: SQLite before 3.45 compares keys as written."""
    # JSON contains U+0000 only as an escape, and one pass over all payloads is far faster than many calls.
    joined = b"\0".join(payloads)
    if b"\\u" in joined or b"\\/" in joined:
        return [orjson.dumps(orjson.loads(payload)).decode() for payload in payloads]
    return joined.decode().split("\0") if payloads else []

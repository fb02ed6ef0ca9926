"""Documents in memory: the protocol over dictionaries, without transactions, as on a vector database.

Meant for tests: it shows that the protocol needs nothing that only a database with transactions provides, and it fails
between two steps on request.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import RLock
from typing import Any, Final, Literal, TypeVar

import orjson

from shoal.columns import DocumentBatch
from shoal.errors import AlreadyExists, InvalidField, Unavailable
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import Filter
from shoal.records.scope import Scope
from shoal.storage.memory import results as marking
from shoal.storage.memory.document import Document
from shoal.storage.memory.faults import NO_FAULTS, Faults
from shoal.storage.memory.namespace import Change, Namespace, Receipt
from shoal.storage.memory.reads import MemoryReads, rows_of
from shoal.storage.protocols.documents import DerivedVectors, Results, Write, WriteCount, WriteWithdrawn
from shoal.storage.protocols.records import Json
from shoal.storage.result_marks import merge_fields, paths_of

__all__ = ["MemoryDocuments"]

Made = TypeVar("Made")
Answer = TypeVar("Answer")
Check = Callable[[Scope, str], None]
Row = tuple[str, str, Document, Json]
"""Id, collection, document, and its visible fields."""

_CLEARED_AT_ONCE: Final = 5_000
_VALUE_BYTES: Final = 400


def _check_nothing(scope: Scope, key: str) -> None:
    """Accept every namespace and collection."""


class MemoryDocuments(MemoryReads):
    """The DocumentStore in memory. See `storage.protocols.documents` for the guarantees.

    Parameters
    ----------
    check : callable, optional
        Called with the scope and the storage key ("" for none) before each write; raises if they were removed.
    faults : Faults, optional
        Which steps fail.
    """

    def __init__(self, *, check: Check = _check_nothing, faults: Faults = NO_FAULTS) -> None:
        self._check, self._faults = check, faults
        self._spaces: dict[Scope, Namespace] = {}
        self._lock = RLock()
        self._closed = False

    # ── vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """See DocumentStore."""
        with self._writing(scope) as space:
            change = Change()
            space.declare(change, name, dimension)
            space.commit(change, self._faults)

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            return dict(space.dimensions)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(
        self,
        scope: Scope,
        collection: str,
        batches: Iterable[DocumentBatch],
        *,
        now: datetime,
        on_conflict: Literal["replace", "fail"] = "replace",
        write: Write | None = None,
    ) -> WriteCount:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> WriteCount:
            inserted = replaced = 0
            for batch in batches:
                self._faults.step("batch")
                existing = {
                    id: document for id in batch.ids if (document := space.document(change, collection, id)) is not None
                }
                if existing and on_conflict == "fail":
                    raise AlreadyExists("document", next(id for id in batch.ids if id in existing))
                vectors = _vectors_of(space, change, batch)
                for id, payload in zip(batch.ids, batch.payloads, strict=True):
                    born = existing[id].created_at if id in existing else now
                    marks = existing[id].marks if id in existing else {}
                    change.puts[collection, id] = Document(payload, born, now, vectors.get(id, {}), marks)
                inserted, replaced = inserted + len(batch) - len(existing), replaced + len(existing)
            return WriteCount(inserted, replaced)

        return self._once(scope, collection, write, stage)

    def update(
        self,
        scope: Scope,
        collection: str,
        updates: Iterable[tuple[str, Json]],
        *,
        now: datetime,
        merge: bool = True,
        only_changes: bool = False,
        vectors: DocumentBatch | None = None,
        write: Write | None = None,
    ) -> list[str]:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> list[str]:
            present = dict[str, None]()
            for id, update in updates:
                document = space.document(change, collection, id)
                if document is None:
                    continue
                present[id] = None
                text = orjson.dumps(merge_fields(document.decode(), update) if merge else update)
                if not only_changes or text != document.payload:
                    change.puts[collection, id] = replace(document, payload=text, updated_at=now)
            for id, new_vectors in ({} if vectors is None else _vectors_of(space, change, vectors)).items():
                document = space.document(change, collection, id)
                if document is not None:
                    change.puts[collection, id] = replace(document, vectors={**document.vectors, **new_vectors})
            return list(present)

        return self._once(scope, collection, write, stage)

    def store_derived(
        self, scope: Scope, collection: str, batches: Iterable[DerivedVectors], *, now: datetime
    ) -> list[str]:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> list[str]:
            return [id for batch in batches for id in _stage_derived(space, change, collection, batch, now)]

        return self._once(scope, collection, None, stage)

    def update_where(
        self,
        scope: Scope,
        collection: str,
        filter: Filter,
        update: Json,
        *,
        now: datetime,
        write: Write | None = None,
    ) -> int:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> int:
            rows = rows_of(scope, space, [collection], filter)
            for id, _, document, _ in rows:
                text = orjson.dumps(merge_fields(document.decode(), update))
                change.puts[collection, id] = replace(document, payload=text, updated_at=now)
            return len(rows)

        return self._once(scope, collection, write, stage)

    def delete(self, scope: Scope, collection: str, ids: Sequence[str], *, write: Write | None = None) -> list[str]:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> list[str]:
            gone = [id for id in dict.fromkeys(ids) if space.document(change, collection, id) is not None]
            change.puts = {(collection, id): None for id in gone}
            return gone

        return self._once(scope, collection, write, stage)

    def delete_where(self, scope: Scope, collection: str, filter: Filter, *, write: Write | None = None) -> int:
        """See DocumentStore."""

        def stage(space: Namespace, change: Change) -> int:
            change.puts = {(collection, id): None for id, *_ in rows_of(scope, space, [collection], filter)}
            return len(change.puts)

        return self._once(scope, collection, write, stage)

    def withdraw_write(self, scope: Scope, write: Write) -> bool:
        """See DocumentStore."""
        with self._writing(scope) as space:
            receipt = space.receipts.get(write.id)
            if receipt is None:
                space.commit(Change(receipts={write.id: Receipt(None, write.at)}), self._faults)
            return receipt is None or receipt.answer is None

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            space.receipts = {id: receipt for id, receipt in space.receipts.items() if receipt.at >= before}

    # ── results of clusters ──────────────────────────────────────────────────────────────────────────────────────────

    def write_results(
        self, scope: Scope, results: Results, updates: Iterable[tuple[str, Json]], *, step: int, now: datetime
    ) -> list[str]:
        """See DocumentStore."""
        with self._writing(scope, results.target) as space:
            return self._commit(space, marking.write(space, results, updates, step, now))

    def rewrite_results(
        self,
        scope: Scope,
        collection: str,
        cluster_id: str,
        run_id: str,
        updates: Iterable[tuple[str, Json]],
        *,
        now: datetime,
    ) -> int:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            return self._commit(space, marking.rewrite(space, collection, cluster_id, run_id, updates, now))

    def clear_results(self, scope: Scope, results: Results, *, after: str, now: datetime) -> str | None:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            return self._commit(space, marking.clear_earlier(space, results, after, _CLEARED_AT_ONCE, now))

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            return self._commit(space, marking.clear_all(space, cluster_id, _CLEARED_AT_ONCE, now))

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            space.commit(marking.forget(space, cluster_id), self._faults)
            space.fences = {key: fence for key, fence in space.fences.items() if key[1] != cluster_id}

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            marks = [
                mark
                for key in collections
                for document in space.collections.get(key, {}).values()
                for mark in document.marks.values()
            ]
            return frozenset(path for mark in marks for shape in (mark.fields, mark.stale) for path in paths_of(shape))

    # ── collections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def drop_collection(self, scope: Scope, collection: str) -> None:
        """See DocumentStore."""
        with self._writing(scope, None) as space:
            space.drop(collection)

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            return list(space.generations().get(collection_id, []))

    def list_generated_collections(self, scope: Scope) -> list[str]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            return list(space.generations())

    def drop_namespace(self, scope: Scope) -> None:
        """See DocumentStore."""
        with self._writing(scope, None):
            del self._spaces[scope]

    def compact(self, scope: Scope) -> int:
        """See DocumentStore. Deleted documents are freed at once."""
        return 0

    def checkpoint(self) -> None:
        """See DocumentStore. There are no journals."""

    def journal_bytes(self) -> int:
        """See DocumentStore."""
        return 0

    def close(self) -> None:
        """Later calls raise Unavailable."""
        self._closed = True

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _once(
        self,
        scope: Scope,
        collection: str,
        write: Write | None,
        stage: Callable[[Namespace, Change], Answer],
    ) -> Answer:
        """Stage a write and commit it; a repetition of a named write returns the stored answer."""
        with self._writing(scope, collection) as space:
            receipt = None if write is None else space.receipts.get(write.id)
            if write is not None and receipt is not None and receipt.answer is None:
                raise WriteWithdrawn(write.id)
            if receipt is not None:
                answered: Answer = receipt.answer
                return answered
            change = Change()
            answer = stage(space, change)
            if write is not None:
                change.receipts[write.id] = Receipt(answer, write.at)
            space.commit(change, self._faults)
            return answer

    def _commit(self, space: Namespace, staged: tuple[Change, Answer]) -> Answer:
        change, answer = staged
        space.commit(change, self._faults)
        return answer

    @contextmanager
    def _writing(self, scope: Scope, key: str | None = "") -> Iterator[Namespace]:
        """Open the namespace for one write to the collection `key`; None for writes that create no collection."""
        if not scope.namespace_id:
            raise InvalidField("namespace_id", "must not be empty", remedy="Documents live in a namespace.")
        if key is not None:
            self._check(scope, key)
        with self._lock:
            self._check_open()
            space = self._spaces.setdefault(scope, Namespace())
            space.settle(self._faults)
            yield space

    @contextmanager
    def _reading(self, scope: Scope) -> Iterator[Namespace]:
        with self._lock:
            self._check_open()
            space = self._spaces.get(scope, Namespace())
            space.settle(NO_FAULTS)
            yield space

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("The document store is closed.")


def _vectors_of(space: Namespace, change: Change, batch: DocumentBatch) -> dict[str, dict[str, Any]]:
    """Return the vectors of each document of a batch by name. Raises InvalidField for a wrong dimension."""
    vectors: dict[str, dict[str, Any]] = {}
    for name, column in batch.vectors.items():
        space.declare(change, name, column.dimension)
        for row, values in zip(column.rows.tolist(), column.values, strict=True):
            vectors.setdefault(batch.ids[row], {})[name] = values.copy()
    return vectors


def _stage_derived(
    space: Namespace, change: Change, collection: str, derived: DerivedVectors, now: datetime
) -> list[str]:
    """Stage derived vectors of the documents that still hold what was read. Returns their ids."""
    name, column = derived.name, derived.column
    if len(column.rows):
        space.declare(change, name, column.dimension)
    new, stored = dict(zip(column.rows.tolist(), column.values, strict=True)), []
    for row, ((id, update), read) in enumerate(zip(derived.updates, derived.read, strict=True)):
        document = space.document(change, collection, id)
        if document is None:
            continue
        held = find_field(document.decode(), derived.field)[1]
        if held != read or (held is None and name in document.vectors):
            continue
        vectors = {other: values for other, values in document.vectors.items() if other != name}
        vectors |= {name: new[row].copy()} if row in new else {}
        payload = orjson.dumps(merge_fields(document.decode(), update))
        change.puts[collection, id] = replace(document, payload=payload, updated_at=now, vectors=vectors)
        stored.append(id)
    return stored

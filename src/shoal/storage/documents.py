"""Documents and vectors on local disk: one folder a namespace, with a SQLite file and vector segments.

`<root>/<organization>/<namespace>/documents.sqlite` holds payloads as JSON text and says in which slots the vectors of
`vectors/` lie. A write appends vectors, syncs them and then commits the rows, all under SQLite's write lock: a crash at
any moment leaves either all of it or bytes that no row speaks of.

Payloads are kept in the form in which `orjson` writes them (keys must be unique). Readers take no lock: they read rows
in one snapshot and map files that nobody overwrites.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice, repeat
from pathlib import Path
from sqlite3 import Connection
from threading import local
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, cast

import numpy as np
import orjson

from shoal import deadline
from shoal.columns import DocumentBatch, Matrix, Rows
from shoal.errors import AlreadyExists, Corrupt, InsufficientStorage, InvalidField, NotFound, Unavailable
from shoal.failpoints import hit
from shoal.records.fields import find_field, key_paths
from shoal.records.filters import MATCH_ALL, Filter
from shoal.records.paging import Listing, Sort
from shoal.records.scope import Scope
from shoal.storage.base import Enrichment, Json, Query, SavedReply, StoredDocument, WriteCount, batched
from shoal.storage.checksums import UNKNOWN, text_checksum
from shoal.storage.enrichments import Enrichments
from shoal.storage.filters.expressions import Sql, sql
from shoal.storage.filters.to_mask import kind_of
from shoal.storage.filters.to_sql import compile_filter, compile_search, order_sql
from shoal.storage.namespaces import Namespace, Namespaces
from shoal.storage.replies import find_reply, put_reply
from shoal.storage.slots import Places, Slots, SlotWriter, Space, as_numbers, compact
from shoal.storage.space_lists import space_lists
from shoal.storage.vectors import SegmentKey, VectorSegments
from shoal.storage.written import Written

__all__ = ["SqliteDocuments"]

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Made = TypeVar("Made")
Names = Sequence[str] | Literal["all"]
Check = Callable[[Scope, str], None]

_ID: Final = "d.document_id"
# The storage key without the generation.
_COLLECTION: Final = "(SELECT substr(key, 1, instr(key || '@', '@') - 1) FROM collections WHERE number = d.collection)"
_INTERNAL: Final[Mapping[str, str]] = {
    "document_id": _ID,
    "collection_id": _COLLECTION,
    # As they leave Shoal: to the millisecond.
    "created_at": "(substr(d.created_at, 1, 23) || 'Z')",
    "updated_at": "(substr(d.updated_at, 1, 23) || 'Z')",
}
"""Fields that are shown under `_internal` and are columns of `documents d`, not part of the payload. A document's own
`created_at` is another field."""
_TABLES: Final = (
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
_CLEARED_AT_ONCE: Final = 5_000
_DECODED_AT_ONCE: Final = 200
_DECODED_CHARACTERS: Final = 2**20
"""Of payloads, decoded in one go: while that lasts, no other thread of the process does anything."""
_WRITTEN_NUMBER: Final = 20
"""Characters that a number of a vector takes as JSON."""
_MOST_VALUES_BYTES: Final = 256 * 2**20
_VALUE_BYTES: Final = 400
_PIECE_WHEN_FULL: Final = 200
_TRIES: Final = 5


def _nothing_to_check(scope: Scope, key: str) -> None:
    """Where nobody keeps records of namespaces and collections, all are there."""


class SqliteDocuments:
    """The document store below a folder. See `storage.base.DocumentStore` for the promises.

    Deleting leaves holes in the vector files; they are closed by `compact`, which the caller runs when it is quiet.
    Only a collection that loses its last document gives its space back at once.

    `check` is asked before a write makes a namespace, and again within the write's transaction: it raises where the
    namespace, or the collection of a storage key ("" for none), was removed.
    """

    def __init__(self, root: Path, *, segment_bytes: int = 1 << 30, check: Check = _nothing_to_check) -> None:
        self._namespaces, self._check = Namespaces(root, segment_bytes), check
        self._outer = _Outer()

    # ── vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """See DocumentStore."""
        with self._writing(scope) as change:
            change.slots.declare(name, dimension)

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]:
        """See DocumentStore."""
        return self._read(scope, lambda view: {s.name: s.dimension for s in view.slots.spaces().values()}, {})

    def replace_vectors(self, scope: Scope, collection: str, document_id: str, batch: DocumentBatch) -> None:
        """See DocumentStore. Raises NotFound where there is no such document, InvalidField for a wrong dimension."""
        if not self._change(scope, lambda change: change.replace_vectors(collection, document_id, batch), False):
            raise NotFound("document", document_id)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(
        self,
        scope: Scope,
        collection: str,
        batches: Iterable[DocumentBatch],
        *,
        now: datetime,
        on_conflict: Literal["replace", "fail"] = "replace",
    ) -> WriteCount:
        """See DocumentStore. Keeps one batch in memory; other writers of the namespace wait until it is done."""
        with self._writing(scope, collection) as change, change.intake(collection, now) as intake:
            for batch in batches:
                intake.take(batch, may_replace=on_conflict == "replace")
            hit("ingest.appended")
            count = intake.finish()
            hit("ingest.synced")
        hit("ingest.committed")
        return count

    def update(
        self, scope: Scope, collection: str, updates: Iterable[tuple[str, Json]], *, now: datetime, merge: bool = True
    ) -> list[str]:
        """See DocumentStore. Each id is told once, in the order of its first update."""
        return self._change(scope, lambda change: change.update(collection, updates, now, merge), [])

    def update_where(self, scope: Scope, collection: str, filter: Filter, update: Json, *, now: datetime) -> int:
        """See DocumentStore."""
        return self._change(scope, lambda change: change.update_where(collection, filter, update, now), 0)

    def begin_enrichment(self, scope: Scope, intent: Enrichment, *, again: bool = False, now: datetime) -> Enrichment:
        """See DocumentStore."""
        with self._writing(scope, intent.target) as change:
            begun = Enrichments(change.connection).begin(intent, _stamp(now), again=again)
        hit("enrich.intent")
        return begun

    def enrich(
        self,
        scope: Scope,
        intent: Enrichment,
        updates: Iterable[tuple[str, Json]],
        *,
        stop: int,
        counted: Set[str],
        now: datetime,
    ) -> Enrichment:
        """See DocumentStore."""
        with self._writing(scope, intent.target) as change:
            written = list(updates)
            found = change.update(intent.target, written, now, merge=True, only_changes=True)
            change.note_results(intent, written)
            moved = replace(intent, position=stop, enriched=intent.enriched + len(counted & set(found)))
            Enrichments(change.connection).move(intent, moved, _stamp(now))
            hit("enrich.batch")
        hit("enrich.batch_committed")
        return moved

    def clear_results(self, scope: Scope, intent: Enrichment, *, after: int, now: datetime) -> int | None:
        """See DocumentStore."""

        def clear(change: "_Change") -> int | None:
            Enrichments(change.connection).check_latest_anywhere(intent)
            last = Written(change.connection).clear_earlier(intent, after, _CLEARED_AT_ONCE, _stamp(now))
            hit("enrich.clear")
            return last

        return self._change(scope, clear, None)

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """See DocumentStore."""
        stamp = _stamp(now)
        return self._change(
            scope,
            lambda change: Written(change.connection).clear_all(cluster_id, _CLEARED_AT_ONCE, stamp),
            False,
        )

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """See DocumentStore."""
        self._change(scope, lambda change: Written(change.connection).forget_cluster(cluster_id), None)

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: Written(view.connection).result_fields(collections), frozenset())

    def enrichments(self, scope: Scope, run_id: str) -> list[Enrichment]:
        """See DocumentStore."""
        return self._read(scope, lambda view: Enrichments(view.connection).of_run(run_id), [])

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(
        self, scope: Scope, collection: str, ids: Sequence[str], *, vectors: Names = ()
    ) -> list[StoredDocument | None]:
        """See DocumentStore."""
        nothing: list[StoredDocument | None] = [None] * len(ids)
        return self._read(scope, lambda view: view.get(collection, ids, vectors), nothing)

    def find(self, scope: Scope, collection: str, query: Query, *, vectors: Names = ()) -> Listing[StoredDocument]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.find(collection, query, vectors), Listing([], 0, False))

    def count(self, scope: Scope, collection: str, filter: Filter = MATCH_ALL) -> int:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.count([collection], filter), 0)

    def distinct(
        self, scope: Scope, collection: str, field: str, filter: Filter, limit: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """See DocumentStore. Absent fields and nulls are no values; 1 and 1.0 are one; a document whose list holds a
        value twice counts once for it. Equally frequent values: booleans, numbers, lists and objects, text."""
        nothing: tuple[list[tuple[Any, int]], int] = [], 0
        return self._read(scope, lambda view: view.distinct(collection, field, filter, limit), nothing)

    def load_matrix(
        self,
        scope: Scope,
        collections: Sequence[str],
        vector_names: Sequence[str],
        *,
        filter: Filter = MATCH_ALL,
        sample: int | None = None,
        seed: int = 42,
    ) -> Matrix:
        """See DocumentStore. Blocks that are maps are read-only."""
        nothing = Matrix([], [], {name: np.empty((0, 0), dtype=np.float32) for name in vector_names})
        return self._read(scope, lambda view: view.matrix(collections, vector_names, filter, sample, seed), nothing)

    def load_fields(
        self, scope: Scope, collections: Sequence[str], fields: Sequence[str], *, filter: Filter = MATCH_ALL
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        """See DocumentStore. All documents that match, with vectors or without."""
        nothing: tuple[list[str], list[str], list[list[Any]]] = [], [], [[] for _ in fields]
        return self._read(scope, lambda view: view.fields(collections, fields, filter), nothing)

    def load_made(
        self,
        scope: Scope,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        *,
        filter: Filter = MATCH_ALL,
    ) -> tuple[list[str], list[str], list[Made]]:
        """See DocumentStore."""
        nothing: tuple[list[str], list[str], list[Made]] = [], [], []
        return self._read(scope, lambda view: view.made(collections, fields, make, filter), nothing)

    def each_fields(
        self,
        scope: Scope,
        collection: str,
        fields: Sequence[str],
        take: Callable[[int, Sequence[Sequence[Any]]], None],
        *,
        filter: Filter = MATCH_ALL,
    ) -> None:
        """See DocumentStore."""
        self._read(scope, lambda view: view.each_fields(collection, fields, filter, take), None)

    # ── removing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def delete(self, scope: Scope, collection: str, ids: Sequence[str]) -> list[str]:
        """See DocumentStore. Each id is told once, in the order given."""
        return self._change(scope, lambda change: change.delete(collection, ids), [])

    def delete_where(self, scope: Scope, collection: str, filter: Filter) -> int:
        """See DocumentStore."""
        try:
            return self._change(scope, lambda change: change.delete_where(collection, filter), 0)
        except InsufficientStorage:
            if self._outer.any():  # the caller's transaction is one whole
                raise
            return self._delete_by_pieces(scope, collection, filter)

    def drop_collection(self, scope: Scope, collection: str) -> None:
        """See DocumentStore."""
        try:
            self._change(scope, lambda change: change.drop_collection(collection), None)
        except InsufficientStorage:
            if self._outer.any():
                raise
            self._delete_by_pieces(scope, collection, MATCH_ALL)

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.generations(collection_id), [])

    def generated_collections(self, scope: Scope) -> list[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.generated_collections(), [])

    def drop_namespace(self, scope: Scope) -> None:
        """See DocumentStore."""
        try:
            self._empty(scope)
        except Corrupt:  # what is damaged goes all the same
            self._namespaces.move_away(scope)
        hit("remove.moved")
        self._namespaces.remove_moved(scope)

    def _empty(self, scope: Scope) -> None:
        """Move a namespace away while nobody can write, and leave it empty for those in other processes who have it
        open."""
        with self._namespaces.opened(scope) as namespace:
            if namespace is None:
                self._namespaces.move_away(scope)  # a folder that a killed or refused writer made
                return
            moved = False
            try:
                with namespace.database.transaction() as connection:
                    namespace.check_current()
                    for table in _TABLES:
                        connection.execute(f"DELETE FROM {table}")
                    self._namespaces.move_away(scope)
                    moved = True
            except Unavailable:
                if not moved:  # else it is gone, whatever became of the commit
                    raise
            self._namespaces.forget(namespace)

    def compact(self, scope: Scope) -> int:
        """See DocumentStore. Segments with more than 20 % holes are rewritten in the order of document ids, and files
        left by crashes are removed; writers of the namespace wait."""
        return self._change(scope, lambda change: change.compact(), 0)

    def checkpoint(self) -> None:
        """See DocumentStore."""
        self._namespaces.checkpoint()

    def close(self) -> None:
        """Close every file; a call under way closes its own when it ends. Later calls raise Unavailable."""
        self._namespaces.close()

    # ── several changes as one ───────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def transaction(self, scope: Scope) -> Iterator[None]:
        """See DocumentStore. The namespace is made where it does not exist."""
        self._check(scope, "")
        with self._namespaces.made(scope) as namespace:
            with self._joined(namespace), self._outer.around(namespace) as left:
                self._check(scope, "")
                yield
            for key in left:
                namespace.files.remove(key)

    def saved_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """See DocumentStore."""
        return self._read(scope, lambda view: find_reply(view.connection, scope, key), None)

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """See DocumentStore."""
        with self._writing(scope) as change:
            put_reply(change.connection, scope, key, saved, forget_before)

    # ── how a call is run ────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, scope: Scope, ask: Callable[["_View"], Answer], nothing: Answer) -> Answer:
        """Ask one snapshot of the namespace; `nothing` is the answer of one that does not exist."""
        tries = 0
        while True:
            with self._namespaces.opened(scope) as namespace:
                if namespace is None:
                    return nothing
                try:
                    with _snapshot(namespace.database.read()) as connection:
                        return ask(_View(connection, namespace.files, scope))
                except FileNotFoundError as error:
                    # Compacted or dropped between reading the rows and mapping the file: the next look sees new rows.
                    tries += 1
                    if tries == _TRIES:
                        raise _missing(error) from error

    def _delete_by_pieces(self, scope: Scope, collection: str, filter: Filter) -> int:
        """On a full disk, where one transaction would not fit: each piece is a transaction, and its journal is emptied
        before the next. Raises InsufficientStorage where not even a piece fits; what is gone by then stays gone."""
        self.checkpoint()
        gone = 0
        while True:
            piece = self._change(scope, lambda change: change.delete_some(collection, filter, _PIECE_WHEN_FULL), 0)
            gone += piece
            self.checkpoint()
            if piece < _PIECE_WHEN_FULL:
                return gone

    @contextlib.contextmanager
    def _writing(self, scope: Scope, key: str = "") -> Iterator["_Change"]:
        """A transaction on a namespace that is made where it does not exist; `key` is what is written to. Whoever
        removes them deletes their records first: what is checked within the transaction is found by its removal."""
        self._check(scope, key)
        with self._namespaces.made(scope) as namespace, self._joined(namespace) as connection:
            self._check(scope, key)
            yield _Change(connection, namespace.files, scope)

    @contextlib.contextmanager
    def _joined(self, namespace: Namespace) -> Iterator[Connection]:
        """A transaction, or the one that this thread has open around it."""
        if namespace in self._outer:
            with self._outer.change(namespace):
                yield namespace.database.read()
        else:
            with namespace.database.transaction() as connection:
                namespace.check_current()
                yield connection

    def _change(self, scope: Scope, action: Callable[["_Change"], Answer], nothing: Answer) -> Answer:
        """A transaction on a namespace that exists; `nothing` is the answer of one that does not."""
        with self._namespaces.opened(scope) as namespace:
            if namespace is None:
                return nothing
            with self._joined(namespace) as connection:
                change = _Change(connection, namespace.files, scope)
                answer = action(change)
            for key in self._outer.kept_back(namespace, change.left):
                namespace.files.remove(key)
            return answer


class _Outer(local):
    """The transactions that this thread has open around several changes."""

    def __init__(self) -> None:
        self._open: dict[Namespace, _Around] = {}

    def any(self) -> bool:
        """Whether this thread has one open."""
        return bool(self._open)

    @contextlib.contextmanager
    def around(self, namespace: Namespace) -> Iterator[Sequence[SegmentKey]]:
        """Yields what is to be unlinked after the commit: of the outermost block, everything kept back. Raises
        RuntimeError where a change inside failed and the block goes on all the same."""
        if namespace in self._open:
            yield ()
            return
        around = self._open[namespace] = _Around()
        try:
            yield around.left
        finally:
            del self._open[namespace]
        if around.failed:
            raise RuntimeError("A change inside the transaction failed, and would be stored by halves.")

    @contextlib.contextmanager
    def change(self, namespace: Namespace) -> Iterator[None]:
        """One change within the transaction around it. A savepoint would allow it to fail alone, but SQLite would keep
        every page it touches in memory, and an import touches them all."""
        try:
            yield
        except BaseException:
            self._open[namespace].failed = True
            raise

    def kept_back(self, namespace: Namespace, left: Sequence[SegmentKey]) -> Sequence[SegmentKey]:
        """What may be unlinked at once: nothing within an outer transaction, which takes it over."""
        if namespace not in self._open:
            return left
        self._open[namespace].left += left
        return ()

    def __contains__(self, namespace: Namespace) -> bool:
        return namespace in self._open


@dataclass(slots=True)
class _Around:
    """`left` are the segments to unlink after the commit: until then all may be undone, and rows would speak of files
    that are gone."""

    left: list[SegmentKey] = field(default_factory=list)
    failed: bool = False


# ── one look ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _View:
    """What one connection sees of a namespace."""

    def __init__(self, connection: Connection, files: VectorSegments, scope: Scope) -> None:
        self.connection = connection
        self.files = files
        self._internal = {
            **_INTERNAL,
            "internal_id": _constant(scope.organization_id),
            "namespace_id": _constant(scope.namespace_id),
        }
        self._columns = {
            "document_id": _ID,
            "collection_id": _COLLECTION,
            **{f"_internal.{name}": column for name, column in self._internal.items()},
        }
        self.slots = Slots(connection, files)

    def get(self, collection: str, ids: Sequence[str], vectors: Names) -> list[StoredDocument | None]:
        found: dict[str, StoredDocument] = {}
        for piece in batched(ids, _PIECE):
            wanted = sql("document_id IN (SELECT value FROM json_each({}))", _listed_ids(piece))
            where = sql("{} AND {}", self._where([collection]), wanted)
            found |= {
                document.document_id: document for document in self._documents(collection, where, Sql("", ()), vectors)
            }
        return [found.get(document_id) for document_id in ids]

    def find(self, collection: str, query: Query, vectors: Names) -> Listing[StoredDocument]:
        where = self._where([collection], query.filter)
        if query.search:
            where = sql(
                "{} AND {}", where, compile_search(query.search, query.search_fields, "d.payload", self._columns)
            )
        page = query.page
        tail = sql("{} LIMIT {} OFFSET {}", self._order(query.sort), page.limit + 1, page.offset)
        listed = self._sorted if query.sort else self._documents
        documents = listed(collection, where, tail, vectors, query.most_bytes)
        total = self._one(sql("SELECT count(*) FROM documents d WHERE {}", where)) if page.include_total else 0
        return Listing(documents[: page.limit], total, len(documents) > page.limit)

    def _sorted(
        self, collection: str, where: Sql, tail: Sql, vectors: Names, most_bytes: int | None
    ) -> list[StoredDocument]:
        """First the ids, then their documents: SQLite keeps what it sorts in memory, and payloads are large."""
        ids = [id for (id,) in self._rows(sql("SELECT d.document_id FROM documents d WHERE {} {}", where, tail))]
        chosen = sql("document_id IN (SELECT value FROM json_each({}))", _listed_ids(ids))
        here = sql("{} AND {}", self._where([collection]), chosen)
        found = {one.document_id: one for one in self._documents(collection, here, Sql("", ()), vectors, most_bytes)}
        return [found[id] for id in ids]

    def count(self, collections: Sequence[str], filter: Filter) -> int:
        return self._one(sql("SELECT count(*) FROM documents d WHERE {}", self._where(collections, filter)))

    def numbers(self, collection: str, filter: Filter) -> list[int]:
        """The row numbers of the documents that match."""
        rows = self._rows(sql("SELECT d.number FROM documents d WHERE {}", self._where([collection], filter)))
        return [number for (number,) in rows]

    def numbers_of(self, collection: str, ids: Sequence[str]) -> dict[str, int]:
        """The row number of each document that exists."""
        number = self.collection_number(collection)
        rows = self._rows(
            sql(
                "SELECT document_id, number FROM documents "
                "WHERE collection = {} AND document_id IN (SELECT value FROM json_each({}))",
                *(number, _listed_ids(ids)),
            )
        )
        return dict(rows)

    def collection_number(self, key: str) -> int | None:
        """The number of a collection; None where it has no document. Raises Corrupt where the index says otherwise than
        the table: what a damaged one of them hides would be a collection without documents."""
        rows = self._rows(sql("SELECT number FROM collections WHERE key = {}", key))
        if rows:
            stored = self._rows(sql("SELECT key FROM collections WHERE number = {}", rows[0][0]))
            sound = stored == [(key,)]
        else:
            sound = not self._rows(sql("SELECT 1 FROM collections NOT INDEXED WHERE key = {}", key))
        if not sound:
            id = key.partition("@")[0]
            raise Corrupt(
                f"The list of collections is damaged at {id!r}. Restore documents.sqlite from a backup.",
                collection_id=id,
            )
        return int(rows[0][0]) if rows else None

    def generations(self, collection_id: str) -> list[str]:
        start = f"{collection_id}@"
        rows = self._rows(sql("SELECT key FROM collections WHERE substr(key, 1, {}) = {}", len(start), start))
        return [key.removeprefix(start) for (key,) in rows]

    def generated_collections(self) -> list[str]:
        select = "SELECT DISTINCT substr(key, 1, instr(key, '@') - 1) FROM collections WHERE instr(key, '@')"
        return [id for (id,) in self._rows(Sql(select, ()))]

    def distinct(self, collection: str, field: str, filter: Filter, limit: int) -> tuple[list[tuple[Any, int]], int]:
        counts: Counter[tuple[str, Any]] = Counter()
        shown: dict[tuple[str, Any], Any] = {}
        held = 0
        for (values,) in self._values([field], self._where([collection], filter), Sql("", ())):
            for value, count in _tally(values):
                key = _told_apart(value)
                counts[key] += count
                if key not in shown:
                    shown[key] = value
                    held += _VALUE_BYTES + (len(key[1]) * 2 if isinstance(key[1], str) else 0)
                    _check_held(field, held)
        counts.pop(("null", None), None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(shown[key], count) for key, count in ranked[:limit]], len(ranked)

    def fields(
        self, collections: Sequence[str], fields: Sequence[str], filter: Filter
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        ids, keys, rows = self.made(collections, fields, tuple, filter)
        return ids, keys, [[row[place] for row in rows] for place in range(len(fields))]

    def made(
        self,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        filter: Filter,
    ) -> tuple[list[str], list[str], list[Made]]:
        where, order = self._where(collections, filter), _matrix_order(collections)
        ids: list[str] = []
        made: list[Made] = []
        for *values, those in self._values([*fields, "document_id"], where, order):
            ids += those
            made += [make(row) for row in zip(*values, strict=True)] if fields else [make(())] * len(those)
        if len(collections) == 1:
            return ids, [collections[0]] * len(ids), made
        rows = self._rows(sql("SELECT d.collection FROM documents d WHERE {} {}", where, order))
        return ids, self._keys([number for (number,) in rows]), made

    def each_fields(
        self,
        collection: str,
        fields: Sequence[str],
        filter: Filter,
        take: Callable[[int, Sequence[Sequence[Any]]], None],
    ) -> None:
        where, order = self._where([collection], filter), _matrix_order([collection])
        for *values, ids in self._values([*fields, "document_id"], where, order):
            take(len(ids), values)

    def matrix(
        self, collections: Sequence[str], names: Sequence[str], filter: Filter, sample: int | None, seed: int
    ) -> Matrix:
        spaces = self.slots.spaces()
        chosen = [spaces.get(name) or Space(-1, name, 0) for name in names]
        rows = self._rows(_places(chosen, self._where(collections, filter), _matrix_order(collections)))
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * (3 + 3 * len(chosen))
        ids, numbers, *places = columns
        # (row number of the document, then segment, slot and checksum of each space in turn; row)
        where = as_numbers(places).reshape(1 + 3 * len(chosen), len(rows))
        for place, space in enumerate(chosen):
            self._check_places(space, where[0], *where[1 + 3 * place : 4 + 3 * place : 2])
        kept = np.flatnonzero((where[1::3] >= 0).all(axis=0))
        missing = len(rows) - len(kept)
        if sample is not None and sample < len(kept):
            kept = np.sort(np.random.default_rng(seed).choice(kept, size=sample, replace=False))
        if len(kept) < len(rows):
            where = where[:, kept]
            ids, numbers = [ids[row] for row in kept.tolist()], [numbers[row] for row in kept.tolist()]
        blocks = {
            space.name: self.slots.read(space, Places(where[0], *where[1 + 3 * place : 4 + 3 * place]))
            for place, space in enumerate(chosen)
        }
        return Matrix(list(ids), self._keys(numbers), blocks, missing, _fingerprint(ids, numbers, chosen, where))

    def _check_places(self, space: Space, documents: Rows, segments: Rows, checksums: Rows) -> None:
        """Ask the documents in which no vector was found, or one without a checksum, whether that is right; for the
        others the checksums of their vectors say it."""
        found = segments >= 0
        asked = ~found | (checksums == UNKNOWN)
        if asked.any():
            self.slots.check_found(space, documents[asked].tolist(), frozenset(documents[asked & found].tolist()))

    def _keys(self, numbers: Sequence[int]) -> list[str]:
        """The storage keys of collection numbers."""
        keys = dict(self._rows(Sql("SELECT number, key FROM collections", ())))
        return [keys[number] for number in numbers]

    def _values(self, fields: Sequence[str], where: Sql, tail: Sql) -> Iterator[list[list[Any]]]:
        """Pieces of the values of fields, one list a field; None where absent."""
        asked = {place[-1] for field in fields for place in key_paths(field)}
        shown = [name for name in self._internal if name in asked or "_internal" in asked]
        columns = ["d.document_id", "d.payload", "d.created_at", "d.updated_at", "d.checksum"]
        chosen = ", ".join([*columns, *(self._internal[name] for name in shown)])
        cursor = self.connection.execute(*sql(f"SELECT {chosen} FROM documents d WHERE {{}} {{}}", where, tail))
        size = 1
        while rows := cursor.fetchmany(size):
            deadline.check()
            _check_all(rows)
            payloads = [row[1] for row in rows]
            taken = sum(map(len, payloads))
            size = min(_DECODED_AT_ONCE, max(1, _DECODED_CHARACTERS * len(rows) // taken))
            # One call decodes many payloads far faster than many calls.
            decoded = orjson.loads(f"[{','.join(payloads)}]")
            for document, row in zip(decoded, rows, strict=True) if shown else ():
                internal = dict(zip(shown, row[5:], strict=True))
                document |= {name: internal[name] for name in ("document_id", "collection_id") if name in internal}
                document["_internal"] = {**document.get("_internal", {}), **internal}
            yield [[find_field(document, field)[1] for document in decoded] for field in fields]

    def _documents(
        self, collection: str, where: Sql, tail: Sql, vectors: Names, most_bytes: int | None = None
    ) -> list[StoredDocument]:
        spaces = [space for name, space in self.slots.spaces().items() if vectors == "all" or name in vectors]
        rows = self._page(where, tail, sum(space.dimension for space in spaces), most_bytes)
        _check_all(row[1:] for row in rows)
        found = self.slots.of_documents([row[0] for row in rows], spaces)
        return [
            StoredDocument(
                row[1], collection, orjson.loads(row[2]), _time(row[3]), _time(row[4]), found.get(row[0], {})
            )
            for row in rows
        ]

    def _page(self, where: Sql, tail: Sql, dimensions: int, most_bytes: int | None) -> list[tuple[Any, ...]]:
        """The rows of documents with vectors of so many dimensions together. Raises InvalidField where they are more
        than a page may hold."""
        chosen = "d.number, d.document_id, d.payload, d.created_at, d.updated_at, d.checksum"
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in self.connection.execute(*sql(f"SELECT {chosen} FROM documents d WHERE {{}} {{}}", where, tail)):
            rows.append(row)
            size += len(row[2]) + dimensions * _WRITTEN_NUMBER
            if most_bytes is not None and size > most_bytes and len(rows) > 1:
                raise InvalidField(
                    "limit",
                    f"a page of so many documents would hold more than {most_bytes // 2**20} MiB",
                    remedy=f"Ask for at most {max(1, len(rows) // 2)} at once, or without vectors.",
                )
        return rows

    def _where(self, collections: Sequence[str], filter: Filter = MATCH_ALL) -> Sql:
        matching = compile_filter(filter, "d.payload", self._columns)
        if len(collections) == 1:
            # Told as an equality, so that rows come out of the index in the order of their ids.
            return sql("d.collection = {} AND {}", self.collection_number(collections[0]), matching)
        found = [number for key in collections if (number := self.collection_number(key)) is not None]
        return sql("d.collection IN (SELECT value FROM json_each({})) AND {}", _listed(found), matching)

    def _order(self, sorts: Sequence[Sort]) -> Sql:
        """Absent fields last both ways, ties by id."""
        order = Sql("ORDER BY ", ())
        for sort in sorts:
            value = order_sql(sort.field, "d.payload", self._columns)
            direction = "DESC" if sort.descending else "ASC"
            order = sql(f"{{}}({{}}) IS NULL, {{}} {direction}, ", order, value, value)
        return sql("{}d.document_id", order)

    def _rows(self, query: Sql) -> list[tuple[Any, ...]]:
        return self.connection.execute(*query).fetchall()

    def _one(self, query: Sql) -> int:
        return int(self._rows(query)[0][0])


def _places(spaces: Sequence[Space], where: Sql, tail: Sql) -> Sql:
    """Id, collection, row number and for each space segment, slot, checksum; -1 where a document lacks the vector."""
    columns = "".join(
        f", coalesce(s{n}.segment, -1), coalesce(s{n}.slot, -1), coalesce(s{n}.checksum, {UNKNOWN})"
        for n in range(len(spaces))
    )
    joins = "".join(
        f" LEFT JOIN slots s{n} ON s{n}.document = d.number AND s{n}.space = {{}}" for n in range(len(spaces))
    )
    return sql(
        f"SELECT d.document_id, d.collection, d.number{columns} FROM documents d{joins} WHERE {{}} {{}}",
        *(*(space.number for space in spaces), where, tail),
    )


def _matrix_order(collections: Sequence[str]) -> Sql:
    key = ", (SELECT key FROM collections WHERE number = d.collection)" if len(collections) > 1 else ""
    return Sql(f"ORDER BY d.document_id{key}", ())


def _fingerprint(ids: Sequence[str], numbers: Sequence[int], spaces: Sequence[Space], where: Rows) -> str:
    """Of the rows at these places: a slot is never overwritten and a segment's number never used again, so the places
    stand for the vectors."""
    digest = hashlib.blake2b(orjson.dumps([ids, numbers, [list(space) for space in spaces]]), digest_size=16)
    digest.update(np.ascontiguousarray(where).data)
    return digest.hexdigest()


def _check_held(field: str, held: int) -> None:
    if held > _MOST_VALUES_BYTES:
        raise InvalidField(
            field,
            f"has different values of more than {_MOST_VALUES_BYTES // 2**20} MiB together",
            remedy="Narrow it down with filters.",
        )


def _tally(values: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """How often each value occurs; a list counts once for each of its different elements."""
    alike = Counter((type(value), value) for value in values if not isinstance(value, (list, dict)))
    for (_, value), count in alike.items():
        yield value, count
    for value in values:
        if isinstance(value, list):
            yield from ((element, 1) for element in {_told_apart(element): element for element in value}.values())
        elif isinstance(value, dict):
            yield value, 1


def _told_apart(value: object) -> tuple[str, Any]:
    """A key under which equal values meet, and by which they are sorted."""
    kind = kind_of(value)
    return (kind, orjson.dumps(value).decode()) if kind == "other" else (kind, value)


def _stamp(moment: datetime) -> str:
    """UTC, microseconds, `Z`: text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _constant(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _missing(error: FileNotFoundError) -> Corrupt:
    return Corrupt(f"Vector file {Path(str(error.filename)).name} is missing. Restore it from a backup.")


def _check_all(rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows that begin with id, payload, times and checksum. Raises Corrupt where one is not what was stored."""
    for document_id, payload, created, updated, checksum, *_ in rows:
        if checksum is not None and text_checksum(payload, document_id, created, updated) != checksum:
            raise Corrupt(
                f"The payload of document {document_id!r} is damaged on disk. Store the document again.",
                document_id=document_id,
            )


def _listed_ids(ids: Sequence[str]) -> str:
    """Ids as a JSON list; without those that no document can have, which SQLite would misread."""
    return _listed([i for i in ids if "\0" not in i and (i.isascii() or _is_unicode(i))])


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(ids: Sequence[object]) -> str:
    return orjson.dumps(list(ids)).decode()


@contextlib.contextmanager
def _snapshot(connection: Connection) -> Iterator[Connection]:
    """All statements inside see the same moment. Within a transaction of this thread they do already."""
    if connection.in_transaction:
        yield connection
        return
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        if connection.in_transaction:
            with deadline.unlimited():
                connection.execute("ROLLBACK")


# ── one change ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Change(_View):
    """What may be done inside a write transaction. `left` are the segments to unlink after its commit."""

    def __init__(self, connection: Connection, files: VectorSegments, scope: Scope) -> None:
        super().__init__(connection, files, scope)
        self.left: list[SegmentKey] = []

    def intake(self, collection: str, now: datetime) -> "_Intake":
        if self.collection_number(collection) is None:
            self.connection.execute("INSERT INTO collections (key) VALUES (?)", (collection,))
        return _Intake(self, collection, _stamp(now))

    def replace_vectors(self, collection: str, document_id: str, batch: DocumentBatch) -> bool:
        numbers = list(self.numbers_of(collection, [document_id]).values())
        if not numbers:
            return False
        with _Intake(self, collection, "") as intake:
            self.slots.add_to_lists(numbers, intake.take_vectors(batch, numbers))
            intake.finish()
        return True

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
        for piece in _pieces(updates):
            numbers = self.numbers_of(collection, [document_id for document_id, _ in piece])
            known = [(document_id, update) for document_id, update in piece if document_id in numbers]
            self._put([(numbers[document_id], update) for document_id, update in known], now, merge, only_changes)
            updated |= dict.fromkeys(document_id for document_id, _ in known)
        return list(updated)

    def note_results(self, intent: Enrichment, updates: Sequence[tuple[str, Json]]) -> None:
        """What documents hold by now of the results of a run."""
        for piece in _pieces(updates):
            numbers = self.numbers_of(intent.target, [document_id for document_id, _ in piece])
            known = [(numbers[document_id], update) for document_id, update in piece if document_id in numbers]
            Written(self.connection).note(intent, known)

    def update_where(self, collection: str, filter: Filter, update: Json, now: datetime) -> int:
        numbers = self.numbers(collection, filter)
        for piece in _pieces(numbers):
            self._put([(number, update) for number in piece], now, True)
        return len(numbers)

    def delete(self, collection: str, ids: Sequence[str]) -> list[str]:
        numbers: dict[str, int] = {}
        for piece in batched(ids, _PIECE):
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
        Enrichments(self.connection).forget(collection)
        Written(self.connection).forget_collection(number)
        for table, column in (("segments", "collection"), ("documents", "collection"), ("collections", "number")):
            self.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))

    def compact(self) -> int:
        known = self.slots.segments_of()
        freed = self.files.sweep(known)
        try:
            self.left += compact(self.connection, self.files)
        except FileNotFoundError as error:
            # Under the write lock nobody takes files away.
            raise _missing(error) from error
        made = set(self.slots.segments_of()) - set(known)
        return freed + self.files.size_of(self.left) - self.files.size_of(made)

    def _put(self, updates: Sequence[tuple[int, Json]], now: datetime, merge: bool, only_changes: bool = False) -> None:
        """Merge each update into the payload of its document (or replace it), in order; with `only_changes` a document
        that stays as it was keeps its time too."""
        listed = _listed([number for number, _ in updates])
        rows = self._rows(
            sql(
                "SELECT number, document_id, payload, created_at, updated_at, checksum FROM documents "
                "WHERE number IN (SELECT value FROM json_each({}))",
                listed,
            )
        )
        if merge:  # damage must not be taken for the old state
            _check_all(row[1:] for row in rows)
        payloads: dict[int, Json] = {row[0]: orjson.loads(row[2]) if merge else {} for row in rows}
        about = {row[0]: (row[1], row[3]) for row in rows}
        for number, update in updates:
            payloads[number] = _merged(payloads[number], update) if merge else update
        stamp, before = _stamp(now), {row[0]: row[2] for row in rows} if only_changes else {}
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
        listed = _listed(numbers)
        for table, column in (("slots", "document"), ("documents", "number")):
            self.connection.execute(
                f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (listed,)
            )
        if numbers and not self._rows(sql("SELECT 1 FROM documents d WHERE {} LIMIT 1", self._where([collection]))):
            self.drop_collection(collection)


class _Intake:
    """Takes batches of documents into one collection. Nothing counts before `finish` and the commit."""

    def __init__(self, change: _Change, collection: str, stamp: str) -> None:
        number = change.collection_number(collection)
        self._change = change
        self._collection = collection
        self._number = cast("int", number)
        self._stamp = stamp
        self._writer = SlotWriter(change.connection, change.files, self._number, collection)
        self._inserted = 0
        self._replaced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def take(self, batch: DocumentBatch, *, may_replace: bool) -> None:
        """Store one batch. Raises AlreadyExists where an id is taken and must not be replaced."""
        known = self._change.numbers_of(self._collection, batch.ids)
        if known and not may_replace:
            raise AlreadyExists("document", next(document_id for document_id in batch.ids if document_id in known))
        numbers = self._numbers(batch.ids, known)
        texts = _canonical(batch.payloads)
        lists = self._lists(batch, numbers)
        if known:
            self._replace(batch.ids, texts, lists, known)
        self._insert(batch.ids, texts, lists, numbers, known)
        self.take_vectors(batch, numbers)
        self._inserted += len(batch) - len(known)
        self._replaced += len(known)

    def take_vectors(self, batch: DocumentBatch, numbers: Sequence[int]) -> list[Space]:
        """Store the vectors of a batch for the documents with these row numbers, aligned with the batch. Returns the
        spaces that took any."""
        spaces = self._spaces(batch)
        for space, column in zip(spaces, batch.vectors.values(), strict=True):
            every = len(column.rows) == len(numbers)
            documents = numbers if every else [numbers[row] for row in column.rows.tolist()]
            self._writer.store(space, documents, column.values)
        return [space for space, column in zip(spaces, batch.vectors.values(), strict=True) if len(column.rows)]

    def finish(self) -> WriteCount:
        """Put the vectors on disk: after this the commit may come."""
        self._writer.sync()
        return WriteCount(self._inserted, self._replaced)

    def _spaces(self, batch: DocumentBatch) -> list[Space]:
        return [self._change.slots.declare(name, column.dimension) for name, column in batch.vectors.items()]

    def _lists(self, batch: DocumentBatch, numbers: Sequence[int]) -> list[bytes]:
        """For each document of the batch the list of the spaces in which it has a vector."""
        columns = list(zip(self._spaces(batch), batch.vectors.values(), strict=True))
        whole = tuple(space.number for space, column in columns if len(column.rows) == len(batch))
        spaces = [whole] * len(batch)
        for space, column in columns:
            if len(column.rows) < len(batch):
                for row in column.rows.tolist():
                    spaces[row] = (*spaces[row], space.number)
        return space_lists(numbers, spaces)

    def _numbers(self, ids: Sequence[str], known: Mapping[str, int]) -> Sequence[int]:
        last = self._change.connection.execute("SELECT coalesce(max(number), 0) FROM documents").fetchone()[0]
        if not known:
            return range(last + 1, last + 1 + len(ids))
        fresh = iter(range(last + 1, last + 1 + len(ids)))
        return [known[document_id] if document_id in known else next(fresh) for document_id in ids]

    def _insert(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        lists: Sequence[bytes],
        numbers: Sequence[int],
        known: Mapping[str, int],
    ) -> None:
        stamps = repeat(self._stamp)
        checksums = map(text_checksum, texts, ids, repeat(self._stamp), repeat(self._stamp))
        rows = zip(numbers, repeat(self._number), ids, texts, stamps, stamps, checksums, lists)
        self._change.connection.executemany(
            "INSERT INTO documents "
            "(number, collection, document_id, payload, created_at, updated_at, checksum, spaces) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row for row in rows if row[2] not in known) if known else rows,
        )

    def _replace(
        self, ids: Sequence[str], texts: Sequence[str], lists: Sequence[bytes], known: Mapping[str, int]
    ) -> None:
        connection = self._change.connection
        listed = _listed(list(known.values()))
        connection.execute("DELETE FROM slots WHERE document IN (SELECT value FROM json_each(?))", (listed,))
        born = dict(
            connection.execute(
                "SELECT number, created_at FROM documents WHERE number IN (SELECT value FROM json_each(?))", (listed,)
            ).fetchall()
        )
        given = zip(ids, texts, lists, strict=True)
        replaced = [(text, i, spaces, known[i]) for i, text, spaces in given if i in known]
        connection.executemany(
            "UPDATE documents SET payload = ?, updated_at = ?, checksum = ?, spaces = ? WHERE number = ?",
            (
                (text, self._stamp, text_checksum(text, document_id, born[number], self._stamp), spaces, number)
                for text, document_id, spaces, number in replaced
            ),
        )


def _canonical(payloads: Sequence[bytes]) -> list[str]:
    """The payloads with as few escapes as JSON allows: SQLite before 3.45 compares keys as they are written."""
    # JSON holds no U+0000 outside of escapes, and one pass over all is far faster than many calls.
    joined = b"\0".join(payloads)
    if b"\\u" in joined or b"\\/" in joined:
        return [orjson.dumps(orjson.loads(payload)).decode() for payload in payloads]
    return joined.decode().split("\0") if payloads else []


def _merged(old: Json, update: Json) -> Json:
    """Objects merge key by key, all else replaces."""
    merged = dict(old)
    for key, value in update.items():
        before = merged.get(key)
        nested = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merged(cast("Json", before), value) if nested else value
    return merged


def _pieces(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while piece := list(islice(iterator, _PIECE)):
        yield piece

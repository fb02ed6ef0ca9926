"""Documents and vectors on local disk: one folder for each namespace, with a SQLite file and vector segments.

`<root>/<organization>/<namespace>/documents.sqlite` holds payloads as JSON text and the slots of the vectors in
`vectors/`. A write appends vectors, syncs them and then commits the rows, all under SQLite's write lock: a crash at any
point leaves either all of it or bytes that no row refers to.

Payloads are stored as `orjson` writes them (keys must be unique). Readers take no locks: they read rows in one snapshot
and map files that are never overwritten.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Final, Literal, TypeVar

from shoal.columns import DocumentBatch
from shoal.errors import Corrupt, InsufficientStorage, Unavailable
from shoal.failpoints import hit
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DerivedVectors, Results, Write, WriteCount
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.documents.changes import Change, empty
from shoal.storage.sqlite.documents.namespaces import Namespace, Namespaces
from shoal.storage.sqlite.documents.reads import SqliteReads
from shoal.storage.sqlite.documents.receipts import forget_receipts
from shoal.storage.sqlite.documents.result_fences import ResultFences
from shoal.storage.sqlite.documents.rows import stamp_of
from shoal.storage.sqlite.documents.written import Written

__all__ = ["SqliteDocuments"]

Answer = TypeVar("Answer")
Check = Callable[[Scope, str], None]

_CLEARED_AT_ONCE: Final = 5_000
_PIECE_WHEN_FULL: Final = 200


def _check_nothing(scope: Scope, key: str) -> None:
    """Accept every namespace and collection, for stores without records of them."""


class SqliteDocuments(SqliteReads):
    """The document store in a folder. See `storage.protocols.documents` for the guarantees.

    Deleting leaves holes in the vector files; `compact` closes them, which the caller runs when it is quiet. Only a
    collection that loses its last document frees its space at once.

    Parameters
    ----------
    root
        The folder.
    segment_bytes
        The maximum size of a segment of vectors.
    check
        Called before a write creates a namespace, and again within its transaction: raises if the namespace, or the
        collection of a storage key ("" for none), was removed.
    """

    def __init__(self, root: Path, *, segment_bytes: int = 1 << 30, check: Check = _check_nothing) -> None:
        self._namespaces, self._check = Namespaces(root, segment_bytes), check

    # ── vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """See DocumentStore."""
        with self._writing(scope) as change:
            change.slots.declare(name, dimension)

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
        """See DocumentStore.

        One transaction with one batch in memory at a time; other writers of the namespace wait.
        """
        with self._writing(scope, collection) as change:
            answered = change.receipt(write)
            if answered is not None:
                return WriteCount(*answered)
            with change.intake(collection, now) as intake:
                for batch in batches:
                    intake.add(batch, may_replace=on_conflict == "replace")
                hit("ingest.appended")
                count = intake.finish()
                hit("ingest.synced")
            change.keep_receipt(write, [count.inserted, count.replaced])
        hit("ingest.committed")
        return count

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
        """See DocumentStore. Each id is listed once, in the order of its first update."""

        def update(change: Change) -> list[str]:
            if vectors is not None:
                change.replace_vectors(collection, vectors)
            return change.update(collection, updates, now, merge, only_changes=only_changes)

        return self._once(scope, write, update, [])

    def store_derived(
        self, scope: Scope, collection: str, batches: Iterable[DerivedVectors], *, now: datetime
    ) -> list[str]:
        """See DocumentStore."""
        return self._change(
            scope, lambda change: [id for batch in batches for id in change.store_derived(collection, batch, now)], []
        )

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
        return self._once(scope, write, lambda change: change.update_where(collection, filter, update, now), 0)

    def withdraw_write(self, scope: Scope, write: Write) -> bool:
        """See DocumentStore. Creates the namespace if absent: the write may be about to do so, and must find this."""
        with self._writing(scope) as change:
            return change.withdraw(write)

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """See DocumentStore."""
        self._change(scope, lambda change: forget_receipts(change.connection, before), None)

    # ── results of clusters ──────────────────────────────────────────────────────────────────────────────────────────

    def write_results(
        self, scope: Scope, results: Results, updates: Iterable[tuple[str, Json]], *, step: int, now: datetime
    ) -> list[str]:
        """See DocumentStore."""
        with self._writing(scope, results.target) as change:
            present = change.write_results(results, updates, step, now)
            hit("enrich.batch")
        hit("enrich.batch_committed")
        return present

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
        return self._change(
            scope, lambda change: change.rewrite_results(collection, cluster_id, run_id, updates, now), 0
        )

    def clear_results(self, scope: Scope, results: Results, *, after: str, now: datetime) -> str | None:
        """See DocumentStore. The position is the row number of a document."""

        def clear(change: Change) -> str | None:
            ResultFences(change.connection).pass_everywhere(results, now)
            written = Written(change.connection)
            last = written.clear_earlier(results, int(after or 0), _CLEARED_AT_ONCE, stamp_of(now))
            hit("enrich.clear")
            return None if last is None else str(last)

        return self._change(scope, clear, None)

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """See DocumentStore."""
        stamp = stamp_of(now)
        return self._change(
            scope,
            lambda change: Written(change.connection).clear_all(cluster_id, _CLEARED_AT_ONCE, stamp),
            False,
        )

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """See DocumentStore."""

        def forget(change: Change) -> None:
            Written(change.connection).forget_cluster(cluster_id)
            ResultFences(change.connection).forget_cluster(cluster_id)

        self._change(scope, forget, None)

    # ── removing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def delete(self, scope: Scope, collection: str, ids: Sequence[str], *, write: Write | None = None) -> list[str]:
        """See DocumentStore. Each id is listed once, in the order given."""
        return self._once(scope, write, lambda change: change.delete(collection, ids), [])

    def delete_where(self, scope: Scope, collection: str, filter: Filter, *, write: Write | None = None) -> int:
        """See DocumentStore."""
        try:
            return self._once(scope, write, lambda change: change.delete_where(collection, filter), 0)
        except InsufficientStorage:
            gone = self._delete_by_pieces(scope, collection, filter)
            return self._once(scope, write, lambda _: gone, gone)

    def drop_collection(self, scope: Scope, collection: str) -> None:
        """See DocumentStore."""
        try:
            self._change(scope, lambda change: change.drop_collection(collection), None)
        except InsufficientStorage:
            self._delete_by_pieces(scope, collection, MATCH_ALL)

    def drop_namespace(self, scope: Scope) -> None:
        """See DocumentStore."""
        try:
            self._empty(scope)
        except Corrupt:  # damage does not prevent the removal
            self._namespaces.move_away(scope)
        hit("remove.moved")
        self._namespaces.remove_moved(scope)

    def _empty(self, scope: Scope) -> None:
        """Move a namespace away under the write lock, and empty it for other processes that have it open."""
        with self._namespaces.open_existing(scope) as namespace:
            if namespace is None:
                self._namespaces.move_away(scope)  # a folder left by a killed or refused writer
                return
            moved = False
            try:
                with namespace.database.transaction() as connection:
                    namespace.check_current()
                    empty(connection)
                    self._namespaces.move_away(scope)
                    moved = True
            except Unavailable:
                if not moved:  # otherwise it is gone, whether or not the commit succeeded
                    raise
            self._namespaces.forget(namespace)

    def compact(self, scope: Scope) -> int:
        """See DocumentStore.

        Rewrites segments with more than 20 % holes in the order of document ids, and removes files left by crashes;
        writers of the namespace wait.
        """
        return self._change(scope, lambda change: change.compact(), 0)

    def checkpoint(self) -> None:
        """See DocumentStore."""
        self._namespaces.checkpoint()

    def journal_bytes(self) -> int:
        """See DocumentStore."""
        return self._namespaces.journal_bytes()

    def close(self) -> None:
        """Close every file; running calls close theirs when they end. Later calls raise Unavailable."""
        self._namespaces.close()

    # ── how a call is run ────────────────────────────────────────────────────────────────────────────────────────────

    def _delete_by_pieces(self, scope: Scope, collection: str, filter: Filter) -> int:
        """Delete in small transactions on a full disk, truncating the journal after each.

        Raises InsufficientStorage if not even one of them fits; documents deleted by then stay deleted.
        """
        self.checkpoint()
        gone = 0
        while True:
            piece = self._change(scope, lambda change: change.delete_some(collection, filter, _PIECE_WHEN_FULL), 0)
            gone += piece
            self.checkpoint()
            if piece < _PIECE_WHEN_FULL:
                return gone

    @contextlib.contextmanager
    def _writing(self, scope: Scope, key: str = "") -> Iterator[Change]:
        """Open a transaction on a namespace, created if absent, to write to the collection `key`.

        A removal deletes the records first, so that what passes the check within the transaction is seen by the
        removal.
        """
        self._check(scope, key)
        with self._namespaces.open_or_create(scope) as namespace, _transaction(namespace) as connection:
            self._check(scope, key)
            yield Change(connection, namespace.files, scope)

    def _once(self, scope: Scope, write: Write | None, action: Callable[[Change], Answer], nothing: Answer) -> Answer:
        """Run `_change` once for a named write; a repetition returns the stored answer. Answers are JSON."""

        def act(change: Change) -> Answer:
            answered: Answer | None = change.receipt(write)
            if answered is not None:
                return answered
            answer = action(change)
            change.keep_receipt(write, answer)
            return answer

        return self._change(scope, act, nothing)

    def _change(self, scope: Scope, action: Callable[[Change], Answer], nothing: Answer) -> Answer:
        """Run a transaction on a namespace; return `nothing` if it does not exist."""
        with self._namespaces.open_existing(scope) as namespace:
            if namespace is None:
                return nothing
            with _transaction(namespace) as connection:
                change = Change(connection, namespace.files, scope)
                answer = action(change)
            for key in change.left:
                namespace.files.remove(key)
            return answer


@contextlib.contextmanager
def _transaction(namespace: Namespace) -> Iterator[Connection]:
    with namespace.database.transaction() as connection:
        namespace.check_current()
        yield connection

"""A metadata store in memory: snapshots, made serialisable by validating the reads of a transaction at its commit."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from shoal import deadline
from shoal.errors import Unavailable
from shoal.records.queries.filters import Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.memory.conflicts import NO_CONFLICTS, Conflicts
from shoal.storage.memory.outbox import MemoryOutbox, OutboxTransaction, OutboxView
from shoal.storage.memory.queue import MemoryQueue
from shoal.storage.memory.state import State
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Kind, Query, Stored, Totals
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.retries import Conflicted, Retries
from shoal.storage.transaction_bodies import TransactionBodies

__all__ = ["MemoryMetadata"]

T = TypeVar("T")


class MemoryMetadata(MemoryQueue, MemoryOutbox):
    """The MetadataStore of one process, without persistence.

    Parameters
    ----------
    conflicts
        Which commits are refused without a real conflict.
    retries
        How often a transaction is retried after a conflict.
    """

    def __init__(self, conflicts: Conflicts = NO_CONFLICTS, retries: Retries | None = None) -> None:
        self._state, self._conflicts, self._retries = State(), conflicts, retries or Retries()
        self._bodies = TransactionBodies()
        self._closed = False

    def transact(self, body: Callable[[Transaction], T]) -> T:
        """See RecordStore."""
        self._check_usable()
        result, transaction = self._retries.run(lambda attempt: self._attempt(body, attempt))
        if transaction.writes:
            deadline.lift()
        transaction.run_commit_actions()
        return result

    def _attempt(self, body: Callable[[Transaction], T], attempt: int) -> tuple[T, OutboxTransaction]:
        with self._snapshot() as transaction:
            result = self._bodies.run(body, transaction)
            deadline.check()
            if transaction.writes and self._conflicts.refuses(attempt):
                raise Conflicted
            transaction.commit()
        return result, transaction

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """See RecordReader."""
        return self._look(lambda view: view.get(scope, kind, id))

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """See RecordReader."""
        return self._look(lambda view: view.get_by_name(scope, kind, name))

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """See RecordReader."""
        return self._look(lambda view: view.names(scope, kind, most))

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """See RecordReader."""
        return self._look(lambda view: view.find(scope, kind, query))

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """See RecordReader."""
        return self._look(lambda view: view.totals(scope, kind, filter, by=by, sums=sums))

    def get_job(self, scope: Scope, job_id: str) -> Job | None:
        """See JobReader."""
        return self._look(lambda view: view.get_job(scope, job_id))

    def count_queued(self, scope: Scope, queue: str) -> int:
        """See JobReader."""
        return self._look(lambda view: view.count_queued(scope, queue))

    def get_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """See ReplyReader."""
        return self._look(lambda view: view.get_reply(scope, key))

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """See CounterReader."""
        return self._look(lambda view: view.counters())

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """See JobQueue. Every commit wakes the callers."""
        self._check_usable()
        end = time.monotonic() + seconds
        with self._state.changed:
            while self._state.moment == version and (left := end - time.monotonic()) > 0 and not self._closed:
                self._state.changed.wait(left)
            return self._state.moment

    # ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def checkpoint(self) -> None:
        """See Maintenance. There is no journal."""

    def journal_bytes(self) -> int:
        """See Maintenance. There is no journal."""
        return 0

    def close(self) -> None:
        """See Maintenance."""
        self._closed = True
        with self._state.changed:
            self._state.changed.notify_all()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self, read: Callable[[OutboxView], T]) -> T:
        """Read committed data; the lock serves as the snapshot."""
        self._check_usable()
        deadline.check()
        with self._state.lock:
            return read(OutboxView(self._state, self._state.moment))

    def _change(self, body: Callable[[OutboxTransaction], T]) -> T:
        self._check_usable()
        with self._state.lock, self._snapshot() as transaction:
            result = body(transaction)
            transaction.commit()
        return result

    @contextmanager
    def _snapshot(self) -> Iterator[OutboxTransaction]:
        self._check_usable()
        moment = self._state.hold_snapshot()
        try:
            yield OutboxTransaction(self._state, moment)
        finally:
            self._state.release_snapshot(moment)

    def _check_usable(self) -> None:
        if self._closed:
            raise Unavailable("The metadata store is closed.")
        self._bodies.refuse_store()

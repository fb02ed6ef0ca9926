"""Metadata stores whose writes can be called one by one, each as a transaction of its own; for tests alone."""

from datetime import datetime

from shoal.records.scope import Scope
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Json, Kind, Stored
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.protocols.transactions import RecordStore
from shoal.storage.sqlite.metadata import SqliteMetadata

__all__ = ["MemoryStore", "SingleWrites", "SqliteStore"]


class SingleWrites:
    """The writes of a Transaction on the store itself."""

    def insert(self: RecordStore, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        return self.transact(lambda tx: tx.insert(scope, kind, id, body, name=name))

    def replace(
        self: RecordStore,
        scope: Scope,
        kind: Kind,
        id: str,
        body: Json,
        *,
        name: str | None = None,
        expect_version: int,
    ) -> Stored:
        return self.transact(lambda tx: tx.replace(scope, kind, id, body, name=name, expect_version=expect_version))

    def delete(self: RecordStore, scope: Scope, kind: Kind, id: str) -> bool:
        return self.transact(lambda tx: tx.delete(scope, kind, id))

    def prune(
        self: RecordStore, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int
    ) -> int:
        return self.transact(lambda tx: tx.prune(scope, kind, before, now=now, keep=keep, most=most))

    def delete_scope(self: RecordStore, scope: Scope) -> int:
        return self.transact(lambda tx: tx.delete_scope(scope))

    def enqueue(
        self: RecordStore,
        scope: Scope,
        job_id: str,
        queue: str,
        payload: Json,
        now: datetime,
        *,
        subject: str | None = None,
    ) -> None:
        self.transact(lambda tx: tx.enqueue(scope, job_id, queue, payload, now, subject=subject))

    def release_subject(self: RecordStore, scope: Scope, job_id: str) -> None:
        self.transact(lambda tx: tx.release_subject(scope, job_id))

    def request_cancel(self: RecordStore, scope: Scope, job_id: str) -> Job | None:
        return self.transact(lambda tx: tx.request_cancel(scope, job_id))

    def remove_job(self: RecordStore, scope: Scope, job_id: str) -> bool:
        return self.transact(lambda tx: tx.remove_job(scope, job_id))

    def count(self: RecordStore, *name: str, amount: float = 0.0) -> None:
        self.transact(lambda tx: tx.count(*name, amount=amount))

    def save_reply(self: RecordStore, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        self.transact(lambda tx: tx.save_reply(scope, key, saved, forget_before=forget_before))


class SqliteStore(SingleWrites, SqliteMetadata):
    """The store in a SQLite file."""


class MemoryStore(SingleWrites, MemoryMetadata):
    """The store in memory."""

"""The metadata store of one machine: one SQLite file for all threads and processes."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import orjson

from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.events import SqliteEventLog
from shoal.storage.sqlite.job_queue import SqliteJobQueue
from shoal.storage.sqlite.metadata_schema import METADATA_SCHEMA
from shoal.storage.sqlite.records import SqliteRecordReads
from shoal.storage.sqlite.replies import find_reply
from shoal.storage.sqlite.schedules import SqliteScheduleStore
from shoal.storage.sqlite.transaction import SqliteTransaction
from shoal.storage.transaction_bodies import TransactionBodies

__all__ = ["SqliteMetadata"]

T = TypeVar("T")
_POLL_SECONDS: Final = 0.01


class SqliteMetadata(SqliteRecordReads, SqliteJobQueue, SqliteEventLog, SqliteScheduleStore):
    """The MetadataStore in a SQLite file. Its transactions are serial, so no body runs twice."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, METADATA_SCHEMA, setup=register_functions)
        self._bodies = TransactionBodies()

    def transact(self, body: Callable[[Transaction], T]) -> T:
        """See RecordStore."""
        with self._writing() as connection:
            transaction = SqliteTransaction(connection)
            result = self._bodies.run(body, transaction)
            transaction.end()
        transaction.run_commit_actions()
        return result

    def get_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """See ReplyReader."""
        return find_reply(self._read(), scope, key)

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """See CounterReader."""
        rows = self._read().execute("SELECT name, count, total FROM counters").fetchall()
        return {tuple(orjson.loads(name)): (count, total) for name, count, total in rows}

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """See JobQueue. Polls, because SQLite has no notifications."""
        end = time.monotonic() + seconds
        while True:
            current = int(self._read().execute("PRAGMA data_version").fetchone()[0])
            left = end - time.monotonic()
            if version is None or current != version or left <= 0:
                return current
            time.sleep(min(_POLL_SECONDS, left))

    # ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def checkpoint(self) -> None:
        """See Maintenance."""
        self._database.checkpoint()

    def journal_bytes(self) -> int:
        """See Maintenance."""
        return self._database.journal_bytes()

    def close(self) -> None:
        """See Maintenance."""
        self._database.close()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> sqlite3.Connection:
        self._bodies.refuse_store()
        return self._database.read()

    def _snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        self._bodies.refuse_store()
        return self._database.snapshot()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._bodies.refuse_store()
        with self._database.transaction() as connection:
            yield connection

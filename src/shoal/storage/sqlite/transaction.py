"""The transaction of a SQLite metadata store, on the connection that holds the write lock."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime

import orjson

from shoal.records.scope import Scope
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.sqlite.events import SqliteEventWrites
from shoal.storage.sqlite.job_queue import SqliteJobWrites
from shoal.storage.sqlite.records import SqliteRecordWrites
from shoal.storage.sqlite.replies import find_reply, put_reply
from shoal.storage.sqlite.schedules import SqliteScheduleWrites

__all__ = ["SqliteTransaction"]

_COUNT = (
    "INSERT INTO counters (name, count, total) VALUES (?, 1, ?) "
    "ON CONFLICT DO UPDATE SET count = count + 1, total = total + excluded.total"
)


class SqliteTransaction(SqliteRecordWrites, SqliteJobWrites, SqliteEventWrites, SqliteScheduleWrites):
    """A Transaction in SQLite, which has one writer at a time: transactions are serial and never conflict.

    Parameters
    ----------
    connection
        A connection in a write transaction, which the caller commits or rolls back.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self._state = connection, "open"
        self._on_commit: list[Callable[[], None]] = []

    def on_commit(self, action: Callable[[], None]) -> None:
        """See Transaction."""
        self._on_commit.append(action)

    def get_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """See ReplyReader."""
        return find_reply(self._read(), scope, key)

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """See ReplyWriter."""
        with self._writing() as connection:
            put_reply(connection, scope, key, saved, forget_before)

    def count(self, *name: str, amount: float = 0.0) -> None:
        """See CounterWriter."""
        with self._writing() as connection:
            connection.execute(_COUNT, (orjson.dumps(name).decode(), amount))

    # ── for the store ────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self) -> None:
        """Close the transaction to reads and writes, after checking that it may be committed."""
        self._check()
        self._state = "over"

    def run_commit_actions(self) -> None:
        """Run the actions registered with `on_commit`."""
        for action in self._on_commit:
            action()

    def _read(self) -> sqlite3.Connection:
        self._check()
        return self._connection

    def _snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        return nullcontext(self._read())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._check()
        try:
            yield self._connection
        except BaseException:
            self._state = "refused a write"
            raise

    def _check(self) -> None:
        if self._state != "open":
            raise RuntimeError(f"The transaction cannot be used any more: it {_WHY[self._state]}.")


_WHY = {"over": "is over", "refused a write": "refused a write, which ended it"}

"""Schedules in SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json
from shoal.storage.protocols.schedules import Schedule, first_fence
from shoal.storage.sqlite.access import IN_SCOPE, SqliteReads, SqliteWrites, place
from shoal.storage.sqlite.stored_cells import UNKNOWN_TIME, checksum_of, decode, is_text, parse_checked, parse_time

__all__ = [
    "SCHEDULES_CHECKSUM",
    "SCHEDULES_SCHEMA",
    "SCHEDULE_COLUMNS",
    "SqliteScheduleReads",
    "SqliteScheduleStore",
    "SqliteScheduleWrites",
    "delete_schedules",
    "read_schedule",
]

SCHEDULES_SCHEMA: Final = """
CREATE TABLE schedules (
    organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, schedule_id TEXT NOT NULL, due TEXT NOT NULL,
    payload TEXT NOT NULL, fence INTEGER NOT NULL, worker TEXT, lease_until TEXT,
    PRIMARY KEY (organization_id, namespace_id, schedule_id)
) WITHOUT ROWID;
CREATE INDEX schedules_by_due ON schedules (due);
"""
SCHEDULES_CHECKSUM: Final = "ALTER TABLE schedules ADD COLUMN checksum INTEGER;"
"""A later step of the schema; null for schedules put before it."""
SCHEDULE_COLUMNS: Final = (
    # Bytes: a damaged text need not be UTF-8, and must not prevent reading the others.
    "CAST(organization_id AS BLOB), CAST(namespace_id AS BLOB), CAST(schedule_id AS BLOB), CAST(due AS BLOB), "
    "CAST(payload AS BLOB), fence, CAST(worker AS BLOB), checksum"
)
_LEASED: Final = "fence = ? AND worker IS ? AND lease_until IS NOT NULL"
_MINE: Final = f"{IN_SCOPE} AND schedule_id = ? AND {_LEASED}"
_AFTER_ALL_TIMES: Final = "':'"
"""The character after '9': texts from here on, and BLOBs, are no times."""
_DUE: Final = f"""
SELECT organization_id, namespace_id, schedule_id FROM schedules
WHERE (due <= :now OR due >= {_AFTER_ALL_TIMES}) AND (lease_until IS NULL OR lease_until <= :now)
ORDER BY due, organization_id, namespace_id, schedule_id LIMIT 1
"""


class SqliteScheduleReads(SqliteReads):
    """The ScheduleReader."""

    def get_schedule(self, scope: Scope, schedule_id: str) -> Schedule | None:
        """See ScheduleReader."""
        select = f"SELECT {SCHEDULE_COLUMNS} FROM schedules WHERE {IN_SCOPE} AND schedule_id = ?"
        rows = self._read().execute(select, (*place(scope), schedule_id)).fetchall()
        return read_schedule(rows[0]) if rows else None


class SqliteScheduleWrites(SqliteScheduleReads, SqliteWrites):
    """The ScheduleWriter, inside a transaction."""

    def put_schedule(self, scope: Scope, schedule_id: str, due: datetime, payload: Json) -> None:
        """See ScheduleWriter."""
        put = (
            "INSERT INTO schedules (organization_id, namespace_id, schedule_id, due, payload, fence, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET due = excluded.due, payload = excluded.payload, "
            "checksum = excluded.checksum, fence = fence + 1, worker = NULL, lease_until = NULL"
        )
        about, text = (*place(scope), schedule_id, format_stored_time(due)), orjson.dumps(payload).decode()
        with self._writing() as connection:
            connection.execute(put, (*about, text, first_fence(), checksum_of(text, *about)))

    def remove_schedule(self, scope: Scope, schedule_id: str) -> bool:
        """See ScheduleWriter."""
        with self._writing() as connection:
            delete = f"DELETE FROM schedules WHERE {IN_SCOPE} AND schedule_id = ?"
            return connection.execute(delete, (*place(scope), schedule_id)).rowcount > 0

    def advance_schedule(self, schedule: Schedule, due: datetime | None) -> bool:
        """See ScheduleWriter."""
        mine, key = _find_leased(schedule)
        with self._writing() as connection:
            if due is None:
                return connection.execute(f"DELETE FROM schedules WHERE {mine}", key).rowcount > 0
            rows = connection.execute(f"SELECT {SCHEDULE_COLUMNS} FROM schedules WHERE {mine}", key).fetchall()
            if not rows:
                return False
            later = format_stored_time(due)
            update = f"UPDATE schedules SET due = ?, checksum = ?, worker = NULL, lease_until = NULL WHERE {mine}"
            connection.execute(update, (later, _checksum_at(later, rows[0]), *key))
            return True


class SqliteScheduleStore(SqliteScheduleReads, SqliteWrites):
    """The ScheduleStore; each call is a transaction of its own."""

    def claim_schedule(self, worker: str, now: datetime, lease_until: datetime) -> Schedule | None:
        """See ScheduleStore."""
        values = {"now": format_stored_time(now), "worker": worker, "lease": format_stored_time(lease_until)}
        if not self._read().execute(f"SELECT EXISTS ({_DUE})", values).fetchone()[0]:
            return None  # an idle worker takes no write lock
        claim = (  # one statement, so that a damaged id need not be decoded
            "UPDATE schedules SET fence = fence + 1, worker = :worker, lease_until = :lease "
            f"WHERE (organization_id, namespace_id, schedule_id) = ({_DUE}) RETURNING {SCHEDULE_COLUMNS}"
        )
        with self._writing() as connection:
            rows = connection.execute(claim, values).fetchall()
        return read_schedule(rows[0]) if rows else None

    def release_schedules(self, worker: str) -> int:
        """See ScheduleStore."""
        with self._writing() as connection:
            update = "UPDATE schedules SET worker = NULL, lease_until = NULL WHERE worker = ?"
            return connection.execute(update, (worker,)).rowcount

    def next_due(self) -> datetime | None:
        """See ScheduleStore."""
        due, connection = b"", self._read()
        select = (
            f"SELECT CAST(min(due) AS BLOB) FROM schedules WHERE due > CAST(? AS TEXT) AND due < {_AFTER_ALL_TIMES}"
        )
        while True:
            (due,) = connection.execute(select, (due,)).fetchone()
            time = parse_time(due)
            if due is None or time is not None:
                return time


def delete_schedules(connection: sqlite3.Connection, scope: Scope) -> None:
    """Delete the schedules of exactly this scope."""
    connection.execute(f"DELETE FROM schedules WHERE {IN_SCOPE}", place(scope))


def read_schedule(row: Sequence[Any]) -> Schedule:
    """Return the schedule of a row of `SCHEDULE_COLUMNS`, marked if it is damaged."""
    organization, namespace, id, due_cell, text, fence, worker, checksum = row
    payload, due = parse_checked(text, checksum, organization, namespace, id, due_cell), parse_time(due_cell)
    damaged = payload is None or due is None or not all(map(is_text, (organization, namespace, id)))
    return Schedule(
        Scope(decode(organization), decode(namespace)),
        decode(id),
        due or UNKNOWN_TIME,
        {} if damaged or payload is None else payload,
        fence,
        None if worker is None else decode(worker),
        damaged=damaged,
    )


def _find_leased(schedule: Schedule) -> tuple[str, tuple[object, ...]]:
    """Return the condition of the row of a claimed schedule, and its values."""
    lease = (schedule.fence, schedule.worker)
    if schedule.damaged:  # perhaps in its ids; the fence, which started at random, is enough
        return _LEASED, lease
    return _MINE, (*place(schedule.scope), schedule.schedule_id, *lease)


def _checksum_at(due: str, row: Sequence[Any]) -> object:
    """Compute the checksum of a row of `SCHEDULE_COLUMNS` at another time; a damaged row keeps its own."""
    organization, namespace, id, _, text, *_, checksum = row
    return checksum if read_schedule(row).damaged else checksum_of(text, organization, namespace, id, due)

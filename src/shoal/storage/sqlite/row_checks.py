"""Checks of rows other than records, jobs and documents: replies, receipts, events and schedules.

The connections return texts as bytes, since a damaged one need not be UTF-8.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from shoal.records.scope import Scope
from shoal.storage.sqlite.events import EVENT_COLUMNS, read_event
from shoal.storage.sqlite.replies import REPLY_COLUMNS, is_sound_reply
from shoal.storage.sqlite.schedules import SCHEDULE_COLUMNS, read_schedule
from shoal.storage.sqlite.stored_cells import checksum_of, decode

__all__ = ["check_metadata_rows", "check_namespace_rows", "column_or_null"]

_HEADS_WITHOUT_EVENT: Final = """
SELECT count(*) FROM event_heads AS head WHERE NOT EXISTS (
    SELECT 1 FROM events WHERE organization_id = head.organization_id AND namespace_id = head.namespace_id
        AND number = head.last
)
"""
"""The last event of a namespace is always kept."""


def check_metadata_rows(connection: sqlite3.Connection) -> Iterator[str]:
    """Describe the damage to the replies, events and schedules of the metadata store."""
    yield from _check_replies(connection)
    yield from _check_events(connection)
    yield from _check_schedules(connection)


def check_namespace_rows(connection: sqlite3.Connection) -> Iterator[str]:
    """Describe the damage to the replies and receipts of a namespace."""
    yield from _check_replies(connection)
    yield from _check_receipts(connection)


def column_or_null(connection: sqlite3.Connection, table: str, name: str, prefix: str = "") -> str:
    """Return the name of a column, or NULL in a file whose format does not have it yet."""
    return f"{prefix}{name}" if name in _columns(connection, table) else "NULL"


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of a table; none in a file whose format does not have the table yet."""
    return {decode(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def _check_replies(connection: sqlite3.Connection) -> Iterator[str]:
    if "checksum" not in _columns(connection, "replies"):
        return
    rows = connection.execute(f"SELECT {REPLY_COLUMNS} FROM replies")
    damaged = sum(not is_sound_reply([_decode_text(cell) for cell in row[:5]] + list(row[5:])) for row in rows)
    if damaged:
        yield f"{damaged:,} saved replies to requests with an idempotency key are damaged"


def _check_receipts(connection: sqlite3.Connection) -> Iterator[str]:
    if not _columns(connection, "receipts"):
        return
    rows = connection.execute("SELECT id, answer, checksum FROM receipts")
    damaged = sum(checksum != checksum_of(answer, id) for id, answer, checksum in rows)
    if damaged:
        yield f"{damaged:,} saved answers to document writes with an idempotency key are damaged"


def _check_events(connection: sqlite3.Connection) -> Iterator[str]:
    columns = EVENT_COLUMNS.replace("checksum", column_or_null(connection, "events", "checksum"))
    if not _columns(connection, "events"):
        return
    numbers: dict[Scope, list[int]] = defaultdict(list)
    for organization, namespace, *row in connection.execute(
        f"SELECT organization_id, namespace_id, {columns} FROM events"
    ):
        event = read_event(Scope(decode(organization), decode(namespace)), row)
        if event.damaged:
            numbers[event.scope].append(event.number)
    for scope, damaged in numbers.items():
        which = f"event {damaged[0]} is" if len(damaged) == 1 else f"{len(damaged):,} events from {damaged[0]} on are"
        yield f"{which} damaged in the namespace {scope.namespace_id}: consumers pass over what is damaged"
    (heads,) = connection.execute(_HEADS_WITHOUT_EVENT).fetchone()
    if heads:
        yield f"the numbers of the last events of {heads:,} namespaces are damaged: consumers may not get these events"


def _check_schedules(connection: sqlite3.Connection) -> Iterator[str]:
    columns = SCHEDULE_COLUMNS.replace("checksum", column_or_null(connection, "schedules", "checksum"))
    if not _columns(connection, "schedules"):
        return
    for row in connection.execute(f"SELECT {columns} FROM schedules"):
        schedule = read_schedule(row)
        if schedule.damaged:
            yield f"the schedule {schedule.schedule_id!r} of the namespace {schedule.scope.namespace_id} is damaged"


def _decode_text(cell: object) -> object:
    return decode(cell) if isinstance(cell, bytes) else cell

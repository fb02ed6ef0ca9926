"""The outbox and the feeds of its consumers in SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.events import EVENTS_KEPT, Event, Feed
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.access import IN_SCOPE, SqliteReads, SqliteWrites, place
from shoal.storage.sqlite.stored_cells import UNKNOWN_TIME, checksum_of, decode, parse_checked, parse_time

__all__ = [
    "EVENTS_CHECKSUM",
    "EVENTS_SCHEMA",
    "EVENT_COLUMNS",
    "SqliteEventLog",
    "SqliteEventReads",
    "SqliteEventWrites",
    "delete_events",
    "read_event",
]

EVENTS_SCHEMA: Final = """
CREATE TABLE events (
    organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, number INTEGER NOT NULL, type TEXT NOT NULL,
    subject TEXT NOT NULL, occurred_at TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (organization_id, namespace_id, number)
) WITHOUT ROWID;
CREATE TABLE event_heads (
    organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (organization_id, namespace_id)
) WITHOUT ROWID;
CREATE TABLE feeds (
    consumer TEXT NOT NULL, organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, position INTEGER NOT NULL,
    fence INTEGER NOT NULL, served INTEGER NOT NULL, worker TEXT, lease_until TEXT,
    PRIMARY KEY (consumer, organization_id, namespace_id)
) WITHOUT ROWID;
"""
EVENTS_CHECKSUM: Final = "ALTER TABLE events ADD COLUMN checksum INTEGER;"
"""A later step of the schema; null for events appended before it."""
EVENT_COLUMNS: Final = (
    # Bytes: a damaged text need not be UTF-8, and must not prevent reading the others.
    "number, CAST(type AS BLOB), CAST(subject AS BLOB), CAST(occurred_at AS BLOB), CAST(data AS BLOB), checksum"
)
_NEXT_NUMBER: Final = """
INSERT INTO event_heads (organization_id, namespace_id, last) VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last
"""
# EXISTS: a damaged head has no events. Were it chosen, it would come up for ever, and its ids might not be UTF-8.
_UNHANDLED: Final = """
SELECT head.organization_id, head.namespace_id FROM event_heads AS head
LEFT JOIN feeds AS feed ON feed.consumer = :consumer
    AND feed.organization_id = head.organization_id AND feed.namespace_id = head.namespace_id
WHERE head.last > coalesce(feed.position, 0) AND EXISTS (
    SELECT 1 FROM events WHERE organization_id = head.organization_id AND namespace_id = head.namespace_id
        AND number > coalesce(feed.position, 0)
) AND (feed.lease_until IS NULL OR feed.lease_until <= :now)
ORDER BY coalesce(feed.served, 0), head.organization_id, head.namespace_id LIMIT 1
"""
_CLAIM: Final = """
INSERT INTO feeds (consumer, organization_id, namespace_id, position, fence, served, worker, lease_until)
VALUES (:consumer, :organization, :namespace, 0, 1,
    1 + coalesce((SELECT max(served) FROM feeds WHERE consumer = :consumer), 0), :worker, :lease)
ON CONFLICT DO UPDATE SET fence = fence + 1, served = excluded.served, worker = excluded.worker,
    lease_until = excluded.lease_until
RETURNING position, fence
"""
_MINE: Final = f"consumer = ? AND {IN_SCOPE} AND fence = ? AND lease_until IS NOT NULL"


class SqliteEventReads(SqliteReads):
    """The EventReader."""

    def events(self, scope: Scope, *, after: int, most: int) -> Sequence[Event]:
        """See EventReader."""
        select = f"SELECT {EVENT_COLUMNS} FROM events WHERE {IN_SCOPE} AND number > ? ORDER BY number LIMIT ?"
        rows = self._read().execute(select, (*place(scope), after, most)).fetchall()
        return [read_event(scope, row) for row in rows]


class SqliteEventWrites(SqliteEventReads, SqliteWrites):
    """The EventWriter, inside a transaction."""

    def append_event(self, scope: Scope, type: str, subject: str, data: Json, now: datetime) -> Event:
        """See EventWriter."""
        with self._writing() as connection:
            [(number,)] = connection.execute(_NEXT_NUMBER, place(scope)).fetchall()
            text, about = orjson.dumps(data).decode(), (*place(scope), number, type, subject, format_stored_time(now))
            connection.execute(
                "INSERT INTO events (organization_id, namespace_id, number, type, subject, occurred_at, data, "
                "checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*about, text, checksum_of(text, *about)),
            )
            dropped = number - EVENTS_KEPT
            connection.execute(f"DELETE FROM events WHERE {IN_SCOPE} AND number <= ?", (*place(scope), dropped))
        return Event(scope, number, type, subject, now, data)

    def advance_feed(self, feed: Feed, position: int) -> bool:
        """See EventWriter."""
        with self._writing() as connection:
            update = f"UPDATE feeds SET position = ? WHERE {_MINE}"
            return connection.execute(update, (position, *_key(feed))).rowcount > 0


class SqliteEventLog(SqliteEventReads, SqliteWrites):
    """The EventLog; each call is a transaction of its own."""

    def claim_feed(self, consumer: str, worker: str, now: datetime, lease_until: datetime) -> Feed | None:
        """See EventLog."""
        parameters = {"consumer": consumer, "now": format_stored_time(now)}
        if not self._read().execute(_UNHANDLED, parameters).fetchall():
            return None  # an idle consumer takes no write lock
        with self._writing() as connection:
            unhandled = connection.execute(_UNHANDLED, parameters).fetchall()
            if not unhandled:
                return None
            scope = Scope(*unhandled[0])
            organization, namespace = place(scope)
            values = {
                "consumer": consumer,
                "organization": organization,
                "namespace": namespace,
                "worker": worker,
                "lease": format_stored_time(lease_until),
            }
            [(position, fence)] = connection.execute(_CLAIM, values).fetchall()
        return Feed(consumer, scope, position, fence)

    def release_feed(self, feed: Feed) -> bool:
        """See EventLog."""
        with self._writing() as connection:
            update = f"UPDATE feeds SET worker = NULL, lease_until = NULL WHERE {_MINE}"
            return connection.execute(update, _key(feed)).rowcount > 0

    def release_feeds(self, worker: str) -> int:
        """See EventLog."""
        with self._writing() as connection:
            update = "UPDATE feeds SET worker = NULL, lease_until = NULL WHERE worker = ?"
            return connection.execute(update, (worker,)).rowcount


def read_event(scope: Scope, row: Sequence[Any]) -> Event:
    """Return the event of a row of `EVENT_COLUMNS`, marked if it is damaged."""
    number, type, subject, at, text, checksum = row
    data, occurred_at = parse_checked(text, checksum, *place(scope), number, type, subject, at), parse_time(at)
    if data is None or occurred_at is None:
        return Event(scope, number, decode(type), decode(subject), occurred_at or UNKNOWN_TIME, {}, damaged=True)
    return Event(scope, number, decode(type), decode(subject), occurred_at, data)


def delete_events(connection: sqlite3.Connection, scope: Scope) -> None:
    """Delete the events and feeds of exactly this scope."""
    for table in ("events", "event_heads", "feeds"):
        connection.execute(f"DELETE FROM {table} WHERE {IN_SCOPE}", place(scope))


def _key(feed: Feed) -> tuple[str, str, str, int]:
    return feed.consumer, *place(feed.scope), feed.fence

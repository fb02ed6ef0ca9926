"""The outbox and the feeds of its consumers in SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.events import EVENTS_KEPT, Event, Feed
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.access import IN_SCOPE, SqliteReads, SqliteWrites, place

__all__ = ["EVENTS_SCHEMA", "SqliteEventLog", "SqliteEventReads", "SqliteEventWrites", "delete_events"]

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
_NEXT_NUMBER: Final = """
INSERT INTO event_heads (organization_id, namespace_id, last) VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last
"""
_UNHANDLED: Final = """
SELECT head.organization_id, head.namespace_id FROM event_heads AS head
LEFT JOIN feeds AS feed ON feed.consumer = :consumer
    AND feed.organization_id = head.organization_id AND feed.namespace_id = head.namespace_id
WHERE head.last > coalesce(feed.position, 0) AND (feed.lease_until IS NULL OR feed.lease_until <= :now)
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
        select = f"SELECT number, type, subject, occurred_at, data FROM events WHERE {IN_SCOPE} AND number > ?"
        rows = self._read().execute(f"{select} ORDER BY number LIMIT ?", (*place(scope), after, most)).fetchall()
        return [
            Event(scope, number, type, subject, datetime.fromisoformat(at), orjson.loads(data))
            for number, type, subject, at, data in rows
        ]


class SqliteEventWrites(SqliteEventReads, SqliteWrites):
    """The EventWriter, inside a transaction."""

    def append_event(self, scope: Scope, type: str, subject: str, data: Json, now: datetime) -> Event:
        """See EventWriter."""
        with self._writing() as connection:
            [(number,)] = connection.execute(_NEXT_NUMBER, place(scope)).fetchall()
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*place(scope), number, type, subject, format_stored_time(now), orjson.dumps(data).decode()),
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


def delete_events(connection: sqlite3.Connection, scope: Scope) -> None:
    """Delete the events and feeds of exactly this scope."""
    for table in ("events", "event_heads", "feeds"):
        connection.execute(f"DELETE FROM {table} WHERE {IN_SCOPE}", place(scope))


def _key(feed: Feed) -> tuple[str, str, str, int]:
    return feed.consumer, *place(feed.scope), feed.fence

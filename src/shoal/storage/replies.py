"""Saved replies to requests with an idempotency key: a table that each store has in its own file, so that a reply and
the effect it tells of are written in one transaction."""

from datetime import datetime
from sqlite3 import Connection
from typing import Final

from shoal.records.base import stored_time
from shoal.records.scope import Scope
from shoal.storage.base import Reply, SavedReply

__all__ = ["REPLIES_SCHEMA", "find_reply", "forget_replies", "put_reply"]

REPLIES_SCHEMA: Final = """
CREATE TABLE replies (
    number INTEGER PRIMARY KEY, organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, key TEXT NOT NULL,
    request TEXT NOT NULL, status INTEGER NOT NULL, media_type TEXT, saved_at TEXT NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX replies_by_key ON replies (organization_id, namespace_id, key);
CREATE INDEX replies_by_age ON replies (saved_at);
"""

_FORGOTTEN_AT_ONCE: Final = 100


def find_reply(connection: Connection, scope: Scope, key: str) -> SavedReply | None:
    """The reply saved under a key of exactly this scope, however old."""
    rows = connection.execute(
        "SELECT request, status, media_type, body, saved_at FROM replies "
        "WHERE organization_id = ? AND namespace_id = ? AND key = ?",
        (scope.organization_id, scope.namespace_id, key),
    ).fetchall()
    if not rows:
        return None
    request, status, media_type, body, saved_at = rows[0]
    return SavedReply(request, Reply(status, media_type, body), datetime.fromisoformat(saved_at))


def put_reply(connection: Connection, scope: Scope, key: str, saved: SavedReply, forget_before: datetime) -> None:
    """Save a reply in place of one with the same key; up to 100 that are older than `forget_before` make room."""
    connection.execute(
        "DELETE FROM replies WHERE number IN (SELECT number FROM replies WHERE saved_at < ? ORDER BY saved_at LIMIT ?)",
        (stored_time(forget_before), _FORGOTTEN_AT_ONCE),
    )
    reply = saved.reply
    connection.execute(
        "INSERT OR REPLACE INTO replies "
        "(organization_id, namespace_id, key, request, status, media_type, saved_at, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(scope.organization_id, scope.namespace_id, key),
            *(saved.request, reply.status, reply.media_type, stored_time(saved.saved_at), reply.body),
        ),
    )


def forget_replies(connection: Connection, scope: Scope) -> None:
    """Remove every reply of exactly this organisation and namespace."""
    connection.execute(
        "DELETE FROM replies WHERE organization_id = ? AND namespace_id = ?",
        (scope.organization_id, scope.namespace_id),
    )

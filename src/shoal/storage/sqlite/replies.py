"""Saved replies to requests with an idempotency key: a table in the file of each store, so that a reply and the effect
that it reports are written in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final
from zlib import crc32

from shoal.errors import Corrupt
from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.replies import Reply, SavedReply
from shoal.storage.sqlite.access import IN_SCOPE, place

__all__ = [
    "REPLIES_CHECKSUM",
    "REPLIES_SCHEMA",
    "REPLY_COLUMNS",
    "find_reply",
    "forget_replies",
    "is_sound_reply",
    "put_reply",
]

REPLIES_SCHEMA: Final = """
CREATE TABLE replies (
    number INTEGER PRIMARY KEY, organization_id TEXT NOT NULL, namespace_id TEXT NOT NULL, key TEXT NOT NULL,
    request TEXT NOT NULL, status INTEGER NOT NULL, media_type TEXT, saved_at TEXT NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX replies_by_key ON replies (organization_id, namespace_id, key);
CREATE INDEX replies_by_age ON replies (saved_at);
"""

REPLIES_CHECKSUM: Final = "ALTER TABLE replies ADD COLUMN checksum INTEGER;"
"""A later step of the schema; null for replies saved before it."""
REPLY_COLUMNS: Final = "key, request, status, media_type, saved_at, body, checksum"
_REMEDY: Final = "Check whether the request took effect before you repeat it with another key; a backup has the answer."
_PRUNE_LIMIT: Final = 100


def find_reply(connection: Connection, scope: Scope, key: str) -> SavedReply | None:
    """Find the reply saved under a key in exactly this scope, however old. Raises Corrupt if it is damaged."""
    rows = connection.execute(
        f"SELECT {REPLY_COLUMNS} FROM replies WHERE {IN_SCOPE} AND key = ?",
        (*place(scope), key),
    ).fetchall()
    if not rows:
        return None
    if not is_sound_reply(rows[0]):
        raise Corrupt(f"The saved answer to the request with the idempotency key {key!r} is damaged. {_REMEDY}")
    _, request, status, media_type, saved_at, body, _ = rows[0]
    return SavedReply(request, Reply(status, media_type, body), datetime.fromisoformat(saved_at))


def is_sound_reply(row: Sequence[Any]) -> bool:
    """Whether a row of `REPLY_COLUMNS` matches its checksum; rows without one count as sound."""
    return row[-1] is None or bool(row[-1] == _checksum(row[:-1]))


def _checksum(row: Sequence[Any]) -> int:
    # A damaged row may hold values of any type.
    *about, body = row
    return crc32(body if isinstance(body, bytes) else b"", crc32("\0".join(map(str, about)).encode()))


def put_reply(connection: Connection, scope: Scope, key: str, saved: SavedReply, forget_before: datetime) -> None:
    """Save a reply, replacing one with the same key, and prune up to 100 replies older than `forget_before`."""
    connection.execute(
        "DELETE FROM replies WHERE number IN (SELECT number FROM replies WHERE saved_at < ? ORDER BY saved_at LIMIT ?)",
        (format_stored_time(forget_before), _PRUNE_LIMIT),
    )
    reply = saved.reply
    places = ", ".join("?" * 9)
    row = (key, saved.request, reply.status, reply.media_type, format_stored_time(saved.saved_at), reply.body)
    connection.execute(
        f"INSERT OR REPLACE INTO replies (organization_id, namespace_id, {REPLY_COLUMNS}) VALUES ({places})",
        (*place(scope), *row, _checksum(row)),
    )


def forget_replies(connection: Connection, scope: Scope) -> None:
    """Delete every reply of exactly this organisation and namespace."""
    connection.execute(f"DELETE FROM replies WHERE {IN_SCOPE}", place(scope))

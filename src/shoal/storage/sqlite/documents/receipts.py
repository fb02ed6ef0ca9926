"""The table `receipts` of a namespace: the answers of named writes, stored in the transaction of the write, so that a
repetition changes nothing and returns the same answer. The receipt of a withdrawn write has the answer `null`."""

from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final

import orjson

from shoal.errors import Corrupt
from shoal.records.base import format_stored_time
from shoal.storage.checksums import text_checksum
from shoal.storage.protocols.documents import Write, WriteWithdrawn

__all__ = ["RECEIPTS_SCHEMA", "find_receipt", "forget_receipts", "put_receipt", "withdraw"]

RECEIPTS_SCHEMA: Final = """
CREATE TABLE receipts (
    id TEXT PRIMARY KEY, asked_at TEXT NOT NULL, answer TEXT NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX receipts_by_age ON receipts (asked_at);
"""
_FORGOTTEN_AT_ONCE: Final = 10_000


def find_receipt(connection: Connection, write: Write | None) -> Any | None:
    """Return the stored answer of a named write, as JSON; None if there is none. Raises WriteWithdrawn, Corrupt."""
    if write is None:
        return None
    rows = connection.execute("SELECT answer, checksum FROM receipts WHERE id = ?", (write.id,)).fetchall()
    if not rows:
        return None
    ((answer, checksum),) = rows
    if text_checksum(answer, write.id) != checksum:
        raise Corrupt(f"The answer of the write {write.id} is damaged on disk. Restore documents.sqlite from a backup.")
    stored = orjson.loads(answer)
    if stored is None:
        raise WriteWithdrawn(write.id)
    return stored


def withdraw(connection: Connection, write: Write) -> bool:
    """Store that a write is withdrawn, unless it has an answer. Returns whether it is withdrawn. Raises Corrupt."""
    try:
        if find_receipt(connection, write) is not None:
            return False
    except WriteWithdrawn:
        return True
    put_receipt(connection, write, None)
    return True


def put_receipt(connection: Connection, write: Write | None, answer: object) -> None:
    """Store the answer of a write, if it has a name."""
    if write is None:
        return
    text = orjson.dumps(answer).decode()
    connection.execute(
        "INSERT INTO receipts (id, asked_at, answer, checksum) VALUES (?, ?, ?, ?)",
        (write.id, format_stored_time(write.at), text, text_checksum(text, write.id)),
    )


def forget_receipts(connection: Connection, before: datetime) -> None:
    """Delete the receipts of writes requested before a time, some thousands at most."""
    connection.execute(
        "DELETE FROM receipts WHERE id IN (SELECT id FROM receipts WHERE asked_at < ? ORDER BY asked_at LIMIT ?)",
        (format_stored_time(before), _FORGOTTEN_AT_ONCE),
    )
    # Earlier versions stored replies here; they are in the metadata store now.
    connection.execute("DELETE FROM replies WHERE saved_at < ?", (format_stored_time(before),))

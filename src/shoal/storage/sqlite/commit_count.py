"""The number of commits of a database, stored in the database and in a file beside it, to detect lost commits.

SQLite takes damage in a write-ahead log for the end of the log, and silently goes on with an earlier state. So each
transaction that changes something increments a counter, and after the commit the count is written to a small file
beside the database. That file needs no sync: it is written once the commit is on disk, so it is never ahead, and a
stale one only detects less. A database with fewer commits than the file has lost some. Both hold an id that the
database got when it was created, so that the count of a removed database does not apply to the next one in its place.
"""

import contextlib
import os
import sqlite3
import struct
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from shoal.durable import short_name
from shoal.errors import Corrupt

__all__ = ["Commit", "begin", "check", "counts", "create_file", "describe_loss", "has_commits", "increment", "record"]

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS commit_count (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, "
    "count INTEGER NOT NULL, mirror INTEGER NOT NULL CHECK (mirror = -count))"
)
"""The count is stored twice, so that a flipped bit is noticed."""
_SUFFIX: Final = "-commits"
_ID_BYTES: Final = 16
_RECORD: Final = struct.Struct(f"<{_ID_BYTES}sQ")
_CRC: Final = struct.Struct("<I")


class Commit(NamedTuple):
    """The id of a database and the number of its commits, this one included."""

    id: bytes
    number: int


def counts(connection: sqlite3.Connection) -> bool:
    """Whether this database counts its commits; early formats do not."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'commit_count'").fetchall())


def begin(connection: sqlite3.Connection) -> None:
    """Make a database count its commits from now on; call it in a transaction."""
    connection.execute(_TABLE)
    connection.execute("INSERT OR IGNORE INTO commit_count VALUES (1, randomblob(16), 0, 0)")


def increment(connection: sqlite3.Connection) -> Commit | None:
    """Count the open transaction. Returns None if the database does not count its commits."""
    add = "UPDATE commit_count SET count = count + 1, mirror = mirror - 1 WHERE one = 1 RETURNING id, count"
    rows = connection.execute(add).fetchall()
    return Commit(*rows[0]) if rows else None


def create_file(path: Path) -> None:
    """Create the file beside the open database at `path` for `record`, which never creates it: a database that another
    process is removing must not get a new one."""
    with contextlib.suppress(OSError):
        os.close(os.open(_count_path(path), os.O_CREAT | os.O_WRONLY, 0o600))


def record(path: Path, commit: Commit) -> None:
    """Record beside the database at `path` that this commit is on disk.

    Ignores disk errors, since the transaction itself is committed.
    """
    recorded = _read_recorded(path)
    if recorded is not None and recorded.id == commit.id and recorded.number >= commit.number:
        return
    content = _RECORD.pack(*commit)
    with contextlib.suppress(OSError):
        file = os.open(_count_path(path), os.O_WRONLY)
        try:
            os.pwrite(file, content + _CRC.pack(crc32(content)), 0)
        finally:
            os.close(file)


def has_commits(path: Path) -> bool:
    """Whether commits of a database at `path` were recorded."""
    return _read_recorded(path) is not None


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise Corrupt if commits are lost."""
    loss = describe_loss(path, connection)
    if loss is not None:
        raise Corrupt(f"{short_name(path)} {loss}")


def describe_loss(path: Path, connection: sqlite3.Connection) -> str | None:
    """Describe lost commits; None if there are none.

    `connection` must not have started to read, unless no process can write: the recorded count is read first, so that
    commits made since can only raise the other one.
    """
    recorded = _read_recorded(path)
    if counts(connection):
        stored = _read_stored(connection)
        if stored is None:
            return "has a damaged commit counter. Restore a backup."
        missing = 0 if recorded is None or recorded.id != stored.id else recorded.number - stored.number
    else:  # an early format, of which nothing was recorded; or emptied, or created anew in place of a lost database
        missing = 0 if recorded is None else recorded.number
    if missing <= 0:
        return None
    what = "change" if missing == 1 else f"{missing:,} changes"
    return (
        f"has lost its last {what}: its log or the file was damaged, or replaced by an older one. "
        f"Restore a backup; to go on without them, delete {path.name}{_SUFFIX} beside it."
    )


def _read_stored(connection: sqlite3.Connection) -> Commit | None:
    """Read the count in the database; None if it is damaged."""
    rows = connection.execute("SELECT id, count, mirror FROM commit_count").fetchall()
    if len(rows) != 1:
        return None
    id, count, mirror = rows[0]
    if not (isinstance(id, bytes) and len(id) == _ID_BYTES and isinstance(count, int) and mirror == -count <= 0):
        return None
    return Commit(id, count)


def _read_recorded(path: Path) -> Commit | None:
    """Read the count beside the database; None if there is none or it is torn."""
    try:
        file = _count_path(path).read_bytes()
    except OSError:
        return None
    content, crc = file[: _RECORD.size], file[_RECORD.size : _RECORD.size + _CRC.size]
    if len(content) != _RECORD.size or crc != _CRC.pack(crc32(content)):
        return None
    return Commit(*_RECORD.unpack(content))


def _count_path(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)

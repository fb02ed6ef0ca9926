"""How many commits a database has seen, kept outside of it as well.

SQLite takes damage in a write-ahead log for the end of the log, and goes on with an earlier state without a word. So
each transaction that changes something counts itself, and after its commit the count goes into a small file beside the
database. That file needs no sync: it is written once the commit is on disk, so it is never ahead, and one that is
behind only sees less. A database that knows fewer commits than the file has lost some. Both hold an id that the
database got when it was made, so that the count of a file that was removed says nothing of the next one in its place.
"""

import contextlib
import os
import sqlite3
import struct
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from shoal.durable import named
from shoal.errors import Corrupt

__all__ = ["Commit", "begin", "check", "count_up", "counts", "keep", "knows", "lost", "make_room"]

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS commit_count (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, "
    "count INTEGER NOT NULL, mirror INTEGER NOT NULL CHECK (mirror = -count))"
)
"""The count stands there twice, so that a flipped bit does not pass for a number."""
_SUFFIX: Final = "-commits"
_ID_BYTES: Final = 16
_NOTED: Final = struct.Struct(f"<{_ID_BYTES}sQ")
_CRC: Final = struct.Struct("<I")


class Commit(NamedTuple):
    """A commit of a database: the id of that, and how many there were with this one."""

    id: bytes
    number: int


def counts(connection: sqlite3.Connection) -> bool:
    """Whether this database counts its commits: those of early formats do not."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'commit_count'").fetchall())


def begin(connection: sqlite3.Connection) -> None:
    """Have a database count from now on; call it in a transaction."""
    connection.execute(_TABLE)
    connection.execute("INSERT OR IGNORE INTO commit_count VALUES (1, randomblob(16), 0, 0)")


def count_up(connection: sqlite3.Connection) -> Commit | None:
    """Count the transaction that is open. None for a database that does not count."""
    add = "UPDATE commit_count SET count = count + 1, mirror = mirror - 1 WHERE one = 1 RETURNING id, count"
    rows = connection.execute(add).fetchall()
    return Commit(*rows[0]) if rows else None


def make_room(path: Path) -> None:
    """Have a file beside the database at `path`, which is open, for `keep`. Only this makes one: a database that
    another process is removing must not get a new file."""
    with contextlib.suppress(OSError):
        os.close(os.open(_beside(path), os.O_CREAT | os.O_WRONLY, 0o600))


def keep(path: Path, commit: Commit) -> None:
    """Note beside the database at `path` that this commit is on disk. A disk that fails is no reason to fail what is
    done, so nothing is raised."""
    kept = _kept(path)
    if kept is not None and kept.id == commit.id and kept.number >= commit.number:
        return
    noted = _NOTED.pack(*commit)
    with contextlib.suppress(OSError):
        file = os.open(_beside(path), os.O_WRONLY)
        try:
            os.pwrite(file, noted + _CRC.pack(crc32(noted)), 0)
        finally:
            os.close(file)


def knows(path: Path) -> bool:
    """Whether there were commits of a database at `path`."""
    return _kept(path) is not None


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raises Corrupt where commits are gone."""
    said = lost(path, connection)
    if said is not None:
        raise Corrupt(f"{named(path)} {said}")


def lost(path: Path, connection: sqlite3.Connection) -> str | None:
    """What is to be said of commits that are gone; None where all are there. `connection` must not have begun to read
    yet, or nobody may be able to write: what is committed after the count beside the file was looked at may be more,
    never less."""
    kept = _kept(path)
    if counts(connection):
        counted = _counted(connection)
        if counted is None:
            return "is damaged where its commits are counted. Restore a backup."
        missing = 0 if kept is None or kept.id != counted.id else kept.number - counted.number
    else:  # of an early format, and then nothing was noted; or emptied, or made anew in the place of one that is gone
        missing = 0 if kept is None else kept.number
    if missing <= 0:
        return None
    what = "change" if missing == 1 else f"{missing:,} changes"
    return (
        f"has lost its last {what}: its log or the file was damaged, or replaced by an older one. "
        f"Restore a backup; to go on without them, delete {path.name}{_SUFFIX} beside it."
    )


def _counted(connection: sqlite3.Connection) -> Commit | None:
    """What the database says itself; None where that is damaged."""
    rows = connection.execute("SELECT id, count, mirror FROM commit_count").fetchall()
    if len(rows) != 1:
        return None
    id, count, mirror = rows[0]
    if not (isinstance(id, bytes) and len(id) == _ID_BYTES and isinstance(count, int) and mirror == -count <= 0):
        return None
    return Commit(id, count)


def _kept(path: Path) -> Commit | None:
    """None where nothing was noted, or what was is torn."""
    try:
        content = _beside(path).read_bytes()
    except OSError:
        return None
    noted, crc = content[: _NOTED.size], content[_NOTED.size : _NOTED.size + _CRC.size]
    if len(noted) != _NOTED.size or crc != _CRC.pack(crc32(noted)):
        return None
    return Commit(*_NOTED.unpack(noted))


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)

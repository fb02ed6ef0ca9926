"""How many commits a database has seen, kept outside of it as well.

SQLite takes damage in a write-ahead log for the end of the log, and goes on with an earlier state without a word. So
each transaction that changes something counts itself, and after its commit the count goes into a small file beside the
database. That file needs no sync: it is written once the commit is on disk, so it is never ahead, and one that is
behind only sees less. A database that knows fewer commits than the file has lost some.
"""

import contextlib
import os
import sqlite3
import struct
from pathlib import Path
from typing import Final
from zlib import crc32

from shoal.errors import Corrupt

__all__ = ["CREATE", "check", "count_up", "counts", "keep", "lost"]

CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS commits (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL, "
    "mirror INTEGER NOT NULL CHECK (mirror = -count))"
)
"""The count stands there twice, so that a flipped bit does not pass for a number."""

_SUFFIX: Final = "-commits"
_COUNT: Final = struct.Struct("<Q")
_CHECKED: Final = struct.Struct("<QI")
"""The count and the CRC-32 of its bytes."""


def counts(connection: sqlite3.Connection) -> bool:
    """Whether this database counts its commits: those of early formats do not."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'commits'").fetchall())


def count_up(connection: sqlite3.Connection) -> int:
    """Count the transaction that is open; returns its number."""
    add = "INSERT INTO commits VALUES (1, 1, -1) ON CONFLICT DO UPDATE SET count = count + 1, mirror = mirror - 1"
    return int(connection.execute(f"{add} RETURNING count").fetchall()[0][0])


def keep(path: Path, count: int) -> None:
    """Note beside the database at `path` that this commit is on disk. A disk that fails is no reason to fail what is
    done, so nothing is raised."""
    if count <= _kept(path):
        return
    with contextlib.suppress(OSError):
        file = os.open(_beside(path), os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.pwrite(file, _CHECKED.pack(count, crc32(_COUNT.pack(count))), 0)
        finally:
            os.close(file)


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raises Corrupt where commits are gone."""
    said = lost(path, connection)
    if said is not None:
        raise Corrupt(f"The file {said}")


def lost(path: Path, connection: sqlite3.Connection) -> str | None:
    """What is to be said of commits that are gone; None where all are there. `connection` has not read yet, or reads
    anew: what is committed after the file was looked at may be more, never less."""
    kept = _kept(path)
    found = connection.execute("SELECT count, mirror FROM commits").fetchall() if counts(connection) else []
    count, mirror = found[0] if found else (0, 0)
    if count != -mirror:
        return "is damaged where its commits are counted. Restore a backup."
    missing = kept - int(count)
    if missing <= 0:
        return None
    what = "change" if missing == 1 else f"{missing:,} changes"
    return (
        f"has lost its last {what}: its log or the file was damaged, or replaced by an older one. "
        f"Restore a backup; to go on without them, delete {path.name}{_SUFFIX} beside it."
    )


def _kept(path: Path) -> int:
    """0 where nothing was noted, or what was is torn."""
    try:
        content = _beside(path).read_bytes()
    except OSError:
        return 0
    if len(content) != _CHECKED.size:
        return 0
    count, checksum = _CHECKED.unpack(content)
    return int(count) if checksum == crc32(_COUNT.pack(count)) else 0


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)

"""A SQLite file opened by somebody who only looks: it is never written, and needs no server to be stopped."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from shoal.durable import is_full, named, on_read_only_disk
from shoal.errors import InsufficientStorage, Unavailable

__all__ = ["read_only"]


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A snapshot of a database that nobody can write through. Raises InsufficientStorage on a disk that is full,
    Unavailable on one that is mounted read-only where the last commits could not be read."""
    how = f"mode=ro{_unchanging(path)}"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, timeout=30)
    try:
        connection.text_factory = bytes  # a damaged text may be no text any more
        connection.execute("BEGIN")
        yield connection
    except sqlite3.OperationalError as error:
        if is_full(error):
            told = f"The disk is full: {named(path)} cannot be read, for SQLite needs a little room beside it."
            raise InsufficientStorage(f"{told} Make room and look again.") from error
        raise
    finally:
        connection.close()


def _unchanging(path: Path) -> str:
    """On a disk that is mounted read-only SQLite cannot make its index of the write-ahead log: it has to be told that
    the file does not change, and would not look into the log then."""
    if not path.exists() or not on_read_only_disk(path):
        return ""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise Unavailable(
            f"The disk of {path} is mounted read-only, and its write-ahead log holds commits that SQLite reads on a "
            "writable disk only. Mount it writable, or copy the folder and look at the copy."
        )
    return "&immutable=1"

"""SQLite files opened for inspection: they are never written, and the server may keep running."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from shoal.durable import is_full, is_on_read_only_disk, short_name
from shoal.errors import InsufficientStorage, Unavailable

__all__ = ["read_only"]


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a read-only snapshot of a database.

    Raises InsufficientStorage on a full disk, and Unavailable on a disk that is mounted read-only if the last commits
    cannot be read there.
    """
    options = f"mode=ro{_immutable_option(path)}"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, timeout=30)
    try:
        connection.text_factory = bytes  # damaged text may not be UTF-8
        connection.execute("BEGIN")
        yield connection
    except sqlite3.OperationalError as error:
        if is_full(error):
            raise InsufficientStorage(
                f"The disk is full: {short_name(path)} cannot be read, because SQLite needs a little space beside it. "
                "Free some space and try again."
            ) from error
        raise
    finally:
        connection.close()


def _immutable_option(path: Path) -> str:
    """Return the URI option for a database on a read-only file system, where SQLite cannot create the index of the
    write-ahead log: the file must be declared immutable, and SQLite then ignores the log."""
    if not path.exists() or not is_on_read_only_disk(path):
        return ""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise Unavailable(
            f"The disk of {path} is mounted read-only, and its write-ahead log holds commits that SQLite reads on a "
            "writable disk only. Mount it writable, or copy the folder and look at the copy."
        )
    return "&immutable=1"

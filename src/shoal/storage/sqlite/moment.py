"""A consistent snapshot across all databases of a SQLite installation.

The write locks of all databases are held while a snapshot of each is started, which takes milliseconds.
"""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.durable import is_full, remove_tree
from shoal.errors import Corrupt, Unavailable
from shoal.storage.sqlite import commit_count
from shoal.storage.sqlite.documents.namespaces import namespace_databases
from shoal.storage.sqlite.documents.vectors import SegmentKey, VectorSegments
from shoal.storage.sqlite.migrations import format_of
from shoal.storage.sqlite.whole_pages import check_whole_pages

__all__ = ["Snapshot", "at_one_moment"]

_PATIENCE_SECONDS: Final = 0.5
_TRIES: Final = 20
_ROW_BYTES: Final = 4
_SIDE_FILES: Final = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of one database; `path` is relative to the data folder."""

    path: Path
    connection: sqlite3.Connection

    def copy_to(self, place: Path) -> None:
        """Copy the database into a new private file."""
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        target = sqlite3.connect(place)
        try:
            self.connection.backup(target)
        finally:
            target.close()
        for suffix in _SIDE_FILES:
            place.with_name(place.name + suffix).unlink(missing_ok=True)

    def segments(self) -> list[tuple[Path, int]]:
        """Return the vector files of a namespace, relative to the data folder, with the committed bytes of each."""
        if not format_of(self.connection):
            return []  # being created: it is still empty
        rows = self.connection.execute(
            "SELECT c.key, v.name, s.number, s.slots * v.dimension FROM segments s "
            "JOIN collections c ON c.number = s.collection JOIN vector_spaces v ON v.number = s.space"
        ).fetchall()
        files = VectorSegments(self.path.parent / "vectors")
        return [(files.path(SegmentKey(key, name, number)), values * _ROW_BYTES) for key, name, number, values in rows]


@contextlib.contextmanager
def at_one_moment(data: Path, linked: Path, link: Callable[[], None]) -> Iterator[list[Snapshot]]:
    """Take snapshots of all databases, metadata first, while no process writes.

    Parameters
    ----------
    data
        The data folder.
    linked
        The folder for hard links to the files that belong to the snapshots.
    link
        Called while the locks are held, to create these links. It may be called again, after `linked` was removed.

    Raises
    ------
    Unavailable
        Writers never left a gap.
    Corrupt
        A database is damaged.
    OSError
        A disk is full.
    """
    with _translate_errors():
        for attempt in range(_TRIES):
            with ExitStack() as held:
                snapshots = []
                try:
                    with ExitStack() as locks:
                        paths = _databases(data)
                        for path in paths:
                            check_whole_pages(path)
                            locks.enter_context(_lock(path))
                        for path in paths:
                            connection = held.enter_context(_connect(path))
                            connection.execute("BEGIN")
                            connection.execute(
                                "SELECT count(*) FROM sqlite_master"
                            ).fetchone()  # a snapshot starts at the first read
                            commit_count.check(path, connection)
                            snapshots.append(Snapshot(path.relative_to(data), connection))
                        link()
                except (sqlite3.OperationalError, FileNotFoundError) as error:
                    # A long write, or a namespace that was dropped at this moment.
                    if is_full(error):
                        raise
                    if attempt == _TRIES - 1:
                        waited = f"{_TRIES * _PATIENCE_SECONDS:.0f} s"
                        raise Unavailable(
                            f"A write has been under way for {waited} ({error}). Try again later."
                        ) from error
                    remove_tree(linked)
                    time.sleep(_PATIENCE_SECONDS / 2)
                    continue
                yield snapshots
                return


def _databases(data: Path) -> list[Path]:
    """Return all databases, metadata first: a run writes documents before metadata, so the locks cannot deadlock."""
    return [data / "metadata.sqlite", *namespace_databases(data / "documents")]


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_PATIENCE_SECONDS
    )
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the write lock of a database, without writing."""
    with _connect(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate SQLite's errors into Shoal's, and a full disk into the operating system's error."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if is_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise Unavailable(f"A database cannot be read ({error}). Try again later.") from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(f"A database file is damaged ({error}). Run `shoal doctor` for details.") from error

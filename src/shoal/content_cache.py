"""A bounded cache on disk, by key, for what costs time or money to make: vectors of models."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

__all__ = ["ContentCache"]

T = TypeVar("T")
SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (key BLOB PRIMARY KEY, value BLOB NOT NULL, number INTEGER);
CREATE INDEX IF NOT EXISTS in_order ON contents (number);
"""
PAGE = 4096
KEYS_IN_QUERY = 500
PATIENCE = 10.0


class ContentCache:
    """Keys and values in one SQLite file that several processes may use at once.

    What it loses is computed again, so nothing is synced to disk, and a damaged file is replaced by an empty one.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    largest : int, default 1 GiB
        The file never grows beyond this many bytes; what was stored first goes first.
    """

    def __init__(self, path: Path, largest: int = 1 << 30) -> None:
        self.path = path
        self.pages = max(largest // PAGE, 16)
        self.lock = threading.Lock()

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there.

        Parameters
        ----------
        keys : iterable of bytes

        Returns
        -------
        dict of bytes to bytes
        """
        distinct = list(dict.fromkeys(keys))
        return self._transact(lambda connection: dict(self._read(connection, distinct))) or {}

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values; silently not those that find no room, or no disk.

        Parameters
        ----------
        values : mapping of bytes to bytes
        """
        rows = [(key, value) for key, value in values.items() if len(value) < self.pages * PAGE // 8]
        if not self._transact(lambda connection: write(connection, rows)):
            self._transact(make_room)
            self._transact(lambda connection: write(connection, rows))

    def _read(self, connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for first in range(0, len(keys), KEYS_IN_QUERY):
            part = keys[first : first + KEYS_IN_QUERY]
            marks = ",".join("?" * len(part))
            yield from connection.execute(f"SELECT key, value FROM contents WHERE key IN ({marks})", part)

    def _transact(self, body: Callable[[sqlite3.Connection], T]) -> T | None:
        """None if the file is full, busy or can't be written; a damaged one is removed."""
        with self.lock:
            try:
                return self._attempt(body)
            except (sqlite3.OperationalError, OSError):
                return None
            except sqlite3.DatabaseError:
                self._remove()
            with contextlib.suppress(sqlite3.Error, OSError):
                return self._attempt(body)
        return None

    def _attempt(self, body: Callable[[sqlite3.Connection], T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA max_page_count = {self.pages}")
            connection.executescript(SCHEMA)
            with connection:
                return body(connection)

    def _remove(self) -> None:
        for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
            path.unlink(missing_ok=True)


def write(connection: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> bool:
    connection.executemany(
        "INSERT OR REPLACE INTO contents VALUES (?, ?, (SELECT coalesce(max(number), 0) + 1 FROM contents))", rows
    )
    return True


def make_room(connection: sqlite3.Connection) -> None:
    """Remove the older half."""
    connection.execute(
        "DELETE FROM contents WHERE number <= (SELECT number FROM contents ORDER BY number LIMIT 1"
        " OFFSET (SELECT count(*) / 2 FROM contents))"
    )

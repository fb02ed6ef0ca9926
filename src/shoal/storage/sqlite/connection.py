"""Connections to SQLite that translate its errors into Shoal's."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from shoal import deadline
from shoal.durable import is_full, short_name
from shoal.errors import Corrupt, InsufficientStorage, ShoalError, Unavailable

__all__ = ["Connection", "Seam", "code_of"]

_FETCH_ROWS: Final = 1000
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DAMAGED_TEXT: Final = ("Could not decode to UTF-8", "malformed JSON")
"""Always about a stored text: parameters are checked before they get here."""
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_BUSY: "is busy",
    sqlite3.SQLITE_LOCKED: "is busy",
    sqlite3.SQLITE_PROTOCOL: "is busy",
    sqlite3.SQLITE_INTERRUPT: "was interrupted",
    sqlite3.SQLITE_IOERR: "met a disk error",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_READONLY: "cannot be written to",
    sqlite3.SQLITE_NOMEM: "ran out of memory",
}


class Seam:
    """Translates SQLite's errors about the environment into Shoal's; errors in Shoal's own SQL are left alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            translation = _translate_error(error, self._path)
            if translation is not None:
                raise translation from error


def _translate_error(error: sqlite3.DatabaseError, path: Path) -> ShoalError | None:
    code = code_of(error)
    if code == sqlite3.SQLITE_INTERRUPT or "user-defined function raised" in str(error):
        deadline.check()  # raises if the deadline is the cause
    if is_full(error):
        return InsufficientStorage(
            "The disk is full. Delete something or enlarge the disk; reading and deleting still work meanwhile."
        )
    if code in _BROKEN or any(words in str(error) for words in _DAMAGED_TEXT):
        return Corrupt(f"{short_name(path)} is damaged ({error}). Restore it from a backup.")
    if code in _UNAVAILABLE:
        return Unavailable(f"The database {_UNAVAILABLE[code]} ({error}). Try again.")
    return None


def code_of(error: sqlite3.Error) -> int:
    """Return the primary result code of an error, 0 for an error of the driver itself."""
    # Extended codes have the primary one in their low byte.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class Cursor(sqlite3.Cursor):
    """A cursor that raises Shoal's errors."""

    connection: "Connection"

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        with self.connection.seam:
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        with self.connection.seam:
            return super().executemany(sql, parameters)

    def fetchone(self) -> Any:
        with self.connection.seam:
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        with self.connection.seam:
            return super().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> list[Any]:
        with self.connection.seam:
            return super().fetchall()

    def __next__(self) -> Any:
        with self.connection.seam:
            return super().__next__()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # blocks of rows, not one Python call a row
        while rows := self.fetchmany(_FETCH_ROWS):
            yield from rows


class Connection(sqlite3.Connection):
    """A connection whose cursors raise Shoal's errors."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self.seam = Seam(path)

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(Cursor if factory is None else factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().cursor(Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        return super().cursor(Cursor).executemany(sql, parameters)

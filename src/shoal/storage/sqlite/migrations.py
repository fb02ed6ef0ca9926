"""Bringing a database file from an older format to the present one.

The steps that are missing run in one transaction: the file has its old format or the present one, and nothing between.
Before the first of them a copy of the file is put beside it (`metadata.sqlite.before-3` for the step to format 3); it
stays until the next migration, for those who have to go back to the version before.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from shoal.durable import is_full, sync_folder
from shoal.errors import Conflict, InsufficientStorage, Unavailable
from shoal.failpoints import hit

__all__ = ["copies_of", "format_of", "migrate", "refuse_newer"]


def format_of(connection: sqlite3.Connection) -> int:
    """The format of a file: how many steps of its schema were run."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(path: Path, found: int, known: int) -> None:
    """Raises Conflict for a format this version does not know."""
    if found > known:
        raise Conflict(
            f"{path.name} was written by a newer Shoal (format {found}, this one knows {known}). "
            "Install the newer version, or choose another data folder.",
            found=found,
            known=known,
        )


def migrate(path: Path, connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    """Run the steps that are missing. Call it inside a write transaction of `connection`, which must do nothing else.

    Raises Conflict for a newer file, InsufficientStorage where the copy finds no room; the file is then as it was.
    """
    found = format_of(connection)
    refuse_newer(path, found, len(schema))
    if found == len(schema):  # another process was faster
        return
    if found:
        _copy(path, len(schema))
        hit("migrate.copied")
    for step in schema[found:]:
        hit("migrate.step")
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(schema)}")
    hit("migrate.before_commit")


def copies_of(path: Path) -> list[Path]:
    """The copies that migrations left beside a file."""
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def _copy(path: Path, target: int) -> None:
    """The file as it was last committed, whole or not at all. Copies of earlier migrations go."""
    copy = path.with_name(f"{path.name}.before-{target}")
    part = copy.with_name(f".{copy.name}.part")
    part.unlink(missing_ok=True)
    try:
        _copy_pages(path, part)
        part.replace(copy)
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        size = path.stat().st_size
        if is_full(error):
            raise InsufficientStorage(
                f"{path.name} must be copied before it is brought to the format of this version, and the disk has no "
                f"room for {size / 2**20:.0f} MiB. Free some and start again; nothing was changed.",
                needed_bytes=size,
            ) from error
        raise Unavailable(f"{path.name} could not be copied before its migration ({error}). Try again.") from error
    for older in copies_of(path):
        if older != copy:
            older.unlink(missing_ok=True)


def _copy_pages(path: Path, part: Path) -> None:
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # A connection of its own: it sees what was committed, whatever the caller's transaction did.
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction that is open."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""

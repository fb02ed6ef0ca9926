"""Migration of a database file from an older format to the current one.

The missing steps run in one transaction: the file has its old format or the current one, never one between. Before the
first step the file is copied beside itself (`metadata.sqlite.before-3` for a migration to format 3); the copy stays
until the next migration, for operators who have to return to the previous version.
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
    """Return the format of a file: the number of steps of its schema that were run."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(path: Path, format: int, newest: int) -> None:
    """Raise Conflict for a format that this version does not know."""
    if format > newest:
        raise Conflict(
            f"{path.name} was written by a newer Shoal (format {format}, this one knows {newest}). "
            "Install the newer version, or choose another data folder.",
            found=format,
            known=newest,
        )


def migrate(path: Path, connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    """Run the missing steps. Call it inside a write transaction of `connection` that does nothing else.

    Raises Conflict for a newer file, InsufficientStorage if the disk is too full for the copy; the file is unchanged
    then.
    """
    current = format_of(connection)
    refuse_newer(path, current, len(schema))
    if current == len(schema):  # another process was faster
        return
    if current:
        _copy(path, len(schema))
        hit("migrate.copied")
    for step in schema[current:]:
        hit("migrate.step")
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(schema)}")
    hit("migrate.before_commit")


def copies_of(path: Path) -> list[Path]:
    """Return the copies that migrations left beside a file."""
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def _copy(path: Path, target: int) -> None:
    """Copy the file as last committed, atomically, and remove the copies of earlier migrations."""
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
                f"{path.name} must be copied before it is migrated to the format of this version, and the disk has no "
                f"room for {size / 2**20:.0f} MiB. Free some space and start again; nothing was changed.",
                needed_bytes=size,
            ) from error
        raise Unavailable(f"{path.name} could not be copied before its migration ({error}). Try again.") from error
    for older in copies_of(path):
        if older != copy:
            older.unlink(missing_ok=True)


def _copy_pages(path: Path, part: Path) -> None:
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # A separate connection sees what was committed, whatever the caller's transaction did.
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would commit the open transaction."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""

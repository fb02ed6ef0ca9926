"""Rows of documents in SQLite: checks, times, lists of ids, and snapshots."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final, TypeVar

import orjson

from shoal import deadline
from shoal.errors import Corrupt
from shoal.storage.checksums import text_checksum

__all__ = ["check_payloads", "json_ids", "json_list", "missing_file", "pieces", "snapshot", "stamp_of"]

Item = TypeVar("Item")
_PIECE: Final = 1_000


def stamp_of(moment: datetime) -> str:
    """Format a time in UTC with microseconds and `Z`: text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def missing_file(error: FileNotFoundError) -> Corrupt:
    return Corrupt(f"Vector file {Path(str(error.filename)).name} is missing. Restore it from a backup.")


def check_payloads(rows: Iterable[tuple[Any, ...]]) -> None:
    """Check rows that begin with id, payload, times and checksum. Raises Corrupt if one does not match."""
    for document_id, payload, created, updated, checksum, *_ in rows:
        if checksum is not None and text_checksum(payload, document_id, created, updated) != checksum:
            raise Corrupt(
                f"The payload of document {document_id!r} is damaged on disk. Store the document again.",
                document_id=document_id,
            )


def json_ids(ids: Sequence[str]) -> str:
    """Format ids as a JSON list, without ids that no document can have, which SQLite would misread."""
    return json_list([i for i in ids if "\0" not in i and (i.isascii() or _is_unicode(i))])


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_list(ids: Sequence[object]) -> str:
    return orjson.dumps(list(ids)).decode()


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[Connection]:
    """Run the block in one snapshot, or in the open transaction of this thread."""
    if connection.in_transaction:
        yield connection
        return
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        if connection.in_transaction:
            with deadline.suspend():
                connection.execute("ROLLBACK")


def pieces(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while piece := list(islice(iterator, _PIECE)):
        yield piece

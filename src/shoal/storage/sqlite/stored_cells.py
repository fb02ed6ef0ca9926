"""Cells of rows as they were stored. SQLite does not notice a flipped byte: a damaged cell may hold anything."""

from datetime import UTC, datetime
from typing import Final
from zlib import crc32

import orjson

from shoal.storage.protocols.records import Json

__all__ = ["UNKNOWN_TIME", "checksum_of", "decode", "is_text", "parse_checked", "parse_object", "parse_time"]

UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that cannot be read."""


def parse_object(text: str | bytes) -> Json | None:
    """Parse a stored JSON object; None if the text is damaged."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def checksum_of(text: object, *about: object) -> int:
    """Compute the CRC-32 of a JSON text and of other cells of its row."""
    return crc32(_to_bytes(text), crc32(b"\0".join(map(_to_bytes, about))))


def parse_checked(text: object, checksum: object, *about: object) -> Json | None:
    """Parse a stored JSON object; None if it does not match its checksum, where there is one, or is damaged."""
    if checksum is not None and checksum != checksum_of(text, *about):
        return None
    return parse_object(_to_bytes(text))


def parse_time(cell: object) -> datetime | None:
    """Parse a stored time; None if it is null or damaged, such as one without an offset, which compares with none."""
    try:
        time = None if cell is None else datetime.fromisoformat(decode(cell))
    except ValueError:
        return None
    return None if time is None or time.tzinfo is None else time


def is_text(cell: object) -> bool:
    """Whether the bytes of a stored text are UTF-8."""
    return isinstance(cell, bytes) and decode(cell).encode() == cell


def decode(cell: object) -> str:
    """Decode a text as far as it can be."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)


def _to_bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()

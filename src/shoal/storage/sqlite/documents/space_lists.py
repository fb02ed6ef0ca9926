"""The list of a document's vectors in its own row.

Rows of `slots` are looked up by key, and a flipped bit in a key hides the row: nothing is read that a checksum could
refuse. Therefore each row of `documents` lists the spaces in which the document has a vector, and missing rows of
`slots` are verified against it. A list has its own CRC-32, seeded with the number of the document, so that it can be
checked and rewritten without the payload.

As bytes: the numbers of the spaces in ascending order, separated by commas, a colon, the checksum in hex, as in
`1,4:8f2a01c3`.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Final
from zlib import crc32

import orjson

from shoal.storage.checksums import text_checksum

__all__ = ["SPACE_LISTS", "read_space_list", "register_list_functions", "space_checksum", "space_list", "space_lists"]

_MIX: Final = 0x9E3779B1

SPACE_LISTS: Final = """
ALTER TABLE documents ADD COLUMN spaces BLOB;
UPDATE documents
SET spaces = shoal_space_list(number, (SELECT json_group_array(space) FROM slots WHERE document = documents.number));
ALTER TABLE vector_spaces ADD COLUMN checksum INTEGER;
UPDATE vector_spaces SET checksum = shoal_space_checksum(number, name, dimension);
"""
"""The step of the schema that introduced the lists, and a checksum for each vector name."""


def space_list(document: int, spaces: Iterable[int]) -> bytes:
    """Format the list of the document with this number."""
    return _add_checksum(document, _numbers(spaces))


def space_lists(documents: Sequence[int], spaces: Sequence[Sequence[int]]) -> list[bytes]:
    """Format the lists of many documents, aligned with `spaces`. Most batches have few distinct ones."""
    texts = {each: _numbers(each) for each in set(map(tuple, spaces))}
    return [_add_checksum(document, texts[tuple(each)]) for document, each in zip(documents, spaces, strict=True)]


def read_space_list(document: int, value: object) -> frozenset[int] | None:
    """Parse a list; None if it is not what was stored for this document."""
    if not isinstance(value, bytes):
        return None
    numbers = value.partition(b":")[0]
    if _add_checksum(document, numbers) != value:
        return None
    try:
        return frozenset(map(int, numbers.split(b","))) if numbers else frozenset()
    except ValueError:  # damaged before the lists were created
        return None


def space_checksum(number: int, name: str, dimension: int) -> int:
    """Compute the checksum of a row of `vector_spaces`."""
    return text_checksum(name, str(number), str(dimension))


def register_list_functions(connection: Connection) -> None:
    """Register the functions that `SPACE_LISTS` calls."""
    connection.create_function("shoal_space_list", 2, _make_list, deterministic=True)
    connection.create_function("shoal_space_checksum", 3, space_checksum, deterministic=True)


def _make_list(document: int, spaces: str) -> bytes:
    return space_list(document, orjson.loads(spaces))


def _numbers(spaces: Iterable[int]) -> bytes:
    return ",".join(map(str, sorted(spaces))).encode()


def _add_checksum(document: int, numbers: bytes) -> bytes:
    return b"%b:%08x" % (numbers, crc32(numbers, (document * _MIX) & 0xFFFFFFFF))

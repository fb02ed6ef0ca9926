"""Which vectors a document has, as its own row lists them.

The rows of `slots` are found by their keys, and a flipped bit in a key hides the row: nothing is read that a checksum
could refuse. Therefore each row of `documents` lists the spaces in which the document has a vector, and what `slots`
lacks is looked up there. A list has a CRC-32 of its own, begun with the number of the document, so that it is checked
and rewritten without the payload beside it.

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
"""The step of the schema that brings the lists, and a checksum for each name of a vector."""


def space_list(document: int, spaces: Iterable[int]) -> bytes:
    """The list of the document with this number."""
    return _signed(document, _numbers(spaces))


def space_lists(documents: Sequence[int], spaces: Sequence[Sequence[int]]) -> list[bytes]:
    """The lists of many documents; `spaces` is aligned with them. Most batches have few different ones."""
    texts = {each: _numbers(each) for each in set(map(tuple, spaces))}
    return [_signed(document, texts[tuple(each)]) for document, each in zip(documents, spaces, strict=True)]


def read_space_list(document: int, value: object) -> frozenset[int] | None:
    """The numbers of the spaces; None where the list is not what was stored for this document."""
    if not isinstance(value, bytes):
        return None
    numbers = value.partition(b":")[0]
    if _signed(document, numbers) != value:
        return None
    try:
        return frozenset(map(int, numbers.split(b","))) if numbers else frozenset()
    except ValueError:  # damaged before the lists were made
        return None


def space_checksum(number: int, name: str, dimension: int) -> int:
    """Of a row of `vector_spaces`."""
    return text_checksum(name, str(number), str(dimension))


def register_list_functions(connection: Connection) -> None:
    """Teach a connection the functions that `SPACE_LISTS` calls."""
    connection.create_function("shoal_space_list", 2, _listed, deterministic=True)
    connection.create_function("shoal_space_checksum", 3, space_checksum, deterministic=True)


def _listed(document: int, spaces: str) -> bytes:
    return space_list(document, orjson.loads(spaces))


def _numbers(spaces: Iterable[int]) -> bytes:
    return ",".join(map(str, sorted(spaces))).encode()


def _signed(document: int, numbers: bytes) -> bytes:
    return b"%b:%08x" % (numbers, crc32(numbers, (document * _MIX) & 0xFFFFFFFF))

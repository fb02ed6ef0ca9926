"""Checksums of the contents of SQLite and vector files, neither of which notices a flipped byte.

CRC-32 detects every change within 32 neighbouring bits, and any other with probability 1 - 2⁻³². Checksums are stored
beside the data in the same transaction and checked on each read. Data written before there were checksums have none
(null) and count as sound. They guard against damage, not against an attacker who can write to the data folder.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

import numpy as np
import orjson

from shoal.columns import Points, Rows
from shoal.storage.protocols.records import Json

__all__ = ["UNKNOWN", "find_damaged_rows", "manifest_checksum", "row_checksums", "text_checksum"]

UNKNOWN: Final = -1
"""In an array of checksums: none was stored."""

_MIX: Final = 0x9E3779B1


def text_checksum(text: str, *about: str) -> int:
    """Compute the CRC-32 of a JSON text and of other cells of its row, its id first."""
    return crc32(text.encode(), crc32("\0".join(about).encode()))


def manifest_checksum(manifest: Json) -> str:
    """Compute the SHA-256 (hex) of a manifest without its `checksum`, independent of the order of its keys."""
    content = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def row_checksums(documents: Iterable[int], space: int, values: Points) -> list[int]:
    """Compute the checksum of each row of an (n, d) float32 array of vectors.

    The document and the space enter the checksum, so that an intact vector of another document does not pass.
    """
    # Little-endian, as the rows are written.
    rows = np.ascontiguousarray(values, dtype="<f4")
    size = rows.shape[1] * rows.itemsize
    if not size:
        return [0] * len(rows)
    view = memoryview(rows.reshape(-1).view(np.uint8).data)
    starts = range(0, len(rows) * size, size)
    return [
        crc32(view[start : start + size], (document * _MIX ^ space) & 0xFFFFFFFF)
        for start, document in zip(starts, documents, strict=True)
    ]


def find_damaged_rows(documents: Sequence[int], space: int, values: Points, checksums: Rows) -> Rows:
    """Return the indices of the rows of `values` that do not match their checksums."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    computed = np.array(row_checksums(documents, space, values), dtype=np.int64)
    return np.flatnonzero((checksums != UNKNOWN) & (computed != checksums))

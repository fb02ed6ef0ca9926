"""Checksums of what SQLite and the vector files hold, because neither notices a flipped byte by itself.

CRC-32, which finds every change of up to 32 neighbouring bits for certain and any other with 1 - 2⁻³². Kept beside the
thing in the same transaction and looked at whenever it is read. What was written before there were checksums has none
(null) and counts as sound. This is against damage, not against somebody who can write the data folder.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

import numpy as np
import orjson

from shoal.columns import Points, Rows
from shoal.storage.protocols.records import Json

__all__ = ["UNKNOWN", "damaged_rows", "manifest_checksum", "row_checksums", "text_checksum"]

UNKNOWN: Final = -1
"""In an array of checksums: none was kept."""

_MIX: Final = 0x9E3779B1


def text_checksum(text: str, *about: str) -> int:
    """Of a JSON text and what stands beside it in its row, its id first."""
    return crc32(text.encode(), crc32("\0".join(about).encode()))


def manifest_checksum(manifest: Json) -> str:
    """SHA-256 in hex of a manifest without its own `checksum`, whatever the order of its keys."""
    told = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def row_checksums(documents: Iterable[int], space: int, values: Points) -> list[int]:
    """One for each (n, d) float32 row, which is the vector of that document in that space: a row that is sound but
    another document's differs too."""
    # The seam to foreign byte orders, as where the rows are written.
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


def damaged_rows(documents: Sequence[int], space: int, values: Points, checksums: Rows) -> Rows:
    """The rows of `values` that are not what the checksums were taken of."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    found = np.array(row_checksums(documents, space, values), dtype=np.int64)
    return np.flatnonzero((checksums != UNKNOWN) & (found != checksums))

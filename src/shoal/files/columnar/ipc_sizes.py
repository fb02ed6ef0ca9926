"""Sizes that an Arrow IPC stream or file declares: rows, and the decompressed size of its buffers.

Only the fields needed are read from the flatbuffers of the format
(https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc); Arrow itself
validates the rest.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DeclaredSize", "read_file_blocks", "read_stream_messages"]

_CONTINUATION: Final = b"\xff\xff\xff\xff"
_MAGIC: Final = b"ARROW1"
_DICTIONARY, _BATCH = 2, 3
"""Message.header_type of the format."""
_MESSAGE_KIND, _MESSAGE_HEADER, _MESSAGE_BODY = 1, 2, 3
_BATCH_LENGTH, _BATCH_BUFFERS, _BATCH_COMPRESSION = 0, 2, 3
_DICTIONARY_DATA: Final = 1
_FOOTER_DICTIONARIES, _FOOTER_BATCHES = 2, 3
_BLOCK: Final = struct.Struct("<qi4xq")
_BUFFER: Final = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class DeclaredSize:
    """A batch or a dictionary: its rows, and the decompressed size of its buffers; 0 where none is compressed."""

    rows: int
    compressed_to: int
    dictionary: bool


def read_stream_messages(path: Path) -> Iterator[DeclaredSize]:
    """Yield the parts of a stream in order; stops silently where it is truncated. Raises struct.error for malformed
    data."""
    with _map_file(path) as content:
        at = 0
        while at + 4 <= len(content):
            at += 4 if content[at : at + 4] == _CONTINUATION else 0
            (length,) = struct.unpack_from("<i", content, at)
            if length <= 0 or at + 4 + length > len(content):
                return
            message = _Table.root(content, at + 4)
            body = at + 4 + length
            yield from _parse_message(message, body)
            at = body + max(message.number(_MESSAGE_BODY, "<q"), 0)


def read_file_blocks(path: Path) -> Iterator[DeclaredSize]:
    """Yield the parts listed in the footer of a file. Raises struct.error for malformed data."""
    with _map_file(path) as content:
        tail = len(content) - len(_MAGIC) - 4
        if tail < 0 or content[-len(_MAGIC) :] != _MAGIC:
            return
        (length,) = struct.unpack_from("<i", content, tail)
        if not 0 < length <= tail:
            return
        footer = _Table.root(content, tail - length)
        for field in (_FOOTER_DICTIONARIES, _FOOTER_BATCHES):
            for offset, metadata, _ in footer.structs(field, _BLOCK):
                start = offset + (8 if content[offset : offset + 4] == _CONTINUATION else 4)
                yield from _parse_message(_Table.root(content, start), offset + metadata)


def _parse_message(message: "_Table", body: int) -> Iterator[DeclaredSize]:
    kind = message.number(_MESSAGE_KIND, "<b")
    header = message.table(_MESSAGE_HEADER)
    if kind not in (_DICTIONARY, _BATCH) or header is None:
        return
    batch = header if kind == _BATCH else header.table(_DICTIONARY_DATA)
    if batch is None:
        return
    expanded_bytes = 0
    if batch.table(_BATCH_COMPRESSION) is not None:
        for offset, length in batch.structs(_BATCH_BUFFERS, _BUFFER):
            if length >= 8:
                (size,) = struct.unpack_from("<q", batch.content, body + offset)
                expanded_bytes += length if size < 0 else size
    yield DeclaredSize(
        max(batch.number(_BATCH_LENGTH, "<q"), 0) if kind == _BATCH else 0, expanded_bytes, kind == _DICTIONARY
    )


class _Table:
    """A flatbuffer table; fields are located through its vtable."""

    def __init__(self, content: mmap.mmap, at: int) -> None:
        self.content, self._at = content, at
        (back,) = struct.unpack_from("<i", content, at)
        self._fields = at - back
        (self._size,) = struct.unpack_from("<H", content, self._fields)

    @staticmethod
    def root(content: mmap.mmap, start: int) -> "_Table":
        return _Table(content, start + struct.unpack_from("<I", content, start)[0])

    def number(self, field: int, form: str) -> int:
        place = self._offset_of(field)
        return 0 if place is None else int(struct.unpack_from(form, self.content, place)[0])

    def table(self, field: int) -> "_Table | None":
        place = self._offset_of(field)
        return None if place is None else _Table.root(self.content, place)

    def structs(self, field: int, form: struct.Struct) -> Iterator[tuple[int, ...]]:
        place = self._offset_of(field)
        if place is None:
            return
        start = place + struct.unpack_from("<I", self.content, place)[0]
        (count,) = struct.unpack_from("<I", self.content, start)
        for i in range(min(count, (len(self.content) - start) // form.size)):
            yield form.unpack_from(self.content, start + 4 + i * form.size)

    def _offset_of(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return None
        (offset,) = struct.unpack_from("<H", self.content, self._fields + entry)
        return self._at + offset if offset else None


@contextmanager
def _map_file(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content

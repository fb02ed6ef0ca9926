"""What goes over the socket between the two processes: frames of a JSON header and buffers of bytes.

A frame is the length of the header (4 bytes, little-endian), the header, and the buffers whose lengths it tells.
Vectors travel as the bytes of their blocks and are received into the arrays that the store takes.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import numpy as np
import orjson
from numpy.typing import NDArray
from typing_extensions import Buffer

from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import InvalidField, ShoalError, TooLarge
from shoal.files.source import SourceInfo

__all__ = [
    "STATUS",
    "Broken",
    "batch_of",
    "error_of",
    "info_of",
    "receive",
    "send",
    "send_batch",
    "send_error",
    "send_info",
]

Block: TypeAlias = bytes | NDArray[Any]

STATUS: Final = struct.Struct("<i")
"""How a child ended, as `os.waitstatus_to_exitcode` gives it: negative for the signal. On a pipe of its own."""

_LENGTH: Final = struct.Struct("<I")
_MOST_HEADER: Final = 256 * 2**20
_MOST_BUFFERS: Final = 2**30
_MOST_PIECES: Final = 64


class Broken(Exception):
    """The other side ended, or what it sent is no frame."""


def send(to: socket.socket, header: Mapping[str, object], buffers: Sequence[Block] = ()) -> None:
    """One frame. Raises OSError where nobody reads."""
    views = [memoryview(cast(Buffer, buffer)).cast("B") for buffer in buffers if len(buffer)]
    head = orjson.dumps({**header, "buffers": [view.nbytes for view in views]})
    waiting = [memoryview(_LENGTH.pack(len(head))), memoryview(head), *views]
    while waiting:
        sent = to.sendmsg(waiting[:_MOST_PIECES])
        while waiting and sent >= waiting[0].nbytes:
            sent -= waiting.pop(0).nbytes
        if waiting and sent:
            waiting[0] = waiting[0][sent:]


def receive(source: socket.socket) -> tuple[dict[str, Any], list[bytearray]]:
    """The next frame. Raises Broken where there is none or it is too large, TimeoutError where it does not come."""
    (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
    if length > _MOST_HEADER:
        raise Broken
    header: dict[str, Any] = orjson.loads(_exactly(source, length))
    if sum(header["buffers"]) > _MOST_BUFFERS:
        raise Broken
    return header, [_exactly(source, count) for count in header["buffers"]]


def send_info(to: socket.socket, info: SourceInfo) -> None:
    """What a file holds."""
    told = {name: getattr(info, name) for name in ("format", "id_column", "rows")}
    listed = {name: list(getattr(info, name)) for name in ("columns", "warnings", "shards")}
    send(to, {"kind": "info", "info": {**told, **listed, "vectors": dict(info.vectors)}})


def info_of(header: Mapping[str, Any]) -> SourceInfo:
    """The inverse of `send_info`."""
    return SourceInfo(**header["info"])


def send_batch(to: socket.socket, batch: DocumentBatch) -> None:
    """Documents, at least one; their vectors are not copied."""
    payloads = b"".join(batch.payloads)
    lengths = np.fromiter(map(len, batch.payloads), np.int64, len(batch))
    buffers: list[Block] = [lengths, payloads]
    names = []
    for name, column in batch.vectors.items():
        names.append([name, *column.values.shape, column.rest is not None])
        buffers += [column.rows, column.values.reshape(-1)]
        buffers += [] if column.rest is None else [column.rest.reshape(-1)]
    # A block without rows has no buffers: its shape says so.
    send(to, {"kind": "batch", "ids": list(batch.ids), "vectors": names}, buffers)


def batch_of(header: Mapping[str, Any], buffers: Sequence[bytearray]) -> DocumentBatch:
    """The inverse of `send_batch`. Raises Broken where lengths do not fit."""
    ids, waiting = header["ids"], iter(buffers)
    try:
        ends = np.cumsum(np.frombuffer(next(waiting), np.int64)).tolist()
        together = bytes(next(waiting))
        payloads = [together[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        vectors = {name: _column(shape, waiting) for name, *shape in header["vectors"]}
    except (StopIteration, ValueError):
        raise Broken from None
    if len(payloads) != len(ids):
        raise Broken
    return DocumentBatch(ids, payloads, vectors)


def send_error(to: socket.socket, error: ShoalError) -> None:
    """An error about the file."""
    about = {"field": error.field, "problem": error.problem} if isinstance(error, InvalidField) else {}
    told = {"message": error.message, "details": dict(error.details), **about}
    send(to, {"kind": "error", "error": told})


def error_of(header: Mapping[str, Any]) -> ShoalError:
    """The inverse of `send_error`."""
    told = header["error"]
    if "field" not in told:
        return TooLarge(told["message"], **told["details"])
    error = InvalidField(told["field"], told["problem"])
    error.args, error.message, error.details = (told["message"],), told["message"], told["details"]
    return error


def _column(shape: Sequence[int], buffers: Any) -> VectorColumn:
    rows, dimension, rest = shape
    if not rows:
        return VectorColumn(np.empty(0, np.int64), np.empty((0, dimension), np.float32))
    at = np.frombuffer(next(buffers), np.int64)
    values = np.frombuffer(next(buffers), np.float32).reshape(rows, dimension)
    left = np.frombuffer(next(buffers), np.float32).reshape(rows, dimension) if rest else None
    return VectorColumn(at, values, left)


def _exactly(source: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view = memoryview(content)
    while view:
        got = source.recv_into(view)
        if not got:
            raise Broken
        view = view[got:]
    return content

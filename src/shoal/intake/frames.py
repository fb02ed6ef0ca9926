"""The protocol between the two processes: frames of a JSON header and buffers of bytes.

A frame is the length of the header (4 bytes, little-endian), the header, and the buffers whose lengths it declares.
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
    "BrokenFrame",
    "parse_batch",
    "parse_error",
    "parse_info",
    "receive",
    "send",
    "send_batch",
    "send_error",
    "send_info",
]

Block: TypeAlias = bytes | NDArray[Any]

STATUS: Final = struct.Struct("<i")
"""The exit status of a child as from `os.waitstatus_to_exitcode`, negative for a signal; sent over a pipe of its
own."""

_LENGTH: Final = struct.Struct("<I")
_MOST_HEADER: Final = 256 * 2**20
_MOST_BUFFERS: Final = 2**30
_MAX_BUFFERS_PER_CALL: Final = 64


class BrokenFrame(Exception):
    """The peer ended, or what it sent is not a frame."""


def send(to: socket.socket, header: Mapping[str, object], buffers: Sequence[Block] = ()) -> None:
    """Send one frame. Raises OSError where the peer is gone."""
    views = [memoryview(cast(Buffer, buffer)).cast("B") for buffer in buffers if len(buffer)]
    head = orjson.dumps({**header, "buffers": [view.nbytes for view in views]})
    pending = [memoryview(_LENGTH.pack(len(head))), memoryview(head), *views]
    while pending:
        sent = to.sendmsg(pending[:_MAX_BUFFERS_PER_CALL])
        while pending and sent >= pending[0].nbytes:
            sent -= pending.pop(0).nbytes
        if pending and sent:
            pending[0] = pending[0][sent:]


def receive(source: socket.socket) -> tuple[dict[str, Any], list[bytearray]]:
    """Receive the next frame.

    Raises BrokenFrame where there is none or it is too large, TimeoutError where it does not arrive in time.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(source, _LENGTH.size))
    if length > _MOST_HEADER:
        raise BrokenFrame
    header: dict[str, Any] = orjson.loads(_receive_exactly(source, length))
    if sum(header["buffers"]) > _MOST_BUFFERS:
        raise BrokenFrame
    return header, [_receive_exactly(source, count) for count in header["buffers"]]


def send_info(to: socket.socket, info: SourceInfo) -> None:
    """Send the description of a file."""
    scalars = {name: getattr(info, name) for name in ("format", "id_column", "rows")}
    sequences = {name: list(getattr(info, name)) for name in ("columns", "warnings", "shards")}
    send(to, {"kind": "info", "info": {**scalars, **sequences, "vectors": dict(info.vectors)}})


def parse_info(header: Mapping[str, Any]) -> SourceInfo:
    """Parse the header of `send_info`."""
    return SourceInfo(**header["info"])


def send_batch(to: socket.socket, batch: DocumentBatch) -> None:
    """Send documents, at least one; their vectors are not copied."""
    payloads = b"".join(batch.payloads)
    lengths = np.fromiter(map(len, batch.payloads), np.int64, len(batch))
    buffers: list[Block] = [lengths, payloads]
    names = []
    for name, column in batch.vectors.items():
        names.append([name, *column.values.shape, column.rest is not None])
        buffers += [column.rows, column.values.reshape(-1)]
        buffers += [] if column.rest is None else [column.rest.reshape(-1)]
    # An empty block has no buffers, as its shape says.
    send(to, {"kind": "batch", "ids": list(batch.ids), "vectors": names}, buffers)


def parse_batch(header: Mapping[str, Any], buffers: Sequence[bytearray]) -> DocumentBatch:
    """Parse a frame of `send_batch`. Raises BrokenFrame where lengths are inconsistent."""
    ids, remaining = header["ids"], iter(buffers)
    try:
        ends = np.cumsum(np.frombuffer(next(remaining), np.int64)).tolist()
        joined = bytes(next(remaining))
        payloads = [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        vectors = {name: _read_column(shape, remaining) for name, *shape in header["vectors"]}
    except (StopIteration, ValueError):
        raise BrokenFrame from None
    if len(payloads) != len(ids):
        raise BrokenFrame
    return DocumentBatch(ids, payloads, vectors)


def send_error(to: socket.socket, error: ShoalError) -> None:
    """Send an error about the file."""
    about = {"field": error.field, "problem": error.problem} if isinstance(error, InvalidField) else {}
    content = {"message": error.message, "details": dict(error.details), **about}
    send(to, {"kind": "error", "error": content})


def parse_error(header: Mapping[str, Any]) -> ShoalError:
    """Parse the header of `send_error`."""
    content = header["error"]
    if "field" not in content:
        return TooLarge(content["message"], **content["details"])
    error = InvalidField(content["field"], content["problem"])
    error.args, error.message, error.details = (content["message"],), content["message"], content["details"]
    return error


def _read_column(shape: Sequence[int], buffers: Any) -> VectorColumn:
    rows, dimension, rest = shape
    if not rows:
        return VectorColumn(np.empty(0, np.int64), np.empty((0, dimension), np.float32))
    at = np.frombuffer(next(buffers), np.int64)
    values = np.frombuffer(next(buffers), np.float32).reshape(rows, dimension)
    residual = np.frombuffer(next(buffers), np.float32).reshape(rows, dimension) if rest else None
    return VectorColumn(at, values, residual)


def _receive_exactly(source: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view = memoryview(content)
    while view:
        received = source.recv_into(view)
        if not received:
            raise BrokenFrame
        view = view[received:]
    return content

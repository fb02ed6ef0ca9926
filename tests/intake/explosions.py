"""Small files that stand for gigabytes, made without making the gigabytes."""

import io
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["EXPLOSIONS", "arrow_bytes", "parquet_bytes"]

_ROWS: Final = 2500
_LONG: Final = "x" * 900_000


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    """The table as a Parquet file, compressed as well as can be."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def arrow_bytes(table: pa.Table, *, file: bool = False, compression: str | None = "zstd") -> bytes:
    """The table as one batch of an Arrow stream or file."""
    sink = io.BytesIO()
    make = pa.ipc.new_file if file else pa.ipc.new_stream
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _repeat(rows: int, value: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([value]))


def _zeros() -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(100_000 * 768, np.float32)), 768)
    return pa.table({"embedding": vectors})


def _views() -> pa.Table:
    view = struct.pack("<i4sii", len(_LONG), b"xxxx", 0, 0)
    buffers = [None, pa.py_buffer(view * _ROWS), pa.py_buffer(_LONG.encode())]
    return pa.table({"text": pa.Array.from_buffers(pa.string_view(), _ROWS, buffers)})


def _runs() -> pa.Table:
    return pa.table({"text": pa.RunEndEncodedArray.from_arrays(pa.array([_ROWS], pa.int32()), pa.array([_LONG]))})


def _list_of(values: pa.Array) -> pa.Table:
    return pa.table({"list": pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)})


def _texts() -> pa.Table:
    return pa.table({"id": [str(row) for row in range(_ROWS)], "text": _repeat(_ROWS, _LONG)})


def _prefix_texts() -> bytes:
    table = pa.table({"text": pa.array([_LONG] * 400)})
    return parquet_bytes(table, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})


EXPLOSIONS: Final[Mapping[str, tuple[str, Callable[[], bytes]]]] = MappingProxyType(
    {
        "a long text by number, Parquet": ("parquet", lambda: parquet_bytes(_texts())),
        "a long text by number, Arrow": ("arrow", lambda: arrow_bytes(_texts())),
        "a long text by number, Arrow file": ("arrow", lambda: arrow_bytes(_texts(), file=True)),
        "a long text by view": ("arrow", lambda: arrow_bytes(_views())),
        "a long text in a run": ("arrow", lambda: arrow_bytes(_runs())),
        "a long text by prefix": ("parquet", _prefix_texts),
        "zeros, Parquet": ("parquet", lambda: parquet_bytes(_zeros())),
        "zeros, Arrow": ("arrow", lambda: arrow_bytes(_zeros())),
        "rows of one number": ("parquet", lambda: parquet_bytes(pa.table({"n": np.zeros(3_000_000, np.int8)}))),
        "rows of nothing": ("arrow", lambda: arrow_bytes(pa.table({"n": pa.nulls(10_000_000)}))),
        "one list of zeros": ("parquet", lambda: parquet_bytes(_list_of(pa.array(np.zeros(50_000_000, np.int8))))),
        "one list of nothing": ("parquet", lambda: parquet_bytes(_list_of(pa.nulls(100_000_000)))),
        "many columns of nothing": (
            "arrow",
            lambda: arrow_bytes(pa.table({f"c{i}": pa.nulls(50_000) for i in range(5000)})),
        ),
        "too many columns": ("arrow", lambda: arrow_bytes(pa.table({f"c{i}": [1] for i in range(20_000)}))),
        "lists in a line": ("jsonl", lambda: b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"),
        "a deep line": ("jsonl", lambda: b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"),
        "a header of commas": ("csv", lambda: b"," * 15_000_000 + b"\n1\n"),
    }
)
"""What it is, to its format and how it is made."""

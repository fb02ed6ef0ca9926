"""Many documents as one stream of bytes that the server's import reads."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.columns import DocumentBatch, VectorColumn
from shoal.files import Source, open_source
from shoal.files.in_memory import MemoryRows
from shoal.files.layout import CLIENT
from shoal.files.shards import Files
from shoal.library.input.frames import Frame

__all__ = ["Sent", "of_file", "of_frame"]

_ARROW: Final = "application/vnd.apache.arrow.stream"
_AS_THEY_ARE: Final[Mapping[str, str]] = {
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}
_PIECE_BYTES: Final = 2**20
_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class Sent:
    """The body of an import: `chunks` begins it anew at each call, `params` say how to read it, and `warnings` are
    sentences for the user about what was left out here."""

    chunks: Callable[[], Iterator[bytes]]
    media: str
    params: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    ids_made: bool = False
    """Whether the file has no ids, so that these were made here."""


def of_file(
    path: Files,
    vector_columns: Sequence[str],
    id_column: str | None,
    format: str | None = None,
    delimiter: str | None = None,
) -> Sent:
    """What the server reads is sent as it is; everything else, and a folder or a pattern of Parquet files, is read
    here and sent as Arrow, all documents of it.

    Raises InvalidField for a file that cannot be read.
    """
    source = open_source(
        path,
        vector_columns=list(vector_columns) or None,
        id_column=id_column,
        needs_vectors=False,
        format=format,
        delimiter=delimiter,
        options=CLIENT,
        makes_ids=True,
    )
    media = None if format or not isinstance(path, Path) else _AS_THEY_ARE.get(path.suffix.lower())
    if media is not None and isinstance(path, Path) and path.is_file():
        return Sent(partial(_bytes, path), media, _params(vector_columns, id_column))
    return Sent(
        partial(_documents, source), _ARROW, warnings=source.info.warnings, ids_made=source.info.id_column is None
    )


def of_frame(frame: Frame, vector_columns: Sequence[str], id_column: str | None) -> Sent:
    """A table in memory. Columns of objects that Arrow has no form for are left out, with a warning each."""
    left_out = [f"Column {name!r} holds {kind} and was left out." for name, kind in frame.unreadable.items()]
    return Sent(partial(_rows, frame), _ARROW, _params(vector_columns, id_column), left_out)


def _params(vector_columns: Sequence[str], id_column: str | None) -> dict[str, Any]:
    return {"id_column": id_column, "vector_column": list(vector_columns) or None}


def _bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _rows(frame: Frame) -> Iterator[bytes]:
    return _arrow(frame.table.schema, MemoryRows(frame.table).batches(_ROWS))


def _documents(source: Source) -> Iterator[bytes]:
    """Rows in the shape of a BYODocument. Payloads travel as JSON, which keeps what Arrow columns cannot hold."""
    batches = source.batches(_ROWS)
    first = next(batches, None)
    held = {} if first is None else first.vectors
    # float64 where float32 loses what matters, so that the server sees it and warns; the first batch decides.
    wide = {name for name, column in held.items() if column.rest is not None}
    vectors = pa.struct([(name, _vector_type(size, name in wide)) for name, size in source.info.vectors.items()])
    schema = pa.schema({"document_id": pa.string(), "vectors": vectors, "payload": pa.json_()})
    every = batches if first is None else chain([first], batches)
    return _arrow(schema, (_batch(batch, schema, source.info.vectors) for batch in every))


def _batch(batch: DocumentBatch, schema: pa.Schema, sizes: Mapping[str, int]) -> pa.RecordBatch:
    kind = schema.field("vectors").type
    columns = [_vectors(batch.vectors.get(name), kind.field(name).type, len(batch)) for name in sizes]
    struct = pa.StructArray.from_arrays(columns, fields=list(kind)) if columns else pa.array([{}] * len(batch), kind)
    payloads = pa.ExtensionArray.from_storage(pa.json_(), pa.array(batch.payloads, pa.binary()).cast(pa.string()))
    return pa.RecordBatch.from_arrays([pa.array(batch.ids, pa.string()), struct, payloads], schema=schema)


def _vectors(column: VectorColumn | None, kind: pa.DataType, count: int) -> pa.Array:
    """A list for each of `count` documents, null for those without a vector."""
    size, number = kind.list_size, kind.value_type
    values = np.zeros((count, size), number.to_pandas_dtype())
    absent = np.ones(count, np.bool_)
    if column is not None:
        values[column.rows], absent[column.rows] = column.values, False
        if column.rest is not None and number == pa.float64():
            values[column.rows] += column.rest
    numbers = pa.array(values.ravel(), number)
    return pa.FixedSizeListArray.from_arrays(numbers, size, mask=pa.array(absent))


def _vector_type(size: int, wide: bool) -> pa.DataType:
    return pa.list_(pa.float64() if wide else pa.float32(), size)


def _arrow(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """An Arrow stream, a piece per batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()

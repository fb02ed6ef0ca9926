"""Encodes many documents as one stream of bytes for the server's import."""

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
from shoal.files.paths.shards import Files
from shoal.library.input.frames import Frame

__all__ = ["UploadBody", "build_file_body", "build_frame_body"]

_ARROW: Final = "application/vnd.apache.arrow.stream"
_SENT_UNCHANGED: Final[Mapping[str, str]] = {
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}
_PIECE_BYTES: Final = 2**20
_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class UploadBody:
    """The body of an import. `chunks` starts it anew on each call, `params` say how to read it.

    `warnings` are sentences for the user about what was left out.
    """

    chunks: Callable[[], Iterator[bytes]]
    media: str
    params: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    generated_ids: bool = False
    """Whether the file has no ids, so that they were generated here."""


def build_file_body(
    path: Files,
    vector_columns: Sequence[str],
    id_column: str | None,
    format: str | None = None,
    delimiter: str | None = None,
) -> UploadBody:
    """Build the body for a file: unchanged where the server reads its format, else read here and sent as Arrow.

    A folder or a pattern is read here too, all documents of it. Raises InvalidField for a file that cannot be read.
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
    media = None if format or not isinstance(path, Path) else _SENT_UNCHANGED.get(path.suffix.lower())
    if media is not None and isinstance(path, Path) and path.is_file():
        return UploadBody(partial(_read_bytes, path), media, _build_params(vector_columns, id_column))
    return UploadBody(
        partial(_stream_documents, source),
        _ARROW,
        warnings=source.info.warnings,
        generated_ids=source.info.id_column is None,
    )


def build_frame_body(frame: Frame, vector_columns: Sequence[str], id_column: str | None) -> UploadBody:
    """Build the body for a table in memory. Object columns that Arrow cannot hold are left out, with a warning each."""
    left_out = [f"Column {name!r} holds {kind} and was left out." for name, kind in frame.unreadable.items()]
    return UploadBody(partial(_stream_rows, frame), _ARROW, _build_params(vector_columns, id_column), left_out)


def _build_params(vector_columns: Sequence[str], id_column: str | None) -> dict[str, Any]:
    return {"id_column": id_column, "vector_column": list(vector_columns) or None}


def _read_bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _stream_rows(frame: Frame) -> Iterator[bytes]:
    return _write_stream(frame.table.schema, MemoryRows(frame.table).batches(_ROWS))


def _stream_documents(source: Source) -> Iterator[bytes]:
    """Stream rows in the shape of a BYODocument. Payloads travel as JSON, which can hold what Arrow columns cannot."""
    batches = source.batches(_ROWS)
    first = next(batches, None)
    first_vectors = {} if first is None else first.vectors
    # float64 where float32 loses significant digits, so that the server can warn; the first batch decides.
    wide = {name for name, column in first_vectors.items() if column.rest is not None}
    vectors = pa.struct([(name, _vector_type(size, name in wide)) for name, size in source.info.vectors.items()])
    schema = pa.schema({"document_id": pa.string(), "vectors": vectors, "payload": pa.json_()})
    all_batches = batches if first is None else chain([first], batches)
    return _write_stream(schema, (_to_record_batch(batch, schema, source.info.vectors) for batch in all_batches))


def _to_record_batch(batch: DocumentBatch, schema: pa.Schema, sizes: Mapping[str, int]) -> pa.RecordBatch:
    kind = schema.field("vectors").type
    columns = [_to_lists(batch.vectors.get(name), kind.field(name).type, len(batch)) for name in sizes]
    struct = pa.StructArray.from_arrays(columns, fields=list(kind)) if columns else pa.array([{}] * len(batch), kind)
    payloads = pa.ExtensionArray.from_storage(pa.json_(), pa.array(batch.payloads, pa.binary()).cast(pa.string()))
    return pa.RecordBatch.from_arrays([pa.array(batch.ids, pa.string()), struct, payloads], schema=schema)


def _to_lists(column: VectorColumn | None, kind: pa.DataType, count: int) -> pa.Array:
    """Return a list for each of `count` documents, null for those without a vector."""
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


def _write_stream(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield an Arrow stream, one chunk of bytes per batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()

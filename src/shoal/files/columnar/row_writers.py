"""Tables written batch by batch, in the formats people open next: CSV, JSON, Parquet, Arrow."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Literal, Protocol, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files.payloads import dump_json, format_times, to_json_values
from shoal.tables import is_json, is_text, map_leaves, to_plain

__all__ = ["OUTPUT_SUFFIXES", "OutputFormat", "RowWriter", "open_writer", "parse_output_format", "to_json_numbers"]

OutputFormat = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow"]

_SUFFIXES: Final[Mapping[str, OutputFormat]] = MappingProxyType(
    {
        ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet",
        ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
    }
)  # fmt: skip
OUTPUT_SUFFIXES: Final = ".csv, .tsv, .jsonl, .json, .parquet, .arrow, and .csv.gz, .jsonl.gz"
_PACKED: Final = frozenset({"csv", "tsv", "jsonl", "json"})
_BOM: Final = b"\xef\xbb\xbf"
_GROUP_BYTES: Final = 64 * 2**20
"""The amount of data that Parquet and Arrow files are written in at once."""


class RowWriter(Protocol):
    """A table being written."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows that were read as JSON; supported by JSON output only."""

    def close(self) -> None:
        """Write what is buffered, but leave the file open."""

    def abandon(self) -> None:
        """Stop writing: the file is about to be discarded."""


def parse_output_format(path: Path, option: str = "--write") -> OutputFormat:
    """Return the format implied by a file name. Raises InvalidField for one that Shoal does not write."""
    packed = path.suffix.lower() == ".gz"
    kind = _SUFFIXES.get((Path(path.stem) if packed else path).suffix.lower())
    if kind is None or (packed and kind not in _PACKED):
        raise InvalidField(
            option, "has an ending that Shoal does not write", value=str(path), remedy=f"Use one of {OUTPUT_SUFFIXES}."
        )
    return kind


def open_writer(file: BinaryIO, path: Path, schema: pa.Schema, delimiter: str = ",", decimal: str = ".") -> RowWriter:
    """Return a writer of rows with this schema to an open file, in the format implied by `path`.

    Parameters
    ----------
    file
        Receives the bytes.
    path
        Its suffix selects the format.
    schema
        The columns.
    delimiter
        Separates the columns of a CSV file.
    decimal
        The decimal mark in columns of numbers of a CSV file.

    A plain CSV file starts with a UTF-8 byte order mark, without which Excel assumes another encoding.
    """
    kind = parse_output_format(path)
    if path.suffix.lower() == ".gz":
        packed = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="wb", mtime=0))
        return _GzipWriter(open_writer(packed, Path(path.stem), schema, delimiter, decimal), packed)
    if kind == "csv":
        if not isinstance(file, gzip.GzipFile):
            file.write(_BOM)
        return _CsvWriter(file, schema, delimiter, decimal)
    if kind == "tsv":
        return _CsvWriter(file, schema, "\t", decimal)
    if kind in ("jsonl", "json"):
        return _JsonWriter(file, lines=kind == "jsonl")
    return _TableWriter(file, schema, parquet=kind == "parquet")


class _GzipWriter:
    def __init__(self, inside: RowWriter, archive: BinaryIO) -> None:
        self.write, self.write_objects, self._inside, self._archive = (
            inside.write, inside.write_objects, inside, archive,
        )  # fmt: skip

    def close(self) -> None:
        self._inside.close()
        self._archive.close()

    def abandon(self) -> None:
        self._inside.abandon()


class _CsvWriter:
    """Writes CSV: lists, structs and maps as JSON, times in ISO 8601, bytes as base64; null as empty, an empty text as
    `""`.

    Only fields that need quotes are quoted: Arrow's writer quotes all text, including numbers in a text column.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, delimiter: str, decimal: str) -> None:
        self._file, self._delimiter, self._decimal = file, delimiter, decimal
        self._special = f'["\r\n{delimiter}]'
        self._write_line([pa.array([name or None], pa.large_string()) for name in schema.names])

    def write(self, batch: pa.RecordBatch) -> None:
        self._write_line([_to_cells(column) for column in batch.columns])

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        raise TypeError("A CSV file has columns.")

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def _write_line(self, columns: Sequence[pa.Array]) -> None:
        cells = [self._quote(column) if is_text(column.type) else self._format_scalars(column) for column in columns]
        rows = pc.binary_join_element_wise(*cells, _text_scalar(self._delimiter), null_handling="replace")
        self._file.write("\n".join([*rows.to_pylist(), ""]).encode())

    def _quote(self, column: pa.Array) -> pa.Array:
        text = column.cast(pa.large_string())
        special = pc.or_(pc.match_substring_regex(text, self._special), pc.equal(text, ""))
        if not pc.any(special).as_py():
            return text
        doubled = pc.replace_substring(text, '"', '""')
        return pc.if_else(
            special, pc.binary_join_element_wise(_text_scalar('"'), doubled, _text_scalar('"'), _text_scalar("")), text
        )

    def _format_scalars(self, column: pa.Array) -> pa.Array:
        """Format numbers and booleans as text; a whole float keeps its point, so that it is read as a float again."""
        text = column.cast(pa.large_string())
        if not pa.types.is_floating(column.type):
            return text
        text = pc.replace_substring_regex(text, r"^(-?\d+)$", r"\1.0")
        return text if self._decimal == "." else pc.replace_substring(text, ".", self._decimal)


class _JsonWriter:
    """Writes one object per row: one per line, or all in one array."""

    def __init__(self, file: BinaryIO, *, lines: bool) -> None:
        self._file, self._lines, self._rows = file, lines, 0

    def write(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        columns = [to_json_numbers(column) for column in batch.columns]
        self._append([dump_json(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)])

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._append([dump_json(row) for row in rows])

    def close(self) -> None:
        if not self._lines:
            self._file.write(b"\n]\n" if self._rows else b"[]\n")

    def abandon(self) -> None:
        pass

    def _append(self, texts: list[bytes]) -> None:
        if not texts:
            return
        if self._lines:
            self._file.write(b"\n".join(texts) + b"\n")
        else:
            self._file.write((b",\n" if self._rows else b"[\n") + b",\n".join(texts))
        self._rows += len(texts)


class _TableWriter:
    """Writes Parquet or an Arrow file, about 64 MiB at a time."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, *, parquet: bool) -> None:
        self._schema = schema if parquet else _decode_dictionaries(schema)
        self._writer = (
            pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)
            if parquet
            else pa.ipc.new_file(file, self._schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
        )
        self._pending: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._pending.append(batch if batch.schema.equals(self._schema) else batch.cast(self._schema))
        self._bytes += batch.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        raise TypeError("A table has columns.")

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        self._pending = []
        if isinstance(self._writer, pq.ParquetWriter):
            self._writer.is_open = False  # or the finalizer would try to close the file, and warn

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending, self._schema).combine_chunks())
        self._pending, self._bytes = [], 0


def _decode_dictionaries(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain types: dictionaries that differ between batches cannot be written to one Arrow
    file."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _text_scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _to_cells(column: pa.Array) -> pa.Array:
    """Convert a column to what CSV can hold: numbers, booleans and text."""
    if is_json(column.type):
        return column.storage.cast(pa.large_string())
    column = to_plain(column)
    kind = column.type
    if pa.types.is_nested(kind):
        return pa.array([_to_cell(value) for value in to_json_numbers(column)], pa.large_string())
    if is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column
    if pa.types.is_floating(kind):
        return column.cast(pa.float32()) if pa.types.is_float16(kind) else column
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return map_leaves(column, format_times)
    return pa.array([_to_cell(value, text=True) for value in to_json_numbers(column)], pa.large_string())


def _to_cell(value: object, *, text: bool = False) -> str | None:
    if value is None:
        return None
    encoded = dump_json(value).decode()
    return str(orjson.loads(encoded)) if text else encoded


def to_json_numbers(column: pa.Array) -> list[Any]:
    """Return the values of a column for JSON: vectors pre-serialized, numbers in their shortest form."""
    kind = column.type
    if pa.types.is_float32(kind):
        return list(column.to_numpy(zero_copy_only=False))
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        return to_json_values(column, str, stored=False)
    flat = column.flatten()
    if flat.null_count:
        return to_json_values(column, str, stored=False)
    numbers = flat.to_numpy(zero_copy_only=False)
    numbers = np.ascontiguousarray(numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths, dtype=np.int64)
    rows = [
        _dump_numbers(numbers[end - length : end]) for length, end in zip(lengths.tolist(), ends.tolist(), strict=True)
    ]
    valid_rows = column.is_valid().to_pylist()
    return [row if valid else None for row, valid in zip(rows, valid_rows, strict=True)]


def _dump_numbers(row: NDArray[Any]) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY))

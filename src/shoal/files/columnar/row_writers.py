"""Tables written stretch by stretch, in the formats that people open next: CSV, JSON, Parquet, Arrow."""

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
from shoal.files.payloads import json_text, json_values, times_as_text
from shoal.tables import is_json, is_text, map_leaves, to_plain

__all__ = ["WRITTEN", "RowWriter", "WrittenFormat", "json_numbers", "open_writer", "written_format"]

WrittenFormat = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow"]

_SUFFIXES: Final[Mapping[str, WrittenFormat]] = MappingProxyType(
    {
        ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet",
        ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
    }
)  # fmt: skip
WRITTEN: Final = ".csv, .tsv, .jsonl, .json, .parquet, .arrow, and .csv.gz, .jsonl.gz"
_PACKED: Final = frozenset({"csv", "tsv", "jsonl", "json"})
_BOM: Final = b"\xef\xbb\xbf"
_GROUP_BYTES: Final = 64 * 2**20
"""What Parquet and Arrow files are written in at once."""


class RowWriter(Protocol):
    """A table that is being written."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows that came as JSON; for JSON alone."""

    def close(self) -> None:
        """Write what is left, but leave the file open."""

    def abandon(self) -> None:
        """Write no more: the file goes away."""


def written_format(path: Path, option: str = "--write") -> WrittenFormat:
    """The format that a file's name asks for. Raises InvalidField for one that Shoal does not write."""
    packed = path.suffix.lower() == ".gz"
    kind = _SUFFIXES.get((Path(path.stem) if packed else path).suffix.lower())
    if kind is None or (packed and kind not in _PACKED):
        raise InvalidField(
            option, "has an ending that Shoal does not write", value=str(path), remedy=f"Use one of {WRITTEN}."
        )
    return kind


def open_writer(file: BinaryIO, path: Path, schema: pa.Schema, delimiter: str = ",", decimal: str = ".") -> RowWriter:
    """A writer of rows of this schema into an open file, in the format that `path` asks for.

    `delimiter` separates the columns of a CSV file, and `decimal` is the mark of fractions in columns of numbers. A
    plain CSV file begins with the mark of UTF-8, without which Excel takes it for another encoding.
    """
    kind = written_format(path)
    if path.suffix.lower() == ".gz":
        packed = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="wb", mtime=0))
        return _Packed(open_writer(packed, Path(path.stem), schema, delimiter, decimal), packed)
    if kind == "csv":
        if not isinstance(file, gzip.GzipFile):
            file.write(_BOM)
        return _CsvWriter(file, schema, delimiter, decimal)
    if kind == "tsv":
        return _CsvWriter(file, schema, "\t", decimal)
    if kind in ("jsonl", "json"):
        return _JsonWriter(file, lines=kind == "jsonl")
    return _TableWriter(file, schema, parquet=kind == "parquet")


class _Packed:
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
    """Lists, structs and maps are JSON, times ISO 8601, bytes base64; a missing value is empty, an empty text `""`.

    Only what needs quotes has them: Arrow's own writer puts them around all text, numbers in a column of text included.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, delimiter: str, decimal: str) -> None:
        self._file, self._delimiter, self._decimal = file, delimiter, decimal
        self._special = f'["\r\n{delimiter}]'
        self._line([pa.array([name or None], pa.large_string()) for name in schema.names])

    def write(self, batch: pa.RecordBatch) -> None:
        self._line([_cells(column) for column in batch.columns])

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        raise TypeError("A CSV file has columns.")

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def _line(self, columns: Sequence[pa.Array]) -> None:
        cells = [self._quoted(column) if is_text(column.type) else self._unquoted(column) for column in columns]
        rows = pc.binary_join_element_wise(*cells, _text(self._delimiter), null_handling="replace")
        self._file.write("\n".join([*rows.to_pylist(), ""]).encode())

    def _quoted(self, column: pa.Array) -> pa.Array:
        text = column.cast(pa.large_string())
        special = pc.or_(pc.match_substring_regex(text, self._special), pc.equal(text, ""))
        if not pc.any(special).as_py():
            return text
        doubled = pc.replace_substring(text, '"', '""')
        return pc.if_else(special, pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text("")), text)

    def _unquoted(self, column: pa.Array) -> pa.Array:
        """Numbers and truths as text; a whole float keeps its point, so that it is read as a float again."""
        text = column.cast(pa.large_string())
        if not pa.types.is_floating(column.type):
            return text
        text = pc.replace_substring_regex(text, r"^(-?\d+)$", r"\1.0")
        return text if self._decimal == "." else pc.replace_substring(text, ".", self._decimal)


class _JsonWriter:
    """An object a row: a line each, or all in one array."""

    def __init__(self, file: BinaryIO, *, lines: bool) -> None:
        self._file, self._lines, self._rows = file, lines, 0

    def write(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        columns = [json_numbers(column) for column in batch.columns]
        self._add([json_text(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)])

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._add([json_text(row) for row in rows])

    def close(self) -> None:
        if not self._lines:
            self._file.write(b"\n]\n" if self._rows else b"[]\n")

    def abandon(self) -> None:
        pass

    def _add(self, texts: list[bytes]) -> None:
        if not texts:
            return
        if self._lines:
            self._file.write(b"\n".join(texts) + b"\n")
        else:
            self._file.write((b",\n" if self._rows else b"[\n") + b",\n".join(texts))
        self._rows += len(texts)


class _TableWriter:
    """Parquet, or an Arrow file, in stretches of about 64 MiB."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, *, parquet: bool) -> None:
        self._schema = schema if parquet else _without_dictionaries(schema)
        self._writer = (
            pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)
            if parquet
            else pa.ipc.new_file(file, self._schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
        )
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch if batch.schema.equals(self._schema) else batch.cast(self._schema))
        self._bytes += batch.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def write_objects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        raise TypeError("A table has columns.")

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        self._held = []
        if isinstance(self._writer, pq.ParquetWriter):
            self._writer.is_open = False  # or it would end the file when it is collected, and complain

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema).combine_chunks())
        self._held, self._bytes = [], 0


def _without_dictionaries(schema: pa.Schema) -> pa.Schema:
    """Dictionaries that differ from batch to batch cannot be written into one Arrow file."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _cells(column: pa.Array) -> pa.Array:
    """A column as CSV can hold it: numbers, truths and text."""
    if is_json(column.type):
        return column.storage.cast(pa.large_string())
    column = to_plain(column)
    kind = column.type
    if pa.types.is_nested(kind):
        return pa.array([_cell(value) for value in json_numbers(column)], pa.large_string())
    if is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column
    if pa.types.is_floating(kind):
        return column.cast(pa.float32()) if pa.types.is_float16(kind) else column
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return map_leaves(column, times_as_text)
    return pa.array([_cell(value, text=True) for value in json_numbers(column)], pa.large_string())


def _cell(value: object, *, text: bool = False) -> str | None:
    if value is None:
        return None
    written = json_text(value).decode()
    return str(orjson.loads(written)) if text else written


def json_numbers(column: pa.Array) -> list[Any]:
    """The values of a column as JSON is made of them: vectors as the text they become, numbers in their own digits."""
    kind = column.type
    if pa.types.is_float32(kind):
        return list(column.to_numpy(zero_copy_only=False))
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        return json_values(column, str, stored=False)
    flat = column.flatten()
    if flat.null_count:
        return json_values(column, str, stored=False)
    numbers = flat.to_numpy(zero_copy_only=False)
    numbers = np.ascontiguousarray(numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths, dtype=np.int64)
    rows = [_numbers(numbers[end - length : end]) for length, end in zip(lengths.tolist(), ends.tolist(), strict=True)]
    there = column.is_valid().to_pylist()
    return [row if valid else None for row, valid in zip(rows, there, strict=True)]


def _numbers(row: NDArray[Any]) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY))

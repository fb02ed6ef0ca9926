"""Files that Arrow reads: each gives a schema and record batches, again and again."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shoal.errors import InvalidField
from shoal.files.arrow import ArrowRows
from shoal.files.bounds import Bounds, Unfolding
from shoal.files.formats import Format
from shoal.files.parquet import ParquetRows
from shoal.files.reading import speaking_shoal

__all__ = ["Rows", "open_rows"]

_CSV_BLOCK: Final = 16 * 2**20


class Rows(Protocol):
    """The rows of one file."""

    schema: pa.Schema
    count: int | None
    """How many there are, where that is known before reading."""

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """From the first row on, at most `size` at a time, with these columns. Raises InvalidField."""


def open_rows(path: Path, kind: Format, label: str, text_columns: tuple[str, ...], bounds: Bounds) -> Rows:
    """Open a Parquet, Arrow, CSV or TSV file. `text_columns` are read as text where the format leaves that open.

    Raises InvalidField, and TooLarge for a file that says itself that it unfolds to more than `bounds` allow.
    """
    with speaking_shoal(label):
        rows = _rows(path, kind, label, text_columns, Unfolding(label, path.stat().st_size, bounds))
    _check_names(rows.schema.names, label)
    return rows


def _rows(path: Path, kind: Format, label: str, text_columns: tuple[str, ...], unfolding: Unfolding) -> Rows:
    if kind == "parquet":
        return ParquetRows(path, label, unfolding)
    if kind == "arrow":
        return ArrowRows(path, label, unfolding)
    return CsvRows(path, label, "\t" if kind == "tsv" else ",", text_columns, unfolding)


class CsvRows:
    """A CSV or TSV file. Types are inferred over all rows, not the first few; dates stay text."""

    def __init__(
        self, path: Path, label: str, delimiter: str, text_columns: tuple[str, ...], unfolding: Unfolding
    ) -> None:
        self._path, self._label, self._unfolding = path, label, unfolding
        unfolding.check_columns(_columns_of(path, delimiter))
        self._parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        with self._open(csv.ConvertOptions()) as reader:
            first = next(iter(reader), None)
        if first is None:
            raise InvalidField(label, "has no rows", remedy="Send a file with at least one document.")
        _check_names(first.schema.names, label)
        listed = [name for name in first.schema.names if _holds_lists(first.column(name))]
        fixed = {name: pa.string() for name in first.schema.names if name in listed or name in text_columns}
        inferred, rows = self._inferred(first.schema.names, fixed)
        self.count: int | None = rows
        self.schema: pa.Schema = pa.schema([(name, fixed.get(name, inferred.get(name))) for name in first.schema.names])

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        chosen = columns or self.schema.names
        types = {name: self.schema.field(name).type for name in chosen}
        options = csv.ConvertOptions(column_types=types, include_columns=chosen)
        with speaking_shoal(self._label), self._open(options) as reader:
            yield from self._unfolding.bounded(iter(reader), size)

    def _inferred(self, names: list[str], fixed: dict[str, pa.DataType]) -> tuple[dict[str, pa.DataType], int]:
        """The types of all columns but the fixed ones, which may be too large to hold; and the number of rows."""
        free = [name for name in names if name not in fixed] or names[:1]
        options = csv.ConvertOptions(include_columns=free, column_types={n: fixed[n] for n in free if n in fixed})
        read = csv.ReadOptions(block_size=_CSV_BLOCK)
        table = csv.read_csv(self._path, read_options=read, parse_options=self._parse, convert_options=options)
        for name in free:
            if pa.types.is_binary(table.schema.field(name).type):
                raise InvalidField(
                    f"{self._label}: column {name!r}", "is not UTF-8 text", remedy="Save the file as UTF-8."
                )
        return {name: _lasting(table.schema.field(name).type) for name in free}, table.num_rows

    def _open(self, convert: csv.ConvertOptions) -> csv.CSVStreamingReader:
        read = csv.ReadOptions(block_size=_CSV_BLOCK)
        return csv.open_csv(self._path, read_options=read, parse_options=self._parse, convert_options=convert)


def _lasting(kind: pa.DataType) -> pa.DataType:
    """Dates and times stay the text they were written as; a column without any value is text too."""
    return pa.string() if pa.types.is_temporal(kind) or pa.types.is_null(kind) else kind


def _holds_lists(column: pa.Array) -> bool:
    """Whether a text column starts with what looks like a JSON array."""
    if not pa.types.is_string(column.type):
        return False
    filled = column.filter(pc.not_equal(column, ""))
    return len(filled) > 0 and filled[0].as_py().lstrip().startswith("[")


def _columns_of(path: Path, delimiter: str) -> int:
    """About how many columns a CSV file has: those of its first line, without reading more of it than a block."""
    with path.open("rb") as file:
        return file.readline(_CSV_BLOCK).count(delimiter.encode()) + 1


def _check_names(names: list[str], label: str) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InvalidField(label, f"has two columns called {twice!r}", remedy="Rename one of them.")

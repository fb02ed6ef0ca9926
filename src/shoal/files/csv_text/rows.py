"""CSV and TSV files. Types are inferred so that every value can be written back unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shoal.errors import InvalidField
from shoal.files.bounds import SizeGuard, format_size
from shoal.files.csv_text.dialect import Dialect, find_line, iter_records
from shoal.files.csv_text.notation import ColumnNotation
from shoal.files.faults import check_values
from shoal.files.layout import COMMAND, OptionNames
from shoal.files.reader import Shards, format_line, name_line_in_errors, row_place
from shoal.files.reader_errors import translate_errors

__all__ = ["CsvRows"]

_BLOCK: Final = 16 * 2**20


class CsvRows:
    """The rows of a file.

    Types are inferred from all rows in a first pass over the file; dates stay text. `notations` are those of other
    files with the same columns, by name, and are updated from this one.
    """

    shards: Shards = ()
    untyped = True

    def __init__(
        self,
        path: Path,
        label: str,
        dialect: Dialect,
        text_columns: tuple[str, ...],
        guard: SizeGuard,
        options: OptionNames = COMMAND,
        notations: dict[str, ColumnNotation] | None = None,
    ) -> None:
        self._path, self._label, self._dialect, self._guard = path, label, dialect, guard
        guard.check_columns(len(dialect.names))
        self._not_utf8 = options.not_utf8
        self._invalid_row: csv.InvalidRow | None = None
        self._columns, self.delimiter = dialect.names, dialect.delimiter
        self.nameless = dialect.nameless
        comma = dialect.delimiter != ","
        by_name = {} if notations is None else notations
        for name in self._columns:
            by_name.setdefault(name, ColumnNotation(fixed=name in text_columns, comma=comma))
        self._notations = [by_name[name] for name in self._columns]
        self.count: int | None = self._scan()
        kinds = [(name, notation.kind) for name, notation in zip(self._columns, self._notations, strict=True)]
        self.schema: pa.Schema = pa.schema(kinds)
        self.warnings: Mapping[str, str] = {
            name: warning
            for name, notation in zip(self._columns, self._notations, strict=True)
            if (warning := _warn_mixed_notation(name, notation)) is not None
        }
        if dialect.looks_named:
            note = "The first line is integers and was read as values; if these are names, include letters in them."
            self.warnings = {"": note, **self.warnings}

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        names = columns or self.schema.names
        first = 0
        notations = dict(zip(self._columns, self._notations, strict=True))
        with translate_errors(self._label), self._name_invalid_row(), self._open(names) as reader:
            for batch in self._guard.bound_batches(iter(reader), size):
                texts = self._decode(batch, first)
                parsed = [notations[name].read(column) for name, column in zip(names, texts.columns, strict=True)]
                yield pa.RecordBatch.from_arrays(parsed, names=names)
                first += len(batch)

    def text_batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows as raw text, null for an empty field."""
        first = 0
        with translate_errors(self._label), self._open(columns) as reader:
            for batch in self._guard.bound_batches(iter(reader), size):
                texts = self._decode(batch, first)
                yield pa.RecordBatch.from_arrays(
                    [
                        pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
                        for column in texts.columns
                    ],
                    names=batch.schema.names,
                )
                first += len(batch)

    def _scan(self) -> int:
        """Observe the notation of every value, and return the number of rows. Raises InvalidField where there are
        none."""
        rows = 0
        with name_line_in_errors(self._label, self.line_of), self._name_invalid_row(), self._open() as reader:
            for batch in reader:
                texts = self._decode(batch, rows)
                for notation, column in zip(self._notations, texts.columns, strict=True):
                    notation.observe(column)
                rows += len(batch)
        if not rows:
            raise InvalidField(self._label, "has no rows", remedy="Send a file with at least one document.")
        return rows

    def _decode(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Return the batch as text. Raises InvalidField naming row and column for invalid UTF-8."""
        texts = [column.view(pa.string()) for column in batch.columns]
        decoded = pa.RecordBatch.from_arrays(texts, names=batch.schema.names)
        check_values(decoded, row_place(self._label, first), self._not_utf8)
        return decoded

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def line_of(self, row: int) -> int | None:
        return find_line(self._path, self._dialect, row)

    def _open(self, columns: Sequence[str] | None = None) -> csv.CSVStreamingReader:
        """Open the file as columns of bytes, which are decoded here: Arrow's error would name neither row nor
        column."""
        header = int(self._dialect.has_header)
        read = csv.ReadOptions(
            block_size=_BLOCK, skip_rows=self._dialect.skipped, skip_rows_after_names=header, column_names=self._columns
        )
        parse = csv.ParseOptions(
            delimiter=self._dialect.delimiter, newlines_in_values=True, invalid_row_handler=self._on_invalid_row
        )
        types = dict.fromkeys(self._columns, pa.binary())
        convert = csv.ConvertOptions(column_types=types, include_columns=None if columns is None else list(columns))
        with self._name_invalid_row():
            return csv.open_csv(self._path, read_options=read, parse_options=parse, convert_options=convert)

    def _long_row_error(self) -> InvalidField:
        """Build the error about a row that exceeds the block size."""
        with closing(iter_records(self._path, self._dialect)) as rows:
            line = next((line for line, text in rows if len(text) > _BLOCK), None)
        if line is None:
            remedy = (
                "Check that it is text, in the encoding and with the delimiter that were named, and a row on each line."
            )
            return InvalidField(self._label, "has no complete row", remedy=remedy)
        place, remedy = (
            f"{self._label}: {format_line(line)}",
            "Close a quote that was left open, or leave large columns out.",
        )
        return InvalidField(place, f"has a row of more than {format_size(_BLOCK)}", remedy=remedy)

    def _on_invalid_row(self, row: csv.InvalidRow) -> str:
        self._invalid_row = row
        return "error"

    @contextmanager
    def _name_invalid_row(self) -> Iterator[None]:
        """Name the row in Arrow's error about a wrong number of columns."""
        try:
            yield
        except pa.ArrowInvalid as error:
            invalid = self._invalid_row
            if invalid is None and "straddl" in str(error):
                raise self._long_row_error() from None
            if invalid is None:
                raise
            with closing(iter_records(self._path, self._dialect)) as texts:
                matching_rows = (row for row, (_, text) in enumerate(texts) if _format_as_arrow(text) == invalid.text)
                row = next(matching_rows, 0)
            problem = f"has {invalid.actual_columns} columns, and the header {invalid.expected_columns}"
            remedy = "Put a value that holds the delimiter into quotes, or name another with --delimiter."
            if f'{self.delimiter} "' in invalid.text:
                remedy = "A quote is recognized only directly after the delimiter: remove the space before it."
            raise InvalidField(f"{self._label}: row {row}", problem, value=invalid.text, remedy=remedy) from None


def _format_as_arrow(text: bytes) -> str:
    """Return a row as Arrow quotes it."""
    return text.rstrip(b"\r\n").decode("utf-8", "replace")


def _warn_mixed_notation(name: str, notation: ColumnNotation) -> str | None:
    """Return a warning about a column of numbers that is kept as text; None for any other."""
    if notation.odd is not None:
        return (
            f"Column {name!r} holds numbers and {notation.odd!r}, and is kept as text as written. Leave missing "
            "values empty to compare it as numbers."
        )
    if notation.uneven is not None:
        return (
            f"Column {name!r} holds numbers in several notations, one of them {notation.uneven!r}, and is kept as text "
            "as written. Write all with the same number of decimals to compare it as numbers."
        )
    return None

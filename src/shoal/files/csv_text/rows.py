"""CSV and TSV files. Nothing in them is guessed against its writing: what is read can be written again as it stood."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shoal.errors import InvalidField
from shoal.files.bounds import Unfolding, size_text
from shoal.files.csv_text.dialect import Dialect, line_of, records
from shoal.files.csv_text.notation import Writing
from shoal.files.faults import check_values
from shoal.files.layout import COMMAND, Options
from shoal.files.pieces import Shards, line_text, naming_line, row_place
from shoal.files.reading import speaking_shoal

__all__ = ["CsvRows"]

_BLOCK: Final = 16 * 2**20


class CsvRows:
    """The rows of a file. Types are told from all rows, in a first pass over the file; dates stay text. `writings` are
    those of other files with the same columns, by name, and of this one afterwards."""

    shards: Shards = ()
    untyped = True

    def __init__(
        self,
        path: Path,
        label: str,
        dialect: Dialect,
        text_columns: tuple[str, ...],
        unfolding: Unfolding,
        options: Options = COMMAND,
        writings: dict[str, Writing] | None = None,
    ) -> None:
        self._path, self._label, self._dialect, self._unfolding = path, label, dialect, unfolding
        unfolding.check_columns(len(dialect.names))
        self._not_utf8 = options.not_utf8
        self._odd: csv.InvalidRow | None = None
        self._columns, self.delimiter = dialect.names, dialect.delimiter
        self.nameless = dialect.nameless
        comma = dialect.delimiter != ","
        held = {} if writings is None else writings
        for name in self._columns:
            held.setdefault(name, Writing(fixed=name in text_columns, comma=comma))
        self._writings = [held[name] for name in self._columns]
        self.count: int | None = self._look_through()
        kinds = [(name, writing.kind) for name, writing in zip(self._columns, self._writings, strict=True)]
        self.schema: pa.Schema = pa.schema(kinds)
        self.warnings: Mapping[str, str] = {
            name: warning
            for name, writing in zip(self._columns, self._writings, strict=True)
            if (warning := _warning_about(name, writing)) is not None
        }
        if dialect.looks_named:
            note = "The first line is whole numbers and was read as values; if it holds names, put letters into them."
            self.warnings = {"": note, **self.warnings}

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        chosen = columns or self.schema.names
        first = 0
        writings = dict(zip(self._columns, self._writings, strict=True))
        with speaking_shoal(self._label), self._naming_odd_row(), self._open(chosen) as reader:
            for batch in self._unfolding.bounded(iter(reader), size):
                texts = self._decoded(batch, first)
                read = [writings[name].read(column) for name, column in zip(chosen, texts.columns, strict=True)]
                yield pa.RecordBatch.from_arrays(read, names=chosen)
                first += len(batch)

    def texts(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as they are written, a field without text null."""
        first = 0
        with speaking_shoal(self._label), self._open(columns) as reader:
            for batch in self._unfolding.bounded(iter(reader), size):
                texts = self._decoded(batch, first)
                yield pa.RecordBatch.from_arrays(
                    [
                        pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
                        for column in texts.columns
                    ],
                    names=batch.schema.names,
                )
                first += len(batch)

    def _look_through(self) -> int:
        """Look at the writing of every value; how many rows there are. Raises InvalidField where there are none."""
        rows = 0
        with naming_line(self._label, self.line_of), self._naming_odd_row(), self._open() as reader:
            for batch in reader:
                texts = self._decoded(batch, rows)
                for writing, column in zip(self._writings, texts.columns, strict=True):
                    writing.look_at(column)
                rows += len(batch)
        if not rows:
            raise InvalidField(self._label, "has no rows", remedy="Send a file with at least one document.")
        return rows

    def _decoded(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Raises InvalidField naming row and column for what is no UTF-8."""
        texts = [column.view(pa.string()) for column in batch.columns]
        decoded = pa.RecordBatch.from_arrays(texts, names=batch.schema.names)
        check_values(decoded, row_place(self._label, first), self._not_utf8)
        return decoded

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def line_of(self, row: int) -> int | None:
        return line_of(self._path, self._dialect, row)

    def _open(self, columns: Sequence[str] | None = None) -> csv.CSVStreamingReader:
        """As bytes, which are judged here: Arrow would name neither row nor column."""
        header = int(self._dialect.has_header)
        read = csv.ReadOptions(
            block_size=_BLOCK, skip_rows=self._dialect.skipped, skip_rows_after_names=header, column_names=self._columns
        )
        parse = csv.ParseOptions(
            delimiter=self._dialect.delimiter, newlines_in_values=True, invalid_row_handler=self._note
        )
        types = dict.fromkeys(self._columns, pa.binary())
        convert = csv.ConvertOptions(column_types=types, include_columns=None if columns is None else list(columns))
        with self._naming_odd_row():
            return csv.open_csv(self._path, read_options=read, parse_options=parse, convert_options=convert)

    def _too_long(self) -> InvalidField:
        """The error about a row that no block holds."""
        with closing(records(self._path, self._dialect)) as rows:
            line = next((line for line, text in rows if len(text) > _BLOCK), None)
        if line is None:
            remedy = (
                "Check that it is text, in the encoding and with the delimiter that were named, and a row on each line."
            )
            return InvalidField(self._label, "has no row that ends", remedy=remedy)
        place, remedy = (
            f"{self._label}: {line_text(line)}",
            "Close a quote that was left open, or leave large columns out.",
        )
        return InvalidField(place, f"has a row of more than {size_text(_BLOCK)}", remedy=remedy)

    def _note(self, row: csv.InvalidRow) -> str:
        self._odd = row
        return "error"

    @contextmanager
    def _naming_odd_row(self) -> Iterator[None]:
        """Arrow does not say which row has too many columns, or too few."""
        try:
            yield
        except pa.ArrowInvalid as error:
            odd = self._odd
            if odd is None and "straddl" in str(error):
                raise self._too_long() from None
            if odd is None:
                raise
            with closing(records(self._path, self._dialect)) as texts:
                found = (row for row, (_, text) in enumerate(texts) if _shown(text) == odd.text)
                row = next(found, 0)
            problem = f"has {odd.actual_columns} columns, and the header {odd.expected_columns}"
            remedy = "Put a value that holds the delimiter into quotes, or name another with --delimiter."
            if f'{self.delimiter} "' in odd.text:
                remedy = "A quote counts only right behind the delimiter: leave out the space in front of it."
            raise InvalidField(f"{self._label}: row {row}", problem, value=odd.text, remedy=remedy) from None


def _shown(text: bytes) -> str:
    """A row as Arrow shows it."""
    return text.rstrip(b"\r\n").decode("utf-8", "replace")


def _warning_about(name: str, writing: Writing) -> str | None:
    """What keeps a column of numbers from being read as numbers."""
    if writing.odd is not None:
        return (
            f"Column {name!r} holds numbers and {writing.odd!r}, and is kept as text, as it is written. Leave missing "
            "values empty to compare it as numbers."
        )
    if writing.uneven is not None:
        return (
            f"Column {name!r} holds numbers in several writings, one of them {writing.uneven!r}, and is kept as text, "
            "as it is written. Write all with equally many decimals to compare it as numbers."
        )
    return None

"""CSV and TSV files. Nothing in them is guessed against its writing: what is read can be written again as it stood."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shoal.errors import InvalidField
from shoal.files.bounds import Unfolding
from shoal.files.faults import check_values
from shoal.files.pieces import Shards, row_place
from shoal.files.reading import speaking_shoal
from shoal.files.writing import Writing

__all__ = ["CsvRows", "delimiter_of"]

_BLOCK: Final = 16 * 2**20
_HEAD: Final = 64 * 1024
_DELIMITERS: Final = (",", ";", "\t", "|")
_BOM: Final = b"\xef\xbb\xbf"
_QUOTED: Final = re.compile(rb'"(?:[^"]|"")*"')


class CsvRows:
    """The rows of a file. Types are told from all rows, in a first pass over the file; dates stay text."""

    shards: Shards = ()
    untyped = True

    def __init__(
        self, path: Path, label: str, delimiter: str, text_columns: tuple[str, ...], unfolding: Unfolding
    ) -> None:
        self._path, self._label, self._unfolding = path, label, unfolding
        unfolding.check_columns(_columns_of(path, delimiter))
        self.delimiter = delimiter
        self._parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        self._columns = self._names()
        self._writings = [Writing(fixed=name in text_columns) for name in self._columns]
        self.count: int | None = self._look_through()
        kinds = [(name, writing.kind) for name, writing in zip(self._columns, self._writings, strict=True)]
        self.schema: pa.Schema = pa.schema(kinds)
        self.warnings: Mapping[str, str] = {
            name: warning
            for name, writing in zip(self._columns, self._writings, strict=True)
            if (warning := _warning_about(name, writing)) is not None
        }

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        chosen = columns or self.schema.names
        first = 0
        writings = dict(zip(self._columns, self._writings, strict=True))
        with speaking_shoal(self._label), self._open(chosen) as reader:
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
        with self._open() as reader:
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
        check_values(decoded, row_place(self._label, first))
        return decoded

    def _open(self, columns: Sequence[str] | None = None) -> csv.CSVStreamingReader:
        """As bytes, which are judged here: Arrow would name neither row nor column."""
        read = csv.ReadOptions(block_size=_BLOCK)
        types = dict.fromkeys(self._columns, pa.binary())
        convert = csv.ConvertOptions(column_types=types, include_columns=None if columns is None else list(columns))
        return csv.open_csv(self._path, read_options=read, parse_options=self._parse, convert_options=convert)

    def _names(self) -> list[str]:
        """The names in the first line. Raises InvalidField."""
        with csv.open_csv(
            self._path, read_options=csv.ReadOptions(block_size=_BLOCK), parse_options=self._parse
        ) as reader:
            return list(reader.schema.names)


def delimiter_of(path: Path, usual: str) -> str:
    """What separates the columns: `usual`, unless the first lines have it nowhere and another splits all of them into
    equally many. Text in quotes does not count."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    lines = _QUOTED.sub(b"", head.removeprefix(_BOM)).splitlines()[: -1 if len(head) == _HEAD else None]
    filled = [line for line in lines if line.strip()][:50]
    if not filled or usual.encode() in filled[0]:
        return usual
    for delimiter in _DELIMITERS:
        counts = {line.count(delimiter.encode()) for line in filled}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return usual


def _columns_of(path: Path, delimiter: str) -> int:
    """About how many columns a CSV file has: those of its first line, without reading more of it than a block."""
    with path.open("rb") as file:
        return file.readline(_BLOCK).count(delimiter.encode()) + 1


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

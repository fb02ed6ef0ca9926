"""Files that Arrow reads: each gives a schema and record batches, again and again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import Unfolding
from shoal.files.columnar.arrow import ArrowRows
from shoal.files.columnar.numpy_archive import ArchiveRows
from shoal.files.columnar.parquet import ParquetRows
from shoal.files.columnar.parquet_probe import check_metadata
from shoal.files.csv_text.dialect import dialect_of
from shoal.files.csv_text.rows import CsvRows
from shoal.files.formats import Format
from shoal.files.ids.ids import ID_COLUMNS
from shoal.files.layout import Asked
from shoal.files.pieces import Shards
from shoal.files.reading import speaking_shoal

__all__ = ["Rows", "check_names", "open_rows"]


class Rows(Protocol):
    """The rows of one file."""

    schema: pa.Schema
    count: int | None
    """How many there are, where that is known before reading."""
    warnings: Mapping[str, str]
    """A sentence about a column, by its name."""
    shards: Shards
    untyped: bool
    """Whether the file is text, which does not say whether a number is meant as one."""

    def line_of(self, row: int) -> int | None:
        """The line, counted from 1, that an editor shows for a row; None for files that are no text."""

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """From the first row on, at most `size` at a time, with these columns. Raises InvalidField."""


def open_rows(path: Path, kind: Format, asked: Asked) -> Rows:
    """Open a Parquet, Arrow, CSV, TSV or NPZ file.

    Raises InvalidField, and TooLarge for a file that says itself that it unfolds too far.
    """
    with speaking_shoal(asked.label):
        rows = _rows(path, kind, asked, Unfolding(asked.label, path.stat().st_size, asked.bounds))
    check_names(rows.schema.names, asked.label)
    return rows


def _rows(path: Path, kind: Format, asked: Asked, unfolding: Unfolding) -> Rows:
    if kind == "parquet":
        if unfolding.bounds.most_bytes is not None:  # in the process of the user
            check_metadata([(path, asked.label)])
        return ParquetRows(path, asked.label, unfolding)
    if kind == "arrow":
        return ArrowRows(path, asked.label, unfolding)
    if kind == "npz":
        return ArchiveRows(path, asked, unfolding)
    dialect = dialect_of(path, asked.label, "\t" if kind == "tsv" else ",", asked)
    ids = (asked.id_column,) if asked.id_column else tuple(n for n in dialect.names if n.casefold() in ID_COLUMNS)
    return CsvRows(path, asked.label, dialect, ids, unfolding, asked.options)


def check_names(names: list[str], label: str) -> None:
    """Raises InvalidField where two columns have one name."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InvalidField(label, f"has two columns called {twice!r}", remedy="Rename one of them.")

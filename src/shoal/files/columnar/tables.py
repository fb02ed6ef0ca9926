"""Files that Arrow reads: each gives a schema and record batches, any number of times."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import SizeGuard
from shoal.files.columnar.arrow import ArrowRows
from shoal.files.columnar.numpy_archive import ArchiveRows
from shoal.files.columnar.parquet import ParquetRows
from shoal.files.columnar.parquet_probe import check_metadata
from shoal.files.csv_text.dialect import detect_dialect
from shoal.files.csv_text.rows import CsvRows
from shoal.files.formats import Format
from shoal.files.ids.ids import ID_COLUMNS
from shoal.files.layout import ReadRequest
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors

__all__ = ["TableRows", "check_names", "open_rows"]


class TableRows(Protocol):
    """The rows of one file."""

    schema: pa.Schema
    count: int | None
    """The number of rows, where it is known before reading."""
    warnings: Mapping[str, str]
    """A sentence about a column, by column name."""
    shards: Shards
    untyped: bool
    """Whether the file is text, which does not say whether digits mean a number."""

    def line_of(self, row: int) -> int | None:
        """Return the line, from 1, that an editor shows for a row; None for binary files."""

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield these columns from the first row on, at most `size` rows at a time. Raises InvalidField."""


def open_rows(path: Path, kind: Format, request: ReadRequest) -> TableRows:
    """Open a Parquet, Arrow, CSV, TSV or NPZ file.

    Raises InvalidField, and TooLarge for a file whose metadata declare too large an expanded size.
    """
    with translate_errors(request.label):
        rows = _open(path, kind, request, SizeGuard(request.label, path.stat().st_size, request.bounds))
    check_names(rows.schema.names, request.label)
    return rows


def _open(path: Path, kind: Format, request: ReadRequest, guard: SizeGuard) -> TableRows:
    if kind == "parquet":
        if guard.bounds.most_bytes is not None:  # read in the user's process
            check_metadata([(path, request.label)])
        return ParquetRows(path, request.label, guard)
    if kind == "arrow":
        return ArrowRows(path, request.label, guard)
    if kind == "npz":
        return ArchiveRows(path, request, guard)
    dialect = detect_dialect(path, request.label, "\t" if kind == "tsv" else ",", request)
    ids = (request.id_column,) if request.id_column else tuple(n for n in dialect.names if n.casefold() in ID_COLUMNS)
    return CsvRows(path, request.label, dialect, ids, guard, request.option_names)


def check_names(names: list[str], label: str) -> None:
    """Raise InvalidField where two columns have the same name."""
    duplicate = next((name for name, count in Counter(names).items() if count > 1), None)
    if duplicate is not None:
        raise InvalidField(label, f"has two columns called {duplicate!r}", remedy="Rename one of them.")

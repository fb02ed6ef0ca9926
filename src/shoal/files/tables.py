"""Files that Arrow reads: each gives a schema and record batches, again and again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.arrow import ArrowRows
from shoal.files.bounds import Bounds, Unfolding
from shoal.files.csv_rows import CsvRows, delimiter_of
from shoal.files.formats import Format
from shoal.files.parquet import ParquetRows
from shoal.files.parquet_probe import check_metadata
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

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """From the first row on, at most `size` at a time, with these columns. Raises InvalidField."""


def open_rows(path: Path, kind: Format, label: str, text_columns: tuple[str, ...], bounds: Bounds) -> Rows:
    """Open a Parquet, Arrow, CSV or TSV file. `text_columns` are read as text where the format leaves that open.

    Raises InvalidField, and TooLarge for a file that says itself that it unfolds to more than `bounds` allow.
    """
    with speaking_shoal(label):
        rows = _rows(path, kind, label, text_columns, Unfolding(label, path.stat().st_size, bounds))
    check_names(rows.schema.names, label)
    return rows


def _rows(path: Path, kind: Format, label: str, text_columns: tuple[str, ...], unfolding: Unfolding) -> Rows:
    if kind == "parquet":
        if unfolding.bounds.most_bytes is not None:  # in the process of the user
            check_metadata([(path, label)])
        return ParquetRows(path, label, unfolding)
    if kind == "arrow":
        return ArrowRows(path, label, unfolding)
    delimiter = delimiter_of(path, "\t" if kind == "tsv" else ",")
    return CsvRows(path, label, delimiter, text_columns, unfolding)


def check_names(names: list[str], label: str) -> None:
    """Raises InvalidField where two columns have one name."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InvalidField(label, f"has two columns called {twice!r}", remedy="Rename one of them.")

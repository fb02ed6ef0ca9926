"""The interface of every reader: chunks of rows, with ids, vectors and attributes aligned."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.originals import Originals
from shoal.records.documents.vectors import Place

__all__ = [
    "Attributes",
    "Chunk",
    "Reader",
    "Shards",
    "format_line",
    "name_document_in_errors",
    "name_line_in_errors",
    "name_shard_in_errors",
    "row_place",
]

Attributes: TypeAlias = pa.RecordBatch | Sequence[Mapping[str, Any]]
"""The attributes of a chunk: Arrow columns, or JSON objects as read."""


Shards: TypeAlias = Sequence[tuple[str, int]]
"""Name and first row of each of several files that are read as one; empty for a single file."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows `first` to `first + len(ids)` of a file."""

    first: int
    ids: Sequence[str]
    vectors: Mapping[str, VectorColumn]
    attributes: Attributes
    whole_ids: bool = True
    """Whether all of the ids are integers in the file, or row numbers."""


class Reader(Protocol):
    """A file that was opened and inspected. `dimensions` are those of the chosen vectors, by name."""

    columns: Sequence[str]
    dimensions: Mapping[str, int]
    original_columns: Sequence[str]
    """The columns of the file, before columns that belong together are merged."""
    delimiter: str | None
    """The delimiter of a CSV file."""
    nameless: Sequence[str]
    """The original columns that have no name in the file."""
    id_column: str | None
    count: int | None
    byo: bool
    """Whether rows have the shape of a BYODocument: vectors, payload and metadata side by side."""
    warnings: Sequence[str]
    shards: Shards

    def line_of(self, row: int) -> int | None:
        """Return the line, from 1, that an editor shows for a row of a text file; None for other files."""

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield at most `size` rows at a time, from the first on. Raises InvalidField naming row and column."""

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        """Yield all rows with these of the `original_columns` as they stand in the file; None takes all.

        With `as_text` the raw text of a file without types.
        """


def row_place(label: str, first: int, column: str | None = None) -> Place:
    """Return a function that names a row of the chunk from row `first` on in errors."""
    where: Callable[[int], str] = lambda row: f"{label}: row {first + row}"  # noqa: E731  # two forms of one thing
    return where if column is None else lambda row: f"{where(row)}, column {column!r}"


@contextmanager
def name_document_in_errors(label: str, first: int, ids: Sequence[str]) -> Iterator[None]:
    """Add the document's id to errors at a `row_place` of this chunk."""
    try:
        yield
    except InvalidField as error:
        match = re.match(r": row (\d+)", error.field.removeprefix(label))
        row = -1 if match is None else int(match[1]) - first
        if 0 <= row < len(ids):
            error.about(ids[row])
        raise


def format_line(number: int) -> str:
    """Format a line number as errors name it."""
    return f"line {number}"


@contextmanager
def name_line_in_errors(label: str, line_of: Callable[[int], int | None]) -> Iterator[None]:
    """Add the line number that an editor shows to errors at a `row_place` of a text file."""
    try:
        yield
    except InvalidField as error:
        match = re.match(r": row (\d+)", error.field.removeprefix(label)) if error.field.startswith(label) else None
        line = None if match is None else line_of(int(match[1]))
        rest = "" if match is None else error.field[len(label) + match.end() :]
        if match is not None and line is not None and not rest.startswith(" ("):
            error.move(f"{label}: row {match[1]} ({format_line(line)}){rest}", error.problem)
        raise


@contextmanager
def name_shard_in_errors(label: str, shards: Shards) -> Iterator[None]:
    """Name the file, and the row in it, in errors at a `row_place` of several files that are read as one."""
    try:
        yield
    except InvalidField as error:
        match = re.match(r": row (\d+)", error.field.removeprefix(label)) if shards else None
        if match is not None:
            repeated = re.fullmatch(r"(repeats the id of )row (\d+)", error.problem)
            problem = error.problem if repeated is None else repeated[1] + _format_shard_row(shards, int(repeated[2]))
            error.move(_format_shard_row(shards, int(match[1])) + error.field[len(label) + match.end() :], problem)
        raise


def _format_shard_row(shards: Shards, row: int) -> str:
    name, first = shards[bisect_right(shards, row, key=lambda shard: shard[1]) - 1]
    return f"{name}: row {row - first}"

"""What every reader produces: stretches of rows, with ids, vectors and attributes side by side."""

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
from shoal.records.vectors import Place

__all__ = [
    "Attributes",
    "Piece",
    "Pieces",
    "Shards",
    "line_text",
    "naming_document",
    "naming_line",
    "naming_shard",
    "row_place",
]

Attributes: TypeAlias = pa.RecordBatch | Sequence[Mapping[str, Any]]
"""The attributes of a stretch: Arrow columns, or JSON objects as they came."""


Shards: TypeAlias = Sequence[tuple[str, int]]
"""The name and the first row of each file of several that are read as one; empty for a single file."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `first` to `first + len(ids)` of a file."""

    first: int
    ids: Sequence[str]
    vectors: Mapping[str, VectorColumn]
    attributes: Attributes
    whole_ids: bool = True
    """Whether all of the ids are whole numbers in the file, or of its rows, and no text."""


class Pieces(Protocol):
    """A file that was opened and looked at. `dimensions` are those of the chosen vectors, by name."""

    columns: Sequence[str]
    dimensions: Mapping[str, int]
    original_columns: Sequence[str]
    """As they stand in the file, before columns that belong together are made one."""
    delimiter: str | None
    """What separates the columns of a CSV file."""
    nameless: Sequence[str]
    """Of the original columns those that have no name in the file."""
    id_column: str | None
    count: int | None
    byo: bool
    """Whether rows have the shape of a BYODocument: vectors, payload and metadata side by side."""
    warnings: Sequence[str]
    shards: Shards

    def line_of(self, row: int) -> int | None:
        """The line, counted from 1, that an editor shows for a row of a file of text; None for other files."""

    def pieces(self, size: int) -> Iterator[Piece]:
        """From the first row on, at most `size` rows each. Raises InvalidField naming row and column."""

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        """All rows with these of the `original_columns`, as they stand in the file; None takes all. Of a file that has
        no types the text, with `as_text`."""


def row_place(label: str, first: int, column: str | None = None) -> Place:
    """Names a row of a stretch that starts at row `first`, in errors."""
    where: Callable[[int], str] = lambda row: f"{label}: row {first + row}"  # noqa: E731  # two forms of one thing
    return where if column is None else lambda row: f"{where(row)}, column {column!r}"


@contextmanager
def naming_document(label: str, first: int, ids: Sequence[str]) -> Iterator[None]:
    """An error at a `row_place` of this stretch tells the document's id too."""
    try:
        yield
    except InvalidField as error:
        found = re.match(r": row (\d+)", error.field.removeprefix(label))
        row = -1 if found is None else int(found[1]) - first
        if 0 <= row < len(ids):
            error.about(ids[row])
        raise


def line_text(number: int) -> str:
    """How a line is named in errors."""
    return f"line {number}"


@contextmanager
def naming_line(label: str, line_of: Callable[[int], int | None]) -> Iterator[None]:
    """An error at a `row_place` of a file of text names the line as well that an editor shows for the row."""
    try:
        yield
    except InvalidField as error:
        found = re.match(r": row (\d+)", error.field.removeprefix(label)) if error.field.startswith(label) else None
        line = None if found is None else line_of(int(found[1]))
        rest = "" if found is None else error.field[len(label) + found.end() :]
        if found is not None and line is not None and not rest.startswith(" ("):
            error.move(f"{label}: row {found[1]} ({line_text(line)}){rest}", error.problem)
        raise


@contextmanager
def naming_shard(label: str, shards: Shards) -> Iterator[None]:
    """An error at a `row_place` of several files that are read as one names the file, and the row in it."""
    try:
        yield
    except InvalidField as error:
        found = re.match(r": row (\d+)", error.field.removeprefix(label)) if shards else None
        if found is not None:
            other = re.fullmatch(r"(repeats the id of )row (\d+)", error.problem)
            problem = error.problem if other is None else other[1] + _shard_row(shards, int(other[2]))
            error.move(_shard_row(shards, int(found[1])) + error.field[len(label) + found.end() :], problem)
        raise


def _shard_row(shards: Shards, row: int) -> str:
    name, first = shards[bisect_right(shards, row, key=lambda shard: shard[1]) - 1]
    return f"{name}: row {row - first}"

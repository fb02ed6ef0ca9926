"""The ids of the documents in a file: valid, and unique over the whole file."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.reader import row_place
from shoal.records.ids import MAX_ID_BYTES, check_id
from shoal.scalars import parse_id
from shoal.tables import is_text, to_plain

__all__ = [
    "ID_COLUMNS",
    "NO_COLUMN",
    "IdRegister",
    "Numbering",
    "are_canonical_integers",
    "is_whole_type",
    "number_rows",
    "read_ids",
]

ID_COLUMNS: Final = ("document_id", "id", "_id")
"""Column names that are tried for ids by default, ignoring case; the first that exists is taken."""
NO_COLUMN: Final = "none"
"""The `id_column` that numbers the rows although there is a column of ids."""
Numbering: TypeAlias = Callable[[int, int], list[str]]
"""Returns the ids for a number of rows, given the first row."""

_DIGITS: Final = 10
_UUID_BYTES: Final = 16
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")


def number_rows(first: int, rows: int) -> list[str]:
    """Return row numbers of a fixed width, so that text order is file order."""
    return [f"{row:0{_DIGITS}d}" for row in range(first, first + rows)]


def read_ids(column: pa.Array, name: str, first: int, label: str) -> list[str]:
    """Return the ids in a column of text, integers (of any type) or UUIDs, also as 16 bytes.

    `column` is in a layout of `shoal.tables.to_plain`. Raises InvalidField naming the row of an invalid id.
    """
    place = row_place(label, first, name)
    if column.null_count:
        raise InvalidField(place(column.is_null().to_pylist().index(True)), "has no id")
    kind = column.type
    if is_text(kind) or pa.types.is_integer(kind):
        return _to_texts(column)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [parse_id(value, place(row)) for row, value in enumerate(column.to_pylist())]
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _to_texts(to_plain(pa.ExtensionArray.from_storage(pa.uuid(), column)))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [parse_id(value, place(row)) for row, value in enumerate(column.to_pylist())]
    problem = f"holds {kind}; ids are text, whole numbers or UUIDs"
    raise InvalidField(f"{label}: column {name!r}", problem, remedy="Make the column text, or name another.")


def is_whole_type(kind: pa.DataType) -> bool:
    """Return whether ids in such a column are integers: all other numbers have been rejected."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def are_canonical_integers(ids: Sequence[str]) -> bool:
    """Return whether ids from a text file are integers in canonical form: not `007`."""
    return all(_WHOLE.fullmatch(id) for id in ids)


def _to_texts(column: pa.Array) -> list[str]:
    ids: list[str] = column.cast(pa.string()).to_pylist()
    return ids


class IdRegister:
    """All ids seen so far. `remedy` says what to do about a duplicate."""

    def __init__(self, label: str, column: str | None, remedy: str) -> None:
        self._label, self._column, self._remedy = label, column, remedy
        self._rows: dict[str, int] = {}

    def add(self, ids: Sequence[str], first: int) -> None:
        """Register the ids of the rows from `first` on. Raises InvalidField for an invalid id or a duplicate."""
        if not _are_plain(ids):
            for row, id in enumerate(ids, first):
                check_id(self._format_place(row), id)
        fresh = dict(zip(ids, range(first, first + len(ids)), strict=True))
        if len(fresh) < len(ids) or not self._rows.keys().isdisjoint(fresh):
            self._raise_duplicate(ids, first)
        self._rows.update(fresh)

    def _raise_duplicate(self, ids: Sequence[str], first: int) -> None:
        for row, id in enumerate(ids, first):
            if id in self._rows:
                problem = f"repeats the id of row {self._rows[id]}"
                raise InvalidField(self._format_place(row), problem, value=id, remedy=self._remedy)
            self._rows[id] = row

    def _format_place(self, row: int) -> str:
        return f"{self._label}: row {row}" + (f", column {self._column!r}" if self._column else "")


def _are_plain(ids: Sequence[str]) -> bool:
    """Return whether all ids are printable ASCII, a fast path; others are checked one by one."""
    together = "".join(ids)
    return all(ids) and together.isascii() and together.isprintable() and max(map(len, ids)) <= MAX_ID_BYTES

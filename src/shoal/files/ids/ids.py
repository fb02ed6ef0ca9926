"""The ids of the documents in a file: checked, and unique over the whole of it."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.pieces import row_place
from shoal.records.ids import MAX_ID_BYTES, check_id
from shoal.scalars import parse_id
from shoal.tables import is_text, to_plain

__all__ = [
    "ID_COLUMNS",
    "NO_COLUMN",
    "IdRegister",
    "Numbering",
    "are_whole",
    "are_written_whole",
    "ids_of",
    "numbered",
]

ID_COLUMNS: Final = ("document_id", "id", "_id")
"""Where ids are looked for unless a column is named, in any case; the first that exists is taken."""
NO_COLUMN: Final = "none"
"""What is asked for where rows are to be numbered although there is a column of ids."""
Numbering: TypeAlias = Callable[[int, int], list[str]]
"""Makes the ids of so many rows from a first one on."""

_DIGITS: Final = 10
_UUID_BYTES: Final = 16
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")


def numbered(first: int, rows: int) -> list[str]:
    """Row numbers of a fixed width, so that their order as text is their order in the file."""
    return [f"{row:0{_DIGITS}d}" for row in range(first, first + rows)]


def ids_of(column: pa.Array, name: str, first: int, label: str) -> list[str]:
    """The ids in a column of text, whole numbers (of any type) or UUIDs, also as 16 bytes.

    `column` is in a layout of `shoal.tables.plain`. Raises InvalidField, naming the row where one is at fault.
    """
    place = row_place(label, first, name)
    if column.null_count:
        raise InvalidField(place(column.is_null().to_pylist().index(True)), "has no id")
    kind = column.type
    if is_text(kind) or pa.types.is_integer(kind):
        return _texts(column)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [parse_id(value, place(row)) for row, value in enumerate(column.to_pylist())]
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _texts(to_plain(pa.ExtensionArray.from_storage(pa.uuid(), column)))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [parse_id(value, place(row)) for row, value in enumerate(column.to_pylist())]
    problem = f"holds {kind}; ids are text, whole numbers or UUIDs"
    raise InvalidField(f"{label}: column {name!r}", problem, remedy="Make the column text, or name another.")


def are_whole(kind: pa.DataType) -> bool:
    """Whether ids of such a column are whole numbers: all others were refused."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def are_written_whole(ids: Sequence[str]) -> bool:
    """Whether ids from a file of text are whole numbers that would be written again as they stand: not `007`."""
    return all(_WHOLE.fullmatch(id) for id in ids)


def _texts(column: pa.Array) -> list[str]:
    ids: list[str] = column.cast(pa.string()).to_pylist()
    return ids


class IdRegister:
    """All ids seen so far. `remedy` says what to do where one comes twice."""

    def __init__(self, label: str, column: str | None, remedy: str) -> None:
        self._label, self._column, self._remedy = label, column, remedy
        self._rows: dict[str, int] = {}

    def add(self, ids: Sequence[str], first: int) -> None:
        """Note the ids of the rows from `first` on. Raises InvalidField for a bad or a repeated one."""
        if not _are_plain(ids):
            for row, id in enumerate(ids, first):
                check_id(self._place(row), id)
        fresh = dict(zip(ids, range(first, first + len(ids)), strict=True))
        if len(fresh) < len(ids) or not self._rows.keys().isdisjoint(fresh):
            self._blame(ids, first)
        self._rows.update(fresh)

    def _blame(self, ids: Sequence[str], first: int) -> None:
        for row, id in enumerate(ids, first):
            if id in self._rows:
                problem = f"repeats the id of row {self._rows[id]}"
                raise InvalidField(self._place(row), problem, value=id, remedy=self._remedy)
            self._rows[id] = row

    def _place(self, row: int) -> str:
        return f"{self._label}: row {row}" + (f", column {self._column!r}" if self._column else "")


def _are_plain(ids: Sequence[str]) -> bool:
    """A fast yes for printable ASCII; anything else is looked at one by one."""
    together = "".join(ids)
    return all(ids) and together.isascii() and together.isprintable() and max(map(len, ids)) <= MAX_ID_BYTES

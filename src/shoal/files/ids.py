"""The ids of the documents in a file: checked, and unique over the whole of it."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.records.ids import MAX_ID_BYTES, check_id

__all__ = ["ID_COLUMNS", "IdRegister", "ids_of", "numbered"]

ID_COLUMNS: Final = ("document_id", "id", "_id")
"""Where ids are looked for unless a column is named; the first that exists is taken."""

_DIGITS: Final = 10


def numbered(first: int, rows: int) -> list[str]:
    """Row numbers of a fixed width, so that their order as text is their order in the file."""
    return [f"{row:0{_DIGITS}d}" for row in range(first, first + rows)]


def ids_of(column: pa.Array, name: str, first: int, label: str) -> list[str]:
    """The ids in a column of text or whole numbers. Raises InvalidField."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise InvalidField(f"{label}: column {name!r}", f"holds {kind}; ids are text or whole numbers")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidField(f"{label}: row {first + row}, column {name!r}", "has no id")
    ids: list[str] = column.cast(pa.string()).to_pylist()
    return ids


class IdRegister:
    """All ids seen so far."""

    def __init__(self, label: str, column: str | None) -> None:
        self._label, self._column = label, column
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
                remedy = "Ids must be unique: name another id column, or make them so."
                problem = f"repeats the id of row {self._rows[id]}"
                raise InvalidField(self._place(row), problem, value=id, remedy=remedy)
            self._rows[id] = row

    def _place(self, row: int) -> str:
        return f"{self._label}: row {row}" + (f", column {self._column!r}" if self._column else "")


def _are_plain(ids: Sequence[str]) -> bool:
    """A fast yes for printable ASCII; anything else is looked at one by one."""
    together = "".join(ids)
    return all(ids) and together.isascii() and together.isprintable() and max(map(len, ids)) <= MAX_ID_BYTES

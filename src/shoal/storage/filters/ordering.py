"""Sorting in plain Python; `to_sql.order_sql` is the same order in SQL."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import orjson

from shoal.records.queries.fields import find_field
from shoal.records.queries.paging import Sort
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.to_mask import kind_of

__all__ = ["in_order"]

Row = TypeVar("Row", bound=tuple[Any, ...])
_Key: TypeAlias = tuple[int, Any]


def in_order(rows: Sequence[Row], sorts: Sequence[Sort]) -> list[Row]:
    """Sort rows whose first two items are an id and a document.

    Documents without the field come last in both directions; ties are broken by id, ascending.
    """
    result = sorted(rows, key=lambda row: row[0].encode())
    for sort in reversed(sorts):
        keyed = [(_sort_key(find_field(row[1], sort.field)[1]), row) for row in result]
        present = [(key, row) for key, row in keyed if key is not None]
        present.sort(key=lambda pair: pair[0], reverse=sort.descending)
        result = [row for _, row in present] + [row for key, row in keyed if key is None]
    return result


def _sort_key(value: object) -> _Key | None:
    """Return the sort key of a value: numbers, and booleans as 0 and 1, before text; lists and objects as JSON text.

    None for null.
    """
    kind = kind_of(value)
    if kind == "null":
        return None
    if kind in ("number", "boolean"):
        return 0, value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return 1, (instant_of(text) or text).encode()

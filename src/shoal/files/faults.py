"""Locates the row at which a column conversion fails."""

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.records.documents.vectors import Place

__all__ = ["check_values", "find_first_invalid"]

_WRITE_AGAIN: Final = "Write the column again as text in UTF-8, or as bytes."


def find_first_invalid(column: pa.Array, fits: Callable[[pa.Array], bool]) -> int:
    """Return the first row with which the column becomes invalid; the caller knows that there is one."""
    good, bad = 0, len(column)
    while bad - good > 1:  # the first `good` rows fit, the first `bad` do not
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(column.slice(0, middle)) else (good, middle)
    return good


def check_values(batch: pa.RecordBatch, place: Place, not_utf8: str = _WRITE_AGAIN) -> None:
    """Raise InvalidField naming row and column for values that are invalid for their type.

    Such are text that is not UTF-8, times out of range, and offsets outside of the file. Files do not guarantee
    validity, and later code relies on it. `not_utf8` is the remedy for such text.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        reason = _validate(column)
        if reason is not None:
            row = find_first_invalid(column, lambda part: _validate(part) is None)
            problem, remedy = _explain(reason, not_utf8)
            raise InvalidField(f"{place(row)}, column {name!r}", problem, remedy=remedy)


def _validate(column: pa.Array) -> str | None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _explain(reason: str, not_utf8: str) -> tuple[str, str]:
    if "UTF8" in reason:
        return "is not UTF-8 text", not_utf8
    if "not within the acceptable range" in reason:
        return "is not a time of day", "Leave it empty, or send it as text."
    if "does not represent a whole number of days" in reason:
        return "is not a whole number of days, as dates are", "Make it a timestamp."
    return f"is damaged ({' '.join(reason.split())[:120]})", "Write the file again."

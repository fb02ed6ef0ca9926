"""Selects the rows of a file by a filter, and checks the filter against their values."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files import Documents
from shoal.files.ids.ids import are_canonical_integers
from shoal.files.layout import find_close_names
from shoal.records.queries.fields import find_field, key_paths
from shoal.records.queries.filters import Condition, Filter
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.to_mask import kind_of, mask

__all__ = ["RowFilter"]

_ID: Final = "document_id"
_ORDERED: Final = frozenset({"gt", "gte", "lt", "lte"})
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_MAX_VALUES: Final = 2_000
_MAX_SHOWN: Final = 5
_MAX_COLUMNS: Final = 30
_MAX_LENGTH: Final = 40


class RowFilter:
    """A filter over the rows of one file, and the values it was applied to.

    Parameters
    ----------
    where
        The filter.
    option
        The caller's name for it, in errors.
    columns
        The known columns of the file.
    id_column
        The column of ids, which can be filtered by its own name too.
    """

    def __init__(self, where: Filter, option: str, columns: Sequence[str], id_column: str | None) -> None:
        self._where, self._option, self._columns, self._id = where, option, columns, id_column
        self._conditions = list(_iter_conditions(where))
        self._unknown = {condition.field for condition in self._conditions if not self._is_known(condition.field)}
        self._values: dict[str, dict[object, None]] = {condition.field: {} for condition in self._conditions}
        self._unmet = [condition for condition in self._conditions if condition.operator in _ORDERED]
        self._months = {condition.field for condition in self._conditions if _is_month(condition.value)}

    def check_columns(self) -> None:
        """Raise InvalidField for a field that the file does not have, suggesting similar names."""
        if self._unknown:
            raise self._no_column_error(min(self._unknown))

    def match(self, ids: Sequence[str], documents: Documents) -> NDArray[np.bool_]:
        """Return (n,) which documents match; they are compared as the JSON a server would hold, so that both agree."""
        documents_read = documents.read({condition.field for condition in self._conditions})
        rows = [{**document, **self._id_fields(id)} for id, document in zip(ids, documents_read, strict=True)]
        for document in rows[:_MAX_VALUES] if not self._unknown else rows:
            self._record_values(document)
        for document in rows if self._unmet else []:
            self._unmet = [condition for condition in self._unmet if not _has_comparable_value(document, condition)]
        return mask(self._where, rows)

    def check_values(self) -> None:
        """Check the filter after all rows.

        Raises InvalidField for a field that no row has, and for a comparison that no value supports: numbers with text,
        dates with texts that are not dates.
        """
        self.check_columns()
        for condition in self._unmet:
            values = [value for value in self._values[condition.field] if value is not None]
            if values and not (condition.field in self._months and any(map(_is_month, values))):
                self._check_comparable(condition, values)

    def no_match_error(self, documents: int) -> InvalidField:
        """Build the error about a filter that matches nothing, with the values that exist."""
        fields = dict.fromkeys(condition.field for condition in self._conditions)
        value_notes = [
            f"{field} has {_format_values([*self._values[field]])}" for field in fields if self._values[field]
        ]
        remedy = (
            f"{'; '.join(value_notes)}."
            if value_notes
            else f"Its columns are {', '.join(self._columns[:_MAX_COLUMNS])}."
        )
        remedy = " ".join([remedy, *dict.fromkeys(self._suggest_spellings())])
        return InvalidField(self._option, f"matches none of {documents:,} documents", remedy=remedy)

    def _suggest_spellings(self) -> Iterator[str]:
        """Yield how to write conditions for the values that were seen."""
        for condition in self._conditions:
            values = [value for value in self._values[condition.field] if value is not None]
            texts = [value for value in values if isinstance(value, str) and value]
            if condition.operator == "is_null" and condition.value is True and "" in values:
                yield f'Empty cells are empty texts: {condition.field}="".'
            operands = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            is_unclear = any(isinstance(v, str) and instant_of(v) is None and not _is_month(v) for v in operands)
            if is_unclear and texts and all(instant_of(text) is not None for text in texts):
                yield f"{condition.field} holds dates: write a day as 2024-05-01, and a month as 2024-05."

    def _is_known(self, field: str) -> bool:
        names = {*self._columns, _ID}
        return any(path[0] in names for path in key_paths(field))

    def _id_fields(self, id: str) -> dict[str, object]:
        """Return the id under its names; a number can be matched as a number and as text."""
        either = [int(id), id] if are_canonical_integers([id]) else id
        return {_ID: id} if self._id is None else {_ID: id, self._id: either}

    def _record_values(self, document: dict[str, object]) -> None:
        for field, values in self._values.items():
            exists, value = find_field(document, field)
            if exists:
                self._unknown.discard(field)
            for item in value if isinstance(value, list) else [value] if exists else []:
                if len(values) < _MAX_VALUES and not isinstance(item, (dict, list)):
                    values[item] = None

    def _check_comparable(self, condition: Condition, values: Sequence[object]) -> None:
        operand = condition.value
        kinds = {kind_of(value) for value in values}
        if kind_of(operand) not in kinds:
            problem = f"compares {condition.field!r} with {operand!r}, and it holds {_format_values(values)}"
            remedy = "Numbers compare with numbers, dates and texts with texts; = compares with any."
            raise InvalidField(self._option, problem, remedy=remedy)
        texts = [value for value in values if isinstance(value, str) and value]
        if isinstance(operand, str) and instant_of(operand) is None:
            if texts and all(instant_of(text) is not None for text in texts):
                problem = f"compares {condition.field!r} with {operand!r}, and it holds dates"
                raise InvalidField(self._option, problem, remedy="Write the date as 2024-05-01.")
        elif isinstance(operand, str) and texts and all(instant_of(text) is None for text in texts):
            problem = f"compares {condition.field!r} with a date, and it holds {_format_values(texts)}"
            raise InvalidField(self._option, problem, remedy="Write the dates of the file as 2024-05-01.")

    def _no_column_error(self, field: str) -> InvalidField:
        near = find_close_names(field, self._columns, 3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        more = f" and {len(self._columns) - _MAX_COLUMNS} more" if len(self._columns) > _MAX_COLUMNS else ""
        remedy = f"Its columns are {', '.join(self._columns[:_MAX_COLUMNS])}{more}.{hint}"
        return InvalidField(self._option, f"names {field!r}, which is not a column of the file", remedy=remedy)


def _iter_conditions(where: Filter) -> Iterator[Condition]:
    if isinstance(where, Condition):
        yield where
        return
    for member in where.members:
        yield from _iter_conditions(member)


def _is_month(value: object) -> bool:
    """Return whether a text is a month such as 2024-05, which can be compared with columns of months."""
    return isinstance(value, str) and _MONTH.fullmatch(value) is not None


def _has_comparable_value(document: dict[str, object], condition: Condition) -> bool:
    """Return whether a value of the field is comparable: of the same type, and of two texts both or neither a date."""
    exists, field_value = find_field(document, condition.field)
    operand = condition.value
    for value in field_value if isinstance(field_value, list) else [field_value] if exists else []:
        if isinstance(value, str) and isinstance(operand, str):
            if value and (instant_of(value) is None) == (instant_of(operand) is None):
                return True
        elif kind_of(value) == kind_of(operand):
            return True
    return False


def _format_values(values: Sequence[object]) -> str:
    """Format a few of the values, as written in a condition."""
    shown = [_truncate(value) for value in values[:_MAX_SHOWN]]
    return ", ".join(shown) + (" …" if len(values) > _MAX_SHOWN else "")


def _truncate(value: object) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"

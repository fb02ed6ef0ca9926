"""Which rows of a file are clustered: a filter, and what is wrong with it as far as the rows show."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files import Documents
from shoal.files.ids.ids import are_written_whole
from shoal.files.layout import close_names
from shoal.records.queries.fields import find_field, key_paths
from shoal.records.queries.filters import Condition, Filter
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.to_mask import kind_of, mask

__all__ = ["RowFilter"]

_ID: Final = "document_id"
_ORDERED: Final = frozenset({"gt", "gte", "lt", "lte"})
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_LOOKED_AT: Final = 2_000
_SHOWN: Final = 5
_LISTED: Final = 30
_LONGEST: Final = 40


class RowFilter:
    """A filter over the rows of one file, and the values that it met.

    Parameters
    ----------
    where
        The filter.
    option
        What the caller calls it, in errors.
    columns
        Of the file, as far as they are known.
    id_column
        The column of ids, which is found under its own name too.
    """

    def __init__(self, where: Filter, option: str, columns: Sequence[str], id_column: str | None) -> None:
        self._where, self._option, self._columns, self._id = where, option, columns, id_column
        self._conditions = list(_conditions(where))
        self._unknown = {one.field for one in self._conditions if not self._is_known(one.field)}
        self._met: dict[str, dict[object, None]] = {one.field: {} for one in self._conditions}
        self._unmet = [one for one in self._conditions if one.operator in _ORDERED]
        self._months = {one.field for one in self._conditions if _is_month(one.value)}

    def check_columns(self) -> None:
        """Raises InvalidField for a field that the file has not, with close names."""
        if self._unknown:
            raise self._no_column(min(self._unknown))

    def matching(self, ids: Sequence[str], documents: Documents) -> NDArray[np.bool_]:
        """(n,) which documents match; they are compared as the JSON a server would hold, so both answer alike."""
        found = documents.read({one.field for one in self._conditions})
        held = [{**document, **self._named(id)} for id, document in zip(ids, found, strict=True)]
        for document in held[:_LOOKED_AT] if not self._unknown else held:
            self._look_at(document)
        for document in held if self._unmet else []:
            self._unmet = [one for one in self._unmet if not _has_comparable(document, one)]
        return mask(self._where, held)

    def check_values(self) -> None:
        """After all rows. Raises InvalidField for a field that none has, and for one that is compared with what none
        of its values can be compared with: numbers with text, dates with texts that are no dates."""
        self.check_columns()
        for one in self._unmet:
            values = [value for value in self._met[one.field] if value is not None]
            if values and not (one.field in self._months and any(map(_is_month, values))):
                self._check_order(one, values)

    def none_matches(self, documents: int) -> InvalidField:
        """The error about a filter that leaves nothing, with the values that there are."""
        fields = dict.fromkeys(one.field for one in self._conditions)
        there = [f"{field} has {_listed([*self._met[field]])}" for field in fields if self._met[field]]
        remedy = f"{'; '.join(there)}." if there else f"Its columns are {', '.join(self._columns[:_LISTED])}."
        remedy = " ".join([remedy, *dict.fromkeys(self._hints())])
        return InvalidField(self._option, f"matches none of {documents:,} documents", remedy=remedy)

    def _hints(self) -> Iterator[str]:
        """How conditions are written for what the values that were met seem to be."""
        for one in self._conditions:
            met = [value for value in self._met[one.field] if value is not None]
            texts = [value for value in met if isinstance(value, str) and value]
            if one.operator == "is_null" and one.value is True and "" in met:
                yield f'Empty cells are empty texts: {one.field}="".'
            wanted = one.value if isinstance(one.value, tuple) else (one.value,)
            odd = any(isinstance(v, str) and instant_of(v) is None and not _is_month(v) for v in wanted)
            if odd and texts and all(instant_of(text) is not None for text in texts):
                yield f"{one.field} holds dates: write a day as 2024-05-01, and a month as 2024-05."

    def _is_known(self, field: str) -> bool:
        names = {*self._columns, _ID}
        return any(path[0] in names for path in key_paths(field))

    def _named(self, id: str) -> dict[str, object]:
        """The id under its names; a number is found as one, and as text."""
        either = [int(id), id] if are_written_whole([id]) else id
        return {_ID: id} if self._id is None else {_ID: id, self._id: either}

    def _look_at(self, document: dict[str, object]) -> None:
        for field, met in self._met.items():
            there, value = find_field(document, field)
            if there:
                self._unknown.discard(field)
            for one in value if isinstance(value, list) else [value] if there else []:
                if len(met) < _LOOKED_AT and not isinstance(one, (dict, list)):
                    met[one] = None

    def _check_order(self, one: Condition, values: Sequence[object]) -> None:
        wanted = one.value
        kinds = {kind_of(value) for value in values}
        if kind_of(wanted) not in kinds:
            problem = f"compares {one.field!r} with {wanted!r}, and it holds {_listed(values)}"
            remedy = "Numbers compare with numbers, dates and texts with texts; = compares with any."
            raise InvalidField(self._option, problem, remedy=remedy)
        texts = [value for value in values if isinstance(value, str) and value]
        if isinstance(wanted, str) and instant_of(wanted) is None:
            if texts and all(instant_of(text) is not None for text in texts):
                problem = f"compares {one.field!r} with {wanted!r}, and it holds dates"
                raise InvalidField(self._option, problem, remedy="Write the date as 2024-05-01.")
        elif isinstance(wanted, str) and texts and all(instant_of(text) is None for text in texts):
            problem = f"compares {one.field!r} with a date, and it holds {_listed(texts)}"
            raise InvalidField(self._option, problem, remedy="Write the dates of the file as 2024-05-01.")

    def _no_column(self, field: str) -> InvalidField:
        near = close_names(field, self._columns, 3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        more = f" and {len(self._columns) - _LISTED} more" if len(self._columns) > _LISTED else ""
        remedy = f"Its columns are {', '.join(self._columns[:_LISTED])}{more}.{hint}"
        return InvalidField(self._option, f"names {field!r}, which is no column of the file", remedy=remedy)


def _conditions(where: Filter) -> Iterator[Condition]:
    if isinstance(where, Condition):
        yield where
        return
    for member in where.members:
        yield from _conditions(member)


def _is_month(value: object) -> bool:
    """Whether a text is a month such as 2024-05: a filter that names one compares with columns of months too."""
    return isinstance(value, str) and _MONTH.fullmatch(value) is not None


def _has_comparable(document: dict[str, object], one: Condition) -> bool:
    """Whether a value of the field can be compared: of the same kind, and of two texts both dates or none."""
    there, found = find_field(document, one.field)
    wanted = one.value
    for value in found if isinstance(found, list) else [found] if there else []:
        if isinstance(value, str) and isinstance(wanted, str):
            if value and (instant_of(value) is None) == (instant_of(wanted) is None):
                return True
        elif kind_of(value) == kind_of(wanted):
            return True
    return False


def _listed(values: Sequence[object]) -> str:
    """A few of the values, as they are written in a condition."""
    shown = [_short(value) for value in values[:_SHOWN]]
    return ", ".join(shown) + (" …" if len(values) > _SHOWN else "")


def _short(value: object) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

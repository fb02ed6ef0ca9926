"""Groups of documents and numbers about them (DocumentAggregationRequest).

    {"group_by": [{"field": "category"}], "aggregations": [{"function": "avg", "field": "price", "alias": "mean"}]}
    -> [{"group": {"category": "a"}, "metrics": {"mean": 2.5}}]

Numbers only count in `sum`, `avg`, and text or numbers in `min`, `max`; what does not fit is passed over, as missing
values are.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from shoal import deadline
from shoal.errors import InvalidField
from shoal.records.document import AggregateDocuments, Aggregation
from shoal.services.accumulators import ACCUMULATORS, Accumulator, Meter, identity_of
from shoal.storage.protocols.records import Json

__all__ = ["Aggregator", "fields_of"]

Columns: TypeAlias = Mapping[str, Sequence[Any]]
_MOST_BYTES: Final = 128 * 2**20
_GROUP_BYTES: Final = 400
_CELL_BYTES: Final = 200
"""What a group takes, and each of its numbers, until they are in the answer."""
_UNWOUND_AT_ONCE: Final = 1000


def fields_of(body: AggregateDocuments) -> list[str]:
    """Every field that has to be read, each once. Raises InvalidField for what Shoal does not offer."""
    for i, group in enumerate(body.group_by or []):
        if group.date_trunc or group.date_part:
            raise InvalidField(f"group_by[{i}]", "grouping by parts of dates is not supported")
    if body.range_buckets:
        raise InvalidField("range_buckets", "is not supported", remedy="Group by a field that holds the range.")
    wanted = [group.field for group in body.group_by or []]
    for i, item in enumerate(body.aggregations):
        field = _field_of(item)
        if field is None and item.function != "count":
            raise InvalidField(f"aggregations[{i}].field", f"is required for {item.function}")
        wanted += [field] if field is not None else []
    return list(dict.fromkeys([*wanted, *([body.unwind] if body.unwind else [])]))


class Aggregator:
    """Takes rows piece by piece and keeps what the answer needs of them, a bounded amount.

    `take` raises InvalidField where groups and values would take more than 128 MiB, and OutOfTime.
    """

    def __init__(self, body: AggregateDocuments, fields: Sequence[str]) -> None:
        self._body, self._fields = body, fields
        self._keys = [group.field for group in body.group_by or []]
        self._read = [_field_of(item) for item in body.aggregations]
        self._groups: dict[str, tuple[tuple[Any, ...], list[Accumulator]]] = {}
        self._meter = Meter(_MOST_BYTES)

    def take(self, rows: int, values: Sequence[Sequence[Any]]) -> None:
        """So many rows more: a column for each of the fields, None where a row lacks it."""
        deadline.check()
        columns = dict(zip(self._fields, values, strict=True))
        if self._body.unwind is None:
            self._add(rows, columns)
            return
        for row in range(rows):
            self._add_unwound({name: column[row] for name, column in columns.items()}, self._body.unwind)

    def results(self) -> list[Json]:
        """Rows `{group, metrics}`: filtered by `having`, sorted by `sort_by` (else by the group), at most `limit`."""
        names = [group.alias or group.field for group in self._body.group_by or []]
        aliases = [item.alias for item in self._body.aggregations]
        if not self._keys and not self._groups:
            self._group(())
        results: list[Json] = [
            {
                "group": dict(zip(names, key, strict=True)),
                "metrics": {alias: found.result() for alias, found in zip(aliases, accumulators, strict=True)},
            }
            for key, accumulators in self._groups.values()
        ]
        kept = [row for row in results if _passes(row["metrics"], self._body)]
        return _sorted(kept, self._body)[: self._body.limit]

    def _add(self, rows: int, columns: Columns) -> None:
        read = [None if field is None else columns[field] for field in self._read]
        for row in range(rows):
            accumulators = self._group(tuple(columns[field][row] for field in self._keys))
            for accumulator, column in zip(accumulators, read, strict=True):
                if column is None:
                    accumulator.add(True)
                elif (value := column[row]) is not None:
                    accumulator.add(value)

    def _add_unwound(self, row: Json, field: str) -> None:
        """One row for each element of the list in `field`; none where it has no elements."""
        value = row[field]
        elements = value if isinstance(value, list) else [] if value is None else [value]
        for start in range(0, len(elements), _UNWOUND_AT_ONCE):
            deadline.check()
            piece = elements[start : start + _UNWOUND_AT_ONCE]
            self._add(len(piece), {name: [one] * len(piece) for name, one in row.items()} | {field: piece})

    def _group(self, key: tuple[Any, ...]) -> list[Accumulator]:
        identity = identity_of(key)
        found = self._groups.get(identity)
        if found is None:
            self._meter.spend(_GROUP_BYTES + 2 * len(identity) + _CELL_BYTES * len(self._read))
            made = [ACCUMULATORS[item.function](self._meter) for item in self._body.aggregations]
            found = self._groups[identity] = (key, made)
        return found[1]


def _field_of(item: Aggregation) -> str | None:
    return item.distinct_field or item.field if item.function == "count_distinct" else item.field


_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "eq": operator.eq,
        "ne": operator.ne,
        "gt": operator.gt,
        "gte": operator.ge,
        "lt": operator.lt,
        "lte": operator.le,
    }
)


def _passes(metrics: Json, body: AggregateDocuments) -> bool:
    for i, test in enumerate(body.having or []):
        if test.field not in metrics:
            raise InvalidField(f"having[{i}].field", "is no alias of an aggregation", value=test.field)
        value = metrics[test.field]
        comparable = isinstance(value, (str, int, float)) and isinstance(value, str) == isinstance(test.value, str)
        if not comparable or not _COMPARE[test.operator](value, test.value):
            return False
    return True


def _sorted(results: list[Json], body: AggregateDocuments) -> list[Json]:
    """Ties, and all rows where no order was asked for, stand in the order of their groups."""
    ordered = sorted(results, key=lambda row: _rank(list(row["group"].values())))
    if body.sort_by is None:
        return ordered
    if results and body.sort_by not in {**results[0]["group"], **results[0]["metrics"]}:
        raise InvalidField("sort_by", "is neither a group field nor an alias", value=body.sort_by)
    with_value = [row for row in ordered if _value(row, body.sort_by) is not None]
    without = [row for row in ordered if _value(row, body.sort_by) is None]
    descending = body.sort_direction == "desc"
    return sorted(with_value, key=lambda row: _rank([_value(row, body.sort_by)]), reverse=descending) + without


def _value(row: Json, name: str | None) -> Any:
    return row["metrics"].get(name, row["group"].get(name))


def _rank(values: Sequence[Any]) -> list[tuple[int, Any]]:
    """An order over JSON values of any kind: numbers, then text, then the rest by their JSON, then missing ones."""
    return [_kind(value) for value in values]


def _kind(value: Any) -> tuple[int, Any]:
    if value is None:
        return 3, 0
    if isinstance(value, (bool, int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, identity_of(value))

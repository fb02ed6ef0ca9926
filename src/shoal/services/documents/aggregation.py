"""Aggregation of documents by groups (the wire's DocumentAggregationRequest).

    {"group_by": [{"field": "category"}], "aggregations": [{"function": "avg", "field": "price", "alias": "mean"}]}
    -> [{"group": {"category": "a"}, "metrics": {"mean": 2.5}}]

`sum` and `avg` use numbers only, `min` and `max` numbers or text; other values are ignored, as missing ones are.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from shoal import deadline
from shoal.errors import InvalidField
from shoal.records.documents.document import AggregateDocuments, Aggregation
from shoal.services.documents.accumulators import ACCUMULATORS, Accumulator, Meter, canonical_json
from shoal.storage.protocols.records import Json

__all__ = ["Aggregator", "list_input_fields"]

Columns: TypeAlias = Mapping[str, Sequence[Any]]
_MOST_BYTES: Final = 128 * 2**20
_GROUP_BYTES: Final = 400
_CELL_BYTES: Final = 200
"""The memory of a group, and of each of its accumulators, including the result."""
_UNWIND_CHUNK: Final = 1000


def list_input_fields(body: AggregateDocuments) -> list[str]:
    """Return the fields to read, without duplicates. Raises InvalidField for unsupported options."""
    for i, group in enumerate(body.group_by or []):
        if group.date_trunc or group.date_part:
            raise InvalidField(f"group_by[{i}]", "grouping by parts of dates is not supported")
    if body.range_buckets:
        raise InvalidField("range_buckets", "is not supported", remedy="Group by a field that holds the range.")
    fields = [group.field for group in body.group_by or []]
    for i, item in enumerate(body.aggregations):
        field = _input_field(item)
        if field is None and item.function != "count":
            raise InvalidField(f"aggregations[{i}].field", f"is required for {item.function}")
        fields += [field] if field is not None else []
    return list(dict.fromkeys([*fields, *([] if body.unwind is None else [body.unwind])]))


class Aggregator:
    """Aggregates rows chunk by chunk with bounded memory.

    `add_rows` raises InvalidField where groups and values would take more than 128 MiB, and OutOfTime.
    """

    def __init__(self, body: AggregateDocuments, fields: Sequence[str]) -> None:
        self._body, self._fields = body, fields
        self._keys = [group.field for group in body.group_by or []]
        self._inputs = [_input_field(item) for item in body.aggregations]
        self._groups: dict[str, tuple[tuple[Any, ...], list[Accumulator]]] = {}
        self._meter = Meter(_MOST_BYTES)

    def add_rows(self, rows: int, values: Sequence[Sequence[Any]]) -> None:
        """Add rows, given as one column for each of the fields, with None where a row lacks it."""
        deadline.check()
        columns = dict(zip(self._fields, values, strict=True))
        if self._body.unwind is None:
            self._add(rows, columns)
            return
        for row in range(rows):
            self._unwind({name: column[row] for name, column in columns.items()}, self._body.unwind)

    def results(self) -> list[Json]:
        """Return rows `{group, metrics}`: filtered by `having`, sorted by `sort_by` (else by the group), at most
        `limit`."""
        names = [group.alias or group.field for group in self._body.group_by or []]
        aliases = [item.alias for item in self._body.aggregations]
        if not self._keys and not self._groups:
            self._group(())
        results: list[Json] = [
            {
                "group": dict(zip(names, key, strict=True)),
                "metrics": {
                    alias: accumulator.result() for alias, accumulator in zip(aliases, accumulators, strict=True)
                },
            }
            for key, accumulators in self._groups.values()
        ]
        passing = [row for row in results if _passes(row["metrics"], self._body)]
        return _sort_rows(passing, self._body)[: self._body.limit]

    def _add(self, rows: int, columns: Columns) -> None:
        inputs = [None if field is None else columns[field] for field in self._inputs]
        for row in range(rows):
            accumulators = self._group(tuple(columns[field][row] for field in self._keys))
            for accumulator, column in zip(accumulators, inputs, strict=True):
                if column is None:
                    accumulator.add(True)
                elif (value := column[row]) is not None:
                    accumulator.add(value)

    def _unwind(self, row: Json, field: str) -> None:
        """Add one row for each element of the list in `field`; none where it is empty."""
        value = row[field]
        elements = value if isinstance(value, list) else [] if value is None else [value]
        for start in range(0, len(elements), _UNWIND_CHUNK):
            deadline.check()
            chunk = elements[start : start + _UNWIND_CHUNK]
            self._add(len(chunk), {name: [value] * len(chunk) for name, value in row.items()} | {field: chunk})

    def _group(self, key: tuple[Any, ...]) -> list[Accumulator]:
        identity = canonical_json(key)
        group = self._groups.get(identity)
        if group is None:
            self._meter.spend(_GROUP_BYTES + 2 * len(identity) + _CELL_BYTES * len(self._inputs))
            accumulators = [ACCUMULATORS[item.function](self._meter) for item in self._body.aggregations]
            group = self._groups[identity] = (key, accumulators)
        return group[1]


def _input_field(item: Aggregation) -> str | None:
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
    for i, condition in enumerate(body.having or []):
        if condition.field not in metrics:
            raise InvalidField(f"having[{i}].field", "is not the alias of an aggregation", value=condition.field)
        value = metrics[condition.field]
        comparable = isinstance(value, (str, int, float)) and isinstance(value, str) == isinstance(condition.value, str)
        if not comparable or not _COMPARE[condition.operator](value, condition.value):
            return False
    return True


def _sort_rows(results: list[Json], body: AggregateDocuments) -> list[Json]:
    """Sort the rows as requested; ties, and all rows without a requested order, by their groups."""
    ordered = sorted(results, key=lambda row: _sort_keys(list(row["group"].values())))
    if body.sort_by is None:
        return ordered
    if results and body.sort_by not in {**results[0]["group"], **results[0]["metrics"]}:
        raise InvalidField("sort_by", "is neither a group field nor an alias", value=body.sort_by)
    with_value = [row for row in ordered if _value(row, body.sort_by) is not None]
    without = [row for row in ordered if _value(row, body.sort_by) is None]
    descending = body.sort_direction == "desc"
    return sorted(with_value, key=lambda row: _sort_keys([_value(row, body.sort_by)]), reverse=descending) + without


def _value(row: Json, name: str | None) -> Any:
    return row["metrics"].get(name, row["group"].get(name))


def _sort_keys(values: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return sort keys for JSON values of any kind: numbers, then text, then others by their JSON, then missing
    ones."""
    return [_sort_key(value) for value in values]


def _sort_key(value: Any) -> tuple[int, Any]:
    if value is None:
        return 3, 0
    if isinstance(value, (bool, int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, canonical_json(value))

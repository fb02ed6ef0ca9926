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

import orjson

from shoal.errors import InvalidField
from shoal.records.document import AggregateDocuments, Aggregation
from shoal.storage.base import Json

__all__ = ["aggregate", "fields_of"]

Values: TypeAlias = list[Any]
Columns: TypeAlias = Mapping[str, Sequence[Any]]
_MOST_LISTED: Final = 10_000


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


def aggregate(rows: int, columns: Columns, body: AggregateDocuments) -> list[Json]:
    """Rows `{group, metrics}`: filtered by `having`, sorted by `sort_by` (else by the group), at most `limit`.

    `columns[field]` holds one value a row, None where it is missing.
    """
    if body.unwind:
        rows, columns = _unwound(rows, columns, body.unwind)
    groups = _grouped(rows, columns, [group.field for group in body.group_by or []])
    names = [group.alias or group.field for group in body.group_by or []]
    results: list[Json] = [
        {
            "group": dict(zip(names, key, strict=True)),
            "metrics": {item.alias: _metric(item, members, columns) for item in body.aggregations},
        }
        for key, members in groups
    ]
    kept = [row for row in results if _passes(row["metrics"], body)]
    return _sorted(kept, body)[: body.limit]


def _field_of(item: Aggregation) -> str | None:
    return item.distinct_field or item.field if item.function == "count_distinct" else item.field


def _unwound(rows: int, columns: Columns, field: str) -> tuple[int, Columns]:
    """One row for each element of the list in `field`; rows without elements vanish."""
    lists = [value if isinstance(value, list) else [] if value is None else [value] for value in columns[field]]
    source = [row for row in range(rows) for _ in lists[row]]
    taken: dict[str, Sequence[Any]] = {name: [values[row] for row in source] for name, values in columns.items()}
    taken[field] = [element for elements in lists for element in elements]
    return len(source), taken


def _grouped(rows: int, columns: Columns, fields: Sequence[str]) -> list[tuple[tuple[Any, ...], list[int]]]:
    groups: dict[bytes, tuple[tuple[Any, ...], list[int]]] = {}
    for row in range(rows):
        key = tuple(columns[field][row] for field in fields)
        groups.setdefault(_identity(key), (key, []))[1].append(row)
    if not fields and not groups:
        return [((), [])]
    return list(groups.values())


def _metric(item: Aggregation, members: Sequence[int], columns: Columns) -> Any:
    field = _field_of(item)
    if field is None:
        return len(members)
    column = columns[field]
    return _FUNCTIONS[item.function]([value for row in members if (value := column[row]) is not None])


def _numbers(values: Values) -> Values:
    return [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]


def _extreme(choose: Callable[[Values], Any]) -> Callable[[Values], Any]:
    def chosen(values: Values) -> Any:
        comparable = _numbers(values) or [value for value in values if isinstance(value, str)]
        return choose(comparable) if comparable else None

    return chosen


def _sum(values: Values) -> float:
    """As a float where it is an integer that no reader of JSON can hold."""
    total: int | float = sum(_numbers(values))
    return total if -(2**63) <= total < 2**63 else float(total)


def _mean(values: Values) -> float | None:
    numbers = _numbers(values)
    return sum(numbers) / len(numbers) if numbers else None


def _identity(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _distinct(values: Values) -> Values:
    return list({_identity(value): value for value in values}.values())


_FUNCTIONS: Final[Mapping[str, Callable[[Values], Any]]] = MappingProxyType(
    {
        "count": len,
        "count_distinct": lambda values: len(_distinct(values)),
        "sum": _sum,
        "avg": _mean,
        "min": _extreme(min),
        "max": _extreme(max),
        "first": lambda values: values[0] if values else None,
        "last": lambda values: values[-1] if values else None,
        "push": lambda values: values[:_MOST_LISTED],
        "add_to_set": lambda values: _distinct(values)[:_MOST_LISTED],
    }
)
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
    return (1, value) if isinstance(value, str) else (2, _identity(value))

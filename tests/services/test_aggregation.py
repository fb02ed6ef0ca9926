"""Aggregates computed in batches, compared with the same figures computed from all rows at once."""

import math
import random
from typing import Any

import psutil
import pytest

from shoal.errors import InvalidField
from shoal.records.documents.document import AggregateDocuments
from shoal.services.documents import aggregation
from shoal.services.documents.aggregation import Aggregator, list_input_fields

FUNCTIONS = ["count", "count_distinct", "sum", "avg", "min", "max", "first", "last", "push", "add_to_set"]


def asked(**more: Any) -> AggregateDocuments:
    wanted = [{"function": name, "field": "x", "alias": name} for name in FUNCTIONS]
    return AggregateDocuments.model_validate({"aggregations": wanted, **more})


def results(body: AggregateDocuments, rows: list[dict[str, Any]], piece: int) -> list[dict[str, Any]]:
    fields = list_input_fields(body)
    aggregator = Aggregator(body, fields)
    for start in range(0, len(rows), piece):
        part = rows[start : start + piece]
        aggregator.add_rows(len(part), [[row.get(field) for row in part] for field in fields])
    return aggregator.results()


def expected(values: list[Any]) -> dict[str, Any]:
    numbers = [value for value in values if type(value) in (int, float)]
    texts = [value for value in values if isinstance(value, str)]
    comparable: list[Any] = numbers or texts
    distinct = list({repr(value): value for value in values}.values())
    return {
        "count": len(values), "count_distinct": len(distinct), "sum": pytest.approx(math.fsum(numbers)),
        "avg": pytest.approx(math.fsum(numbers) / len(numbers)) if numbers else None,
        "min": min(comparable) if comparable else None, "max": max(comparable) if comparable else None,
        "first": values[0] if values else None, "last": values[-1] if values else None,
        "push": values, "add_to_set": distinct,
    }  # fmt: skip


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_group_aggregates_do_not_depend_on_the_batches_read(seed: int, piece: int) -> None:
    rng = random.Random(seed)
    choice: list[Any] = [None, 1, 2.5, -1e16, 1e16, "a", "b", True, [1, "a"], {"k": 1}]
    rows = [{"g": rng.choice(["one", "two", None]), "x": rng.choice(choice)} for _ in range(200)]

    found = {row["group"]["g"]: row["metrics"] for row in results(asked(group_by=[{"field": "g"}]), rows, piece)}

    for group in ("one", "two", None):
        assert found[group] == expected([row["x"] for row in rows if row["g"] == group and row["x"] is not None])


def test_an_unwound_list_counts_once_for_each_element() -> None:
    rows = [{"x": n, "tags": ["a"] * (n % 3) + ["b"]} for n in range(3000)] + [{"x": 1, "tags": list("c" * 2500)}]

    found = results(asked(unwind="tags", group_by=[{"field": "tags"}]), rows, 500)

    counts = {row["group"]["tags"]: row["metrics"]["count"] for row in found}
    assert counts == {"a": 3000, "b": 3000, "c": 2500}


def test_integers_are_summed_exactly() -> None:
    found = results(asked(), [{"x": 2**53}, {"x": 1}, {"x": 1}], 1)

    assert found[0]["metrics"]["sum"] == 2**53 + 2


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ({"group_by": [{"field": "x"}]}, [{"x": n} for n in range(5000)]),
        ({}, [{"x": str(n) * 100} for n in range(5000)]),
        ({"unwind": "x", "group_by": [{"field": "x"}]}, [{"x": list(range(5000))}]),
    ],
    ids=["groups", "values", "elements"],
)
def test_too_many_groups_or_values_are_rejected(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(aggregation, "_MOST_BYTES", 2**20)

    with pytest.raises(InvalidField, match="more than 1 MiB"):
        results(asked(**more), rows, 100)


@pytest.mark.slow
def test_an_aggregate_uses_no_more_memory_than_it_accounts_for() -> None:
    names = ("count_distinct", "sum", "push", "add_to_set")
    wanted = [{"function": names[n % 4], "field": f"f{n}", "alias": f"a{n}"} for n in range(64)]
    body = AggregateDocuments.model_validate({"group_by": [{"field": "n"}], "aggregations": wanted})
    process = psutil.Process()
    before = process.memory_info().rss

    aggregator = Aggregator(body, fields := list_input_fields(body))

    def take_all() -> None:
        for start in range(0, 20_000, 200):
            part = [{"n": n, **{f"f{field}": n * field for field in range(64)}} for n in range(start, start + 200)]
            aggregator.add_rows(len(part), [[row[field] for row in part] for field in fields])

    with pytest.raises(InvalidField, match="more than 128 MiB"):
        take_all()

    assert process.memory_info().rss - before < 200 * 2**20

"""Bounds on Python callbacks and memory of filters and bulk updates, measured without a clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from shoal.columns import DocumentBatch
from shoal.records.queries.filters import parse_filter
from shoal.records.scope import Scope
from shoal.storage.filters import to_sql
from shoal.storage.sqlite.documents import changes as document_changes
from shoal.storage.sqlite.documents.store import SqliteDocuments

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SCOPE = Scope("org", "ns")
COUNT = 300


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts passed to the Python function."""
    asked: list[str] = []
    usual = to_sql._element

    def element(condition: str, text: str) -> bool:
        asked.append(text)
        return usual(condition, text)

    functions = [(name, n, element if name == "shoal_element" else f) for name, n, f in to_sql._FUNCTIONS]
    monkeypatch.setattr(to_sql, "_FUNCTIONS", functions)
    return asked


@pytest.fixture
def store(asked: list[str], tmp_path: Path) -> Iterator[SqliteDocuments]:
    store = SqliteDocuments(tmp_path)
    payloads = [orjson.dumps({"text": f"日本語の文書 {n} red apple", "n": n}) for n in range(COUNT)]
    store.write(SCOPE, "c", [DocumentBatch([f"d{n:05}" for n in range(COUNT)], payloads, {})], now=NOW)
    yield store
    store.close()


@pytest.mark.parametrize("operator", ["phrase", "words"])
@pytest.mark.parametrize(
    ("value", "most"), [("日本語" * 1000, 0), ("train", 0), ("日本語 train", 0), ("red apple", COUNT)]
)
def test_python_is_called_only_for_texts_that_may_contain_the_words(
    store: SqliteDocuments, asked: list[str], operator: str, value: str, most: int
) -> None:
    found = store.count(SCOPE, "c", parse_filter({"field": "text", "operator": operator, "value": value}))

    assert found == len(asked) == most


def test_bulk_updates_proceed_a_few_megabytes_at_a_time(
    store: SqliteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_changes, "_CHANGED_CHARACTERS", 500)
    pieces: list[int] = []
    usual = document_changes.Change._put_into

    def put(self: Any, rows: Any, *rest: Any) -> None:
        pieces.append(len(rows))
        usual(self, rows, *rest)

    monkeypatch.setattr(document_changes.Change, "_put_into", put)
    everything = parse_filter({"field": "n", "operator": "gte", "value": 0})

    assert store.update_where(SCOPE, "c", everything, {"seen": True}, now=NOW) == COUNT
    assert store.update(SCOPE, "c", [("d00001", {"a": 1}), ("d00002", {"a": 1}), ("d00001", {"a": 2})], now=NOW) == [
        "d00001",
        "d00002",
    ]

    assert sum(pieces) == COUNT + 2 and max(pieces) < 20
    assert store.count(SCOPE, "c", parse_filter({"field": "seen", "operator": "eq", "value": True})) == COUNT
    first, second = (found.payload["a"] for found in store.get(SCOPE, "c", ["d00001", "d00002"]) if found)
    assert (first, second) == (2, 1)

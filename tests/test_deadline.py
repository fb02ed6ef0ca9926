"""Deadlines, and what they do to queries and writes of the document store. No clock is watched: the time is over."""

from collections.abc import Iterator
from contextvars import copy_context
from datetime import UTC, datetime

import orjson
import pytest

from shoal import deadline
from shoal.columns import DocumentBatch
from shoal.errors import OutOfTime
from shoal.records.queries.filters import Filter, parse_filter
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.store import SqliteDocuments

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SCOPE = Scope("org", "ns")
COUNT = 4000
NO_TIME = 1e-9
FILTERS: list[Filter] = [
    parse_filter({"field": "text", "operator": "regex", "value": "q+z"}),
    parse_filter({"field": "text", "operator": "words", "value": "zug"}),
    parse_filter({"field": "n", "operator": "lt", "value": -1}),
    parse_filter({"NOT": [{"field": "text", "operator": "contains", "value": "a"}]}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDocuments]:
    store = SqliteDocuments(tmp_path_factory.mktemp("store"))
    payloads = [orjson.dumps({"n": n, "text": f"a train to city {n}"}) for n in range(COUNT)]
    store.write(SCOPE, "c", [DocumentBatch([f"d{n:05}" for n in range(COUNT)], payloads, {})], now=NOW)
    yield store
    store.close()


@pytest.mark.parametrize("filter", FILTERS)
def test_a_query_whose_time_is_over_is_interrupted_and_the_store_goes_on(
    store: SqliteDocuments, filter: Filter
) -> None:
    with deadline.within(NO_TIME), pytest.raises(OutOfTime, match="SHOAL_REQUEST_SECONDS"):
        store.find(SCOPE, "c", Query(filter, page=Page(include_total=True)))

    assert store.count(SCOPE, "c") == COUNT


@pytest.mark.parametrize("field", ["text", "n"])
def test_values_are_not_read_on_when_the_time_is_over(store: SqliteDocuments, field: str) -> None:
    with deadline.within(NO_TIME), pytest.raises(OutOfTime):
        store.distinct(SCOPE, "c", field, parse_filter(None), 10)
    with deadline.within(NO_TIME), pytest.raises(OutOfTime):
        store.each_fields(SCOPE, "c", [field], lambda rows, values: None)


def test_a_write_whose_time_is_over_stores_nothing(store: SqliteDocuments) -> None:
    with deadline.within(NO_TIME), pytest.raises(OutOfTime):
        store.update_where(SCOPE, "c", parse_filter({"field": "n", "operator": "gte", "value": 0}), {"x": 1}, now=NOW)

    assert store.count(SCOPE, "c", parse_filter({"field": "x", "operator": "exists", "value": True})) == 0


def test_what_follows_a_write_that_was_stored_is_finished(store: SqliteDocuments) -> None:
    def change() -> int:
        with deadline.within(3600):
            store.update(SCOPE, "c", [("d00000", {"y": 1})], now=NOW)
            assert not deadline.is_over()
            with deadline.within(NO_TIME):  # sooner, but of a part
                assert deadline.is_over()
            return store.count(SCOPE, "c", FILTERS[0])

    assert copy_context().run(change) == 0


def test_the_earlier_end_counts_and_a_suspended_deadline_has_none() -> None:
    with deadline.within(NO_TIME), deadline.within(3600):
        assert deadline.is_over()
        with deadline.suspend():
            deadline.check()
        with pytest.raises(OutOfTime):
            deadline.check()
    with deadline.within(0):
        deadline.check()
    deadline.check()

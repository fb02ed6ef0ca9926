"""Every document store gives the same results for any filter, any order and any series of writes with failures."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shoal.columns import DocumentBatch
from shoal.errors import Unavailable
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Page, Sort
from shoal.records.scope import Scope
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.memory.faults import Faults
from shoal.storage.protocols.documents import DocumentStore, Write, WriteCount
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.store import SqliteDocuments
from storage.test_filters import aimed, fields

SCOPE, COL = Scope("org_1", "ns_1"), "col_1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Answer = TypeVar("Answer")
_folder = tempfile.TemporaryDirectory(prefix="shoal-agree-")
_store = SqliteDocuments(Path(_folder.name))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(aimed(), st.lists(st.tuples(fields, st.booleans()), max_size=2), st.integers(0, 2))
def test_any_filter_order_and_page_find_the_same_documents(
    case: tuple[list[dict[str, Any]], Filter], order: list[tuple[str, bool]], offset: int
) -> None:
    bodies, wanted = case
    batch = DocumentBatch([f"Doc_{n}" for n in range(len(bodies))], [orjson.dumps(body) for body in bodies])
    memory = MemoryDocuments()
    sorts = [Sort(field, descending) for field, descending in order]
    query = Query(filter=wanted, sort=sorts, page=Page(limit=2, offset=offset, include_total=True))

    def answers(store: DocumentStore) -> list[object]:
        store.drop_namespace(SCOPE)
        store.write(SCOPE, COL, [batch], now=NOW)
        found = store.find(SCOPE, COL, query)
        return [
            [(one.document_id, one.payload) for one in found.items],
            (found.total, found.more, store.count(SCOPE, COL, wanted)),
            store.load_fields(SCOPE, [COL], [field for field, _ in order], filter=wanted),
            [store.distinct(SCOPE, COL, field, MATCH_ALL, 9) for field, _ in order],
        ]

    assert answers(memory) == answers(_store)


class WithFailures(RuleBasedStateMachine):
    """Compare with a dict a store that fails at one step in six, while callers retry failed writes under their keys."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults(rate=1 / 6, seed=7)
        self.store = MemoryDocuments(faults=self.faults)
        self.model: dict[str, int] = {}
        self.names = 0

    def repeated(self, call: Callable[[Write], Answer]) -> Answer:
        """Retry a call until it succeeds, repeat it once more, and return the result."""
        self.names += 1
        name = Write(f"w{self.names}", NOW)
        answers: list[Answer] = []
        while len(answers) < 2:
            try:
                answers.append(call(name))
            except Unavailable:
                continue
        assert answers[0] == answers[1]
        return answers[0]

    @rule(numbers=st.lists(st.integers(0, 9), max_size=6, unique=True), value=st.integers(0, 5))
    def write(self, numbers: list[int], value: int) -> None:
        ids = [f"d{n}" for n in numbers]
        batches = [DocumentBatch([id], [orjson.dumps({"n": value})]) for id in ids]

        known = len(self.model.keys() & set(ids))
        count = self.repeated(lambda name: self.store.write(SCOPE, COL, batches, now=NOW, write=name))

        assert count == WriteCount(len(ids) - known, known)
        self.model |= dict.fromkeys(ids, value)

    @rule(value=st.integers(0, 5))
    def update_all(self, value: int) -> None:
        update = {"n": value}
        changed = self.repeated(
            lambda name: self.store.update_where(SCOPE, COL, MATCH_ALL, update, now=NOW, write=name)
        )

        assert changed == len(self.model)
        self.model = dict.fromkeys(self.model, value)

    @rule(numbers=st.lists(st.integers(0, 9), max_size=4, unique=True))
    def delete(self, numbers: list[int]) -> None:
        ids = [f"d{n}" for n in numbers]
        gone = self.repeated(lambda name: self.store.delete(SCOPE, COL, ids, write=name))

        assert gone == [id for id in ids if id in self.model]
        self.model = {id: value for id, value in self.model.items() if id not in gone}

    @invariant()
    def the_store_holds_what_the_dict_holds(self) -> None:
        found = self.store.find(SCOPE, COL, Query(page=Page(limit=100))).items
        assert {one.document_id: one.payload["n"] for one in found} == self.model


WithFailures.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
test_any_series_of_writes_that_fail_and_are_repeated_is_done_once = WithFailures.TestCase

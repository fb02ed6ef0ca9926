"""Repeated document writes: idempotent under a name, retried after a failure at any step, and cluster results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import AlreadyExists, Conflict, Unavailable
from shoal.records.queries.filters import MATCH_ALL, Condition, parse_filter
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.memory.faults import Faults
from shoal.storage.protocols.documents import DocumentStore, Results, Write, WriteWithdrawn
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite import connection
from shoal.storage.sqlite.documents.store import SqliteDocuments

COL = "col_1"
Shown = dict[str, Any]


@dataclass
class Opened:
    """A store, and a context manager that makes the n-th step inside its block fail."""

    store: DocumentStore
    failing: Callable[[int], AbstractContextManager[None]]


@pytest.fixture(params=["sqlite", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Each document store."""
    made = _sqlite(tmp_path) if request.param == "sqlite" else _memory()
    yield made
    made.store.close()


@pytest.fixture
def store(opened: Opened) -> DocumentStore:
    return opened.store


def _sqlite(folder: Path) -> Opened:
    """Its steps are SQL statements, including the commit."""
    store = SqliteDocuments(folder / "documents")

    @contextmanager
    def failing(at: int) -> Iterator[None]:
        passed, real = 0, connection.Cursor.execute

        def execute(cursor: Any, statement: str, parameters: Any = ()) -> Any:
            nonlocal passed
            passed += 1
            if passed == at:
                raise Unavailable(f"failed before {statement}")
            return real(cursor, statement, parameters)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(connection.Cursor, "execute", execute)
            yield

    return Opened(store, failing)


def _memory() -> Opened:
    faults = Faults()

    @contextmanager
    def failing(at: int) -> Iterator[None]:
        faults.passed, faults.at = 0, at
        yield
        faults.at = 0

    return Opened(MemoryDocuments(faults=faults), failing)


def batch(*numbers: int, **fields: object) -> DocumentBatch:
    ids = [f"d{n:02d}" for n in numbers]
    values = np.array([[n, 1.0] for n in numbers], dtype=np.float32).reshape(len(numbers), 2)
    payloads = [orjson.dumps({"n": n, "odd": n % 2 == 1, **fields}) for n in numbers]
    return DocumentBatch(ids, payloads, {"v": VectorColumn(np.arange(len(numbers)), values)})


def shown(store: DocumentStore, scope: Scope) -> Shown:
    """Everything a reader sees of the collection."""
    found = store.find(scope, COL, Query(page=Page(limit=1000)), vectors="all").items
    return {
        one.document_id: (one.payload, one.created_at, one.updated_at, {n: v.tolist() for n, v in one.vectors.items()})
        for one in found
    }


Call = Callable[[DocumentStore, Scope, datetime, Write | None], object]
CALLS: dict[str, Call] = {
    "write": lambda store, scope, now, write: store.write(
        scope, COL, iter([batch(1, 2, more=1), batch(20, 21)]), now=now, write=write
    ),
    "update": lambda store, scope, now, write: store.update(
        scope, COL, [("d01", {"a": 1}), ("d99", {"a": 1}), ("d02", {"a": 2})], now=now, vectors=batch(1, 2), write=write
    ),
    "update_where": lambda store, scope, now, write: store.update_where(
        scope, COL, parse_filter({"odd": True}), {"odd": False}, now=now, write=write
    ),
    "delete": lambda store, scope, now, write: store.delete(scope, COL, ["d01", "d99", "d03"], write=write),
    "delete_where": lambda store, scope, now, write: store.delete_where(
        scope, COL, parse_filter({"odd": True}), write=write
    ),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


def test_a_named_write_is_applied_once_and_repeats_return_the_same_result(
    store: DocumentStore, scope: Scope, now: datetime, call: Call
) -> None:
    store.write(scope, COL, [batch(*range(8))], now=now)
    later, name = now + timedelta(hours=1), Write("w1", now)
    first = call(store, scope, later, name)
    store.write(scope, COL, [batch(1, 3, edited=True)], now=later)
    between = shown(store, scope)

    again = call(store, scope, later + timedelta(hours=1), name)

    assert again == first and type(again) is type(first)
    assert shown(store, scope) == between


def test_a_name_is_unique_within_its_namespace(store: DocumentStore, scope: Scope, now: datetime) -> None:
    name, other = Write("w1", now), Scope(scope.organization_id, "ns_other")

    counts = [store.write(one, COL, [batch(1)], now=now, write=name).inserted for one in (scope, other, scope)]

    assert counts == [1, 1, 1]
    assert store.count(other, COL) == store.count(scope, COL) == 1


def test_an_expired_name_can_be_reused(store: DocumentStore, scope: Scope, now: datetime) -> None:
    old, young = Write("old", now), Write("young", now + timedelta(hours=2))
    for name in (old, young):
        store.write(scope, COL, [batch(1)], now=now, write=name)

    store.forget_writes(scope, now + timedelta(hours=1))
    store.delete(scope, COL, ["d01"])

    assert store.write(scope, COL, [batch(1)], now=now, write=young).replaced == 1
    assert store.count(scope, COL) == 0
    assert store.write(scope, COL, [batch(1)], now=now, write=old).inserted == 1
    assert store.count(scope, COL) == 1


def test_a_rejected_write_does_not_use_up_its_name(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [batch(1)], now=now)
    name = Write("w1", now)
    with pytest.raises(AlreadyExists):
        store.write(scope, COL, [batch(2, 1)], now=now, on_conflict="fail", write=name)
    store.delete(scope, COL, ["d01"])

    assert store.write(scope, COL, [batch(2, 1)], now=now, on_conflict="fail", write=name).inserted == 2


def test_a_withdrawn_write_stores_nothing(store: DocumentStore, scope: Scope, now: datetime, call: Call) -> None:
    store.write(scope, COL, [batch(*range(8))], now=now)
    before, name = shown(store, scope), Write("w1", now)

    assert [store.withdraw_write(scope, name) for _ in range(2)] == [True, True]

    for _ in range(2):
        with pytest.raises(WriteWithdrawn, match="w1"):
            call(store, scope, now + timedelta(hours=1), name)
    assert shown(store, scope) == before
    call(store, scope, now + timedelta(hours=1), Write("w2", now))
    assert shown(store, scope) != before


def test_a_completed_write_cannot_be_withdrawn(store: DocumentStore, scope: Scope, now: datetime, call: Call) -> None:
    store.write(scope, COL, [batch(*range(8))], now=now)
    name = Write("w1", now)
    first = call(store, scope, now + timedelta(hours=1), name)

    assert [store.withdraw_write(scope, name) for _ in range(2)] == [False, False]

    assert call(store, scope, now + timedelta(hours=1), name) == first


def test_a_write_that_would_create_its_namespace_can_be_withdrawn(
    store: DocumentStore, scope: Scope, now: datetime, call: Call
) -> None:
    assert store.withdraw_write(scope, Write("w1", now))

    with pytest.raises(WriteWithdrawn):
        call(store, scope, now, Write("w1", now))
    assert shown(store, scope) == {}


def test_a_withdrawal_expires_by_its_own_age(store: DocumentStore, scope: Scope, now: datetime) -> None:
    name, later = Write("w1", now), now + timedelta(hours=2)
    store.withdraw_write(scope, Write("w1", later))

    store.forget_writes(scope, now + timedelta(hours=1))
    with pytest.raises(WriteWithdrawn):
        store.write(scope, COL, [batch(1)], now=now, write=name)
    store.forget_writes(scope, later + timedelta(hours=1))

    assert store.write(scope, COL, [batch(1)], now=now, write=name).inserted == 1


def test_a_withdrawal_that_fails_at_any_step_can_be_repeated(opened: Opened, scope: Scope, now: datetime) -> None:
    store, failed, number = opened.store, 0, 0
    store.write(scope, COL, [batch(0)], now=now)
    while failed == number:
        number += 1
        name = Write(f"w{number}", now)
        try:
            with opened.failing(number):
                store.withdraw_write(scope, name)
        except Unavailable:
            failed += 1

        assert store.withdraw_write(scope, name)
        with pytest.raises(WriteWithdrawn):
            store.write(scope, COL, [batch(number)], now=now, write=name)

    assert failed > 1


def test_a_failure_at_any_step_stores_all_documents_or_none_and_a_retry_applies_it_once(
    opened: Opened, scope: Scope, now: datetime, call: Call
) -> None:
    store, failed, number = opened.store, 0, 0
    later = now + timedelta(hours=1)
    while failed == number:
        number += 1
        store.drop_collection(scope, COL)
        store.write(scope, COL, [batch(*range(8))], now=now)
        before = shown(store, scope)
        name = Write(f"w{number}", now)
        try:
            with opened.failing(number):
                call(store, scope, later, name)
        except Unavailable:
            failed += 1
        between = shown(store, scope)
        again = call(store, scope, later, name)
        after = shown(store, scope)

        assert between in (before, after), f"step {number}"
        store.drop_collection(scope, COL)
        store.write(scope, COL, [batch(*range(8))], now=now)
        assert again == call(store, scope, later, None)
        assert after == shown(store, scope)

    assert failed > 2


def test_a_bulk_write_that_fails_between_two_batches_stores_nothing(
    opened: Opened, scope: Scope, now: datetime
) -> None:
    def batches() -> Iterator[DocumentBatch]:
        yield batch(*range(30))
        raise Unavailable("the reader of the file ended")

    with pytest.raises(Unavailable):
        opened.store.write(scope, COL, batches(), now=now, write=Write("w1", now))

    assert shown(opened.store, scope) == {}
    assert opened.store.vector_dimensions(scope) == {}
    assert opened.store.write(scope, COL, [batch(1)], now=now, write=Write("w1", now)).inserted == 1


# ── cluster results ──────────────────────────────────────────────────────────────────────────────────────────────────

RUN = Results(id="run_1:col:x", cluster_id="clust_1", run_id="run_1", sequence=1, by_run=True, target=COL)
NEXT = replace(RUN, id="run_2:col:x", run_id="run_2", sequence=2)


def labelled(*numbers: int, label: str = "red") -> list[tuple[str, Shown]]:
    return [(f"d{n:02d}", {"about": {"label": label}, "cluster": n % 3}) for n in numbers]


def write_results(
    store: DocumentStore,
    scope: Scope,
    now: datetime,
    results: Results,
    numbers: Sequence[int],
    step: int = 1,
    **how: str,
) -> list[str]:
    return store.write_results(scope, results, labelled(*numbers, **how), step=step, now=now)


def label_of(store: DocumentStore, scope: Scope, number: int) -> object:
    (found,) = store.get(scope, COL, [f"d{number:02d}"])
    assert found is not None
    return found.payload.get("about", {}).get("label")


@pytest.fixture
def filled(store: DocumentStore, scope: Scope, now: datetime) -> DocumentStore:
    """Six documents, an hour old."""
    store.write(scope, COL, [batch(*range(6))], now=now - timedelta(hours=1))
    return store


def clear(store: DocumentStore, scope: Scope, now: datetime, results: Results) -> None:
    after: str | None = ""
    while after is not None:
        after = store.clear_results(scope, results, after=after, now=now)


def test_rewriting_a_step_changes_nothing(filled: DocumentStore, scope: Scope, now: datetime) -> None:
    assert write_results(filled, scope, now, RUN, [0, 1, 9]) == ["d00", "d01"]
    filled.update(scope, COL, [("d01", {"about": {"label": "mine"}})], now=now)
    before = shown(filled, scope)

    again = write_results(filled, scope, now + timedelta(hours=1), RUN, [0, 1, 9])

    assert again == ["d00", "d01"]
    assert shown(filled, scope) == before and label_of(filled, scope, 1) == "mine"


def test_a_later_step_writes_only_differences(filled: DocumentStore, scope: Scope, now: datetime) -> None:
    write_results(filled, scope, now, RUN, [0, 1], step=2)
    filled.update(scope, COL, [("d01", {"about": {"label": "mine"}})], now=now)
    later = now + timedelta(hours=1)

    write_results(filled, scope, later, RUN, [0, 1], step=8)

    assert label_of(filled, scope, 1) == "red"
    assert [shown(filled, scope)[id][2] for id in ("d00", "d01")] == [now, later]
    write_results(filled, scope, later, RUN, [1], step=3, label="late")
    assert label_of(filled, scope, 1) == "red"


def test_an_earlier_run_never_overwrites_a_later_one(filled: DocumentStore, scope: Scope, now: datetime) -> None:
    write_results(filled, scope, now, NEXT, [0], label="later")
    before = shown(filled, scope)

    for attempt in (lambda: write_results(filled, scope, now, RUN, [3]), lambda: clear(filled, scope, now, RUN)):
        with pytest.raises(Conflict, match="later run, run_2; those of run_1 were not written"):
            attempt()

    assert shown(filled, scope) == before


def test_a_run_without_results_supersedes_the_earlier_one_once_it_has_cleared(
    filled: DocumentStore, scope: Scope, now: datetime
) -> None:
    write_results(filled, scope, now, RUN, [0])

    clear(filled, scope, now, replace(NEXT, target=""))

    assert label_of(filled, scope, 0) is None
    with pytest.raises(Conflict, match="run_2"):
        write_results(filled, scope, now, RUN, [1], step=2)


def test_another_cluster_writes_independently(filled: DocumentStore, scope: Scope, now: datetime) -> None:
    write_results(filled, scope, now, NEXT, [0])

    other = replace(RUN, cluster_id="clust_2", id="run_9:col:x", run_id="run_9")
    assert filled.write_results(scope, other, [("d00", {"theirs": 1})], step=1, now=now) == ["d00"]


def test_values_not_rewritten_by_a_later_run_are_cleared(filled: DocumentStore, scope: Scope, now: datetime) -> None:
    write_results(filled, scope, now, RUN, [0, 1, 2])
    filled.update(scope, COL, [("d02", {"about": {"label": "mine"}})], now=now)
    write_results(filled, scope, now, NEXT, [0])

    clear(filled, scope, now, replace(NEXT, target=""))

    assert [label_of(filled, scope, n) for n in range(3)] == ["red", None, "mine"]
    assert "about" not in shown(filled, scope)["d01"][0] and "cluster" not in shown(filled, scope)["d02"][0]


def test_a_value_also_written_by_another_cluster_is_not_cleared(
    filled: DocumentStore, scope: Scope, now: datetime
) -> None:
    other = replace(RUN, cluster_id="clust_2", id="run_9:col:x", run_id="run_9")
    write_results(filled, scope, now, RUN, [0])
    write_results(filled, scope, now, other, [0])

    while filled.clear_all_results(scope, "clust_1", now=now):
        pass

    assert label_of(filled, scope, 0) == "red"
    while filled.clear_all_results(scope, "clust_2", now=now):
        pass
    assert label_of(filled, scope, 0) is None


def test_only_unmodified_values_written_by_the_run_are_rewritten(
    filled: DocumentStore, scope: Scope, now: datetime
) -> None:
    write_results(filled, scope, now, RUN, [0, 1])
    write_results(filled, scope, now, NEXT, [1])
    write_results(filled, scope, now, NEXT, [2, 3], step=2)
    filled.update(scope, COL, [("d03", {"about": {"label": "mine"}})], now=now)
    new = [(f"d{n:02d}", {"about": {"label": "blue"}}) for n in range(5)]

    assert filled.rewrite_results(scope, COL, "clust_1", "run_2", new, now=now) == 2
    assert [label_of(filled, scope, n) for n in range(5)] == ["red", "blue", "blue", "mine", None]
    assert filled.rewrite_results(scope, COL, "clust_1", "run_2", new, now=now) == 0
    clear(filled, scope, now, replace(RUN, run_id="run_3", id="run_3:x", sequence=3, target=""))
    assert [label_of(filled, scope, n) for n in range(5)] == [None, None, None, "mine", None]


def test_result_fields_are_recorded_until_the_cluster_is_forgotten(
    filled: DocumentStore, scope: Scope, now: datetime
) -> None:
    write_results(filled, scope, now, RUN, [0])
    assert filled.result_fields(scope, [COL]) == {"about.label", "cluster"}
    assert filled.result_fields(scope, ["col_2"]) == frozenset()

    filled.forget_results(scope, "clust_1")

    assert filled.result_fields(scope, [COL]) == frozenset()
    assert label_of(filled, scope, 0) == "red"
    assert write_results(filled, scope, now, replace(RUN, sequence=0), [1]) == ["d01"]


def test_results_interrupted_between_two_steps_are_identical_after_a_retry(
    opened: Opened, scope: Scope, now: datetime
) -> None:
    store, failed, number = opened.store, 0, 0
    expected: Shown = {}
    while failed == number:
        number += 1
        store.drop_collection(scope, COL)
        store.forget_results(scope, "clust_1")
        store.write(scope, COL, [batch(*range(6))], now=now)
        write_results(store, scope, now, RUN, [0, 1, 2])
        try:
            with opened.failing(number):
                write_results(store, scope, now, NEXT, [0, 3])
                clear(store, scope, now, replace(NEXT, target=""))
        except Unavailable:
            failed += 1
        assert write_results(store, scope, now, NEXT, [0, 3]) == ["d00", "d03"]
        clear(store, scope, now, replace(NEXT, target=""))
        expected = expected or shown(store, scope)
        assert shown(store, scope) == expected

    assert failed >= 2
    assert store.count(scope, COL, Condition("about.label", "eq", "red")) == 2
    assert store.count(scope, COL, MATCH_ALL) == 6

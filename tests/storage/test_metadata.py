"""Records and jobs: the contract of MetadataStore for every store, followed by tests specific to SQLite."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import AlreadyExists, Corrupt, NotFound, StaleVersion, Unavailable
from shoal.records.base import format_wire_time
from shoal.records.queries.filters import parse_filter
from shoal.records.queries.paging import Page, Sort
from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.memory.conflicts import NO_CONFLICTS, Conflicts
from shoal.storage.protocols.records import Kind, Query, Stored
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.metadata_schema import METADATA_SCHEMA
from shoal.storage.sqlite.records import _HERE, _NEWEST_FIRST
from single_writes import MemoryStore, SqliteStore

LEASE = timedelta(seconds=30)
ALL = Query(page=Page(limit=1000))


Store = SqliteStore | MemoryStore
STORES = ["sqlite", "memory", "memory with conflicts"]


def open_store(kind: str, folder: Path) -> Store:
    """To add a store, add a branch here and its name to STORES."""
    if kind == "sqlite":
        return SqliteStore(folder / "metadata.sqlite")
    return MemoryStore(Conflicts(rate=0.5, seed=11) if kind == "memory with conflicts" else NO_CONFLICTS)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = open_store(request.param, tmp_path)
    yield store
    store.close()


@pytest.fixture(scope="module", params=STORES)
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(request.param, tmp_path_factory.mktemp("shared"))
    if isinstance(store, SqliteStore):
        store._database.read().execute("PRAGMA synchronous=OFF")
    yield store
    store.close()


def ids(store: Store, scope: Scope, query: Query = ALL) -> list[str]:
    return [stored.id for stored in store.find(scope, "cluster", query).items]


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_round_trips_unchanged(store: Store, scope: Scope) -> None:
    body = {"text": "größer \u0000 \U0001f41f", "number": 0.1, "big": 2**63 - 1, "none": None, "list": [1, {"a": True}]}

    written = store.insert(scope, "cluster", "clust_1", body, name="Haie")

    assert written == Stored("clust_1", "Haie", 1, body)
    assert store.get(scope, "cluster", "clust_1") == written
    assert store.get_by_name(scope, "cluster", "Haie") == written


def test_a_missing_record_is_none(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "clust_1", {})

    assert store.get(scope, "cluster", "clust_2") is None
    assert store.get(scope, "bucket", "clust_1") is None
    assert store.get_by_name(scope, "cluster", "clust_1") is None
    assert not store.delete(scope, "cluster", "clust_2")


def test_ids_are_unique_per_kind_and_scope(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "same", {"first": True}, name="one")
    store.insert(scope, "bucket", "same", {}, name="one")

    with pytest.raises(AlreadyExists, match="same"):
        store.insert(scope, "cluster", "same", {"first": False}, name="two")

    assert store.get(scope, "cluster", "same") == Stored("same", "one", 1, {"first": True})


def test_names_are_unique_per_kind_and_scope_and_case_sensitive(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "clust_1", {}, name="Fish")
    store.insert(scope, "cluster", "clust_2", {}, name="fish")
    store.insert(scope, "cluster", "clust_3", {})
    store.insert(scope, "cluster", "clust_4", {})

    with pytest.raises(AlreadyExists, match="Fish"):
        store.insert(scope, "cluster", "clust_5", {}, name="Fish")
    with pytest.raises(AlreadyExists, match="fish"):
        store.replace(scope, "cluster", "clust_1", {}, name="fish", expect_version=1)

    assert sorted(ids(store, scope)) == ["clust_1", "clust_2", "clust_3", "clust_4"]
    assert store.get(scope, "cluster", "clust_1") == Stored("clust_1", "Fish", 1, {})


def test_a_name_is_available_again_after_a_rename_or_a_delete(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "clust_1", {}, name="a")
    store.replace(scope, "cluster", "clust_1", {}, name="b", expect_version=1)
    store.insert(scope, "cluster", "clust_2", {}, name="a")
    store.delete(scope, "cluster", "clust_1")
    store.insert(scope, "cluster", "clust_3", {}, name="b")

    named = {name: store.get_by_name(scope, "cluster", name) for name in "ab"}

    assert {name: found and found.id for name, found in named.items()} == {"a": "clust_2", "b": "clust_3"}


def test_the_second_of_two_writers_gets_a_conflict(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "clust_1", {"n": 0})

    first = store.replace(scope, "cluster", "clust_1", {"n": 1}, expect_version=1)
    with pytest.raises(StaleVersion, match="version 2, not 1"):
        store.replace(scope, "cluster", "clust_1", {"n": 2}, expect_version=1)

    assert store.get(scope, "cluster", "clust_1") == first == Stored("clust_1", None, 2, {"n": 1})


def test_replacing_a_deleted_record_is_not_found(store: Store, scope: Scope) -> None:
    with pytest.raises(NotFound, match="clust_1"):
        store.replace(scope, "cluster", "clust_1", {}, expect_version=1)


def test_concurrent_compare_and_set_loses_no_update(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "sum", {"n": 0})

    def count() -> None:
        done = 0
        while done < 20:
            before = store.get(scope, "cluster", "sum")
            assert before is not None
            try:
                store.replace(scope, "cluster", "sum", {"n": before.body["n"] + 1}, expect_version=before.version)
            except StaleVersion:
                continue
            done += 1

    with ThreadPoolExecutor(4) as threads:
        for counting in [threads.submit(count) for _ in range(4)]:
            counting.result()

    assert store.get(scope, "cluster", "sum") == Stored("sum", None, 81, {"n": 80})


def test_of_threads_competing_for_a_name_exactly_one_gets_it(store: Store, scope: Scope) -> None:
    def take(number: int) -> bool:
        try:
            store.insert(scope, "cluster", f"clust_{number}", {}, name="wanted")
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(take, range(16)))

    assert got.count(True) == 1
    assert ids(store, scope) == [f"clust_{got.index(True)}"]


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


SCOPES = [Scope("org_1", "ns_1"), Scope("org_1", "ns_2"), Scope("org_2", "ns_1"), Scope("org_1"), Scope("org_2")]


def test_the_same_ids_and_names_can_exist_in_every_scope_independently(store: Store) -> None:
    for number, scope in enumerate(SCOPES):
        store.insert(scope, "cluster", "same", {"n": number, "created_at": "2026-01-01T00:00:00.000Z"}, name="name")
    store.insert(SCOPES[0], "cluster", "other", {"n": 99})

    store.replace(SCOPES[1], "cluster", "same", {"n": 11}, name="name", expect_version=1)
    store.delete(SCOPES[2], "cluster", "same")

    seen = [store.get(scope, "cluster", "same") for scope in SCOPES]
    assert [found and found.body["n"] for found in seen] == [0, 11, None, 3, 4]
    assert [store.get_by_name(scope, "cluster", "name") for scope in SCOPES] == seen
    assert [store.find(scope, "cluster", ALL).total for scope in SCOPES] == [2, 1, 0, 1, 1]
    assert all(store.find(scope, "cluster", Query(search="9")).total == 0 for scope in SCOPES[1:])


def test_a_filter_cannot_reach_into_another_scope(store: Store) -> None:
    for number, scope in enumerate(SCOPES):
        store.insert(scope, "cluster", f"clust_{number}", {"n": number})
    anything = parse_filter({"OR": [{"field": "n", "operator": "gte", "value": 0}, {"NOT": [{"n": 7}]}]})

    assert [ids(store, scope, replace(ALL, filter=anything)) for scope in SCOPES] == [
        [f"clust_{number}"] for number in range(len(SCOPES))
    ]


def test_deleting_a_scope_leaves_all_others(store: Store, now: datetime) -> None:
    for number, scope in enumerate(SCOPES):
        store.insert(scope, "cluster", "same", {})
        store.insert(scope, "bucket", "same", {})
        store.enqueue(scope, f"job_{number}", "runs", {}, now)

    assert store.delete_scope(SCOPES[0]) == 2

    assert [store.find(scope, "cluster", ALL).total for scope in SCOPES] == [0, 1, 1, 1, 1]
    assert [store.find(scope, "bucket", ALL).total for scope in SCOPES] == [0, 1, 1, 1, 1]
    kept = [store.get_job(scope, f"job_{number}") is not None for number, scope in enumerate(SCOPES)]
    assert kept == [False, True, True, True, True]
    assert store.delete_scope(SCOPES[0]) == 0


def test_a_job_is_visible_and_cancellable_only_in_its_scope(store: Store, now: datetime) -> None:
    store.enqueue(SCOPES[0], "job_1", "runs", {}, now)

    assert [store.get_job(scope, "job_1") for scope in SCOPES[1:]] == [None] * 4
    assert [store.request_cancel(scope, "job_1") for scope in SCOPES[1:]] == [None] * 4
    job = store.get_job(SCOPES[0], "job_1")
    assert job is not None
    assert (job.state, job.cancel_requested, job.scope) == ("queued", False, SCOPES[0])


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_show_the_most_recently_stored_first_whatever_the_clock_says(store: Store, scope: Scope) -> None:
    for id, time in [("b", "12:00"), ("c", "13:00"), ("a", "12:00"), ("d", "11:00")]:
        store.insert(scope, "cluster", id, {"created_at": f"2026-01-01T{time}:00.000Z"})

    assert ids(store, scope) == ["d", "a", "c", "b"]

    store.replace(scope, "cluster", "b", {"created_at": "2026-01-01T12:00:00.000Z"}, expect_version=1)
    store.insert(scope, "cluster", "z", {"created_at": "2026-01-01T12:00:00.000Z"})

    assert ids(store, scope) == ["z", "d", "a", "c", "b"]


def test_a_file_of_the_first_format_is_migrated(tmp_path: Path, scope: Scope) -> None:
    path = tmp_path / "old.sqlite"
    old = Database(path, METADATA_SCHEMA[:1], setup=register_functions)
    columns = "kind, organization_id, namespace_id, id, version, created_at, body"
    with old.transaction() as connection:
        for id in ("b", "a"):
            row = ("cluster", scope.organization_id, scope.namespace_id, id, 1, "2026-01-01T12:00:00.000Z", "{}")
            connection.execute(f"INSERT INTO records ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    old.close()

    store = SqliteStore(path)

    assert ids(store, scope) == ["a", "b"]
    query = f"SELECT id FROM records WHERE {_HERE} ORDER BY {_NEWEST_FIRST}"
    plan = store._database.read().execute(f"EXPLAIN QUERY PLAN {query}", ("cluster", "o", "n")).fetchall()
    assert [row[3].partition(" (")[0] for row in plan] == ["SEARCH records USING INDEX records_by_position"]
    store.close()


def test_pages_split_the_list_without_gaps_or_duplicates(store: Store, scope: Scope) -> None:
    for number in range(25):
        store.insert(scope, "cluster", f"clust_{number:02d}", {"even": number % 2 == 0})
    even = Query(filter=parse_filter({"even": True}), sort=(Sort("id_is_not_a_field"),))

    pages = [store.find(scope, "cluster", replace(even, page=Page(5, offset))) for offset in (0, 5, 10, 15)]

    assert [item.id for page in pages for item in page.items] == [f"clust_{number:02d}" for number in range(0, 25, 2)]
    assert [page.total for page in pages] == [13] * 4
    assert [page.more for page in pages] == [True, True, False, False]


def test_pruning_removes_the_oldest_first_by_age_and_by_number(store: Store, scope: Scope, now: datetime) -> None:
    elsewhere = Scope(scope.organization_id, "ns_elsewhere")
    places: list[tuple[Scope, Kind]] = [(scope, "audit"), (scope, "cluster"), (elsewhere, "audit")]
    for place, kind in places:
        for day in reversed(range(10)):
            body = {"created_at": format_wire_time(now - timedelta(days=day))}
            store.insert(place, kind, f"{kind}_{day}", body)

    def days() -> list[str]:
        return [item.id for item in store.find(scope, "audit", Query()).items]

    a_week_ago = now - timedelta(days=7)
    assert store.prune(scope, "audit", a_week_ago, now=now, keep=100, most=1) == 1
    assert days() == [f"audit_{day}" for day in range(9)]
    assert store.prune(scope, "audit", a_week_ago, now=now, keep=100, most=50) == 1
    assert store.prune(scope, "audit", a_week_ago, now=now, keep=5, most=2) == 2
    assert days() == [f"audit_{day}" for day in range(6)]
    assert store.prune(scope, "audit", a_week_ago, now=now, keep=5, most=50) == 1
    assert store.prune(scope, "audit", a_week_ago, now=now, keep=5, most=50) == 0
    assert days() == [f"audit_{day}" for day in range(5)]
    for place, kind in places[1:]:
        assert store.find(place, kind, Query()).total == 10


def test_records_stored_while_the_clock_was_wrong_are_as_old_as_their_predecessors(
    store: Store, scope: Scope, now: datetime
) -> None:
    days = {"old": -30, "recent": -1, "set_back": -9000, "in_the_future": 9000, "last": 0}
    for id, day in days.items():
        store.insert(scope, "audit", id, {"created_at": format_wire_time(now + timedelta(days=day))})

    pruned = store.prune(scope, "audit", now - timedelta(days=7), now=now, keep=100, most=50)

    assert pruned == 1
    left = [item.id for item in store.find(scope, "audit", Query()).items]
    assert left == ["last", "in_the_future", "set_back", "recent"]


def test_records_without_the_field_sort_last_in_both_directions(store: Store, scope: Scope) -> None:
    bodies: dict[str, dict[str, Any]] = {"b": {"n": 1}, "a": {"n": 1}, "x": {}, "w": {"n": None}, "c": {"n": 10}}
    for id, body in (bodies | {"d": {"n": 2}}).items():
        store.insert(scope, "cluster", id, body)

    assert ids(store, scope, replace(ALL, sort=(Sort("n"),))) == ["a", "b", "d", "c", "w", "x"]
    assert ids(store, scope, replace(ALL, sort=(Sort("n", descending=True),))) == ["c", "d", "a", "b", "w", "x"]


def test_a_second_sort_key_breaks_ties_of_the_first(store: Store, scope: Scope) -> None:
    rows = {"a": (1, "x"), "b": (2, "y"), "c": (1, "z"), "d": (2, "x")}
    for id, (n, deep) in rows.items():
        store.insert(scope, "cluster", id, {"n": n, "metadata": {"deep": deep}})

    assert ids(store, scope, replace(ALL, sort=(Sort("n", True), Sort("deep", True)))) == ["b", "d", "c", "a"]


def test_search_ignores_case_and_covers_only_the_given_fields(store: Store, scope: Scope) -> None:
    store.insert(scope, "cluster", "a", {"name": "STRASSE nach Äpfelstadt", "note": "sea"})
    store.insert(scope, "cluster", "b", {"name": "Straße", "note": "äPFEL"})
    store.insert(scope, "cluster", "c", {"note": "100% _ strasse"})
    names = replace(ALL, search_fields=("name",))

    def found(query: Query, text: str) -> list[str]:
        return sorted(ids(store, scope, replace(query, search=text)))

    assert found(names, "straße") == ["a", "b"]
    assert found(names, "äpfel") == ["a"]
    assert found(replace(names, search_fields=("name", "note")), "ÄPFEL") == ["a", "b"]
    assert found(replace(names, search_fields=("note",)), "0% _") == ["c"]
    assert found(names, "%") == []
    assert found(ALL, "Strasse") == ["a", "b", "c"]


json_values = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "B", "Ä", "aa", ""]))
writes = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "stale", "delete"]),
        st.sampled_from(["id_1", "id_2", "id_3"]),
        st.sampled_from([None, "x", "y"]),
        st.dictionaries(st.sampled_from(["n", "m"]), json_values),
    ),
    max_size=25,
)
_EXAMPLES = iter(range(10**9))


def apply(model: dict[str, Stored], move: str, id: str, name: str | None, body: dict[str, Any]) -> str:
    """The outcome of a write to the dictionary: the name of the error, or `ok`."""
    present, version = model.get(id), 1
    taken = name is not None and any(other.name == name for other in model.values() if other.id != id)
    if move == "insert" and (present or taken):
        return "AlreadyExists"
    if move in ("replace", "stale"):
        if present is None:
            return "NotFound"
        if move == "stale":
            return "StaleVersion"
        if taken:
            return "AlreadyExists"
        version = present.version + 1
    if move == "delete":
        return "ok" if model.pop(id, None) else "nothing"
    model[id] = Stored(id, name, version, body)
    return "ok"


def perform(store: Store, scope: Scope, model: dict[str, Stored], write: tuple[str, str, str | None, Any]) -> str:
    """The same write on the store."""
    move, id, name, body = write
    version = model[id].version if id in model else 1
    try:
        if move == "insert":
            store.insert(scope, "cluster", id, body, name=name)
        elif move == "delete":
            return "ok" if store.delete(scope, "cluster", id) else "nothing"
        else:
            store.replace(scope, "cluster", id, body, name=name, expect_version=version + (move == "stale"))
    except (AlreadyExists, NotFound, StaleVersion) as error:
        return type(error).__name__
    return "ok"


@settings(max_examples=40, deadline=None)
@given(history=writes)
def test_any_sequence_of_writes_matches_a_dictionary(
    shared_store: Store, history: list[tuple[str, str, str | None, dict[str, Any]]]
) -> None:
    scope, model = Scope("org_history", f"ns_{next(_EXAMPLES)}"), dict[str, Stored]()

    answers = [(perform(shared_store, scope, model, write), apply(model, *write)) for write in history]

    assert [got for got, _ in answers] == [expected for _, expected in answers]
    assert {item.id: item for item in shared_store.find(scope, "cluster", ALL).items} == model


def by_field(field: str, bodies: dict[str, dict[str, Any]], descending: bool) -> list[str]:
    """The contract's order in plain Python: numbers (booleans as 0 and 1) before text, absent and null last."""

    def key(id: str) -> tuple[bool, Any]:
        value = bodies[id][field]
        return isinstance(value, str), value.encode() if isinstance(value, str) else value

    there = sorted(id for id in bodies if bodies[id].get(field) is not None)
    absent = sorted(id for id in bodies if bodies[id].get(field) is None)
    # `reverse` keeps the order of ties, which is by id, as required.
    return sorted(there, key=key, reverse=descending) + absent


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.dictionaries(st.just("n"), json_values), max_size=12), descending=st.booleans())
def test_values_of_any_type_sort_as_in_plain_python(
    shared_store: Store, values: list[dict[str, Any]], descending: bool
) -> None:
    scope, bodies = Scope("org_sort", f"ns_{next(_EXAMPLES)}"), {f"id_{i:02d}": body for i, body in enumerate(values)}

    def insert(tx: Transaction) -> None:
        for id in reversed(bodies):
            tx.insert(scope, "cluster", id, bodies[id])

    shared_store.transact(insert)

    assert ids(shared_store, scope, replace(ALL, sort=(Sort("n", descending),))) == by_field("n", bodies, descending)


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_queue_claims_jobs_in_the_order_they_were_stored(store: Store, scope: Scope, now: datetime) -> None:
    plus_two = timezone(timedelta(hours=2))
    store.enqueue(scope, "job_b", "runs", {"n": 2}, now + timedelta(microseconds=1))
    store.enqueue(scope, "job_c", "runs", {"n": 3}, (now + timedelta(microseconds=1)).astimezone(plus_two))
    store.enqueue(scope, "job_d", "runs", {"n": 1}, now.astimezone(plus_two))
    store.enqueue(scope, "job_a", "other", {}, now - timedelta(days=1))

    claimed = [store.claim("runs", "worker_1", now, now + LEASE) for _ in range(4)]

    assert [job and job.job_id for job in claimed] == ["job_b", "job_c", "job_d", None]


def test_a_claimed_job_carries_all_its_fields(store: Store, scope: Scope, now: datetime) -> None:
    store.enqueue(scope, "job_1", "runs", {"run_id": "run_1", "deep": [1, None]}, now)
    queued = store.get_job(scope, "job_1")

    claimed = store.claim("runs", "worker_1", now, now + LEASE)

    assert queued is not None
    assert (queued.state, queued.fence, queued.attempts, queued.worker, queued.lease_until) == (
        "queued",
        0,
        0,
        None,
        None,
    )
    assert claimed == replace(queued, state="running", fence=1, attempts=1, worker="worker_1", lease_until=now + LEASE)
    assert claimed == store.get_job(scope, "job_1")
    assert claimed.payload == {"run_id": "run_1", "deep": [1, None]}
    assert claimed.scope == scope


def test_a_job_id_can_be_used_only_once(store: Store, scope: Scope, now: datetime) -> None:
    store.enqueue(scope, "job_1", "runs", {}, now)

    with pytest.raises(AlreadyExists, match="job_1"):
        store.enqueue(scope, "job_1", "runs", {}, now)


def test_an_expired_lease_passes_the_job_to_another_worker_and_rejects_the_first(
    store: Store, scope: Scope, now: datetime
) -> None:
    store.enqueue(scope, "job_1", "runs", {}, now)
    store.claim("runs", "worker_1", now, now + LEASE)
    early = store.claim("runs", "worker_2", now + LEASE - timedelta(microseconds=1), now + 2 * LEASE)
    late = store.claim("runs", "worker_2", now + LEASE, now + 2 * LEASE)

    stale = [
        store.heartbeat("job_1", 1, now + LEASE, now + 3 * LEASE, "cluster", 0.5),
        store.finish("job_1", 1),
        store.requeue("job_1", 1),
    ]

    assert early is None
    assert late is not None
    assert (late.fence, late.attempts, late.worker) == (2, 2, "worker_2")
    assert stale == [None, False, False]
    assert store.get_job(scope, "job_1") == late


def test_a_heartbeat_extends_the_lease_and_keeps_the_progress(store: Store, scope: Scope, now: datetime) -> None:
    store.enqueue(scope, "job_1", "runs", {}, now)
    store.claim("runs", "worker_1", now, now + LEASE)

    beaten = store.heartbeat("job_1", 1, now + LEASE / 2, now + 2 * LEASE, "cluster", 0.25)

    assert beaten is not None
    assert (beaten.stage, beaten.fraction, beaten.lease_until) == ("cluster", 0.25, now + 2 * LEASE)
    assert store.get_job(scope, "job_1") == beaten
    assert store.claim("runs", "worker_2", now + LEASE, now + 3 * LEASE) is None


def test_a_finished_job_is_never_claimed_again_and_accepts_no_heartbeat(
    store: Store, scope: Scope, now: datetime
) -> None:
    store.enqueue(scope, "job_1", "runs", {}, now)
    store.claim("runs", "worker_1", now, now + LEASE)

    assert store.finish("job_1", 1)

    assert not store.finish("job_1", 1)
    assert store.heartbeat("job_1", 1, now, now + LEASE, "", 1.0) is None
    assert store.claim("runs", "worker_2", now + 100 * LEASE, now + 101 * LEASE) is None
    assert store.running_workers() == []


def test_a_released_job_keeps_its_place_and_its_attempt_count(store: Store, scope: Scope, now: datetime) -> None:
    store.enqueue(scope, "job_1", "runs", {}, now)
    store.enqueue(scope, "job_2", "runs", {}, now + LEASE)
    store.claim("runs", "worker_1", now, now + LEASE)

    assert store.requeue("job_1", 1)
    queued, again = store.get_job(scope, "job_1"), store.claim("runs", "worker_2", now, now + LEASE)

    assert queued is not None
    assert (queued.state, queued.worker, queued.lease_until) == ("queued", None, None)
    assert again is not None
    assert (again.job_id, again.fence, again.attempts) == ("job_1", 2, 2)


def test_only_a_dead_workers_jobs_return_to_the_queue(store: Store, scope: Scope, now: datetime) -> None:
    for number in range(4):
        store.enqueue(scope, f"job_{number}", "runs", {}, now)
    for worker in ("dead", "alive", "dead"):
        store.claim("runs", worker, now, now + LEASE)
    store.finish("job_0", 1)

    assert store.running_workers() == ["alive", "dead"]
    assert store.release_worker("dead") == 1

    assert [job.worker for job in store.running_jobs("runs")] == ["alive"]
    assert store.running_workers() == ["alive"]
    assert store.heartbeat("job_2", 1, now, now + LEASE, "", 0.5) is None
    again = store.claim("runs", "other", now, now + LEASE)
    assert again is not None
    assert (again.job_id, again.fence, again.attempts) == ("job_2", 2, 1)


def test_cancelling_ends_a_queued_job_signals_a_running_one_and_ignores_a_finished_one(
    store: Store, scope: Scope, now: datetime
) -> None:
    for number in range(3):
        store.enqueue(scope, f"job_{number}", "runs", {}, now)
    store.claim("runs", "worker_1", now, now + LEASE)
    store.claim("runs", "worker_1", now, now + LEASE)
    store.finish("job_1", 1)

    cancelled = [store.request_cancel(scope, f"job_{number}") for number in range(3)]

    assert [job and (job.state, job.cancel_requested) for job in cancelled] == [
        ("running", True),
        ("done", False),
        ("done", True),
    ]
    assert store.request_cancel(scope, "job_3") is None
    beaten = store.heartbeat("job_0", 1, now, now + LEASE, "cluster", 0.5)
    assert beaten is not None
    assert beaten.cancel_requested
    assert store.claim("runs", "worker_2", now, now + LEASE) is None


def enqueue_many(store: Store, scope: Scope, now: datetime, count: int) -> None:
    def enqueue(tx: Transaction) -> None:
        for number in range(count):
            tx.enqueue(scope, f"job_{number:0{len(str(count))}d}", "runs", {}, now)

    store.transact(enqueue)


@pytest.mark.slow
def test_eight_threads_claim_a_thousand_jobs_each_exactly_once(store: Store, scope: Scope, now: datetime) -> None:
    enqueue_many(store, scope, now, 1000)

    def work(worker: int) -> list[tuple[str, int]]:
        claimed = []
        while job := store.claim("runs", f"worker_{worker}", now, now + LEASE):
            claimed.append((job.job_id, job.fence))
        return claimed

    with ThreadPoolExecutor(8) as threads:
        lists = list(threads.map(work, range(8)))

    assert sorted(job for claimed in lists for job in claimed) == [(f"job_{number:04d}", 1) for number in range(1000)]
    assert all(claimed == sorted(claimed) for claimed in lists)


# ── SQLite: processes, crashes, damage ───────────────────────────────────────────────────────────────────────────────


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


CLAIMING = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from shoal.storage.sqlite.metadata import SqliteMetadata
store, now = SqliteMetadata(Path(sys.argv[1])), datetime.fromisoformat(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
while job := store.claim("runs", sys.argv[2], now, now + timedelta(seconds=30)):
    print(job.job_id)
store.close()
"""


@pytest.mark.process
def test_two_processes_claim_each_job_exactly_once(tmp_path: Path, scope: Scope, now: datetime) -> None:
    path = tmp_path / "metadata.sqlite"
    store = SqliteStore(path)
    enqueue_many(store, scope, now, 400)
    workers = [python(CLAIMING, str(path), name, now.isoformat()) for name in ("worker_1", "worker_2")]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"

    lists = [claimed.split() for claimed in _together(workers)]
    store.close()

    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(lists[0] + lists[1]) == [f"job_{number:03d}" for number in range(400)]


def _together(workers: list[subprocess.Popen[str]]) -> list[str]:
    with ThreadPoolExecutor(len(workers)) as threads:
        return list(threads.map(lambda worker: worker.communicate("go\n", timeout=60)[0], workers))


WRITING = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from shoal.records.scope import Scope
from shoal.storage.sqlite.metadata import SqliteMetadata
store, scope = SqliteMetadata(Path(sys.argv[1])), Scope("org_1", "ns_1")
number = int(sys.argv[2])
while True:
    def write(tx):
        tx.insert(scope, "cluster", f"clust_{number}", {"filling": "x" * (number % 977)}, name=f"name_{number}")
        tx.enqueue(scope, f"job_{number}", "runs", {}, datetime(2026, 1, 1, tzinfo=UTC))

    store.transact(write)
    print(number, flush=True)
    number += 1
"""


def acknowledged(path: Path, first: int, kill_after: int) -> int:
    """Let a process write until it has reported `kill_after` writes, kill it, and return the number after the last
    write it reported."""
    victim = python(WRITING, str(path), str(first))
    assert victim.stdout is not None
    for _ in range(kill_after):
        victim.stdout.readline()
    os.kill(victim.pid, signal.SIGKILL)
    told = victim.stdout.read().split()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    return int(told[-1]) + 1 if told else first + kill_after


@pytest.mark.process
def test_ten_kills_in_a_write_loop_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path, scope, first = tmp_path / "metadata.sqlite", Scope("org_1", "ns_1"), 0
    for kill in range(10):
        told = acknowledged(path, first, 3 + 7 * kill)
        store = SqliteStore(path)
        stored = store.find(scope, "cluster", Query()).total
        bodies = [store.get(scope, "cluster", f"clust_{number}") for number in range(stored)]
        jobs = [store.get_job(scope, f"job_{number}") for number in range(stored + 1)]
        store.close()

        # One unacknowledged write may be on disk; of each write, both halves exist or neither does.
        assert told <= stored <= told + 1
        assert [body and len(body.body["filling"]) for body in bodies] == [number % 977 for number in range(stored)]
        assert [job is not None for job in jobs] == [True] * stored + [False]
        first = stored

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_reopened_store_holds_all_its_data(tmp_path: Path, scope: Scope, now: datetime) -> None:
    store = SqliteStore(tmp_path / "metadata.sqlite")
    record = store.insert(scope, "cluster", "clust_1", {"n": 1}, name="a")
    store.enqueue(scope, "job_1", "runs", {}, now)
    job = store.claim("runs", "worker_1", now, now + LEASE)
    store.close()

    with pytest.raises(Unavailable, match="closed"):
        store.get(scope, "cluster", "clust_1")
    again = SqliteStore(tmp_path / "metadata.sqlite")

    assert again.get(scope, "cluster", "clust_1") == record
    assert again.get_job(scope, "job_1") == job
    again.close()


def test_a_damaged_body_is_corrupt_and_the_others_are_still_readable(tmp_path: Path, scope: Scope) -> None:
    path = tmp_path / "metadata.sqlite"
    store = SqliteStore(path)
    store.insert(scope, "cluster", "clust_1", {"n": 1})
    store.insert(scope, "cluster", "clust_2", {"n": 2})
    outside = sqlite3.connect(path, isolation_level=None)
    outside.execute("""UPDATE records SET body = '{"n": ' WHERE id = 'clust_1'""")
    outside.close()

    with pytest.raises(Corrupt):
        store.get(scope, "cluster", "clust_1")

    assert store.get(scope, "cluster", "clust_2") == Stored("clust_2", None, 1, {"n": 2})
    store.close()


def test_claims_and_default_lists_use_an_index(tmp_path: Path, scope: Scope, now: datetime) -> None:
    """A claim visits and sorts the organisations that have jobs, but neither counts nor sorts their jobs."""
    store = SqliteStore(tmp_path / "metadata.sqlite")
    store.enqueue(scope, "job_1", "runs", {}, now, subject="clust_1")
    told: list[str] = []
    connection = store._database.read()
    connection.set_trace_callback(told.append)
    store.claim("runs", "worker_1", now, now + LEASE)
    store.count_queued(scope, "runs")
    store.running_jobs("runs")
    store.find(scope, "cluster", Query())
    store.prune(scope, "audit", now, now=now, keep=10, most=10)
    connection.set_trace_callback(None)

    statements = [text for text in told if text.lstrip().startswith(("UPDATE", "SELECT", "WITH", "INSERT", "DELETE"))]
    plans = [row[3] for text in statements for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
    store.close()

    assert len(statements) == 14  # the last of the claim counts the commit
    assert {plan for plan in plans if plan.startswith("SCAN")} == {"SCAN open"}
    assert [plan for plan in plans if "jobs_by_namespace" in plan] == []
    assert len([plan for plan in plans if "TEMP B-TREE" in plan]) == 2

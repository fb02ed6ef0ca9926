"""The outbox: events appear atomically with their effect, in order, and each consumer receives all of them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.repositories.events import LEASE, Events
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.events import EVENTS_KEPT, Event
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.schedules import Schedule
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.metadata import SqliteMetadata
from shoal.storage.sqlite.metadata_schema import METADATA_SCHEMA

A, B = Scope("org_a", "ns_1"), Scope("org_b", "ns_1")


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    sqlite = request.param == "sqlite"
    store = SqliteMetadata(tmp_path / "metadata.sqlite") if sqlite else MemoryMetadata(Conflicts(rate=0.3, seed=3))
    yield store
    store.close()


def append(store: MetadataStore, scope: Scope, now: datetime, *subjects: str) -> None:
    for subject in subjects:
        store.transact(lambda tx, subject=subject: tx.append_event(scope, "run.completed", subject, {"n": 1}, now))  # type: ignore[misc]


def subjects(store: MetadataStore, scope: Scope, after: int = 0) -> list[str]:
    return [event.subject for event in store.events(scope, after=after, most=100)]


def test_events_are_numbered_from_one_within_their_namespace(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "x", "y")
    append(store, B, now, "z")

    assert store.events(A, after=0, most=10) == [
        Event(A, 1, "run.completed", "x", now, {"n": 1}),
        Event(A, 2, "run.completed", "y", now, {"n": 1}),
    ]
    assert [event.number for event in store.events(B, after=0, most=10)] == [1]
    assert subjects(store, A, after=1) == ["y"]


def test_an_event_exists_only_with_its_effect(store: MetadataStore, now: datetime) -> None:
    def body(tx: Transaction) -> None:
        tx.insert(A, "cluster", "clu_1", {})
        tx.append_event(A, "cluster.created", "clu_1", {}, now)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        store.transact(body)

    assert store.get(A, "cluster", "clu_1") is None
    assert subjects(store, A) == []


def test_concurrent_transactions_leave_no_gaps_or_duplicates(store: MetadataStore, now: datetime) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append(store, A, now, f"s{n}"), range(80)))

    found = store.events(A, after=0, most=100)
    assert [event.number for event in found] == list(range(1, 81))
    assert len({event.subject for event in found}) == 80


def test_only_the_newest_events_are_kept_and_numbering_continues(store: MetadataStore, now: datetime) -> None:
    def many(tx: Transaction) -> None:
        for n in range(EVENTS_KEPT + 5):
            tx.append_event(A, "run.completed", str(n), {}, now)

    store.transact(many)

    assert store.events(A, after=0, most=1)[0].number == 6
    assert store.events(A, after=EVENTS_KEPT + 4, most=10)[0].number == EVENTS_KEPT + 5


def test_a_consumer_gets_every_event_once_and_in_order_if_nothing_fails(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1", "2", "3")
    append(store, B, now, "4")
    seen, events = list[Event](), Events(store, lambda: now)
    while events.deliver("webhooks", "w", seen.append, most=2):
        pass

    assert [one.subject for one in seen if one.scope == A] == ["1", "2", "3"]
    assert [one.subject for one in seen if one.scope == B] == ["4"]
    assert events.deliver("webhooks", "w", seen.append) == 0


def test_consumers_do_not_share_their_positions(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1")
    first, second, events = list[Event](), list[Event](), Events(store, lambda: now)
    events.deliver("webhooks", "w", first.append)
    events.deliver("triggers", "w", second.append)

    assert [one.subject for one in first] == [one.subject for one in second] == ["1"]


def test_an_event_rejected_by_its_handler_is_redelivered_before_later_ones(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1", "2", "3")
    seen, events = list[str](), Events(store, lambda: now)

    def handle(event: Event) -> None:
        seen.append(event.subject)
        if seen.count("2") == 1 and event.subject == "2":
            raise OSError("the receiver did not answer")

    with pytest.raises(OSError, match="receiver"):
        events.deliver("webhooks", "w", handle)
    events.deliver("webhooks", "w", handle)

    assert seen == ["1", "2", "2", "3"]


def test_a_leased_namespace_is_exclusive_until_the_lease_ends(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1")
    held = store.claim_feed("webhooks", "first", now, now + LEASE)
    assert held is not None

    assert store.claim_feed("webhooks", "second", now, now + LEASE) is None
    later = store.claim_feed("webhooks", "second", now + LEASE, now + 2 * LEASE)
    assert later is not None
    assert (later.scope, later.position, later.fence) == (A, 0, held.fence + 1)


def test_a_superseded_worker_does_not_advance_the_position(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1")
    stale = store.claim_feed("webhooks", "first", now, now + LEASE)
    current = store.claim_feed("webhooks", "second", now + LEASE, now + 2 * LEASE)
    assert stale is not None
    assert current is not None

    assert not store.transact(lambda tx: tx.advance_feed(stale, 1))
    assert not store.release_feed(stale)
    assert store.transact(lambda tx: tx.advance_feed(current, 1))
    assert store.release_feed(current)
    assert store.claim_feed("webhooks", "third", now, now + LEASE) is None


def test_the_feeds_of_a_dead_worker_are_claimed_at_once_even_if_the_clock_was_set_back(
    store: MetadataStore, now: datetime
) -> None:
    append(store, A, now, "1")
    append(store, B, now, "1")
    held = [store.claim_feed(consumer, "dead", now, now + LEASE) for consumer in ("webhooks", "triggers", "triggers")]
    alive = store.claim_feed("webhooks", "alive", now, now + LEASE)
    assert None not in held and alive is not None
    earlier = now - timedelta(days=1)
    assert store.claim_feed("triggers", "next", earlier, earlier + LEASE) is None

    assert (store.release_feeds("dead"), store.release_feeds("dead"), store.release_feeds("unknown")) == (3, 0, 0)

    assert not any(store.transact(lambda tx, feed=feed: tx.advance_feed(feed, 1)) for feed in held)  # type: ignore[misc]
    assert store.claim_feed("webhooks", "next", earlier, earlier + LEASE) is not None
    assert {store.claim_feed("triggers", "next", earlier, earlier + LEASE).scope for _ in range(2)} == {A, B}  # type: ignore[union-attr]
    assert store.claim_feed("webhooks", "next", earlier, earlier + LEASE) is None
    assert store.transact(lambda tx: tx.advance_feed(alive, 1))


def test_a_busy_namespace_does_not_keep_others_waiting(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, *map(str, range(10)))
    append(store, B, now, "b")
    seen, events = list[str](), Events(store, lambda: now)
    for _ in range(2):
        events.deliver("webhooks", "w", lambda event: seen.append(event.subject), most=1)

    assert "b" in seen


def test_a_new_busy_namespace_does_not_overtake_an_old_one(store: MetadataStore, now: datetime) -> None:
    events, seen = Events(store, lambda: now), list[Scope]()
    for n in range(20):
        append(store, A, now, str(n))
        events.deliver("webhooks", "w", lambda _: None)
    append(store, A, now, "waiting")
    append(store, B, now, *map(str, range(5)))
    for _ in range(3):
        events.deliver("webhooks", "w", lambda event: seen.append(event.scope), most=1)

    assert A in seen


def test_a_consumer_that_missed_events_reports_it(
    store: MetadataStore, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    def many(tx: Transaction) -> None:
        for n in range(EVENTS_KEPT + 5):
            tx.append_event(A, "run.completed", str(n), {}, now)

    store.transact(many)
    Events(store, lambda: now).deliver("webhooks", "w", lambda _: None, most=2)

    assert [(record.message, record.__dict__["lost"]) for record in caplog.records] == [("events.lost", 5)]


def test_workers_of_one_consumer_share_the_namespaces_and_keep_the_order(store: MetadataStore, now: datetime) -> None:
    scopes = [Scope("org_a", f"ns_{n}") for n in range(6)]
    for scope in scopes:
        append(store, scope, now, *map(str, range(5)))
    seen, lock, events = list[Event](), threading.Lock(), Events(store, lambda: now)

    def handle(event: Event) -> None:
        with lock:
            seen.append(event)

    def work(name: str) -> None:
        while events.deliver("webhooks", name, handle, most=2):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "wxyz"))
    work("last")

    for scope in scopes:
        assert [one.subject for one in seen if one.scope == scope] == ["0", "1", "2", "3", "4"]


def test_events_are_deleted_with_their_namespace(store: MetadataStore, now: datetime) -> None:
    append(store, A, now, "1")
    append(store, B, now, "2")
    store.claim_feed("webhooks", "w", now, now + timedelta(seconds=1))
    store.transact(lambda tx: tx.delete_scope(A))

    assert subjects(store, A) == []
    assert subjects(store, B) == ["2"]
    append(store, A, now, "new")
    assert store.events(A, after=0, most=10)[0].number == 1


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteMetadata]:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    yield store
    store.close()


@pytest.mark.parametrize(
    "damage",
    ["data = '{'", "data = '{\"n\":2}'", "data = CAST(x'7b22ff223a317d' AS TEXT)", "data = 5", "subject = 'x'",
     "type = CAST(x'ff' AS TEXT)", "occurred_at = 'never', checksum = NULL", "data = '[1]', checksum = NULL"],
)  # fmt: skip
def test_a_damaged_event_is_named_in_the_log_and_those_after_it_are_delivered(
    sqlite_store: SqliteMetadata, now: datetime, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    append(sqlite_store, A, now, "1", "2", "3")
    with sqlite_store._database.transaction() as connection:
        connection.execute(f"UPDATE events SET {damage} WHERE number = 2")
    seen, events = list[Event](), Events(sqlite_store, lambda: now)

    assert events.deliver("webhooks", "w", seen.append) == 3

    assert [one.number for one in seen] == [1, 3]
    assert events.deliver("webhooks", "w", seen.append) == 0
    found = sqlite_store.events(A, after=0, most=9)
    assert [(one.damaged, one.data) for one in found] == [(False, {"n": 1}), (True, {}), (False, {"n": 1})]
    (logged,) = [vars(record) for record in caplog.records if record.message == "events.damaged"]
    assert (logged["consumer"], logged["id"], logged["number"]) == ("webhooks", A.namespace_id, 2)
    assert "remedy" not in logged and logged["levelname"] == "ERROR"  # the event cannot be recovered


@pytest.mark.parametrize(
    "damage", ["namespace_id = CAST(x'ff' AS TEXT)", "organization_id = x'6fff'", "namespace_id = 'ns_0'"]
)
def test_a_namespace_with_a_damaged_event_count_blocks_no_other(
    sqlite_store: SqliteMetadata, now: datetime, damage: str
) -> None:
    append(sqlite_store, A, now, "1")
    append(sqlite_store, B, now, "2", "3")
    with sqlite_store._database.transaction() as connection:
        connection.execute(f"UPDATE event_heads SET {damage} WHERE organization_id = 'org_a'")
    seen, events = list[Event](), Events(sqlite_store, lambda: now)

    while events.deliver("webhooks", "w", seen.append, most=1):
        pass

    assert [one.subject for one in seen] == ["2", "3"]


def test_events_and_schedules_without_checksums_are_read(tmp_path: Path, now: datetime) -> None:
    old = Database(tmp_path / "metadata.sqlite", METADATA_SCHEMA[:8], setup=register_functions)
    with old.transaction() as connection:
        at = format_stored_time(now)
        connection.execute("INSERT INTO event_heads VALUES ('org_a', 'ns_1', 1)")
        connection.execute(
            "INSERT INTO events VALUES ('org_a', 'ns_1', 1, 'run.completed', 'x', ?, '{\"n\":1}')", (at,)
        )
        connection.execute("INSERT INTO schedules VALUES ('org_a', 'ns_1', 's', ?, '{\"n\":2}', 7, NULL, NULL)", (at,))
    old.close()

    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    append(store, A, now, "y")

    assert [(one.subject, one.damaged) for one in store.events(A, after=0, most=9)] == [("x", False), ("y", False)]
    assert store.get_schedule(A, "s") == Schedule(A, "s", now, {"n": 2}, 7, None)
    store.close()

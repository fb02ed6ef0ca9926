"""Schedules: each due schedule goes to one worker and is executed again if that worker dies."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shoal.records.scope import Scope
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.schedules import Schedule
from shoal.storage.sqlite.metadata import SqliteMetadata

A, B = Scope("org_a", "ns_1"), Scope("org_b", "ns_1")
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    sqlite = request.param == "sqlite"
    store = SqliteMetadata(tmp_path / "metadata.sqlite") if sqlite else MemoryMetadata(Conflicts(rate=0.3, seed=3))
    yield store
    store.close()


def put(store: MetadataStore, scope: Scope, id: str, due: datetime) -> None:
    store.transact(lambda tx: tx.put_schedule(scope, id, due, {"trigger": id}))


def claim(store: MetadataStore, now: datetime, worker: str = "w") -> Schedule:
    found = store.claim_schedule(worker, now, now + MINUTE)
    assert found is not None
    return found


def test_nothing_is_claimed_before_it_is_due(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now + MINUTE)

    assert store.claim_schedule("w", now, now + MINUTE) is None
    waiting = store.get_schedule(A, "s")
    assert waiting is not None
    assert claim(store, now + MINUTE) == Schedule(A, "s", now + MINUTE, {"trigger": "s"}, waiting.fence + 1, "w")
    assert store.next_due() == now + MINUTE


def test_the_schedule_due_first_is_claimed_first(store: MetadataStore, now: datetime) -> None:
    put(store, A, "late", now)
    put(store, B, "early", now - MINUTE)

    assert [claim(store, now).schedule_id, claim(store, now).schedule_id] == ["early", "late"]
    assert store.claim_schedule("w", now, now + MINUTE) is None


def test_an_executed_schedule_advances_to_its_next_time(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    held = claim(store, now)

    assert store.transact(lambda tx: tx.advance_schedule(held, now + 5 * MINUTE))
    assert store.claim_schedule("w", now + 4 * MINUTE, now + 9 * MINUTE) is None
    assert claim(store, now + 5 * MINUTE).due == now + 5 * MINUTE


def test_a_schedule_without_a_next_time_is_removed(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    held = claim(store, now)

    assert store.transact(lambda tx: tx.advance_schedule(held, None))
    assert store.get_schedule(A, "s") is None
    assert store.next_due() is None


def test_the_schedule_of_a_dead_worker_is_executed_once_by_another(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    dead = claim(store, now, "dead")
    other = claim(store, now + MINUTE, "other")

    assert not store.transact(lambda tx: tx.advance_schedule(dead, None))
    assert store.transact(lambda tx: tx.advance_schedule(other, None))


def test_the_schedules_of_a_dead_worker_are_claimed_at_once_even_if_the_clock_was_set_back(
    store: MetadataStore, now: datetime
) -> None:
    for id in ("1", "2", "3"):
        put(store, A, id, now - 2 * MINUTE)
    dead = [claim(store, now, "dead") for _ in range(2)]
    alive, earlier = claim(store, now, "alive"), now - MINUTE
    assert store.claim_schedule("next", earlier, now) is None

    assert (store.release_schedules("dead"), store.release_schedules("dead")) == (2, 0)

    assert not any(store.transact(lambda tx, one=one: tx.advance_schedule(one, None)) for one in dead)  # type: ignore[misc]
    assert [claim(store, earlier, "next").schedule_id for _ in range(2)] == ["1", "2"]
    assert store.claim_schedule("next", earlier, now) is None
    assert store.transact(lambda tx: tx.advance_schedule(alive, None))


def test_a_changed_schedule_no_longer_belongs_to_its_worker(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    held = claim(store, now)
    put(store, A, "s", now + MINUTE)

    assert not store.transact(lambda tx: tx.advance_schedule(held, None))
    assert store.get_schedule(A, "s") is not None


def test_a_recreated_schedule_no_longer_belongs_to_its_worker(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    held = claim(store, now, "first")
    assert store.transact(lambda tx: tx.remove_schedule(A, "s"))
    assert not store.transact(lambda tx: tx.remove_schedule(A, "s"))
    put(store, A, "s", now)
    claim(store, now, "first")

    assert not store.transact(lambda tx: tx.advance_schedule(held, None))


def test_only_one_of_many_workers_gets_a_schedule(store: MetadataStore, now: datetime) -> None:
    for n in range(20):
        put(store, A, f"s{n:02}", now)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: store.claim_schedule(f"w{n}", now, now + MINUTE), range(40)))

    ids = [one.schedule_id for one in found if one is not None]
    assert sorted(ids) == [f"s{n:02}" for n in range(20)]


def test_schedules_are_deleted_with_their_namespace(store: MetadataStore, now: datetime) -> None:
    put(store, A, "s", now)
    put(store, B, "s", now)
    store.transact(lambda tx: tx.delete_scope(A))

    assert store.get_schedule(A, "s") is None
    assert store.get_schedule(B, "s") is not None


@pytest.mark.parametrize(
    "damage", ["payload = '{'", "payload = '{}'", "payload = CAST(x'7bff7d' AS TEXT)", "payload = '5', checksum = NULL"]
)
def test_a_damaged_schedule_is_marked_can_be_removed_and_blocks_no_other(
    tmp_path: Path, now: datetime, damage: str
) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    put(store, A, "1", now - MINUTE)
    put(store, A, "2", now)
    with store._database.transaction() as connection:
        connection.execute(f"UPDATE schedules SET {damage} WHERE schedule_id = '1'")

    broken, whole = claim(store, now), claim(store, now)

    assert (broken.schedule_id, broken.due, broken.payload, broken.damaged) == ("1", now - MINUTE, {}, True)
    assert (whole.schedule_id, whole.payload, whole.damaged) == ("2", {"trigger": "2"}, False)
    assert store.transact(lambda tx: tx.advance_schedule(broken, None))
    assert store.get_schedule(A, "1") is None
    store.close()


@pytest.mark.parametrize("due", ["'0'", "'never'", "CAST(x'ff' AS TEXT)", "CAST(x'2fff' AS TEXT)", "x'ff'", "x'32'",
                                 "'2020-01-01T00:00:00.000000'"])  # fmt: skip
def test_a_damaged_time_does_not_hide_the_next_schedule(tmp_path: Path, now: datetime, due: str) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    put(store, A, "1", now)
    put(store, A, "2", now + MINUTE)
    with store._database.transaction() as connection:
        connection.execute(f"UPDATE schedules SET due = {due} WHERE schedule_id = '1'")

    assert store.next_due() == now + MINUTE
    seen = store.get_schedule(A, "1")
    assert seen is not None and seen.damaged
    put(store, A, "1", now)
    assert store.next_due() == now
    store.close()


@pytest.mark.parametrize("due", ["x'ff'", "x'32'", "'0'", "'never'", "CAST(x'00ff' AS TEXT)"])
def test_no_next_due_time_is_reported_if_none_can_be_read(tmp_path: Path, now: datetime, due: str) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    put(store, A, "1", now)
    with store._database.transaction() as connection:
        connection.execute(f"UPDATE schedules SET due = {due}")

    assert store.next_due() is None
    store.close()


def damage_first(store: SqliteMetadata, now: datetime, change: str) -> None:
    """Store two due schedules, and change the columns of the first."""
    put(store, A, "1", now - MINUTE)
    put(store, A, "2", now)
    with store._database.transaction() as connection:
        connection.execute(f"UPDATE schedules SET {change} WHERE schedule_id = '1'")


def claim_all(store: SqliteMetadata, now: datetime) -> list[Schedule]:
    claimed = list[Schedule]()
    while (one := store.claim_schedule("w", now, now + MINUTE)) is not None:
        claimed.append(one)
    return claimed


@pytest.mark.parametrize(
    "change",
    [f"{column} = {value}{checksum}" for column in ("schedule_id", "namespace_id", "organization_id")
     for value in ("CAST(x'73ff' AS TEXT)", "x'73ff'") for checksum in ("", ", checksum = NULL")]
    + ["schedule_id = 'other'", "namespace_id = 'other'"],
)  # fmt: skip
def test_a_schedule_with_a_damaged_id_is_marked_can_be_removed_and_blocks_no_other(
    tmp_path: Path, now: datetime, change: str
) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    damage_first(store, now, change)

    broken, whole = claim_all(store, now)

    assert (broken.due, broken.payload, broken.damaged) == (now - MINUTE, {}, True)
    assert (whole.schedule_id, whole.payload, whole.damaged) == ("2", {"trigger": "2"}, False)
    assert store.transact(lambda tx: tx.advance_schedule(broken, None))
    assert [one.schedule_id for one in claim_all(store, now + MINUTE)] == ["2"]
    store.close()


@pytest.mark.parametrize("due", ["'zz'", "CAST(x'ff' AS TEXT)", "x'32'", "'never'"])
def test_a_schedule_with_an_invalid_time_is_claimed_so_that_it_can_be_removed(
    tmp_path: Path, now: datetime, due: str
) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    damage_first(store, now, f"due = {due}, checksum = NULL")

    whole, broken = claim_all(store, now)

    assert [(one.schedule_id, one.damaged) for one in (whole, broken)] == [("2", False), ("1", True)]
    assert store.transact(lambda tx: tx.advance_schedule(broken, None))
    assert store.get_schedule(A, "1") is None
    store.close()


def test_a_schedule_whose_time_was_corrupted_is_marked(tmp_path: Path, now: datetime) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    damage_first(store, now, "due = replace(due, '20', '21')")

    seen = store.get_schedule(A, "1")

    assert seen is not None and (seen.payload, seen.damaged) == ({}, True)
    store.close()


def test_an_advanced_schedule_is_intact_unless_it_was_damaged(tmp_path: Path, now: datetime) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    damage_first(store, now, "payload = '{}'")
    for one in claim_all(store, now):
        assert store.transact(lambda tx, one=one: tx.advance_schedule(one, now + MINUTE))  # type: ignore[misc]

    later = claim_all(store, now + MINUTE)

    assert [(one.schedule_id, one.due, one.payload, one.damaged) for one in later] == [
        ("1", now + MINUTE, {}, True),
        ("2", now + MINUTE, {"trigger": "2"}, False),
    ]
    store.close()


def test_a_worker_whose_name_is_damaged_does_not_hide_its_schedule(tmp_path: Path, now: datetime) -> None:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    damage_first(store, now, "worker = CAST(x'ff' AS TEXT)")

    seen = store.get_schedule(A, "1")

    assert seen is not None and (seen.payload, seen.damaged) == ({"trigger": "1"}, False)
    store.close()

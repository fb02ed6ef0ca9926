"""Saved replies to requests with an idempotency key."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shoal.errors import Corrupt
from shoal.records.scope import Scope
from shoal.storage.protocols.replies import Reply, SavedReply
from single_writes import MemoryStore, SqliteStore

DAY = timedelta(hours=24)
Store = SqliteStore | MemoryStore


@pytest.fixture(params=["metadata", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both metadata stores save replies."""
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "metadata": lambda: SqliteStore(tmp_path / "metadata.sqlite"),
    }
    opened = makers[request.param]()
    yield opened
    opened.close()


def saved(now: datetime, body: bytes = b'{"a":1}') -> SavedReply:
    return SavedReply("hash", Reply(200, "application/json", body), now)


def test_a_reply_round_trips_unchanged(store: Store, scope: Scope, now: datetime) -> None:
    reply = SavedReply("hash", Reply(204, None, b"\x00\xff"), now)

    assert store.get_reply(scope, "k") is None
    store.save_reply(scope, "k", reply, forget_before=now - DAY)

    assert store.get_reply(scope, "k") == reply


def test_a_later_reply_replaces_an_earlier_one(store: Store, scope: Scope, now: datetime) -> None:
    store.save_reply(scope, "k", saved(now, b"first"), forget_before=now - DAY)
    store.save_reply(scope, "k", saved(now, b"second"), forget_before=now - DAY)

    found = store.get_reply(scope, "k")

    assert found is not None and found.reply.body == b"second"


def test_a_reply_is_visible_only_in_its_scope(store: Store, scope: Scope, now: datetime) -> None:
    store.save_reply(scope, "k", saved(now), forget_before=now - DAY)

    assert store.get_reply(Scope("org_other", scope.namespace_id), "k") is None
    assert store.get_reply(Scope(scope.organization_id, "ns_other"), "k") is None


def test_old_replies_are_pruned_a_hundred_at_a_time(store: Store, scope: Scope, now: datetime) -> None:
    for n in range(150):
        store.save_reply(scope, f"k{n}", saved(now + timedelta(seconds=n)), forget_before=now - DAY)
    later = now + timedelta(seconds=149) + DAY

    store.save_reply(scope, "new", saved(later), forget_before=later - DAY)

    left = [n for n in range(150) if store.get_reply(scope, f"k{n}") is not None]
    assert left == list(range(100, 150))  # the last one is exactly a day old, the others are left for the next
    store.save_reply(scope, "newer", saved(later), forget_before=later - DAY)
    assert [n for n in range(150) if store.get_reply(scope, f"k{n}") is not None] == [149]


@pytest.mark.parametrize("change", ["body = x'7b7d'", "status = 500", "request = 'other'", "saved_at = '2020-01-01'"])
@pytest.mark.parametrize("store", ["metadata"], indirect=True)
def test_a_damaged_reply_is_reported_and_not_replayed(
    store: Store, scope: Scope, now: datetime, tmp_path: Path, change: str
) -> None:
    store.save_reply(scope, "k", saved(now), forget_before=now - DAY)
    store.save_reply(scope, "sound", saved(now), forget_before=now - DAY)
    (path,) = tmp_path.rglob("*.sqlite")

    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE replies SET {change} WHERE key = 'k'")
    connection.close()

    with pytest.raises(Corrupt, match="The saved answer to the request with the idempotency key 'k' is damaged"):
        store.get_reply(scope, "k")
    assert store.get_reply(scope, "sound") == saved(now)

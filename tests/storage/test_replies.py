"""Saved replies, and the transactions around several changes of documents that they need."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest

from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import AlreadyExists, Corrupt
from shoal.records.scope import Scope
from shoal.storage.protocols.replies import Reply, SavedReply
from shoal.storage.sqlite.documents.store import SqliteDocuments
from single_writes import MemoryStore, SqliteStore

DAY = timedelta(hours=24)
Store = SqliteStore | MemoryStore | SqliteDocuments


@pytest.fixture(params=["metadata", "memory", "documents"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both stores save replies."""
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "metadata": lambda: SqliteStore(tmp_path / "metadata.sqlite"),
        "documents": lambda: SqliteDocuments(tmp_path / "documents"),
    }
    opened = makers[request.param]()
    yield opened
    opened.close()


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    opened = SqliteDocuments(tmp_path / "documents")
    yield opened
    opened.close()


def saved(now: datetime, body: bytes = b'{"a":1}') -> SavedReply:
    return SavedReply("hash", Reply(200, "application/json", body), now)


def batch(*ids: str) -> DocumentBatch:
    values = np.arange(len(ids) * 3, dtype=np.float32).reshape(-1, 3)
    column = VectorColumn(np.arange(len(ids)), values)
    return DocumentBatch(list(ids), [orjson.dumps({"n": 1})] * len(ids), {"v": column})


def test_a_reply_is_found_as_it_was_saved(store: Store, scope: Scope, now: datetime) -> None:
    told = SavedReply("hash", Reply(204, None, b"\x00\xff"), now)

    assert store.saved_reply(scope, "k") is None
    store.save_reply(scope, "k", told, forget_before=now - DAY)

    assert store.saved_reply(scope, "k") == told


def test_a_later_reply_takes_the_place(store: Store, scope: Scope, now: datetime) -> None:
    store.save_reply(scope, "k", saved(now, b"first"), forget_before=now - DAY)
    store.save_reply(scope, "k", saved(now, b"second"), forget_before=now - DAY)

    found = store.saved_reply(scope, "k")

    assert found is not None and found.reply.body == b"second"


def test_a_reply_is_for_its_scope_alone(store: Store, scope: Scope, now: datetime) -> None:
    store.save_reply(scope, "k", saved(now), forget_before=now - DAY)

    assert store.saved_reply(Scope("org_other", scope.namespace_id), "k") is None
    assert store.saved_reply(Scope(scope.organization_id, "ns_other"), "k") is None


def test_old_replies_make_room_a_hundred_at_a_time(store: Store, scope: Scope, now: datetime) -> None:
    for n in range(150):
        store.save_reply(scope, f"k{n}", saved(now + timedelta(seconds=n)), forget_before=now - DAY)
    later = now + timedelta(seconds=149) + DAY

    store.save_reply(scope, "new", saved(later), forget_before=later - DAY)

    left = [n for n in range(150) if store.saved_reply(scope, f"k{n}") is not None]
    assert left == list(range(100, 150))  # the last one is a day old to the second, the others wait for the next
    store.save_reply(scope, "newer", saved(later), forget_before=later - DAY)
    assert [n for n in range(150) if store.saved_reply(scope, f"k{n}") is not None] == [149]


def test_a_reply_is_undone_with_its_effect(documents: SqliteDocuments, scope: Scope, now: datetime) -> None:
    def fail() -> None:
        with documents.transaction(scope):
            documents.write(scope, "c", [batch("a")], now=now)
            documents.save_reply(scope, "k", saved(now), forget_before=now - DAY)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert documents.count(scope, "c") == 0
    assert documents.saved_reply(scope, "k") is None


def test_changes_inside_a_transaction_see_each_other_and_others_do_not(
    documents: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    other = SqliteDocuments(tmp_path / "documents")
    with documents.transaction(scope):
        documents.write(scope, "c", [batch("a", "b")], now=now)
        documents.delete(scope, "c", ["a"])

        assert documents.count(scope, "c") == 1
        assert other.count(scope, "c") == 0

    assert other.count(scope, "c") == 1
    other.close()


def test_files_outlive_a_removal_that_is_undone(documents: SqliteDocuments, scope: Scope, now: datetime) -> None:
    documents.write(scope, "c", [batch("a", "b")], now=now)

    def fail() -> None:
        with documents.transaction(scope):
            documents.delete(scope, "c", ["a", "b"])  # the last of the collection: its files go as well
            with documents.transaction(scope):
                documents.drop_collection(scope, "c")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert documents.load_matrix(scope, ["c"], ["v"]).blocks["v"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_files_go_when_the_removal_is_certain(
    documents: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    documents.write(scope, "c", [batch("a", "b")], now=now)
    vectors = [path for path in (tmp_path / "documents").rglob("vectors/**/*") if path.is_file()]

    with documents.transaction(scope):
        documents.delete(scope, "c", ["a", "b"])
        assert vectors and all(path.exists() for path in vectors)

    assert not any(path.exists() for path in vectors)


def test_a_failed_change_is_never_stored_by_halves(documents: SqliteDocuments, scope: Scope, now: datetime) -> None:
    def carry_on() -> None:
        with documents.transaction(scope):
            documents.write(scope, "c", [batch("a")], now=now)
            with pytest.raises(AlreadyExists):
                documents.write(scope, "c", [batch("b"), batch("a")], now=now, on_conflict="fail")

    with pytest.raises(RuntimeError, match="halves"):
        carry_on()

    assert documents.count(scope, "c") == 0
    documents.write(scope, "c", [batch("a")], now=now)
    assert documents.count(scope, "c") == 1


@pytest.mark.parametrize("change", ["body = x'7b7d'", "status = 500", "request = 'other'", "saved_at = '2020-01-01'"])
@pytest.mark.parametrize("store", ["metadata", "documents"], indirect=True)
def test_a_reply_that_is_damaged_is_told_and_not_given_again(
    store: Store, scope: Scope, now: datetime, tmp_path: Path, change: str
) -> None:
    store.save_reply(scope, "k", saved(now), forget_before=now - DAY)
    store.save_reply(scope, "sound", saved(now), forget_before=now - DAY)
    (path,) = tmp_path.rglob("*.sqlite")

    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE replies SET {change} WHERE key = 'k'")
    connection.close()

    with pytest.raises(Corrupt, match="What was answered to the request with the idempotency key 'k' is damaged"):
        store.saved_reply(scope, "k")
    assert store.saved_reply(scope, "sound") == saved(now)

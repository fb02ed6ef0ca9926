"""Permits of long work, taken by real threads. Nothing is timed: the free time and the slices are over at once."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shoal import deadline, permits
from shoal.columns import DocumentBatch
from shoal.errors import OutOfTime
from shoal.permits import Permit, Permits
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.store import SqliteDocuments

EVER = float("inf")


@pytest.fixture(autouse=True)
def all_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits, "_FREE_SECONDS", 0.0)
    monkeypatch.setattr(permits, "_SLICE_SECONDS", 0.0)


def test_of_long_requests_a_few_go_on_at_a_time_and_all_come_to_their_end() -> None:
    shared, on, most, done = Permits(2), set[int](), [0], []
    guard = threading.Lock()

    def work(n: int) -> None:
        permit = Permit(shared, f"org{n % 3}")
        with permit.activate():
            for _ in range(30):
                deadline.check()
                with guard:
                    on.add(n)
                    most[0] = max(most[0], len(on))
                time.sleep(0.0005)
                with guard:
                    on.discard(n)
        done.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(done) == list(range(8))
    assert most[0] <= 2
    assert not shared.has_waiters()


def test_an_organisation_that_was_let_on_last_comes_after_another() -> None:
    shared, order = Permits(1), list[str]()
    first = Permit(shared, "many")
    first.hold(EVER)

    def wait(organization: str) -> None:
        permit = Permit(shared, organization)
        permit.hold(EVER)
        order.append(organization)
        permit.close()

    threads = []
    for waiting, organization in enumerate(["many", "many", "many", "one"], 1):
        threads.append(threading.Thread(target=wait, args=(organization,)))
        threads[-1].start()
        while len(shared._waiting) < waiting:
            time.sleep(0.001)
    first.close()
    for thread in threads:
        thread.join(60)

    assert order == ["one", "many", "many", "many"]


def test_who_waits_for_a_turn_is_out_of_time_when_its_time_is_over() -> None:
    shared = Permits(1)
    Permit(shared, "a").hold(EVER)

    with deadline.within(0.02), Permit(shared, "b").activate(), pytest.raises(OutOfTime):
        deadline.check()

    assert not shared.has_waiters()


def test_a_request_that_is_over_waits_no_more_and_keeps_no_turn() -> None:
    shared = Permits(1)
    first, second = Permit(shared, "a"), Permit(shared, "b")
    first.hold(EVER)
    thread = threading.Thread(target=second.hold, args=(EVER,))
    thread.start()
    while not shared.has_waiters():
        time.sleep(0.001)
    second.close()
    thread.join(60)
    first.close()

    third = Permit(shared, "c")
    third.hold(time.monotonic() + 60)
    assert not thread.is_alive()
    assert third._held


def test_a_writer_keeps_no_turn_from_others_and_waits_for_none(tmp_path: Path) -> None:
    shared, scope = Permits(1), Scope("org", "ns")
    store = SqliteDocuments(tmp_path)
    batch = DocumentBatch(["a"], [b'{"n":1}'], {})
    writer = Permit(shared, "a")

    def batches() -> Iterator[DocumentBatch]:
        reader = Permit(shared, "b")
        copy_context().run(reader.hold, EVER)  # gets the turn that the writer had
        yield batch
        reader.close()

    with writer.activate():
        deadline.check()
        store.write(scope, "c", batches(), now=datetime(2026, 11, 30, tzinfo=UTC))

    assert store.count(scope, "c") == 1
    store.close()


def test_the_event_loop_never_waits_for_a_turn() -> None:
    shared = Permits(1)
    Permit(shared, "a").hold(EVER)

    async def ask() -> None:
        Permit(shared, "b").hold(EVER)

    asyncio.run(asyncio.wait_for(ask(), 60))

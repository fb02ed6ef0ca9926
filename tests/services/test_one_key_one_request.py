"""A key belongs to one request: of two document writes that use it, concurrently or in sequence, one is stored and the
other is rejected before it writes."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from shoal.columns import DocumentBatch
from shoal.errors import InvalidField, KeyReused, NotFound, Unavailable
from shoal.records.audit import Origin
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.repositories.audit import Audit, note_done
from shoal.repositories.retention_clock import RetentionClock
from shoal.services import idempotency
from shoal.services.document_intents import HELD_FOR
from shoal.services.idempotency import Answer, Idempotency, KeyedRequest
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.documents import DocumentStore, Write
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.replies import Reply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.metadata import SqliteMetadata

SCOPE, COL = Scope("org_a", "ns_a"), "col_1"


class Crash(BaseException):
    """The process dies."""


@dataclass
class World:
    """A server without HTTP: its stores and a clock controlled by the test."""

    metadata: MetadataStore
    documents: DocumentStore
    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __post_init__(self) -> None:
        self.keys = Idempotency(self.metadata, self.documents, lambda: self.now, lambda: self.now)

    def send(self, body: str, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None,
             key: str = "k") -> Answer:  # fmt: skip
        """Store a document named after the body, between two steps."""

        def act(write: Write) -> Reply:
            before()
            self.store(body, write)
            after()
            return Reply(200, None, f"{body} {write.id}".encode())

        return self.keys.once_with_documents(SCOPE, KeyedRequest(key, f"hash of {body}"), lambda: act)

    def store(self, body: str, write: Write) -> None:
        self.documents.write(SCOPE, COL, [DocumentBatch([body], [b"{}"])], now=write.at, write=write)

    def stored(self) -> list[str]:
        found = self.documents.find(SCOPE, COL, Query(page=Page(limit=1000))).items
        return [one.document_id for one in found]

    def intents(self) -> int:
        return len(self.metadata.find(SCOPE, "document_write", Query()).items)

    def crash(self, body: str, step: str) -> None:
        """Send a request whose process dies at a step."""

        def die(reached: str) -> None:
            if reached == step:
                raise Crash

        with patch.object(idempotency, "hit", die), pytest.raises(Crash):
            self.send(body)


def sqlite_world(folder: Path) -> World:
    return World(SqliteMetadata(folder / "metadata.sqlite"), SqliteDocuments(folder / "documents"))


@pytest.fixture(params=["sqlite", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        made = sqlite_world(tmp_path)
    else:
        made = World(MemoryMetadata(Conflicts(rate=0.33, seed=7)), MemoryDocuments())
    yield made
    made.metadata.close()
    made.documents.close()


def fail(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def send_many(world: World, body: str, wait: Callable[[], Any], keys: int) -> list[str]:
    """The replies to a caller who sends a body under each of several keys, while all callers run concurrently."""
    outcomes = []
    for number in range(keys):
        wait()
        try:
            outcomes.append(world.send(f"{number}-{body}", key=f"k{number}").reply.body.decode())
        except KeyReused:
            outcomes.append("reused")
    return outcomes


def check_one_body_each(outcomes: list[list[str]], stored: list[str], callers: int) -> None:
    """One body per key is stored; every caller who sent it gets the same reply, and all others are rejected."""
    bodies = dict(name.split("-") for name in stored)
    assert len(stored) == len(bodies) == len(outcomes[0])
    for number in range(len(outcomes[0])):
        replies = Counter(of_caller[number] for of_caller in outcomes)
        refused = replies.pop("reused")
        ((reply, answered),) = replies.items()
        assert reply.split(" ")[0] == f"{number}-{bodies[str(number)]}"
        assert refused == answered == callers // 2


@pytest.mark.parametrize("callers", [2, 8])
def test_of_two_bodies_sent_by_many_threads_one_is_stored(world: World, callers: int) -> None:
    together = threading.Barrier(callers)
    with ThreadPoolExecutor(callers) as pool:
        sent = [
            pool.submit(send_many, world, body, lambda: together.wait(60), 20) for body in islice(cycle("xy"), callers)
        ]
        outcomes = [one.result() for one in sent]

    check_one_body_each(outcomes, world.stored(), callers)
    assert world.intents() == 0


_together: Barrier


def _join(barrier: Barrier) -> None:
    global _together
    _together = barrier


def _send_from_a_process(folder: Path, body: str) -> list[str]:
    world = sqlite_world(folder)
    try:
        return send_many(world, body, lambda: _together.wait(60), 20)
    finally:
        world.metadata.close()
        world.documents.close()


@pytest.mark.process
def test_of_two_bodies_sent_by_two_processes_one_is_stored(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, _join, (context.Barrier(2),)) as pool:
        sent = [pool.submit(_send_from_a_process, tmp_path, body) for body in "xy"]
        outcomes = [one.result() for one in sent]

    world = sqlite_world(tmp_path)
    check_one_body_each(outcomes, world.stored(), 2)
    world.metadata.close()
    world.documents.close()


def test_another_body_is_rejected_while_the_first_is_in_progress(world: World) -> None:
    def send_another() -> None:
        with pytest.raises(KeyReused):
            world.send("y")

    world.send("x", before=send_another, after=send_another)
    send_another()

    assert world.stored() == ["x"]


def test_the_key_of_a_rejected_request_can_be_used_by_a_corrected_one(world: World) -> None:
    for error in (NotFound("collection", "docs"), InvalidField("n", "is wrong"), Unavailable("The store is busy.")):
        with pytest.raises(type(error)):
            world.send("x", before=fail(error))

    assert world.send("y").reply.status == 200
    with pytest.raises(KeyReused):
        world.send("x")
    assert world.stored() == ["y"]


def test_after_a_crash_following_the_write_another_body_never_gets_the_key(world: World) -> None:
    world.crash("x", "idempotency.before_save")

    for waited in (timedelta(0), HELD_FOR, timedelta(hours=23)):
        world.now += waited
        with pytest.raises(KeyReused):
            world.send("y")

    assert world.send("x").reply.body.startswith(b"x ")
    assert world.send("x").replayed
    assert world.stored() == ["x"]


def test_after_a_crash_before_the_write_another_body_gets_the_key_within_minutes(world: World) -> None:
    world.crash("x", "idempotency.intent")
    world.now += HELD_FOR - timedelta(seconds=1)
    with pytest.raises(KeyReused):
        world.send("y")
    world.now += timedelta(seconds=1)

    assert world.send("y").reply.status == 200

    with pytest.raises(KeyReused):
        world.send("x")
    assert world.stored() == ["y"]


def test_a_retry_after_a_crash_holds_the_key_again(world: World) -> None:
    world.crash("x", "idempotency.intent")
    world.now += timedelta(hours=1)

    def send_another() -> None:
        with pytest.raises(KeyReused):
            world.send("y")

    world.send("x", before=send_another)

    assert world.stored() == ["x"]


def test_a_slow_request_that_lost_its_key_stores_nothing(world: World) -> None:
    def lose_the_key() -> None:
        world.now += HELD_FOR
        world.send("y")

    with pytest.raises(KeyReused):
        world.send("x", before=lose_the_key)

    assert world.stored() == ["y"]
    assert world.send("y").replayed


def test_a_request_keeps_its_key_if_a_rival_dies_between_withdrawing_its_write_and_taking_the_key(
    world: World,
) -> None:
    world.crash("x", "idempotency.intent")
    world.now += HELD_FOR
    withdraw = world.documents.withdraw_write

    def withdraw_and_die(scope: Scope, write: Write) -> bool:
        withdraw(scope, write)
        raise Crash

    with patch.object(world.documents, "withdraw_write", withdraw_and_die), pytest.raises(Crash):
        world.send("y")

    assert world.send("x").reply.body.startswith(b"x ")
    assert world.send("x").replayed
    with pytest.raises(KeyReused):
        world.send("y")
    assert world.stored() == ["x"]
    assert not world.intents()


def test_a_slow_request_without_anything_to_write_loses_its_key_too(world: World) -> None:
    def act(write: Write) -> Reply:
        world.now += HELD_FOR
        with pytest.raises(NotFound):
            world.send("y", before=fail(NotFound("collection", "docs")))
        return Reply(200, None, b"nothing to do")

    with pytest.raises(KeyReused):
        world.keys.once_with_documents(SCOPE, KeyedRequest("k", "empty"), lambda: act)


def test_an_error_after_the_write_reserves_the_key_for_its_request(world: World) -> None:
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.send("x", after=fail(Unavailable("The reader is gone.")))
        with pytest.raises(KeyReused):
            world.send("y")

    assert world.send("x").reply.body.startswith(b"x ")
    assert world.stored() == ["x"]


def test_a_retry_gets_the_reply_that_could_not_be_saved(world: World) -> None:
    def save_nothing(step: str) -> None:
        if step == "idempotency.before_save":
            raise Unavailable("The metadata store did not answer.")

    with patch.object(idempotency, "hit", save_nothing), pytest.raises(Unavailable):
        world.send("x")
    with pytest.raises(KeyReused):
        world.send("y")

    assert world.send("x").reply.body.startswith(b"x ")
    assert world.stored() == ["x"]


def test_a_record_request_cannot_use_the_key_of_stored_documents(world: World) -> None:
    def insert(tx: Transaction) -> Reply:
        tx.insert(SCOPE, "bucket", "bkt_1", {"id": "bkt_1"})
        return Reply(200, None, b"")

    def repeat() -> Reply:
        repeated.append(True)
        return Reply(200, None, b"")

    repeated: list[bool] = []
    request = KeyedRequest("k", "hash of a bucket")
    world.crash("x", "idempotency.before_save")
    for waited in (timedelta(0), HELD_FOR):
        world.now += waited
        with pytest.raises(KeyReused):
            world.keys.once(SCOPE, request, lambda: insert)
        with pytest.raises(KeyReused):
            world.keys.once_repeatable(SCOPE, request, repeat)

    assert world.metadata.get(SCOPE, "bucket", "bkt_1") is None and not repeated


def test_a_record_request_can_use_the_key_of_a_rejected_document_request(world: World) -> None:
    def insert(tx: Transaction) -> Reply:
        tx.insert(SCOPE, "bucket", "bkt_1", {"id": "bkt_1"})
        return Reply(200, None, b"")

    with pytest.raises(NotFound):
        world.send("x", before=fail(NotFound("collection", "docs")))
    world.keys.once(SCOPE, KeyedRequest("k", "hash of a bucket"), lambda: insert)

    assert world.metadata.get(SCOPE, "bucket", "bkt_1") is not None and world.intents() == 0
    with pytest.raises(KeyReused):
        world.send("x")


@pytest.mark.parametrize("fails", ["act", "save_reply"])
def test_audit_log_rows_survive_an_error_after_the_write(world: World, fails: str) -> None:
    def now() -> datetime:
        return world.now

    audit = Audit(world.metadata, now, RetentionClock(world.metadata, now), days=9, rows=99)

    def rows() -> list[str]:
        return [row.body["action"] for row in world.metadata.find(SCOPE.organization, "audit", Query()).items]

    def note() -> None:
        note_done(SCOPE, "document.create", "x")

    def note_and_fail() -> None:
        note()
        raise Unavailable("The reader is gone.")

    def save_nothing(step: str) -> None:
        if step == "idempotency.before_save" and fails == "save_reply":
            raise Unavailable("The metadata store did not answer.")

    with audit.acting(Origin(via="command line")):
        for _ in range(2):
            with patch.object(idempotency, "hit", save_nothing), pytest.raises(Unavailable):
                world.send("x", after=note_and_fail if fails == "act" else note)
            assert rows() == ["document.create"]
        world.send("x", after=note)

    assert rows() == ["document.create"]

"""Idempotency keys against a simple model: any order of requests, errors, crashes, restarts and elapsed hours.

A crash leaves neither the effect nor the reply of a request that writes records. It may leave the effect of a request
that writes documents: a retry then gets the reply to that effect, which is not applied twice.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shoal import deadline
from shoal.columns import DocumentBatch
from shoal.errors import InvalidRequest, KeyReused, OutOfTime, Unavailable
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.services import idempotency
from shoal.services.idempotency import Answer, Idempotency, KeyedRequest
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.documents import Write
from shoal.storage.protocols.records import Kind, Query
from shoal.storage.protocols.replies import Reply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.documents.store import SqliteDocuments
from single_writes import SqliteStore

SCOPES = (Scope("org_a", "ns_a"), Scope("org_a", "ns_b"), Scope("org_b", "ns_a"))
KEYS = ("k1", "k2")
Route = Literal["records", "documents", "repeatable"]
ROUTES: tuple[Route, ...] = ("records", "documents", "repeatable")
BODIES = ("x", "y")
ENDINGS = ("well", "well", "error", "late error", "early crash", "crash")
KINDS: dict[Route, Kind] = {"records": "bucket", "repeatable": "object"}


class Crash(BaseException):
    """The process dies between effect and reply."""


@dataclass
class Expected:
    """What the model remembers of a key."""

    request: str
    reply: bytes
    at: datetime


@dataclass
class Begun:
    """What the model remembers of a document request without a reply. A request whose process crashed holds its
    key for a while."""

    request: str
    at: datetime
    held_since: datetime | None
    effect: str | None = None

    def is_held(self, now: datetime) -> bool:
        return self.held_since is not None and now - self.held_since < timedelta(minutes=5)


class Requests(RuleBasedStateMachine):
    """The model is a dictionary of replies and, for each scope, the list of applied effects."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.known: dict[tuple[Scope, str], Expected] = {}
        self.effects: dict[tuple[Scope, Route], list[str]] = {}
        self.begun: dict[tuple[Scope, str], Begun] = {}
        self.counter = 0
        self._open()

    def teardown(self) -> None:
        if hasattr(self, "metadata"):
            self._close()
            self.folder.cleanup()

    @rule(
        scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), route=st.sampled_from(ROUTES),
        body=st.sampled_from(BODIES), ending=st.sampled_from(ENDINGS),
    )  # fmt: skip
    def request(self, scope: Scope, key: str, route: Route, body: str, ending: str) -> None:
        self.counter += 1
        fingerprint, effect = f"{route} {body}", f"e{self.counter}"
        known = self._known(scope, key)
        if known is not None and known.request != fingerprint:
            with pytest.raises(KeyReused):
                self._send(scope, key, route, fingerprint, effect, ending)
        elif known is not None:
            answer = self._send(scope, key, route, fingerprint, effect, ending)
            assert answer == Answer(Reply(200, "application/json", known.reply), True)
        elif self._belongs_to_another(scope, key, fingerprint):
            with pytest.raises(KeyReused):
                self._send(scope, key, route, fingerprint, effect, ending)
        elif route == "documents":
            self._write_documents(scope, key, fingerprint, ending)
        elif ending == "well":
            answer = self._send(scope, key, route, fingerprint, effect, ending)
            reply = orjson.dumps(effect)
            assert answer == Answer(Reply(200, "application/json", reply), False)
            self.known[scope, key] = Expected(fingerprint, reply, self.now)
            self._happened(scope, route, effect)
        else:
            with pytest.raises(Crash if "crash" in ending else InvalidRequest):
                self._send(scope, key, route, fingerprint, effect, ending)
            if route == "repeatable" and ending != "error":  # outside the transaction that saves the reply
                self._happened(scope, route, effect)

    def _belongs_to_another(self, scope: Scope, key: str, fingerprint: str) -> bool:
        """Whether the key belongs to another document request; otherwise that request is forgotten."""
        begun = self.begun.get((scope, key))
        if begun is None or begun.request == fingerprint:
            return False
        expired = self.now - begun.at > timedelta(hours=24)
        if not expired and (begun.effect is not None or begun.is_held(self.now)):
            return True
        del self.begun[scope, key]
        return False

    def _write_documents(self, scope: Scope, key: str, fingerprint: str, ending: str) -> None:
        begun = self.begun.get((scope, key))
        if begun is None or self.now - begun.at > timedelta(hours=24):
            begun = self.begun[scope, key] = Begun(fingerprint, self.now, self.now)
        if not begun.is_held(self.now):
            begun.held_since = self.now
        if ending == "well":
            answer = self._send(scope, key, "documents", fingerprint, "", ending)
            reply = orjson.dumps([begun.effect or self.written, 1])
            assert answer == Answer(Reply(200, "application/json", reply), False)
            self.known[scope, key] = Expected(fingerprint, reply, self.now)
            del self.begun[scope, key]
        else:
            with pytest.raises(Crash if "crash" in ending else InvalidRequest):
                self._send(scope, key, "documents", fingerprint, "", ending)
        if "error" in ending:
            begun.held_since = None
        if ending in ("well", "late error", "crash") and begun.effect is None:
            begun.effect = self.written
            self._happened(scope, "documents", self.written)

    @rule(hours=st.sampled_from((1, 12, 23, 24)), seconds=st.sampled_from((0, 1)))
    def time_passes(self, hours: int, seconds: int) -> None:
        self.now += timedelta(hours=hours, seconds=seconds)

    @rule(seconds=st.sampled_from((1, 299, 300)))
    def minutes_pass(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), first=st.sampled_from(ENDINGS))
    def two_bodies_at_once(self, scope: Scope, key: str, first: str) -> None:
        """Send another body while the first is about to be written: only one of them may be stored."""
        if self._known(scope, key) is not None or (scope, key) in self.begun:
            return
        begun = self.begun[scope, key] = Begun("documents x", self.now, self.now)
        refused: list[bool] = []

        def write_beside_another(write: Write) -> Reply:
            with pytest.raises(KeyReused):
                self._send(scope, key, "documents", "documents y", "", "well")
            refused.append(True)
            return self._writing(scope, first)(write)

        with suppress(Crash, InvalidRequest), patch.object(idempotency, "hit", _failing(first)):
            self.keys.once_with_documents(scope, KeyedRequest(key, "documents x"), lambda: write_beside_another)

        assert refused or first == "early crash"
        if first in ("well", "late error", "crash"):
            begun.effect = self.written
            self._happened(scope, "documents", self.written)
        if "error" in first:
            begun.held_since = None
        if first == "well":
            reply = orjson.dumps([self.written, 1])
            self.known[scope, key] = Expected("documents x", reply, self.now)
            del self.begun[scope, key]

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()

    @invariant()
    def effects_are_those_of_the_model(self) -> None:
        if not hasattr(self, "metadata"):
            return
        for scope in SCOPES:
            for route, kind in KINDS.items():
                found = [one.id for one in self.metadata.find(scope, kind, Query(page=Page(limit=1000))).items]
                assert sorted(found) == sorted(self.effects.get((scope, route), []))
            ids = self.documents.load_fields(scope, ["c"], [])[0]
            assert sorted(ids) == sorted(self.effects.get((scope, "documents"), []))

    def _known(self, scope: Scope, key: str) -> Expected | None:
        known = self.known.get((scope, key))
        return known if known is not None and self.now - known.at <= timedelta(hours=24) else None

    def _happened(self, scope: Scope, route: Route, effect: str) -> None:
        self.effects.setdefault((scope, route), []).append(effect)

    def _send(self, scope: Scope, key: str, route: Route, fingerprint: str, effect: str, ending: str) -> Answer:
        act = self._act(scope, route, effect, ending)
        body = self._body(scope, route, effect, ending)
        keyed = KeyedRequest(key, fingerprint)

        with patch.object(idempotency, "hit", _failing(ending)):
            if route == "records":
                return self.keys.once(scope, keyed, lambda: body)
            if route == "documents":
                return self.keys.once_with_documents(scope, keyed, lambda: self._writing(scope, ending))
            return self.keys.once_repeatable(scope, keyed, act)

    def _act(self, scope: Scope, route: Route, effect: str, ending: str) -> Callable[[], Reply]:
        def act() -> Reply:
            if ending == "error":
                raise InvalidRequest("refused")
            self.metadata.insert(scope, KINDS[route], effect, {"id": effect})
            if ending == "late error":
                raise InvalidRequest("refused after all")
            return Reply(200, "application/json", orjson.dumps(effect))

        return act

    def _body(self, scope: Scope, route: Route, effect: str, ending: str) -> Callable[[Transaction], Reply]:
        def body(tx: Transaction) -> Reply:
            if ending == "error":
                raise InvalidRequest("refused")
            tx.insert(scope, KINDS[route], effect, {"id": effect})
            if ending == "late error":
                raise InvalidRequest("refused after all")
            return Reply(200, "application/json", orjson.dumps(effect))

        return body

    def _writing(self, scope: Scope, ending: str) -> Callable[[Write], Reply]:
        def act(write: Write) -> Reply:
            if ending == "error":
                raise InvalidRequest("refused")
            self.written = write.id
            batch = DocumentBatch([write.id], [b"{}"], {})
            count = self.documents.write(scope, "c", [batch], now=write.at, write=write)
            if ending == "late error":
                raise InvalidRequest("refused after all")
            return Reply(200, "application/json", orjson.dumps([write.id, count.inserted]))

        return act

    def _open(self) -> None:
        root = Path(self.folder.name)
        self.metadata = SqliteStore(root / "metadata.sqlite")
        self.documents = SqliteDocuments(root / "documents")
        self.keys = Idempotency(self.metadata, self.documents, lambda: self.now, lambda: self.now)

    def _close(self) -> None:
        self.metadata.close()
        self.documents.close()


def _failing(ending: str) -> Callable[[str], None]:
    """The failpoint at which a request with this outcome crashes."""

    def fail(step: str) -> None:
        if ending == "early crash" or (ending == "crash" and step == "idempotency.before_save"):
            raise Crash

    return fail


Requests.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)
TestRequests = Requests.TestCase


def test_expired_intents_are_removed() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    scope, metadata = SCOPES[0], MemoryMetadata()
    keys = Idempotency(metadata, MemoryDocuments(), lambda: now[0], lambda: now[0])

    def lose(write: Write) -> Reply:
        raise Unavailable("The store did not answer.")

    for key in ("old", "young"):
        with pytest.raises(Unavailable):
            keys.once_with_documents(scope, KeyedRequest(key, "request"), lambda: lose)
        now[0] += timedelta(hours=13)
    keys.forget(scope)

    left = metadata.find(scope, "document_write", Query()).items
    assert [one.body["created_at"] for one in left] == ["2026-01-01T13:00:00Z"]


def test_a_duplicate_that_finishes_concurrently_has_no_second_effect() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    scope, metadata, documents = SCOPES[0], MemoryMetadata(), MemoryDocuments()
    keys = Idempotency(metadata, documents, lambda: now, lambda: now)
    keyed = KeyedRequest("k", "request")

    def act(write: Write) -> Reply:
        documents.write(scope, "c", [DocumentBatch([write.id], [b"{}"])], now=write.at, write=write)
        return Reply(200, None, write.id.encode())

    def prepared() -> Callable[[Write], Reply]:
        first.append(
            keys.once_with_documents(scope, keyed, lambda: act)
        )  # the duplicate completes before this request begins
        return act

    first: list[Answer] = []
    answer = keys.once_with_documents(scope, keyed, prepared)

    assert (answer.reply, answer.replayed) == (first[0].reply, True)
    assert documents.count(scope, "c") == 1
    assert metadata.find(scope, "document_write", Query()).items == []


def test_a_key_does_not_suspend_the_deadline_of_its_request(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    metadata = SqliteStore(tmp_path / "metadata.sqlite")
    keys = Idempotency(metadata, MemoryDocuments(), lambda: now, lambda: now)

    def overrun(write: Write) -> Reply:
        time.sleep(0.3)
        deadline.check()
        return Reply(200, None, b"")

    with deadline.within(0.2), pytest.raises(OutOfTime):
        keys.once_with_documents(SCOPES[0], KeyedRequest("k", "request"), lambda: overrun)
    metadata.close()

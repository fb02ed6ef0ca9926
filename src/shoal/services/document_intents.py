"""Intents of keyed requests that write documents: a key belongs to one request, also where there is no reply yet.

An intent is stored under its key alone. Another request with the key is refused before it writes: while the first one
is under way, and for as long as the key is remembered if its documents are stored. Otherwise it may have the key, once
the first one has ended with an error, or five minutes after its process died. Whether the documents are stored, only
their store can decide: it withdraws the write of the first request, unless it was carried out. From then on that write
is refused, so that a process that is merely slow cannot store a second effect.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from shoal import deadline
from shoal.errors import KeyReused, ShoalError
from shoal.records.base import READING
from shoal.records.documents.write import DocumentWrite
from shoal.records.ids import new_id
from shoal.records.scope import Scope
from shoal.repositories.audit import Note
from shoal.repositories.repository import Repository
from shoal.storage.protocols.documents import DocumentWriter, Write
from shoal.storage.protocols.records import RecordReader
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["HELD_FOR", "DocumentIntents", "KeyedRequest"]

T = TypeVar("T")
HELD_FOR: Final = timedelta(minutes=5)
"""How long a request holds its key without an end; after that another request asks the document store for the key.

Longer than a request takes until it writes. Where it is not, the slow request is refused, and nothing else is lost.
"""
_log = logging.getLogger("shoal.idempotency")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """An idempotency key with its request: `fingerprint` is a hash of route, parameters and body."""

    key: str
    fingerprint: str


class _OtherRequest(Exception):
    """Leaves a transaction that found the intent of another request under the key."""

    def __init__(self, intent: DocumentWrite) -> None:
        super().__init__(intent.intent_id)
        self.intent = intent


class DocumentIntents:
    """The intents in the metadata store, one for each key of a namespace. `now` is UTC.

    A `horizon` is the time before which keys are forgotten. `begin` and `check` are for bodies of `transact`.
    """

    def __init__(self, metadata: RecordStore, documents: DocumentWriter, now: Callable[[], datetime]) -> None:
        self._metadata, self._documents, self._now = metadata, documents, now
        self._intents = Repository(metadata, "document_write", DocumentWrite, id_field="intent_id")

    def transact(self, scope: Scope, request: KeyedRequest, body: Callable[[Transaction], T]) -> T:
        """Run a transaction that calls `begin` or `check` before it writes. Raises KeyReused if the key belongs to
        another request."""
        try:
            return self._metadata.transact(body)
        except _OtherRequest as other:
            self._take_key(scope, request, other.intent)
        try:
            return self._metadata.transact(body)
        except _OtherRequest:  # a third request was faster
            raise KeyReused(request.key) from None

    def create(self, request: KeyedRequest) -> DocumentWrite:
        """Return a new intent, which is not stored."""
        now = self._now()
        return DocumentWrite(
            intent_id=_intent_id(request.key),
            request=request.fingerprint,
            write_id=new_id("write"),
            created_at=now,
            held_since=now,
        )

    def begin(
        self, tx: Transaction, scope: Scope, request: KeyedRequest, new: DocumentWrite, horizon: datetime
    ) -> DocumentWrite:
        """Return the intent of this request, held from now on; `new` is stored where there is none."""
        intents, stored = self._intents.within(tx), _find(tx, scope, request)
        existing = _check(stored, request, horizon)
        if existing is None:
            if stored is not None:  # it has expired
                intents.remove(scope, stored.intent_id)
            return intents.add(scope, new)
        if self._is_held(existing):
            return existing
        return intents.change(scope, existing.intent_id, lambda stored: stored.with_changes(held_since=new.held_since))

    def check(self, tx: Transaction, scope: Scope, request: KeyedRequest, horizon: datetime) -> DocumentWrite | None:
        """Return the intent of this request, None if it has none; leave the transaction if another request has one."""
        return _check(_find(tx, scope, request), request, horizon)

    def end(self, tx: Transaction, scope: Scope, request: KeyedRequest, notes: Sequence[Note]) -> None:
        """Remove the intent of a request whose reply is saved in this transaction, and write its rows of the audit log.

        Raises KeyReused if another request has taken the key, since this one had nothing to write.
        """
        intent = _find(tx, scope, request)
        if intent is not None and intent.request != request.fingerprint:
            raise KeyReused(request.key)
        if intent is None or not intent.noted:
            _write_notes(tx, notes)
        self._intents.within(tx).remove(scope, _intent_id(request.key))

    def fail(self, scope: Scope, request: KeyedRequest, write: Write, notes: Sequence[Note]) -> None:
        """Let go of the key of a request that ended with an error, and write its rows of the audit log.

        It has rows only if its documents are stored: then no other request gets the key. Never raises ShoalError: if
        this is not stored, the key is held for some minutes more.
        """

        def end(tx: Transaction) -> None:
            intent = _find(tx, scope, request)
            if intent is None or intent.write_id != write.id:  # a duplicate has ended, or another request has the key
                return
            if not intent.noted:
                _write_notes(tx, notes)
            noted = intent.noted or bool(notes)
            self._intents.within(tx).change(
                scope, intent.intent_id, lambda stored: stored.with_changes(held_since=None, noted=noted)
            )

        try:
            with deadline.suspend():
                self._metadata.transact(end)
        except ShoalError as error:
            _log.error("idempotency.not_ended", extra={"cause": error.message})

    def discard(self, scope: Scope, request: KeyedRequest, write_id: str) -> bool:
        """Remove the intent of a request whose write was withdrawn. Returns False if the key is another request's."""

        def remove(tx: Transaction) -> bool:
            intent = _find(tx, scope, request)
            if intent is None or intent.write_id != write_id:
                return intent is None or intent.request == request.fingerprint
            self._intents.within(tx).remove(scope, intent.intent_id)
            return True

        with deadline.suspend():
            return self._metadata.transact(remove)

    def _take_key(self, scope: Scope, request: KeyedRequest, other: DocumentWrite) -> None:
        """Withdraw the write of another request under the key, and remove its intent. Raises KeyReused where that
        request is under way or has written."""
        if self._is_held(other):
            raise KeyReused(request.key)

        def remove(tx: Transaction) -> None:
            intent = _find(tx, scope, request)
            if intent is not None and intent.write_id == other.write_id:
                self._intents.within(tx).remove(scope, intent.intent_id)

        with deadline.suspend():
            if not self._documents.withdraw_write(scope, Write(other.write_id, self._now())):
                raise KeyReused(request.key)
            self._metadata.transact(remove)

    def _is_held(self, intent: DocumentWrite) -> bool:
        return intent.held_since is not None and self._now() - intent.held_since < HELD_FOR


def _intent_id(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=20).hexdigest()


def _find(reader: RecordReader, scope: Scope, request: KeyedRequest) -> DocumentWrite | None:
    """Return the intent under the key of a request."""
    stored = reader.get(scope, "document_write", _intent_id(request.key))
    return None if stored is None else DocumentWrite.model_validate(stored.body, context=READING)


def _check(intent: DocumentWrite | None, request: KeyedRequest, horizon: datetime) -> DocumentWrite | None:
    """Return the intent if it is the request's, None if there is none or it has expired. Raises _OtherRequest."""
    if intent is None or intent.created_at < horizon:
        return None
    if intent.request != request.fingerprint:
        raise _OtherRequest(intent)
    return intent


def _write_notes(tx: Transaction, notes: Sequence[Note]) -> None:
    for note in notes:
        note(tx)

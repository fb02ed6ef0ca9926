"""Idempotency keys: a request that is repeated under its key is executed once and gets the same reply.

For effects in the metadata store, the reply is written in the same transaction as the effect: a concurrent duplicate
finds the reply in its own transaction, and a crash leaves both or neither.

Documents are in a separate store. There the request first gets an intent in the metadata store, with the id and time of
the write; then the document store executes the write, once for its id; then the reply is saved, in the transaction that
removes the intent. Duplicates share the intent, and a repetition after a crash at any step finds it: one effect, one
reply.

A key belongs to one request: see `document_intents.py` for another one that comes with it before there is a reply.

No reply is saved for an error. A request that was refused has written nothing; one that failed may have written its
documents, and its repetition gets the reply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias, TypeVar

from shoal import deadline
from shoal.errors import InvalidField, KeyReused, ShoalError
from shoal.failpoints import hit
from shoal.records.documents.write import DocumentWrite
from shoal.records.scope import Scope
from shoal.repositories.audit import Note, defer_notes
from shoal.services.document_intents import DocumentIntents, KeyedRequest
from shoal.storage.protocols.documents import DocumentWriter, Write, WriteWithdrawn
from shoal.storage.protocols.replies import Reply, ReplyReader, SavedReply
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = [
    "MAX_KEY_LENGTH",
    "REPLY_LIFETIME",
    "Action",
    "Answer",
    "Effect",
    "Idempotency",
    "KeyedRequest",
    "NamedAction",
    "check_key",
]

T = TypeVar("T")
REPLY_LIFETIME: Final = timedelta(hours=24)
"""How long a saved reply is replayed."""
MAX_KEY_LENGTH: Final = 255
_MOST_INTENTS: Final = 1_000_000
_PRUNED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and whether it was saved by an earlier request."""

    reply: Reply
    replayed: bool


Action: TypeAlias = Callable[[], Reply]
NamedAction: TypeAlias = Callable[[Write], Reply]
"""Writes documents under the id of a write, and may be repeated with it."""
Effect: TypeAlias = Callable[[Transaction], Reply]
"""A transaction body that returns the reply to save."""


class KeyedStore(RecordStore, ReplyReader, Protocol):
    """Records with the replies to the requests that changed them."""


class Idempotency:
    """Executes each keyed request once. A key is scoped to a namespace, or to an organisation for resources without a
    namespace. `now` is UTC; `retention` is the clock by which replies expire."""

    def __init__(
        self,
        metadata: KeyedStore,
        documents: DocumentWriter,
        now: Callable[[], datetime],
        retention: Callable[[], datetime],
    ) -> None:
        self._metadata, self._now, self._retention = metadata, now, retention
        self._intents = DocumentIntents(metadata, documents, now)

    def once(self, scope: Scope, request: KeyedRequest, prepare: Callable[[], Effect]) -> Answer:
        """Execute an effect in the metadata store. `prepare` is called once, outside of the transaction, for work that
        is slow or must not be repeated; it returns the effect. Raises KeyReused, and what they raise."""
        answer = self._find_answer(scope, request)
        if answer is not None:
            return answer
        horizon = self._horizon()
        try:
            effect = prepare()
        except ShoalError:
            answer = self._find_answer(scope, request)  # a duplicate may have done meanwhile what cannot be done twice
            if answer is not None:
                return answer
            raise

        def act(tx: Transaction) -> Answer:
            # A duplicate may have been faster.
            answer = _to_answer(request, tx.get_reply(scope, request.key), horizon)
            if answer is not None:
                return answer
            self._intents.check(tx, scope, request, horizon)
            reply = effect(tx)
            hit("idempotency.before_save")
            tx.save_reply(scope, request.key, self._to_saved_reply(request, reply), forget_before=horizon)
            return Answer(reply, False)

        return self._intents.transact(scope, request, act)

    def transact(self, prepare: Callable[[], Callable[[Transaction], T]]) -> T:
        """Execute the effect of a request without a key: nothing is saved."""
        return self._metadata.transact(prepare())

    def once_with_documents(self, scope: Scope, request: KeyedRequest, prepare: Callable[[], NamedAction]) -> Answer:
        """Execute an effect in the documents of a namespace. `prepare` is called first, for checks and changes of
        metadata. Raises KeyReused before anything is written, and what they raise."""
        answer = self._find_answer(scope, request)
        if answer is not None:
            return answer
        act = prepare()
        try:
            return self._write(scope, request, act)
        except WriteWithdrawn as withdrawn:
            # By another request under the key, which either took the key or died before it could.
            if not self._intents.discard(scope, request, withdrawn.write_id):
                raise KeyReused(request.key) from withdrawn
        try:
            return self._write(scope, request, act)
        except WriteWithdrawn as withdrawn:
            raise KeyReused(request.key) from withdrawn

    def forget(self, scope: Scope) -> None:
        """Remove expired intents of a namespace, a bounded number at a time."""
        before, now = self._horizon(), self._retention()
        self._metadata.transact(
            lambda tx: tx.prune(scope, "document_write", before, now=now, keep=_MOST_INTENTS, most=_PRUNED_AT_ONCE)
        )

    def _write(self, scope: Scope, request: KeyedRequest, act: NamedAction) -> Answer:
        """Store the intent, write the documents, save the reply. Raises WriteWithdrawn, KeyReused, and what `act`
        raises."""
        write = self._begin_write(scope, request)
        if isinstance(write, Answer):
            return write
        with defer_notes() as notes:
            try:
                hit("idempotency.intent")
                reply = act(write)
                hit("idempotency.before_save")
                return self._end_write(scope, request, reply, notes)
            except Exception:
                self._intents.fail(scope, request, write, notes)
                raise

    def _begin_write(self, scope: Scope, request: KeyedRequest) -> Write | Answer:
        """Return the write of this request, with an intent that is created where there is none; or the answer, where a
        duplicate has ended meanwhile."""
        horizon = self._horizon()

        def begin(tx: Transaction) -> DocumentWrite | Answer:
            answer = _to_answer(request, tx.get_reply(scope, request.key), horizon)
            return answer or self._intents.begin(tx, scope, request, new, horizon)

        new = self._intents.create(request)
        with deadline.suspend():  # a commit lifts the deadline, and the documents are still to be written
            begun = self._intents.transact(scope, request, begin)
        return begun if isinstance(begun, Answer) else Write(begun.write_id, begun.created_at)

    def _end_write(self, scope: Scope, request: KeyedRequest, reply: Reply, notes: Sequence[Note]) -> Answer:
        """Save the reply in place of the intent; the first saved reply wins."""
        horizon = self._horizon()

        def end(tx: Transaction) -> Answer:
            answer = _to_answer(request, tx.get_reply(scope, request.key), horizon)
            if answer is not None:
                return answer
            self._intents.end(tx, scope, request, notes)
            tx.save_reply(scope, request.key, self._to_saved_reply(request, reply), forget_before=horizon)
            return Answer(reply, False)

        return self._metadata.transact(end)

    def once_repeatable(self, scope: Scope, request: KeyedRequest, act: Action) -> Answer:
        """Execute an effect that is idempotent in itself and too large for one transaction: the reply is saved
        afterwards, and of duplicates the first one wins. Raises KeyReused, and what `act` raises."""
        answer = self._find_answer(scope, request)
        if answer is not None:
            return answer
        horizon = self._horizon()
        self._intents.transact(scope, request, lambda tx: self._intents.check(tx, scope, request, horizon))
        reply = act()
        return self.once(scope, request, lambda: lambda _: reply)

    def _find_answer(self, scope: Scope, request: KeyedRequest) -> Answer | None:
        """Return the saved answer. Raises KeyReused."""
        return _to_answer(request, self._metadata.get_reply(scope, request.key), self._horizon())

    def _to_saved_reply(self, request: KeyedRequest, reply: Reply) -> SavedReply:
        return SavedReply(request.fingerprint, reply, self._now())

    def _horizon(self) -> datetime:
        return self._retention() - REPLY_LIFETIME


def _to_answer(request: KeyedRequest, saved: SavedReply | None, horizon: datetime) -> Answer | None:
    """Return the saved reply as an answer, None where there is none or it has expired. Raises KeyReused."""
    if saved is None or saved.saved_at < horizon:
        return None
    if saved.request != request.fingerprint:
        raise KeyReused(request.key)
    return Answer(saved.reply, True)


def check_key(field: str, key: str) -> str:
    """Return the key. Raises InvalidField where it is empty, too long or not printable."""
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        remedy = f"Use 1 to {MAX_KEY_LENGTH} printable characters, such as a UUID."
        raise InvalidField(field, "is not a valid idempotency key", value=key, remedy=remedy)
    return key

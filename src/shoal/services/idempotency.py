"""Idempotency keys: a request that is sent again under its key is answered again, and done once.

For effects in the metadata store the reply is written in the same transaction as the effect, so there is no state
between: a twin that comes meanwhile finds the reply in its own transaction, and a crash leaves both or neither.

Documents lie in a store of their own. There the request gets an intent in the metadata store first, with the name of
the write and its time; then the write, which the document store does once under that name; then the reply, in the
transaction that removes the intent. Twins share the intent, and whoever repeats a request after a crash at any step
finds it: one effect, one reply.

Nothing is saved for an error: what raised has written nothing, and may be tried again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias, TypeVar

import orjson

from shoal import deadline
from shoal.errors import InvalidField, KeyReused, ShoalError
from shoal.failpoints import hit
from shoal.records.document_write import DocumentWrite
from shoal.records.ids import new_id
from shoal.records.scope import Scope
from shoal.repositories.audit import Note, noted_later
from shoal.repositories.repository import Repository
from shoal.storage.protocols.documents import Write
from shoal.storage.protocols.replies import Reply, ReplyReader, SavedReply
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["KEPT", "MAX_KEY_LENGTH", "Act", "ActNamed", "Answer", "Effect", "Idempotency", "Keyed", "check_key"]

T = TypeVar("T")
KEPT: Final = timedelta(hours=24)
"""How long a reply is kept."""
MAX_KEY_LENGTH: Final = 255
_MOST_INTENTS: Final = 1_000_000
_PRUNED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Keyed:
    """A key and the request it came with: `request` is a hash over route, parameters and body."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and whether it is one given before."""

    reply: Reply
    replayed: bool


Act: TypeAlias = Callable[[], Reply]
ActNamed: TypeAlias = Callable[[Write], Reply]
"""Writes documents under a name, and may be repeated with it."""
Effect: TypeAlias = Callable[[Transaction], Reply]
"""The body of a transaction that ends with the reply to be saved."""


class KeyedStore(RecordStore, ReplyReader, Protocol):
    """Records with the replies to the requests that changed them."""


class Idempotency:
    """Runs each keyed request once. A key counts within one namespace, or within one organisation for what belongs to
    no namespace. `now` is UTC; `retention` is the clock by which replies are forgotten."""

    def __init__(
        self,
        metadata: KeyedStore,
        now: Callable[[], datetime],
        retention: Callable[[], datetime],
    ) -> None:
        self._metadata, self._now, self._retention = metadata, now, retention
        self._writes = Repository(metadata, "document_write", DocumentWrite, id_field="intent_id")

    def once(self, scope: Scope, keyed: Keyed, prepare: Callable[[], Effect]) -> Answer:
        """For effects in the metadata store. `prepare` is called outside of the transaction, once, for all that takes
        long or must not be repeated; it returns the effect. Raises KeyReused, and what they raise."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        horizon = self._horizon()
        try:
            effect = prepare()
        except ShoalError:
            known = self._known(scope, keyed)  # a twin may have done meanwhile what cannot be done twice
            if known is not None:
                return known
            raise

        def act(tx: Transaction) -> Answer:
            known = _answer(keyed, tx.get_reply(scope, keyed.key), horizon)  # a twin may have been faster
            if known is not None:
                return known
            reply = effect(tx)
            hit("idempotency.before_save")
            tx.save_reply(scope, keyed.key, self._saved(keyed, reply), forget_before=horizon)
            return Answer(reply, False)

        return self._metadata.transact(act)

    def transact(self, prepare: Callable[[], Callable[[Transaction], T]]) -> T:
        """The same for a request without a key: the effect in a transaction, and nothing saved."""
        return self._metadata.transact(prepare())

    def once_with_documents(self, scope: Scope, keyed: Keyed, prepare: Callable[[], ActNamed]) -> Answer:
        """For effects in the documents of a namespace. `prepare` is called first, for checks and changes of metadata.
        Raises KeyReused, and what they raise."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        act = prepare()
        write = self._begin(scope, keyed)
        if isinstance(write, Answer):
            return write
        with noted_later() as notes:
            reply = act(write)
        hit("idempotency.before_save")
        return self._end(scope, keyed, reply, notes)

    def forget(self, scope: Scope) -> None:
        """Remove intents of a namespace whose request is not repeated any more, a bounded number at a time."""
        before, now = self._horizon(), self._retention()
        self._metadata.transact(
            lambda tx: tx.prune(scope, "document_write", before, now=now, keep=_MOST_INTENTS, most=_PRUNED_AT_ONCE)
        )

    def _begin(self, scope: Scope, keyed: Keyed) -> Write | Answer:
        """The intent of this request, put on record where there is none; the answer where a twin has ended meanwhile
        and removed it."""
        new = DocumentWrite(intent_id=_intent_id(keyed), write_id=new_id("write"), created_at=self._now())
        horizon = self._horizon()

        def begin(tx: Transaction) -> DocumentWrite | Answer:
            answered = _answer(keyed, tx.get_reply(scope, keyed.key), horizon)
            if answered is not None:
                return answered
            writes = self._writes.within(tx)
            known = writes.find_one(scope, new.intent_id)
            if known is not None and known.created_at >= horizon:
                return known
            if known is not None:
                writes.remove(scope, new.intent_id)
            return writes.add(scope, new)

        with deadline.suspend():  # a commit lifts the deadline, and the documents are still to be written
            begun = self._metadata.transact(begin)
        if isinstance(begun, Answer):
            return begun
        hit("idempotency.intent")
        return Write(begun.write_id, begun.created_at)

    def _end(self, scope: Scope, keyed: Keyed, reply: Reply, notes: Sequence[Note]) -> Answer:
        """Save the reply in place of the intent; the one that was saved first counts."""
        horizon = self._horizon()

        def end(tx: Transaction) -> Answer:
            known = _answer(keyed, tx.get_reply(scope, keyed.key), horizon)
            if known is not None:
                return known
            for note in notes:
                note(tx)
            tx.save_reply(scope, keyed.key, self._saved(keyed, reply), forget_before=horizon)
            self._writes.within(tx).remove(scope, _intent_id(keyed))
            return Answer(reply, False)

        return self._metadata.transact(end)

    def once_repeatable(self, scope: Scope, keyed: Keyed, act: Act) -> Answer:
        """For effects too large for one transaction that are the same when repeated: the reply is saved after them, and
        of twins the first one's counts. Raises KeyReused, and what `act` raises."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        reply = act()
        return self.once(scope, keyed, lambda: lambda _: reply)

    def _known(self, scope: Scope, keyed: Keyed) -> Answer | None:
        """What was answered before. Raises KeyReused."""
        return _answer(keyed, self._metadata.get_reply(scope, keyed.key), self._horizon())

    def _saved(self, keyed: Keyed, reply: Reply) -> SavedReply:
        return SavedReply(keyed.request, reply, self._now())

    def _horizon(self) -> datetime:
        return self._retention() - KEPT


def _intent_id(keyed: Keyed) -> str:
    return hashlib.blake2b(orjson.dumps([keyed.key, keyed.request]), digest_size=20).hexdigest()


def _answer(keyed: Keyed, saved: SavedReply | None, horizon: datetime) -> Answer | None:
    """The saved reply as an answer, None where there is none that still counts. Raises KeyReused."""
    if saved is None or saved.saved_at < horizon:
        return None
    if saved.request != keyed.request:
        raise KeyReused(keyed.key)
    return Answer(saved.reply, True)


def check_key(field: str, key: str) -> str:
    """The key itself. Raises InvalidField where it is empty, too long or not printable."""
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        remedy = f"Use 1 to {MAX_KEY_LENGTH} printable characters, such as a UUID."
        raise InvalidField(field, "is no idempotency key", value=key, remedy=remedy)
    return key

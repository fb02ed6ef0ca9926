"""Idempotency keys: a request that is sent again under its key is answered again, and done once.

The reply is written in the same transaction as the effect, so there is no state between: a twin that comes meanwhile
finds the reply in its own transaction, and a crash leaves both or neither. Nothing is saved for an error: whatever
raised has written nothing, and may be tried again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias, TypeVar

from shoal.errors import InvalidField, KeyReused, ShoalError
from shoal.failpoints import hit
from shoal.records.scope import Scope
from shoal.repositories.audit import noted_afterwards
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.replies import Reply, ReplyReader, SavedReply
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["KEPT", "MAX_KEY_LENGTH", "Act", "Answer", "Effect", "Idempotency", "Keyed", "check_key"]

T = TypeVar("T")
KEPT: Final = timedelta(hours=24)
"""How long a reply is kept."""
MAX_KEY_LENGTH: Final = 255


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
        documents: DocumentStore,
        now: Callable[[], datetime],
        retention: Callable[[], datetime],
    ) -> None:
        self._metadata, self._documents, self._now, self._retention = metadata, documents, now, retention

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
            known = _answer(keyed, tx.saved_reply(scope, keyed.key), horizon)  # a twin may have been faster
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

    def once_with_documents(self, scope: Scope, keyed: Keyed, prepare: Callable[[], Act]) -> Answer:
        """For effects in the documents of a namespace. `prepare` is called first, for all that needs no lock on the
        documents or a lock on metadata, which is always taken before. Raises KeyReused, and what they raise."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        act = prepare()
        with noted_afterwards(), self._documents.transaction(scope):
            known = self._known(scope, keyed)
            if known is not None:
                return known
            reply = act()
            hit("idempotency.before_save")
            self._documents.save_reply(scope, keyed.key, self._saved(keyed, reply), forget_before=self._horizon())
        return Answer(reply, False)

    def once_repeatable(self, scope: Scope, keyed: Keyed, act: Act) -> Answer:
        """For effects too large for one transaction that are the same when repeated: the reply is saved after them, and
        of twins the first one's counts. Raises KeyReused, and what `act` raises."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        reply = act()
        return self.once(scope, keyed, lambda: lambda _: reply)

    def _known(self, scope: Scope, keyed: Keyed) -> Answer | None:
        """What was answered before, in whichever store it was saved. Raises KeyReused."""
        horizon = self._horizon()
        known = _answer(keyed, self._metadata.saved_reply(scope, keyed.key), horizon)
        if known is None and scope.namespace_id:
            known = _answer(keyed, self._documents.saved_reply(scope, keyed.key), horizon)
        return known

    def _saved(self, keyed: Keyed, reply: Reply) -> SavedReply:
        return SavedReply(keyed.request, reply, self._now())

    def _horizon(self) -> datetime:
        return self._retention() - KEPT


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

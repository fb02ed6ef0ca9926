"""Idempotency keys: a request that is sent again under its key is answered again, and done once.

The reply is written in the same transaction as the effect, so there is no state between: a twin that comes meanwhile
waits for the write lock and then finds the reply, and a crash leaves both or neither. Nothing is saved for an error:
whatever raised has written nothing, and may be tried again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from shoal.errors import InvalidField, KeyReused
from shoal.failpoints import hit
from shoal.records.scope import Scope
from shoal.repositories.audit import noted_afterwards
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.replies import Reply, SavedReply

__all__ = ["KEPT", "MAX_KEY_LENGTH", "Act", "Answer", "Idempotency", "Keyed", "check_key"]

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


class Idempotency:
    """Runs each keyed request once. A key counts within one namespace, or within one organisation for what belongs to
    no namespace. `now` is UTC; `retention` is the clock by which replies are forgotten."""

    def __init__(
        self,
        metadata: MetadataStore,
        documents: DocumentStore,
        now: Callable[[], datetime],
        retention: Callable[[], datetime],
    ) -> None:
        self._metadata, self._documents, self._now, self._retention = metadata, documents, now, retention

    def once(self, scope: Scope, keyed: Keyed, prepare: Callable[[], Act]) -> Answer:
        """For effects in the metadata store. `prepare` is called first, for checks that would hold its lock for long.
        Raises KeyReused, and what they raise."""
        known = self._known(scope, keyed)
        if known is not None:
            return known
        act = prepare()
        with self._metadata.transaction():
            known = self._known(scope, keyed)  # a twin may have been faster
            if known is not None:
                return known
            reply = act()
            hit("idempotency.before_save")
            self._metadata.save_reply(scope, keyed.key, self._saved(keyed, reply), forget_before=self._horizon())
        return Answer(reply, False)

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
        return self.once(scope, keyed, lambda: lambda: reply)

    def _known(self, scope: Scope, keyed: Keyed) -> Answer | None:
        """What was answered before, in whichever store it was saved. Raises KeyReused."""
        found = self._metadata.saved_reply(scope, keyed.key)
        if scope.namespace_id and not self._counts(found):
            found = self._documents.saved_reply(scope, keyed.key)
        if found is None or not self._counts(found):
            return None
        if found.request != keyed.request:
            raise KeyReused(keyed.key)
        return Answer(found.reply, True)

    def _counts(self, saved: SavedReply | None) -> bool:
        return saved is not None and saved.saved_at >= self._horizon()

    def _saved(self, keyed: Keyed, reply: Reply) -> SavedReply:
        return SavedReply(keyed.request, reply, self._now())

    def _horizon(self) -> datetime:
        return self._retention() - KEPT


def check_key(field: str, key: str) -> str:
    """The key itself. Raises InvalidField where it is empty, too long or not printable."""
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        remedy = f"Use 1 to {MAX_KEY_LENGTH} printable characters, such as a UUID."
        raise InvalidField(field, "is no idempotency key", value=key, remedy=remedy)
    return key

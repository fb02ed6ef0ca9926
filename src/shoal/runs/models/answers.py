"""Answers of models in the metadata store: an unchanged rerun asks nothing, and a crash pays for nothing twice."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shoal.records.base import format_wire_time
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Page
from shoal.records.runs.naming import KeptAnswer
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["MAX_ANSWERS", "MAX_ANSWER_CHARACTERS", "AnswerStore"]

MAX_ANSWERS: Final = 50_000
"""Answers of a namespace; the oldest go first."""
MAX_ANSWER_CHARACTERS: Final = 300_000
_LONGEST: Final = timedelta(days=31)
_AT_ONCE: Final = 1_000


class AnswerStore:
    """Answers of all namespaces. They go with their namespace. `now` is UTC; `retention` the clock of expiry."""

    def __init__(
        self, metadata: RecordStore, now: Callable[[], datetime], retention: Callable[[], datetime] | None = None
    ) -> None:
        self._store, self._now, self._retention = metadata, now, retention or now
        self._records = Repository(metadata, "answer", KeptAnswer, id_field="answer_id")

    def get(self, scope: Scope, id: str) -> str | None:
        """Return an answer that has not expired."""
        kept = self._records.find_one(scope, id)
        return None if kept is None or kept.expires_at <= self._now() else kept.answer

    def keeping(
        self, scope: Scope, id: str, answer: str, lifetime: timedelta, owner: str | None = None
    ) -> Callable[[Transaction], None]:
        """Return the transaction body that keeps an answer in place of an earlier one; one that is too long is not.
        With an `owner`, a cluster, it goes with that."""
        now = self._now()
        expires = now + min(lifetime, _LONGEST)
        kept = KeptAnswer(answer_id=id, answer=answer, cluster_id=owner, created_at=now, expires_at=expires)

        def keep(tx: Transaction) -> None:
            records = self._records.within(tx)
            records.remove(scope, id)
            if len(answer) <= MAX_ANSWER_CHARACTERS:
                records.add(scope, kept)

        return keep

    def drop_of(self, scope: Scope, cluster_id: str) -> int:
        """Remove the answers that go with a cluster, a bounded number at a time. Returns how many."""
        own = Query(Condition("cluster_id", "eq", cluster_id, case_sensitive=True), (), Page(limit=_AT_ONCE))
        ids = [kept.answer_id for kept in self._records.search(scope, own).items]
        return self._store.transact(lambda tx: sum(tx.delete(scope, "answer", id) for id in ids)) if ids else 0

    def drop_expired(self, scope: Scope) -> int:
        """Remove expired answers and those beyond `MAX_ANSWERS` of a namespace, a bounded number at a time."""
        now = self._retention()
        expired = Query(Condition("expires_at", "lt", format_wire_time(now)), (), Page(limit=_AT_ONCE))
        ids = [kept.answer_id for kept in self._records.search(scope, expired).items]

        def drop(tx: Transaction) -> int:
            aged = tx.prune(scope, "answer", now - _LONGEST, now=now, keep=MAX_ANSWERS, most=_AT_ONCE)
            return aged + sum(tx.delete(scope, "answer", id) for id in ids)

        return self._store.transact(drop)

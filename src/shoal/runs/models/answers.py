"""Answers of models in the metadata store: an unchanged rerun asks nothing, and a crash pays for nothing twice."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shoal.failpoints import hit
from shoal.records.base import format_wire_time
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Page
from shoal.records.runs.naming import KeptAnswer
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["MAX_ANSWERS", "MAX_ANSWER_CHARACTERS", "AnswerStore", "RunAnswers"]

MAX_ANSWERS: Final = 50_000
"""Answers of a namespace; the oldest go first."""
MAX_ANSWER_CHARACTERS: Final = 300_000
_LONGEST: Final = timedelta(days=31)
_UNCACHED: Final = timedelta(days=2)
"""How long answers are kept that only attempts of the same run may use."""
_AT_ONCE: Final = 1_000
_log = logging.getLogger("shoal.naming")


class AnswerStore:
    """Answers of all namespaces. They go with their namespace. `now` is UTC; `retention` the clock of expiry."""

    def __init__(
        self, metadata: RecordStore, now: Callable[[], datetime], retention: Callable[[], datetime] | None = None
    ) -> None:
        self._store, self._now, self._retention = metadata, now, retention or now
        self._records = Repository(metadata, "answer", KeptAnswer, id_field="answer_id")

    def of_run(self, scope: Scope, run_id: str) -> "RunAnswers":
        """Return the answers that a run may use."""
        return RunAnswers(self, scope, run_id)

    def get(self, scope: Scope, id: str) -> str | None:
        """Return an answer that has not expired."""
        kept = self._records.find_one(scope, id)
        return None if kept is None or kept.expires_at <= self._now() else kept.answer

    def put(self, scope: Scope, id: str, answer: str, lifetime: timedelta) -> None:
        """Keep an answer, durably, in place of an earlier one."""
        if len(answer) > MAX_ANSWER_CHARACTERS:
            _log.warning("naming.answer_not_kept", extra={"characters": len(answer)})
            return
        now = self._now()
        kept = KeptAnswer(answer_id=id, answer=answer, created_at=now, expires_at=now + min(lifetime, _LONGEST))

        def put(tx: Transaction) -> None:
            records = self._records.within(tx)
            records.remove(scope, id)
            records.add(scope, kept)

        self._store.transact(put)
        hit("name.answer_kept")

    def drop_expired(self, scope: Scope) -> int:
        """Remove expired answers and those beyond `MAX_ANSWERS` of a namespace, a bounded number at a time."""
        expired = Query(Condition("expires_at", "lt", format_wire_time(self._retention())), (), Page(limit=_AT_ONCE))
        ids = [kept.answer_id for kept in self._records.search(scope, expired).items]

        def drop(tx: Transaction) -> int:
            now = self._retention()
            aged = tx.prune(scope, "answer", now - _LONGEST, now=now, keep=MAX_ANSWERS, most=_AT_ONCE)
            return aged + sum(tx.delete(scope, "answer", id) for id in ids)

        return self._store.transact(drop)


class RunAnswers:
    """The answers of one run, as a namer keeps them. See `Answers` of `shoal.labeling.providers`."""

    def __init__(self, store: AnswerStore, scope: Scope, run_id: str) -> None:
        self._store, self._scope, self._run_id = store, scope, run_id

    def get(self, key: str) -> str | None:
        """Return the answer that was kept under a key, for this run or for all."""
        return self._store.get(self._scope, key) or self._store.get(self._scope, self._own(key))

    def put(self, key: str, answer: str, seconds: int) -> None:
        """Keep an answer for so many seconds; for the attempts of this run alone where that is 0."""
        lifetime = timedelta(seconds=seconds) or _UNCACHED
        self._store.put(self._scope, key if seconds else self._own(key), answer, lifetime)

    def _own(self, key: str) -> str:
        return f"{key}.{self._run_id}"

"""The answers of one run and their cost: what is paid is kept in the transaction that books it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from shoal.labeling.providers import Usage
from shoal.records.runs.execution import Execution, ModelUsage
from shoal.records.scope import Scope
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.spending import Spendings
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["RunAccount"]

_SHARED: Final = (
    "calls", "cached", "input_tokens", "output_tokens", "picodollars", "unreported", "unreported_tokens",
    "unreported_picodollars",
)  # fmt: skip
"""The fields that a Usage and a ModelUsage share."""


class RunAccount:
    """The `Answers` of a namer, and what it has used. May be called from any thread.

    The use of a call is booked with its answer. That of a call without an answer is booked with the next one, or by
    `settle`.

    Parameters
    ----------
    store : RecordStore
    answers, spendings
        Where answers and costs are kept.
    scope, run
        The run.
    model : str
        As `provider:model`.
    limit : float or None
        The budget of the run, in US dollars.
    priced : bool
        Whether a price of the model is known.
    owner : str, optional
        The cluster that the answers go with.
    """

    def __init__(
        self,
        store: RecordStore,
        answers: AnswerStore,
        spendings: Spendings,
        scope: Scope,
        run: Execution,
        model: str,
        *,
        limit: float | None,
        priced: bool,
        owner: str | None = None,
    ) -> None:
        self._store, self._answers, self._spendings = store, answers, spendings
        self._scope, self._run_id, self._owner = scope, run.run_id, owner
        earlier = run.llm_usage
        start = earlier if earlier is not None and earlier.model == model else ModelUsage(model=model)
        self.booked = start.with_changes(budget=limit, priced=priced)
        self.spent = Usage(**{name: getattr(start, name) for name in _SHARED})
        """What earlier attempts of the run used."""
        self._pending: Usage | None = None
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """See `Answers`."""
        return self._answers.get(self._scope, key)

    def put(self, key: str, answer: str, seconds: int) -> None:
        """See `Answers`."""
        with self._lock:
            lifetime = timedelta(seconds=seconds)
            self._write(self._answers.keeping(self._scope, key, answer, lifetime, self._owner))

    def note(self, total: Usage) -> None:
        """Note the use so far, after a call: it is called where nothing may wait for a store."""
        with self._lock:
            self._pending = total

    def settle(self, total: Usage) -> None:
        """Book all that was used."""
        with self._lock:
            self._pending = total
            self._write()

    def _write(self, keep: Callable[[Transaction], None] | None = None) -> None:
        after = self.booked
        if self._pending is not None:
            after = after.with_changes(**{name: getattr(self._pending, name) for name in _SHARED})
        book = self._spendings.booking(self._scope, self._run_id, self.booked, after)

        def write(tx: Transaction) -> None:
            if keep is not None:
                keep(tx)
            book(tx)

        self._store.transact(write)
        self.booked, self._pending = after, None

"""What naming by models may cost and has cost: of a run, and of an organisation in a month.

A run reserves what it may spend. A reservation counts as long as its run is active; so runs of one organisation that
name at the same time cannot pass the limit of the month together, and a crashed run needs no cleanup.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from shoal.quantities import PICODOLLARS
from shoal.records.runs.execution import ACTIVE, Execution, ModelUsage
from shoal.records.runs.naming import Reservation, Spending
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Spendings"]

_MODEL_COUNTS: Final = ("calls", "cached", "input_tokens", "output_tokens", "picodollars")


class Spendings:
    """The spending of all organisations. `now` is UTC; `month_limit` in US dollars, 0 for no limit."""

    def __init__(self, metadata: RecordStore, now: Callable[[], datetime], month_limit: float = 0.0) -> None:
        self._store, self._now, self._limit = metadata, now, round(month_limit * PICODOLLARS)
        self._records = Repository(metadata, "spending", Spending, id_field="month")
        self._executions = Repository(metadata, "execution", Execution, id_field="run_id")

    def of_month(self, scope: Scope) -> Spending:
        """Return what the organisation spent in this month."""
        return self._records.find_one(scope.organization, self._month()) or Spending(month=self._month())

    def left(self, scope: Scope) -> float | None:
        """Return what the organisation may still spend this month, in US dollars, but for what its active runs have
        reserved; None without a limit."""
        return self._store.transact(lambda tx: self._left(tx, scope, "")) if self._limit else None

    def reserve(self, scope: Scope, run: Execution, most: float | None, *, priced: bool = True) -> float | None:
        """Reserve what a run may spend in total, `most` US dollars at most. A model without a price spends nothing of
        the month.

        Returns
        -------
        float or None
            The total of the run in US dollars, what it has spent before included; None without any limit.
        """
        if not self._limit or not priced:
            return most

        def reserve(tx: Transaction) -> float:
            spent = 0 if run.llm_usage is None else run.llm_usage.highest_picodollars
            left = self._left(tx, scope, run.run_id)
            total = spent / PICODOLLARS + max(left or 0.0, 0.0)
            total = total if most is None else min(total, most)
            own = Reservation(namespace_id=scope.namespace_id, limit=round(total * PICODOLLARS), spent=spent)
            self._change(
                tx, scope, lambda month: month.with_changes(reservations={**month.reservations, run.run_id: own})
            )
            return total

        return self._store.transact(reserve)

    def booking(
        self, scope: Scope, run_id: str, before: ModelUsage, after: ModelUsage
    ) -> Callable[[Transaction], None]:
        """Return the transaction body that books what a run has used more, with the run. It is booked whatever became
        of the run: it is paid."""

        def book(tx: Transaction) -> None:
            executions = self._executions.within(tx)
            if executions.find_one(scope, run_id) is not None:
                executions.change(scope, run_id, lambda run: run.with_changes(llm_usage=after))
            self._change(tx, scope, lambda month: _add(month, run_id, before, after))
            for name in _MODEL_COUNTS:
                more = getattr(after, name) - getattr(before, name)
                if more > 0:
                    tx.count("llm", name, after.model, amount=float(more))

        return book

    def count_failures(self, model: str, clusters: int) -> None:
        """Count clusters that a model did not name, for operators."""
        if clusters:
            self._store.transact(lambda tx: tx.count("llm", "failures", model, amount=float(clusters)))

    def _left(self, tx: Transaction, scope: Scope, run_id: str) -> float | None:
        """Return what is left of the month but for reservations of other active runs."""
        if not self._limit:
            return None
        month = self._records.within(tx).find_one(scope.organization, self._month()) or Spending(month="")
        reserved = sum(
            max(each.limit - each.spent, 0)
            for id, each in month.reservations.items()
            if id != run_id and self._is_active(tx, scope, each, id)
        )
        return (self._limit - month.picodollars - reserved) / PICODOLLARS

    def _is_active(self, tx: Transaction, scope: Scope, reservation: Reservation, run_id: str) -> bool:
        within = Scope(scope.organization_id, reservation.namespace_id)
        run = self._executions.within(tx).find_one(within, run_id)
        return run is not None and run.status in ACTIVE

    def _change(self, tx: Transaction, scope: Scope, edit: Callable[[Spending], Spending]) -> None:
        """Change the record of this month, without reservations of runs that have ended."""
        records, organization = self._records.within(tx), scope.organization
        month = records.find_one(organization, self._month())
        if month is None:
            records.add(organization, edit(Spending(month=self._month())))
            return
        open_ones = {id: each for id, each in month.reservations.items() if self._is_active(tx, scope, each, id)}
        records.change(organization, month.month, lambda newest: edit(newest.with_changes(reservations=open_ones)))

    def _month(self) -> str:
        return self._now().strftime("%Y-%m")


def _add(month: Spending, run_id: str, before: ModelUsage, after: ModelUsage) -> Spending:
    own = month.reservations.get(run_id)
    spent = {} if own is None else {run_id: own.with_changes(spent=after.highest_picodollars)}
    return month.with_changes(
        picodollars=month.picodollars + after.highest_picodollars - before.highest_picodollars,
        calls=month.calls + after.calls - before.calls,
        tokens=month.tokens + after.tokens - before.tokens,
        reservations={**month.reservations, **spent},
    )

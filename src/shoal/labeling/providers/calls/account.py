"""The account of a namer: each call is reserved at its highest possible price before it is made."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from shoal.errors import Unavailable
from shoal.labeling.base import Budget
from shoal.labeling.providers.calls.usage import Price, Tokens, Usage
from shoal.quantities import PICODOLLARS

__all__ = ["Account", "Reservation"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The highest use of a call that is under way."""

    tokens: Tokens
    picodollars: int


class Account:
    """Counts what is used, and admits calls as long as all that are under way fit into the budget at their worst.

    Parameters
    ----------
    price : Price or None
        None for a model without a known price: only tokens and calls can be limited.
    spent : Usage
        What earlier attempts of the same run used. It counts towards the budget.
    on_usage : callable, optional
        Receives the total after each call.
    margin : int
        How many times the price a call counts towards the budget.
    """

    def __init__(
        self, price: Price | None, spent: Usage, on_usage: Callable[[Usage], None] | None, margin: int = 1
    ) -> None:
        self._price, self._on_usage, self._margin = price, on_usage, margin
        self.usage = spent
        self._open: list[Reservation] = []
        self._changed, self._writing = asyncio.Event(), asyncio.Lock()

    def begin(self) -> None:
        """Prepare for the calls of another event loop; reservations of an earlier one are void."""
        self._open, self._changed, self._writing = [], asyncio.Event(), asyncio.Lock()

    async def reserve(self, worst: Tokens, budget: Budget) -> Reservation | None:
        """Reserve the highest price of a call; wait while calls under way may leave room. None if there is none."""
        reservation = Reservation(worst, self._margin * self._price.of(worst) if self._price else 0)
        while not self._fits(reservation, budget):
            if not self._open:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._open.append(reservation)
        return reservation

    def settle(self, reservation: Reservation, tokens: Tokens | None) -> int:
        """Book what a call used; None books its reservation as unreported. Return the price in picodollars."""
        price = self._price.of(tokens) if self._price and tokens else 0
        self.release(reservation)
        if tokens is None:
            most = reservation.tokens.input + reservation.tokens.output
            self._book(
                Usage(calls=1, unreported=1, unreported_picodollars=reservation.picodollars, unreported_tokens=most)
            )
        else:
            doubt = (self._margin - 1) * price
            self._book(Usage(1, 0, tokens.input, tokens.output, price, unreported_picodollars=doubt))
        return price

    def release(self, reservation: Reservation) -> None:
        """Give back what was reserved for a call that was not made."""
        self._open.remove(reservation)
        self._changed.set()

    def book_cached(self) -> None:
        """Count an answer that was at hand."""
        self._book(Usage(cached=1))

    async def report(self) -> None:
        """Hand the total to `on_usage`, off the event loop. If it cannot be written, that does not fail a run."""
        if self._on_usage is not None:
            async with self._writing:
                with suppress(Unavailable, OSError):
                    await asyncio.to_thread(self._on_usage, self.usage)

    def _book(self, used: Usage) -> None:
        self.usage += used

    def _fits(self, reservation: Reservation, budget: Budget) -> bool:
        under_way = [*self._open, reservation]
        used = self.usage
        picodollars = used.picodollars + used.unreported_picodollars + sum(each.picodollars for each in under_way)
        tokens = used.input_tokens + used.output_tokens + used.unreported_tokens
        tokens += sum(each.tokens.input + each.tokens.output for each in under_way)
        return (
            picodollars <= _most(budget.cost, PICODOLLARS)
            and tokens <= _most(budget.tokens, 1)
            and used.calls + len(under_way) <= _most(budget.calls, 1)
        )


def _most(limit: float | None, scale: int) -> float:
    return math.inf if limit is None else limit * scale

"""Running a transaction again after a conflict: a bounded number of times, with growing, random pauses."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from shoal import deadline
from shoal.errors import Contended

__all__ = ["Conflicted", "Retries"]

T = TypeVar("T")


class Conflicted(Exception):  # never leaves the store
    """Another transaction committed first; nothing of this one was stored."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a transaction is run, and how long to wait in between.

    Parameters
    ----------
    attempts
        The most runs of one transaction.
    first_seconds, longest_seconds
        The bound of the first pause, which doubles with each attempt up to the longest. A pause is drawn uniformly
        from zero to its bound, so that transactions that met once do not meet again.
    random, sleep
        Where pauses are drawn from, and how they are spent.
    """

    attempts: int = 40
    first_seconds: float = 0.000_5
    longest_seconds: float = 0.05
    random: Random = field(default_factory=Random)
    sleep: Callable[[float], None] = time.sleep

    def run(self, attempt: Callable[[int], T]) -> T:
        """Call `attempt` with 0, 1, … until it does not raise Conflicted. Raises Contended when it always did."""
        for number in range(self.attempts):
            try:
                return attempt(number)
            except Conflicted:
                deadline.check()
                self.sleep(self.random.uniform(0.0, min(self.first_seconds * 2**number, self.longest_seconds)))
        raise Contended(
            f"The same data were changed by others {self.attempts} times while they were being written. Try again."
        )

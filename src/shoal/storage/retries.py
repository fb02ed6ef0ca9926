"""Retries of a transaction after a conflict: bounded, with exponential backoff and jitter."""

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
    """The number of attempts of a transaction, and the pauses between them.

    Parameters
    ----------
    attempts
        The most runs of one transaction.
    first_seconds, longest_seconds
        The bound of the first pause, which doubles with each attempt up to the longest. A pause is drawn uniformly
        from zero to its bound, so that transactions that conflicted once do not conflict again.
    random, sleep
        The source of randomness, and the function that waits.
    """

    attempts: int = 40
    first_seconds: float = 0.000_5
    longest_seconds: float = 0.05
    random: Random = field(default_factory=Random)
    sleep: Callable[[float], None] = time.sleep

    def run(self, attempt: Callable[[int], T]) -> T:
        """Call `attempt` with 0, 1, … until it does not raise Conflicted. Raises Contended when it always did."""
        for number in range(self.attempts):
            if number:
                self._pause(number - 1)
            try:
                return attempt(number)
            except Conflicted:
                deadline.check()
        raise Contended(f"The transaction conflicted with other writers {self.attempts} times in a row. Try again.")

    def _pause(self, conflicts: int) -> None:
        self.sleep(self.random.uniform(0.0, min(self.first_seconds * 2**conflicts, self.longest_seconds)))

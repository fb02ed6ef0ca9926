"""Limits of calls: how many at once and a minute, how often and how long one is tried."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shoal.model_servers import spread_wait

__all__ = ["Limits", "Pace", "wait_before_retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the calls of one namer.

    Attributes
    ----------
    concurrency : int
        Calls under way at once.
    per_minute : float
        Calls begun in a minute; 0 for no limit.
    attempts : int
        Tries of a call that fails for a passing reason (429, 5xx, no connection, no answer in time).
    timeout : float
        Seconds for one try, its answer included.
    total : float
        Seconds for all calls of one `name`; afterwards clusters are named from their words.
    backoff, longest_wait : float
        Seconds before the second try, doubled for each further one, and at most.
    failures : int
        Calls in a row that failed at every try, after which no more are made.
    """

    concurrency: int = 8
    per_minute: float = 0.0
    attempts: int = 4
    timeout: float = 60.0
    total: float = 3600.0
    backoff: float = 1.0
    longest_wait: float = 60.0
    failures: int = 5


class Pace:
    """Spaces the beginnings of calls evenly."""

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._interval, self._clock, self._sleep = (60.0 / per_minute if per_minute > 0 else 0.0), clock, sleep
        self._next = 0.0

    async def wait(self, latest: float) -> bool:
        """Wait for the turn of the next call. False, at once, if that is after the `latest` time by the clock."""
        if not self._interval:
            return True
        turn = max(self._next, self._clock())
        if turn > latest:
            return False
        self._next = turn + self._interval
        await self._sleep(turn - self._clock())
        return True


def wait_before_retry(limits: Limits, attempt: int, requested: float | None, jitter: random.Random) -> float | None:
    """Return the seconds before the try after `attempt` (from 1), at least those that the provider `requested`.

    None if it asks for more than the longest wait: such a quota is not waited for.
    """
    if requested is not None and requested > limits.longest_wait:
        return None
    return max(spread_wait(limits.backoff, attempt - 1, limits.longest_wait, jitter), requested or 0.0)

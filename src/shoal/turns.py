"""Long work takes turns: a few requests go on at a time, each for a moment, so that twenty long queries do not stand
between the event loop and the interpreter's lock, and short ones are answered between them.

Work asks for nothing: `deadline.check` and `deadline.is_over`, which long work calls every few thousand steps anyway,
wait here. Work without a `Turn`, as in a worker or a library call, never waits.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

__all__ = ["Turn", "Turns", "hold_none", "keep"]

_FREE_SECONDS: Final = 0.25
"""What is done by then was not long."""
_SLICE_SECONDS: Final = 0.1


class Turns:
    """Lets `most` go on at once, of those that wait the organisation first that was let on longest ago."""

    def __init__(self, most: int | None = None) -> None:
        self._most = max(2, os.cpu_count() or 1) if most is None else most
        self._on = 0
        self._waiting: dict[Turn, None] = {}
        self._served: dict[str, int] = {}
        self._count = 0
        self._changed = threading.Condition()

    def take(self, turn: "Turn", until: float) -> bool:
        """Wait for a turn; False where the steady clock said `until` before there was one, or the turn was ended."""
        with self._changed:
            self._waiting[turn] = None
            self._let_on()
            while turn in self._waiting:
                left = min(until - time.monotonic(), threading.TIMEOUT_MAX)
                if left <= 0 or turn.ended:
                    del self._waiting[turn]
                    return False
                self._changed.wait(left)
            return True

    def leave(self) -> None:
        """Let the next one on."""
        with self._changed:
            self._on -= 1
            self._let_on()

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def is_crowded(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiting)

    def _let_on(self) -> None:
        while self._waiting and self._on < self._most:
            following = min(self._waiting, key=lambda turn: self._served.get(turn.organization, 0))
            del self._waiting[following]
            self._on += 1
            self._count += 1
            self._served[following.organization] = self._count
            self._changed.notify_all()


class Turn:
    """One request's. It takes part from its quarter of a second on, and holds its turn for a tenth of a second, or
    longer where nobody waits. Used by one thread at a time, but `end` may come from another."""

    def __init__(self, turns: Turns, organization: str) -> None:
        self._turns, self.organization = turns, organization
        self._free_until = time.monotonic() + _FREE_SECONDS
        self._slice_until = 0.0
        self._guard = threading.Lock()
        self._held = self.ended = False

    def keep(self, until: float) -> None:
        """Return when work may go on, at the latest when the steady clock says `until`."""
        now = time.monotonic()
        if self.ended or now < self._free_until:
            return
        if self._held:
            if now < self._slice_until or not self._turns.is_crowded():
                return
            self.give_back()
        if asyncio._get_running_loop() is not None or not self._turns.take(self, until):
            return  # the event loop itself must not stand still
        self._slice_until = time.monotonic() + _SLICE_SECONDS
        with self._guard:
            self._held = not self.ended
            late = self.ended
        if late:
            self._turns.leave()

    def give_back(self) -> None:
        """Let another one on."""
        with self._guard:
            held, self._held = self._held, False
        if held:
            self._turns.leave()

    def end(self) -> None:
        """The work is done: give back what is held, and take no turn again."""
        with self._guard:
            self.ended = True
        self.give_back()
        self._turns.wake()

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """Let the work inside take this turn."""
        token = _turn.set(self)
        try:
            yield
        finally:
            _turn.reset(token)
            self.end()


_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


def keep(until: float) -> None:
    """Wait for the turn of the work under way, where it is long; at most until the steady clock says so."""
    turn = _turn.get()
    if turn is not None:
        turn.keep(until)


@contextlib.contextmanager
def hold_none() -> Iterator[None]:
    """For what others wait for, as a writer's transaction: the work inside waits for no turn, and keeps none."""
    turn = _turn.get()
    if turn is None:
        yield
        return
    turn.give_back()
    token = _turn.set(None)
    try:
        yield
    finally:
        _turn.reset(token)

"""Fair time slices for long requests: only a few run at a time, so that many long ones do not starve short ones.

Twenty long queries at once would stand between the event loop and the interpreter's lock. Work needs no code of its own
for this: `deadline.check` and `deadline.is_over`, which long work calls every few thousand steps anyway, wait here.
Work without a `Permit`, as in a worker or a library call, never waits.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

__all__ = ["Permit", "Permits", "hold", "hold_none"]

_FREE_SECONDS: Final = 0.25
"""Requests that finish within this time need no permit."""
_SLICE_SECONDS: Final = 0.1


class Permits:
    """Grants at most `most` permits at a time, to the waiting organisation that was served longest ago.

    Parameters
    ----------
    most
        The most permits granted at once; None takes the number of processors, at least two.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = max(2, os.cpu_count() or 1) if most is None else most
        self._granted = 0
        self._waiting: dict[Permit, None] = {}
        self._served: dict[str, int] = {}
        self._count = 0
        self._changed = threading.Condition()

    def acquire(self, permit: "Permit", until: float) -> bool:
        """Wait until `permit` is granted.

        Returns False when the monotonic clock reaches `until` (seconds) first, or when the permit is closed.
        """
        with self._changed:
            self._waiting[permit] = None
            self._grant_free()
            while permit in self._waiting:
                left = min(until - time.monotonic(), threading.TIMEOUT_MAX)
                if left <= 0 or permit.closed:
                    del self._waiting[permit]
                    return False
                self._changed.wait(left)
            return True

    def release(self) -> None:
        """Return a granted permit, which goes to the next in line."""
        with self._changed:
            self._granted -= 1
            self._grant_free()

    def wake_waiters(self) -> None:
        """Make waiting threads check again whether their permit was closed."""
        with self._changed:
            self._changed.notify_all()

    def has_waiters(self) -> bool:
        """Whether any thread waits for a permit."""
        return bool(self._waiting)

    def _grant_free(self) -> None:
        while self._waiting and self._granted < self._most:
            following = min(self._waiting, key=lambda permit: self._served.get(permit.organization, 0))
            del self._waiting[following]
            self._granted += 1
            self._count += 1
            self._served[following.organization] = self._count
            self._changed.notify_all()


class Permit:
    """The permit of one request.

    Needed from a quarter of a second on, then held for a tenth of a second at a time, or longer while no other request
    waits. Used by one thread at a time, but `close` may be called from another.
    """

    def __init__(self, permits: Permits, organization: str) -> None:
        self._permits, self.organization = permits, organization
        self._free_until = time.monotonic() + _FREE_SECONDS
        self._slice_until = 0.0
        self._guard = threading.Lock()
        self._held = self.closed = False

    def hold(self, until: float) -> None:
        """Return when work may go on, at the latest when the monotonic clock reaches `until` (seconds)."""
        now = time.monotonic()
        if self.closed or now < self._free_until:
            return
        if self._held:
            if now < self._slice_until or not self._permits.has_waiters():
                return
            self.release()
        if asyncio._get_running_loop() is not None or not self._permits.acquire(self, until):
            return  # the event loop itself must not block
        self._slice_until = time.monotonic() + _SLICE_SECONDS
        with self._guard:
            self._held = not self.closed
            late = self.closed
        if late:
            self._permits.release()

    def release(self) -> None:
        """Let another request run."""
        with self._guard:
            held, self._held = self._held, False
        if held:
            self._permits.release()

    def close(self) -> None:
        """Release the permit for good: the request is done."""
        with self._guard:
            self.closed = True
        self.release()
        self._permits.wake_waiters()

    @contextlib.contextmanager
    def activate(self) -> Iterator[None]:
        """Make this the permit of the work inside the block; close it afterwards."""
        token = _permit.set(self)
        try:
            yield
        finally:
            _permit.reset(token)
            self.close()


_permit: ContextVar[Permit | None] = ContextVar("permit", default=None)


def hold(until: float) -> None:
    """Hold the permit of the current work, waiting for it at most until the monotonic clock reaches `until`."""
    permit = _permit.get()
    if permit is not None:
        permit.hold(until)


@contextlib.contextmanager
def hold_none() -> Iterator[None]:
    """Run the block without a permit. For work that others wait for, such as the transaction of a writer."""
    permit = _permit.get()
    if permit is None:
        yield
        return
    permit.release()
    token = _permit.set(None)
    try:
        yield
    finally:
        _permit.reset(token)

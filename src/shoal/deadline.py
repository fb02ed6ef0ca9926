"""The deadline of the current work, as a context variable: the threads and queries of a request inherit its deadline.

Work that can be long calls `check` every few thousand steps, or has its database queries interrupted by `is_over`. Of
long requests only a few run at a time (`permits.py`): both wait for the permit of the request. Without a deadline, as
in a worker or a library call, time never runs out.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from shoal import permits
from shoal.errors import OutOfTime

__all__ = ["check", "is_over", "lift", "suspend", "within"]

_end: ContextVar[tuple[float, float]] = ContextVar("deadline", default=(float("inf"), float("inf")))
"""The end on the monotonic clock, and the whole span, in seconds."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the block to `seconds`; 0 for no limit. When nested, the earlier end counts."""
    span = seconds or float("inf")
    token = _end.set(min(_end.get(), (time.monotonic() + span, span)))
    try:
        yield
    finally:
        _end.reset(token)


@contextlib.contextmanager
def suspend() -> Iterator[None]:
    """Suspend the deadline for work that must not be interrupted: a commit, the removal of a tenant's data."""
    token = _end.set((float("inf"), float("inf")))
    try:
        yield
    finally:
        _end.reset(token)


def lift() -> None:
    """Remove the deadline: something was stored, so the rest must be completed, however long it takes."""
    _end.set((float("inf"), float("inf")))


def is_over() -> bool:
    """Whether the time has run out; first waits for the permit of the request."""
    permits.hold(_end.get()[0])
    return time.monotonic() > _end.get()[0]


def check() -> None:
    """Raise OutOfTime if the time has run out."""
    if is_over():
        raise OutOfTime(_end.get()[1])

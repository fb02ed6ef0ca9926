"""How long the work under way may still take, as a context variable: a request's threads and queries see the request's.

Work that can be long asks `check` every few thousand steps, or has its database queries interrupted by `is_over`.
Of long requests a few go on at once (`turns.py`): both wait where it is another one's turn. Without a deadline, as in a
worker or a library call, nothing is ever over.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from shoal import turns
from shoal.errors import OutOfTime

__all__ = ["check", "is_over", "lift", "unlimited", "within"]

_end: ContextVar[tuple[float, float]] = ContextVar("deadline", default=(float("inf"), float("inf")))
"""The end by the steady clock, in seconds, and the whole span."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the work inside take so many seconds; 0 for no limit. Within another limit the sooner end counts."""
    span = seconds or float("inf")
    token = _end.set(min(_end.get(), (time.monotonic() + span, span)))
    try:
        yield
    finally:
        _end.reset(token)


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """For work that must not be cut: the end of a transaction, the removal of what a tenant gave up."""
    token = _end.set((float("inf"), float("inf")))
    try:
        yield
    finally:
        _end.reset(token)


def lift() -> None:
    """Something was stored, so what belongs to it is finished, however long it takes."""
    _end.set((float("inf"), float("inf")))


def is_over() -> bool:
    """Whether the time is over, asked when it is this work's turn."""
    turns.keep(_end.get()[0])
    return time.monotonic() > _end.get()[0]


def check() -> None:
    """Raises OutOfTime where the time is over."""
    if is_over():
        raise OutOfTime(_end.get()[1])

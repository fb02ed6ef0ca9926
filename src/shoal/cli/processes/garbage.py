"""Schedules the server's full garbage collections.

Python's own full collection starts while objects are being allocated, so in the middle of a large query; with a million
live objects it holds the GIL for a third of a second, and no probe is answered meanwhile. Here it runs when few objects
are alive.
"""

import gc
from typing import Final

__all__ = ["collect_when_cheap", "prepare_collector"]

_MOST_OBJECTS: Final = 200_000
"""Collected in about 20 ms."""
_EVERY_TICKS: Final = 20
_ENOUGH: Final = 4
"""Collections of younger generations since the last full one: before that there is little to collect."""
_SELDOM: Final = 1000
"""Collections of younger generations after which Python runs a full one itself, however many objects are alive:
cycles must not accumulate for ever beside objects that stay."""


def prepare_collector() -> None:
    """Freeze what is loaded by now, so that no collection scans it again, and leave full ones to
    `collect_when_cheap`."""
    young, middle, _ = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, middle, _SELDOM)


def collect_when_cheap(tick: int) -> None:
    """Run a full collection, at some ticks, where objects have aged since the last one and few are alive."""
    if tick % _EVERY_TICKS == 0 and gc.get_count()[2] >= _ENOUGH and len(gc.get_objects(2)) <= _MOST_OBJECTS:
        gc.collect()

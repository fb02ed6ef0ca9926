"""When the server looks for cycles of objects that nothing else refers to.

Python's own full collection comes while objects are being made, so in the midst of a large query; it holds the
interpreter's lock for a third of a second where that query holds a million objects, and no probe is answered meanwhile.
Here it comes when few objects are held.
"""

import gc
from typing import Final

__all__ = ["collect_when_cheap", "prepare_collector"]

_MOST_OBJECTS: Final = 200_000
"""Looked through in about 20 ms."""
_EVERY_TICKS: Final = 20
_ENOUGH: Final = 4
"""Collections of younger objects since the last full one: before that there is little to find."""
_SELDOM: Final = 1000
"""Collections of younger objects after which Python does a full one itself, however much is held: else cycles could
grow for ever beside objects that stay."""


def prepare_collector() -> None:
    """What is loaded by now stays, so no collection need look at it again; full ones are left to
    `collect_when_cheap`."""
    young, middle, _ = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, middle, _SELDOM)


def collect_when_cheap(tick: int) -> None:
    """A full collection, at some ticks, where objects have grown old since the last one and few are held."""
    if tick % _EVERY_TICKS == 0 and gc.get_count()[2] >= _ENOUGH and len(gc.get_objects(2)) <= _MOST_OBJECTS:
        gc.collect()

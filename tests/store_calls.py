"""Records the calls of stores: how many a request makes, and from which threads."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest

from shoal.assemble import Services

__all__ = ["StoreCalls", "watched_stores"]


class StoreCalls:
    """The names of all calls, in order, and of those that blocked an event loop. Calls of a store to itself are not
    counted."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.on_an_event_loop: list[str] = []

    def note(self, name: str) -> None:
        self.names.append(name)
        if asyncio._get_running_loop() is not None:
            self.on_an_event_loop.append(name)


@contextmanager
def watched_stores(services: Services) -> Iterator[StoreCalls]:
    """Watch every public method of the three stores, inside the block."""
    calls = StoreCalls()
    with pytest.MonkeyPatch.context() as patch:
        for store in (services.metadata, services.documents_store, services.artifacts):
            for name, method in inspect.getmembers(type(store), inspect.isfunction):
                if not name.startswith("_") and name != "close":
                    patch.setattr(type(store), name, _watch(f"{type(store).__name__}.{name}", method, calls))
        yield calls


def _watch(name: str, method: Callable[..., Any], calls: StoreCalls) -> Callable[..., Any]:
    @wraps(method)
    def record_and_call(*arguments: Any, **options: Any) -> Any:
        calls.note(name)
        return method(*arguments, **options)

    return record_and_call

"""Coroutines for callers that are not asynchronous, or whose own event loop is running."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from threading import Thread
from typing import Any, Final, TypeVar

__all__ = ["run_in_own_loop"]

_POLL_SECONDS: Final = 0.1
_T = TypeVar("_T")


def run_in_own_loop(work: Callable[[], Coroutine[Any, Any, _T]], poll: Callable[[], None]) -> _T:
    """Run a coroutine in a thread with a loop of its own, since that of the caller may have one that is running.

    `poll` is called in the thread of the caller; if it raises, the work is cancelled, and then that is raised.
    """
    loop, future = asyncio.new_event_loop(), Future[_T]()
    task = loop.create_task(work())

    def run() -> None:
        try:
            future.set_result(loop.run_until_complete(task))
        except BaseException as error:  # noqa: BLE001  # raised again by `future.result`
            future.set_exception(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = Thread(target=run, name="shoal-naming", daemon=True)
    thread.start()
    try:
        while True:
            try:
                result = future.result(_POLL_SECONDS)
                poll()
                return result
            except StillRunning:
                if future.done():
                    raise
            poll()
    finally:
        if not future.done():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()

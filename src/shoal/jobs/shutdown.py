"""Shutdown of a server by signals, the first one gracefully and the second at once; and its periodic chores."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from shoal.errors import ShoalError

__all__ = ["Shutdown", "run_every_second"]

_log = logging.getLogger("shoal.server")


class _Workers(Protocol):
    def ask_to_stop(self) -> None: ...

    def kill(self) -> None: ...


class Shutdown:
    """The handler of SIGTERM and SIGINT. The first one sets `requested`; `workers` are stopped with the server."""

    def __init__(self) -> None:
        self.requested = False
        self.workers: _Workers | None = None

    def request(self, number: int) -> bool:
        """Handle a signal. Returns True for the first one; a second one kills the workers and ends this process at
        once."""
        if self.requested:
            if self.workers is not None:
                self.workers.kill()
            os._exit(128 + number)
        self.requested = True
        _log.info("server.stopping", extra={"signal": signal.Signals(number).name})
        if self.workers is not None:
            # Runs go back to the queue while requests in progress are finished.
            self.workers.ask_to_stop()
        return True

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal before or after the time in which the server itself handles signals."""
        self.request(number)
        raise SystemExit(0)


def run_every_second(act: Callable[[], None]) -> threading.Thread:
    """Call `act` now and every second in a daemon thread, until this process ends."""

    def loop() -> None:
        while True:
            try:
                act()
            except (OSError, ShoalError) as error:
                _log.warning("server.chore_failed", extra={"cause": str(error)})
            pause.wait(1.0)

    pause = threading.Event()
    thread = threading.Thread(target=loop, daemon=True, name="chores")
    thread.start()
    return thread

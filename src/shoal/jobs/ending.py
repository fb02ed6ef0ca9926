"""How a server ends: the first signal in good order, the second at once; and what it does every second until then."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from shoal.errors import ShoalError

__all__ = ["Ending", "every_second"]

_log = logging.getLogger("shoal.server")


class _Workers(Protocol):
    def ask_to_stop(self) -> None: ...

    def kill(self) -> None: ...


class Ending:
    """The handler of SIGTERM and SIGINT. `asked` is set by the first; `workers` are those that must not be left."""

    def __init__(self) -> None:
        self.asked = False
        self.workers: _Workers | None = None

    def first(self, number: int) -> bool:
        """Note a signal. True for the first one; a second one ends this process and its workers here and now."""
        if self.asked:
            if self.workers is not None:
                self.workers.kill()
            os._exit(128 + number)
        self.asked = True
        _log.info("server.stopping", extra={"signal": signal.Signals(number).name})
        if self.workers is not None:
            # Runs go back to the queue while the requests under way are finished.
            self.workers.ask_to_stop()
        return True

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Before and after the time in which the server itself listens to signals."""
        self.first(number)
        raise SystemExit(0)


def every_second(act: Callable[[], None]) -> threading.Thread:
    """Call `act` now and every second from a thread of its own, as long as this process lives."""

    def keep_on() -> None:
        while True:
            try:
                act()
            except (OSError, ShoalError) as error:
                _log.warning("server.chore_failed", extra={"cause": str(error)})
            pause.wait(1.0)

    pause = threading.Event()
    thread = threading.Thread(target=keep_on, daemon=True, name="chores")
    thread.start()
    return thread

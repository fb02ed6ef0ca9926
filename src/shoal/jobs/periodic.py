"""Periodic background work, by one process at a time."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from shoal.durable import lock_folder
from shoal.errors import ShoalError

__all__ = ["Periodic"]

_log = logging.getLogger("shoal.periodic")


class Periodic:
    """Calls `action` every `seconds` in a thread, unless another process that shares `folder` is running it."""

    def __init__(self, name: str, action: Callable[[], object], seconds: float, folder: Path) -> None:
        self._name, self._action, self._seconds, self._folder = name, action, seconds, folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, which calls the action until `stop`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Returns when a running action has ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def once(self) -> bool:
        """Call the action now. Returns False where another process is running it. A ShoalError or OSError is logged,
        and the next call tries again."""
        try:
            with lock_folder(self._folder, wait=False):
                self._action()
        except BlockingIOError:
            return False
        except (ShoalError, OSError) as error:
            _log.warning("periodic.failed", extra={"action": self._name, "cause": str(error)})
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.once()
            self._stopping.wait(self._seconds)

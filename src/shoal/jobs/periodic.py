"""Something done every so often beside everything else, by one process at a time."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from shoal.durable import lock_folder
from shoal.errors import ShoalError

__all__ = ["Periodic"]

_log = logging.getLogger("shoal.periodic")


class Periodic:
    """Calls `action` every `seconds` in a thread of its own, unless another process that shares `folder` does."""

    def __init__(self, name: str, action: Callable[[], object], seconds: float, folder: Path) -> None:
        self._name, self._action, self._seconds, self._folder = name, action, seconds, folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Act, wait `seconds`, act, and so on until `stop`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns once an action under way is over."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def once(self) -> bool:
        """Act now; False where another process is at it. An error on purpose is logged: the next time may be better."""
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

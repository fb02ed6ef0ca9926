"""How a process learns that the one that started it is gone: the pipe on its standard input closes."""

import os
import threading
from collections.abc import Callable

__all__ = ["when_parent_ends"]


def when_parent_ends(act: Callable[[], None] = lambda: os._exit(70)) -> None:
    """Call `act` once standard input is at its end. By default the process ends there and then: its work is
    transactional, and somebody else will take it up."""

    def wait() -> None:
        # Not through sys.stdin: its lock would be held while the interpreter shuts down.
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True, name="lifeline").start()

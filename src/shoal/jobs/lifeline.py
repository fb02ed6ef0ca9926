"""Detection that the parent process has ended: the pipe on standard input closes."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["PARENT_ENDED", "die_with_parent", "when_parent_ends"]

_PR_SET_PDEATHSIG: Final = 1


PARENT_ENDED: Final = 70
"""The exit code of a process whose parent ended."""


def when_parent_ends(act: Callable[[], None] = lambda: os._exit(PARENT_ENDED)) -> None:
    """Call `act` when standard input reaches its end. By default the process exits at once: its work is transactional,
    and another process will resume it."""

    def wait() -> None:
        # Not through sys.stdin: its lock would be held while the interpreter shuts down.
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True, name="lifeline").start()


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it is gone: no Python thread can act while native
    code holds the GIL. Linux only; elsewhere only `when_parent_ends` applies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

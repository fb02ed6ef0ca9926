"""How a process learns that the one that started it is gone: the pipe on its standard input closes."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["PARENT_ENDED", "killed_with_parent", "when_parent_ends"]

_PR_SET_PDEATHSIG: Final = 1


PARENT_ENDED: Final = 70
"""The exit code of a process whose parent ended."""


def when_parent_ends(act: Callable[[], None] = lambda: os._exit(PARENT_ENDED)) -> None:
    """Call `act` once standard input is at its end. By default the process ends there and then: its work is
    transactional, and somebody else will take it up."""

    def wait() -> None:
        # Not through sys.stdin: its lock would be held while the interpreter shuts down.
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True, name="lifeline").start()


def killed_with_parent() -> None:
    """Let the kernel kill this process once the thread that started it is gone: no thread of ours could act while
    native code holds the interpreter. Linux only; elsewhere `when_parent_ends` has to do alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

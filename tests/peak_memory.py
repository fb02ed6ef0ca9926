"""The memory that a server and its children take, watched from outside."""

import threading

import psutil

__all__ = ["PeakMemory"]


class PeakMemory:
    """The largest resident memory of a server, and of all its children together, in bytes, while the block runs."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self._done = threading.Event()
        self.idle = self.server = self._server.memory_info().rss
        self.children = 0

    def __enter__(self) -> "PeakMemory":
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.server = max(self.server, _resident(self._server))
            self.children = max(self.children, sum(map(_resident, self._server.children(recursive=True))))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0

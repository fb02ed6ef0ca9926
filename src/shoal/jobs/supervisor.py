"""Supervision of the worker processes of a server."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from shoal.errors import ShoalError
from shoal.settings import Settings

__all__ = ["Workers", "max_per_organization"]

_CHECK_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 10.0
_log = logging.getLogger("shoal.supervisor")


_COMMAND: Final = (sys.executable, "-m", "shoal.cli.processes.worker")


class Workers:
    """`settings.workers` worker processes, which are restarted when they end unexpectedly and end with this process.

    With `several` organisations there is one more: no organisation may occupy all of them (`max_per_organization`), so
    that a run of hours does not delay other organisations, not even with a single worker.
    """

    def __init__(self, settings: Settings, several: Callable[[], bool] = lambda: False) -> None:
        self._environ = settings.environ()
        self._count, self._several = settings.workers, several
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, daemon=True, name="workers")

    def start(self) -> None:
        """Start the processes and a thread that watches them."""
        self._processes = [self._spawn() for _ in range(self._count)]
        self._thread.start()

    def stop(self) -> None:
        """Stop all workers and wait; a running job goes back to the queue."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)

    def ask_to_stop(self) -> None:
        """Signal all workers to stop, without restarting any. Returns at once; `stop` waits."""
        self._stopping.set()
        for process in self._processes:
            process.terminate()

    def kill(self) -> None:
        """Kill all workers; the processes of their runs end with them, because their standard input closes."""
        self._stopping.set()
        for process in self._processes:
            process.kill()

    def alive(self) -> int:
        """Return the number of running workers."""
        return sum(process.poll() is None for process in self._processes)

    def pids(self) -> Sequence[int]:
        """Return the process ids of the workers."""
        return [process.pid for process in self._processes]

    def _has_several(self) -> bool:
        try:
            return self._several()
        except ShoalError:  # the next check reads it again
            return False

    def _spawn(self) -> "subprocess.Popen[bytes]":
        # This process holds the write end of stdin, which closes whenever and however it ends.
        return subprocess.Popen(_COMMAND, env=self._environ, stdin=subprocess.PIPE)

    def _keep_running(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            if self._count and len(self._processes) == self._count and self._has_several():
                self._processes.append(self._spawn())
            for number, process in enumerate(self._processes):
                if process.poll() is not None:
                    _log.warning("worker.restarted", extra={"exit_code": process.returncode})
                    _close(process)
                    self._processes[number] = self._spawn()


def max_per_organization(workers: int, *, several: bool) -> int | None:
    """Return the maximum number of active runs of one organisation: with several organisations one less than the number
    of workers, otherwise None."""
    return max(1, workers - 1) if several else None


def _close(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

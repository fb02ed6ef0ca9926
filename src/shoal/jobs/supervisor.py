"""The worker processes that a server keeps running beside it."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from shoal.errors import ShoalError
from shoal.settings import Settings

__all__ = ["Workers", "most_of_one"]

_CHECK_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 10.0
_log = logging.getLogger("shoal.supervisor")


_COMMAND: Final = (sys.executable, "-m", "shoal.cli.processes.worker")


class Workers:
    """`settings.workers` worker processes; one that ends unasked is started again. They end with this process.

    Where there are `several` organisations there is one more: no organisation may keep all of them busy
    (`most_of_one`), so that a run of hours keeps nobody else waiting, not even beside a single worker.
    """

    def __init__(self, settings: Settings, several: Callable[[], bool] = lambda: False) -> None:
        self._environ = settings.environ()
        self._wanted, self._several = settings.workers, several
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, daemon=True, name="workers")

    def start(self) -> None:
        """Start the processes and watch over them."""
        self._processes = [self._spawn() for _ in range(self._wanted)]
        self._thread.start()

    def stop(self) -> None:
        """Ask all to end and wait; a running job goes back to the queue."""
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
        """Ask all to end, and start none again. Returns at once; `stop` waits."""
        self._stopping.set()
        for process in self._processes:
            process.terminate()

    def kill(self) -> None:
        """End all here and now; their runs' processes end with them, because their standard input closes."""
        self._stopping.set()
        for process in self._processes:
            process.kill()

    def alive(self) -> int:
        """How many are running."""
        return sum(process.poll() is None for process in self._processes)

    def pids(self) -> Sequence[int]:
        """The processes as they are now."""
        return [process.pid for process in self._processes]

    def _are_several(self) -> bool:
        try:
            return self._several()
        except ShoalError:  # asked again in a second
            return False

    def _spawn(self) -> "subprocess.Popen[bytes]":
        # The write end of stdin stays with us: it closes when we end, however we end.
        return subprocess.Popen(_COMMAND, env=self._environ, stdin=subprocess.PIPE)

    def _keep_running(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            if self._wanted and len(self._processes) == self._wanted and self._are_several():
                self._processes.append(self._spawn())
            for number, process in enumerate(self._processes):
                if process.poll() is not None:
                    _log.warning("worker.restarted", extra={"exit_code": process.returncode})
                    _close(process)
                    self._processes[number] = self._spawn()


def most_of_one(workers: int, *, several: bool) -> int | None:
    """How many runs of one organisation may be under way where so many workers live: where there are several
    organisations, one worker fewer."""
    return max(1, workers - 1) if several else None


def _close(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

"""The process of a job: the protocol that a worker uses, and its implementation.

Starting a process and importing everything takes most of a second, so one process is kept on standby. Each process
still executes exactly one job.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from shoal.storage.protocols.queue import Job

__all__ = ["Child", "ChildProcesses", "Executor", "Progress"]

_GRACE_SECONDS: Final = 5.0
_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Progress:
    """The last progress that a child reported."""

    stage: str = "start"
    fraction: float = 0.0


class Child(Protocol):
    """A running job."""

    @property
    def progress(self) -> Progress: ...

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), None while it runs."""

    def wait(self, seconds: float) -> None:
        """Return when it reported progress, when it ended, or after `seconds`."""

    def kill(self) -> None:
        """Kill it and all processes that it started. Idempotent."""


class Executor(Protocol):
    """Starts children."""

    def start(self, job: Job) -> Child:
        """Start a claimed job."""

    def prepare(self) -> None:
        """Prepare for the next job. Returns at once; does nothing where that is done already."""

    def close(self) -> None:
        """Release what was prepared."""


class ChildProcesses:
    """Children as processes of one command, each in its own session.

    `environ` is their environment, None for that of this process. The command reads one JSON line `{organization,
    namespace, job, fence, attempt}` on standard input, executes that job, and exits with 0 once its outcome, good or
    bad, is recorded. Standard input stays open until its worker ends. Progress is JSON lines `{stage, fraction}` on
    standard output.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str] | None = None, *, standby: bool = True
    ) -> None:
        self._command, self._environ, self._standby = list(command), environ, standby
        self._ready: _Process | None = None

    def start(self, job: Job) -> Child:
        """Pass the job to the standby process, or to a new one."""
        ready, self._ready = self._ready, None
        if ready is None or ready.poll() is not None:
            self._discard(ready)
            ready = _Process(self._command, self._environ)
        ready.begin(job)
        return ready

    def prepare(self) -> None:
        """Keep one process on standby."""
        if self._ready is not None and self._ready.poll() is not None:
            self._discard(self._ready)
            self._ready = None
        if self._standby and self._ready is None:
            self._ready = _Process(self._command, self._environ)

    def close(self) -> None:
        """End the standby process."""
        self._discard(self._ready)
        self._ready = None

    def _discard(self, process: "_Process | None") -> None:
        if process is not None:
            process.kill()


class _Process:
    """One child process."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None) -> None:
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._buffer = b""
        self._is_open = True
        self._exit = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
        self.progress = Progress()

    def begin(self, job: Job) -> None:
        request = {
            "organization": job.scope.organization_id,
            "namespace": job.scope.namespace_id,
            "job": job.job_id,
            "fence": job.fence,
            "attempt": job.attempts,
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: the exit code will show it
            self._process.stdin.write(orjson.dumps(request) + b"\n")

    def poll(self) -> int | None:
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.poll()
        # It stays a zombie until `kill`, so that its pid cannot be reused before its group is killed.
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def wait(self, seconds: float) -> None:
        output = self._process.stdout.fileno() if self._process.stdout is not None and self._is_open else None
        watched = [fd for fd in (output, self._exit) if fd is not None]
        if not watched:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        elif output is not None and output in select.select(watched, [], [], seconds)[0]:
            self._read_progress(output)

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(
                ProcessLookupError, PermissionError
            ):  # PermissionError: macOS, for an ended process
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_GRACE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if self._exit is not None:
            os.close(self._exit)
            self._exit = None
        self._is_open = False

    def _read_progress(self, output: int) -> None:
        data = os.read(output, _READ_BYTES)
        self._is_open = bool(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                message = orjson.loads(line)
                self.progress = Progress(str(message["stage"]), float(message["fraction"]))

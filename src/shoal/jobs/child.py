"""The process of one job: what a worker needs of it, and the real one.

A process that imports everything takes most of a second to start, so one waits ready: it has done all that can be done
before the job is known. Each still carries out exactly one job.
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
    """The child's last word on how far it is."""

    stage: str = "start"
    fraction: float = 0.0


class Child(Protocol):
    """A job that is being carried out."""

    @property
    def progress(self) -> Progress: ...

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs."""

    def wait(self, seconds: float) -> None:
        """Return when it said something, when it ended, or after `seconds`."""

    def kill(self) -> None:
        """End it and all it started, whatever it is doing. Nothing is left of it afterwards; may be called twice."""


class Executor(Protocol):
    """Starts children."""

    def start(self, job: Job) -> Child:
        """Begin the claimed job."""

    def prepare(self) -> None:
        """Make ready for the next job. Returns at once, and does nothing where all is ready."""

    def close(self) -> None:
        """Let go of what was made ready."""


class ChildProcesses:
    """Children as processes of one command, each in a session of its own.

    `environ` is their environment, None for that of this process. The command reads one JSON line `{organization,
    namespace, job, fence, attempt}` on standard input, carries that job out, and exits with 0 once its outcome, good or
    bad, is recorded. Standard input stays open until its worker ends. Progress is JSON lines `{stage, fraction}` on
    standard output.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str] | None = None, *, standby: bool = True
    ) -> None:
        self._command, self._environ, self._standby = list(command), environ, standby
        self._ready: _Process | None = None

    def start(self, job: Job) -> Child:
        """Give the job to the process that waits, or to a new one."""
        ready, self._ready = self._ready, None
        if ready is None or ready.poll() is not None:
            self._drop(ready)
            ready = _Process(self._command, self._environ)
        ready.begin(job)
        return ready

    def prepare(self) -> None:
        """Keep one process waiting."""
        if self._ready is not None and self._ready.poll() is not None:
            self._drop(self._ready)
            self._ready = None
        if self._standby and self._ready is None:
            self._ready = _Process(self._command, self._environ)

    def close(self) -> None:
        """End the process that waits."""
        self._drop(self._ready)
        self._ready = None

    def _drop(self, process: "_Process | None") -> None:
        if process is not None:
            process.kill()


class _Process:
    """One child process."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None) -> None:
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._said = b""
        self._listening = True
        self._exit = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
        self.progress = Progress()

    def begin(self, job: Job) -> None:
        told = {
            "organization": job.scope.organization_id,
            "namespace": job.scope.namespace_id,
            "job": job.job_id,
            "fence": job.fence,
            "attempt": job.attempts,
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead: its exit code will tell
            self._process.stdin.write(orjson.dumps(told) + b"\n")

    def poll(self) -> int | None:
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.poll()
        # It is left a zombie until `kill`, so that nobody else can have its number when its group is killed.
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def wait(self, seconds: float) -> None:
        output = self._process.stdout.fileno() if self._process.stdout is not None and self._listening else None
        watched = [one for one in (output, self._exit) if one is not None]
        if not watched:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        elif output is not None and output in select.select(watched, [], [], seconds)[0]:
            self._listen(output)

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, for one that has ended
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_GRACE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if self._exit is not None:
            os.close(self._exit)
            self._exit = None
        self._listening = False

    def _listen(self, output: int) -> None:
        heard = os.read(output, _READ_BYTES)
        self._listening = bool(heard)
        *lines, self._said = (self._said + heard).split(b"\n")
        for line in lines:
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                said = orjson.loads(line)
                self.progress = Progress(str(said["stage"]), float(said["fraction"]))

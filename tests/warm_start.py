"""Servers started by a fork of a process that has loaded all of Shoal: in milliseconds, where a new interpreter takes
two seconds of CPU to import the same.

What starts is a process like any other, in a session of its own, with its own environment, folder and umask, and runs
`shoal.cli.start.main`. Only what is decided while modules load is that of the forking process: where an environment
would change that, `can_start` is False.
"""

import atexit
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol

import orjson

__all__ = ["Started", "WarmProcess", "can_start", "start"]

_NUMBER: Final = struct.Struct("!i")
_LONGEST: Final = 1 << 20
_AT_IMPORT: Final = ("SHOAL_FAILPOINTS", "SHOAL_KERNELS", "SHOAL_INSTRUCTIONS", "SHOAL_PLANTED")
"""Names, and beginnings of names, of what is read while modules load."""
# It must have one thread when it forks: libraries make theirs while they load.
_ONE_THREAD: Final = {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false",
}  # fmt: skip


class Started(Protocol):
    """What a server process is controlled through: part of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class WarmProcess:
    """A started process. Its parent is the forking process, which reports its exit code through a pipe."""

    def __init__(self, command: Sequence[str], pid: int, status: int) -> None:
        self._command, self._status = list(command), status
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._read(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises subprocess.TimeoutExpired."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            status = os.read(self._status, _NUMBER.size)
            os.close(self._status)
            self.returncode = _NUMBER.unpack(status)[0] if status else -signal.SIGKILL
        return self.returncode


def can_start(environ: Mapping[str, str]) -> bool:
    """Return whether a fork in this environment behaves like a new interpreter."""
    changed = {name for name in {*environ, *os.environ} if environ.get(name) != os.environ.get(name)}
    plain = all(name.startswith("SHOAL_") for name in changed)
    return sys.platform == "linux" and plain and not any(name.startswith(_AT_IMPORT) for name in environ)


def start(arguments: Sequence[str], output: int, environ: Mapping[str, str]) -> WarmProcess:
    """Run `shoal` with these arguments; both its outputs go to the descriptor `output`, its input is empty."""
    mask = os.umask(0)
    os.umask(mask)
    request = {"arguments": list(arguments), "environ": dict(environ), "folder": str(Path.cwd()), "mask": mask}
    status, writer = os.pipe()
    try:
        socket.send_fds(_control(), [orjson.dumps(request)], [output, writer])
    finally:
        os.close(writer)
    (pid,) = _NUMBER.unpack(os.read(status, _NUMBER.size))
    return WarmProcess(["shoal", *arguments], pid, status)


_running: Final[dict[int, socket.socket]] = {}


def _control() -> socket.socket:
    """The socket of this process's forking process, which ends with it."""
    if os.getpid() not in _running:
        own_end, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        with other_end:
            process = subprocess.Popen(
                [sys.executable, "-m", "warm_start"],
                stdin=other_end.fileno(), env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            )  # fmt: skip
        _running[os.getpid()] = own_end
        atexit.register(_close, process, own_end)
    return _running[os.getpid()]


def _close(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    process.wait(10)


# ── the forking process ──────────────────────────────────────────────────────────────────────────────────────────────


def _serve() -> None:
    for name in (
        "shoal.cli.main",
        "shoal.api.app",
        "shoal.cli.processes.http_server",
        "shoal.runs.run",
        "anyio._backends._asyncio",
    ):
        importlib.import_module(name)
    for route in importlib.import_module("shoal.api.app")._ROUTES:
        route.matches({"type": "http", "path": "/", "method": "GET"})
    gc.collect()
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1, "threads do not survive a fork"  # noqa: PTH208
    control = socket.socket(fileno=os.dup(0))
    children: dict[int, int] = {}
    while True:
        if select.select([control], [], [], 0.02 if children else None)[0] and not _begin(control, children):
            break
        _report(children)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _begin(control: socket.socket, children: dict[int, int]) -> bool:
    """Start the requested command. Returns False at the end of requests."""
    sent, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 2)
    if not sent:
        return False
    output, status = descriptors
    request = orjson.loads(sent)
    pid = os.fork()
    if not pid:
        _run_command(request, control, output, status)
    os.close(output)
    os.write(status, _NUMBER.pack(pid))
    children[pid] = status
    return True


def _report(children: dict[int, int]) -> None:
    """Report the exit code of every child that ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        pipe = children.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os.close(pipe)


def _run_command(request: dict[str, object], control: socket.socket, output: int, status: int) -> NoReturn:
    try:
        os.setsid()
        control.close()
        os.close(status)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, standard)
        os.closerange(3, 4096)
        os.environ.clear()
        os.environ.update(request["environ"])  # type: ignore[call-overload]
        os.chdir(str(request["folder"]))
        os.umask(int(str(request["mask"])))
        sys.argv = ["shoal", *map(str, request["arguments"])]  # type: ignore[call-overload]
        time.tzset()
        importlib.import_module("shoal.cli.start").main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    _serve()

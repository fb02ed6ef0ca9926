"""The other end of a contender's process: orders with a time limit, pauses, kills."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

__all__ = ["Contender", "Ended", "Process", "available_cores"]

_HERE = Path(__file__).resolve().parents[1]
_THREAD_VARIABLES = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR")


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a table: what it is called there, and which function of `contenders` makes it with what."""

    name: str
    kind: str
    arguments: Mapping[str, object] = field(default_factory=dict)


class Ended(Exception):
    """The process is over before it answered; the text says why."""


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _environment(threads: int, compiled: Path) -> dict[str, str]:
    """`compiled` is where numba keeps what it has compiled: empty, unless the contender has run before."""
    counts = {f"{name}_NUM_THREADS": str(threads) for name in _THREAD_VARIABLES}
    paths = os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **counts, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(compiled)}


class Process:
    """A contender at work in a process group of its own. What it prints is kept in `log`."""

    def __init__(self, contender: Contender, points: Path, threads: int, compiled: Path, log: Path) -> None:
        task = {"contender": contender.kind, "arguments": dict(contender.arguments), "threads": threads}
        command = [sys.executable, "-m", "measure.child", json.dumps(task | {"points": str(points)})]
        self._log, self._unread = log, b""
        self.began = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=_environment(threads, compiled),
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def order(self, seed: int, answer: Path) -> None:
        """Ask for a fit. May be sent before the process is ready."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `reply` raises with the reason
            self._process.stdin.write(json.dumps({"seed": seed, "answer": str(answer)}).encode() + b"\n")

    def reply(self, limit_s: float) -> dict[str, Any]:
        """The next reply. Raises Ended where there is none within `limit_s` seconds, after killing the process, or
        where it ended by itself."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.kill()
                raise Ended(f"killed after {limit_s:.0f} s")
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                raise Ended(self._why())
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "absent" in message:
            raise Ended(f"not measured: {message['absent']}")
        return message

    def pause(self) -> None:
        """Keep waiting threads from spinning while others are measured."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it and whatever it started."""
        if self._process.poll() is None:
            self._send(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _why(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"died of {signal.Signals(-code).name}"
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f"failed: {lines[-1][:160]}" if lines else f"ended with status {code}"

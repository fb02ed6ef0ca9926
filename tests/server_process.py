"""A real server process on a free loopback port, for tests, benchmarks and kill loops."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import ClassVar, TextIO

import httpx

from warm_start import Started, can_start, start

__all__ = ["FreshServer", "ServerProcess"]


class ServerProcess:
    """`shoal serve` on a data folder, in a process group of its own. Starting again on the same folder is the point.

    A fork of a process that has loaded everything, where that makes no difference.
    """

    fresh: ClassVar[bool] = False
    """Whether it is always a new interpreter."""

    def __init__(self, data: Path, *, workers: int = 1, **environ: str) -> None:
        self.data = data
        self.port = 0
        """Where it listens; 0 takes another one at each start."""
        self._workers = workers
        self._environ = {**os.environ, "SHOAL_LOG_LEVEL": "warning", **environ}
        self._process: Started | None = None
        self.output: deque[str] = deque(maxlen=2000)
        self.url = ""

    def start(self, timeout_s: float = 60.0) -> "ServerProcess":
        """Returns once the server is ready."""
        self.spawn()
        return self.wait_ready(timeout_s)

    def spawn(self) -> None:
        """Start it, and do not wait."""
        arguments = ["serve", "--port", str(self.port), "--data", str(self.data), "--workers", str(self._workers)]
        output, written = os.pipe()
        try:
            self._process = self._begun(arguments, written)
        finally:
            os.close(written)
        self.url = ""
        threading.Thread(target=self._read, args=(os.fdopen(output),), daemon=True).start()

    def _begun(self, arguments: list[str], output: int) -> Started:
        if not self.fresh and can_start(self._environ):
            return start(arguments, output, self._environ)
        return subprocess.Popen(
            [sys.executable, "-m", "shoal.cli.main", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self._environ,
            start_new_session=True,
        )

    def wait_ready(self, timeout_s: float = 60.0) -> "ServerProcess":
        """Returns once the server is ready."""
        assert self._process is not None
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: {''.join(self.output)}")
            if self.url and self._answers():
                return self
            time.sleep(0.02)
        raise RuntimeError(f"the server did not answer: {''.join(self.output)}")

    @property
    def key(self) -> str:
        """The key that the first start made."""
        return (self.data / "key").read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self, namespace: str | None = None, timeout_s: float = 60.0) -> httpx.Client:
        """An HTTP client with the key, rooted at /v1."""
        headers = {"Authorization": f"Bearer {self.key}"} | ({"X-Namespace": namespace} if namespace else {})
        return httpx.Client(base_url=f"{self.url}/v1", headers=headers, timeout=timeout_s)

    def signal(self, number: int) -> None:
        """Send a signal to the server alone."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait_for_end(self, timeout_s: float = 60.0) -> int:
        """Its exit code once it ended."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def kill(self, *, everything: bool = False) -> None:
        """SIGKILL to the server alone, or to its workers as well."""
        assert self._process is not None
        if everything:
            with contextlib.suppress(ProcessLookupError):  # all of them ended by themselves
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(60)

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit code, once it ended by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def __enter__(self) -> "ServerProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self, lines: TextIO) -> None:
        with lines:
            for line in lines:
                self.output.append(line)
                match = re.search(r"http://[^\s/]+:\d+", line)
                if match and not self.url:
                    self.url = match.group()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0).status_code == 200
        except httpx.TransportError:
            return False


class FreshServer(ServerProcess):
    """A server in a new interpreter: where its start, its command line or its memory is looked at."""

    fresh = True

"""A real server with its workers, in a process group of its own: started, killed, started again on the same folder."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil

from faults.invariants import Violated, check_processes, processes_on
from faults.ledger import Ledger
from faults.workload import Operations, Tenants, make_tenants
from server_process import FreshServer

__all__ = ["Victim", "victim"]

_TRACEBACK: Final = "Traceback (most recent call last)"


class Victim(FreshServer):
    """`shoal serve` on a data folder with two tenants, and the ledger of its requests. Its command line
    identifies it."""

    def __init__(self, root: Path, *, workers: int = 1, **environ: str) -> None:
        self.tenants: Tenants = make_tenants(root / "data")
        self.ledger = Ledger(root / "ledger")
        super().__init__(root / "data", workers=workers, **environ)

    def client(self, namespace: str | None = "default", timeout_s: float = 30.0) -> httpx.Client:
        """A client of the first tenant."""
        return super().client(namespace, timeout_s)

    def prepare(self) -> None:
        """Create the documents and clusters of the workload, and the other tenant's canary."""
        with self.client() as client:
            Operations(client, self.ledger).prepare()
            client.headers["Authorization"] = f"Bearer {self.tenants.foreign_key}"
            Operations(client, self.ledger).plant_canary()

    def processes(self, module: str) -> list[psutil.Process]:
        """List the processes on this data folder that run a module: `worker`, `run_child`."""
        return [process for process, line in processes_on(self.data) if f"shoal.cli.processes.{module}" in line]

    def kill_run(self) -> bool:
        """Kill the process of an active run, or else an idle one. Returns False if there is none."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.run_processes():
                process.kill()
                return True
        return False

    def run_processes(self) -> list[psutil.Process]:
        """List the run processes, oldest first: idle ones are the youngest."""
        return sorted(self.processes("run_child"), key=lambda process: float(process.create_time()))

    def check_gone(self, seconds: float = 15.0) -> None:
        """I10: wait until all its processes have ended. Raises Violated."""
        end = time.monotonic() + seconds
        while True:
            try:
                check_processes(self.data)
                return
            except Violated:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def check_log(self) -> None:
        """Check that it printed no traceback. Raises Violated."""
        text = "".join(self.output)
        if _TRACEBACK in text:
            at = text.index(_TRACEBACK)
            raise Violated("I10", f"there is a traceback in the log: {text[at : at + 2000]}")

    def end(self) -> None:
        """Kill all remaining processes, whatever the outcome of the test."""
        for process in (*self.processes("worker"), *self.processes("run_child")):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.ledger.close()


@contextmanager
def victim(root: Path, *, workers: int = 1, prepared: bool = True, **environ: str) -> Iterator[Victim]:
    """Start and prepare a server. Its processes end with the block; the caller owns the folder."""
    server = Victim(root, workers=workers, **environ)
    try:
        server.start()
        if prepared:
            server.prepare()
        yield server
    finally:
        server.end()


def moment(rng: random.Random, max_seconds: float) -> float:
    """Draw a time to wait, in seconds, from 0.02 to `max_seconds`."""
    return rng.uniform(0.02, max_seconds)

"""One worker process: `shoal worker`, or started by `shoal serve` as `python -m shoal.cli.worker`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from shoal import logs
from shoal.assemble import Services, assemble, utc_now
from shoal.jobs.child import ChildProcesses
from shoal.jobs.lifeline import when_parent_ends
from shoal.jobs.limits import run_memory_mib
from shoal.jobs.liveness import held_alive, is_alive, worker_name
from shoal.jobs.worker import Worker
from shoal.services.run_states import QUEUE
from shoal.settings import Settings
from shoal.storage.base import Job

__all__ = ["child_command", "main", "work"]


class _Runs:
    """What the worker tells us: how runs ended whose process could not record it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def gave_up(self, job: Job, cause: str) -> None:
        self._failed(job, cause, "infrastructure")

    def out_of_memory(self, job: Job) -> None:
        limit = run_memory_mib(self._services.settings)
        message = (
            f"The run needs more memory than the limit of {limit:,} MiB. Set a sample_size or a cheaper algorithm, or "
            "let whoever runs the server raise SHOAL_RUN_MEMORY_MIB."
        )
        self._failed(job, message, "pipeline")

    def out_of_time(self, job: Job) -> None:
        limit = self._services.settings.run_seconds
        message = (
            f"The run took longer than the limit of {limit:g} s. Set a sample_size or a cheaper algorithm, or let "
            "whoever runs the server raise SHOAL_RUN_SECONDS."
        )
        self._failed(job, message, "timeout")

    def stopped(self, job: Job) -> None:
        self._services.runner.discard(job)

    def _failed(self, job: Job, message: str, category: str) -> None:
        self._services.states.fail(job, message, category)
        self._services.runner.discard(job)


def child_command(settings: Settings) -> Sequence[str]:
    """The command line of the processes that carry out runs."""
    return [
        sys.executable, "-m", "shoal.cli.run_child",
        "--data", str(settings.data),
        "--threads", str(settings.threads),
        "--memory-mib", str(run_memory_mib(settings)),
        "--log-level", settings.log_level,
        "--log-format", settings.log_format,
    ]  # fmt: skip


def work(settings: Settings, *, attached: bool = False) -> None:
    """Carry out runs until SIGTERM or Ctrl-C; when `attached`, also until standard input closes."""
    services = assemble(settings)
    name, folder = worker_name(), settings.data / "workers"
    try:
        worker = Worker(
            services.metadata,
            _Runs(services),
            ChildProcesses(child_command(settings)),
            name=name,
            queue=QUEUE,
            lease=timedelta(seconds=settings.lease_seconds),
            is_alive=lambda name: is_alive(folder, name),
            now=utc_now,
            run_seconds=settings.run_seconds,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        if attached:
            when_parent_ends(worker.stop)
        with held_alive(folder, name):
            worker.run()
    finally:
        services.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry of a worker that a server starts."""
    parser = argparse.ArgumentParser(prog="shoal worker")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lease-seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--run-memory-mib", type=int, default=0)
    parser.add_argument("--run-seconds", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="text")
    parser.add_argument("--attached", action="store_true")
    given = vars(parser.parse_args(arguments))
    attached = given.pop("attached")
    logs.configure(given["log_level"], given["log_format"])
    work(Settings(**given), attached=attached)


if __name__ == "__main__":
    main()

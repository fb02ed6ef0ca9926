"""One worker process: `shoal worker`, or started by `shoal serve` as `python -m shoal.cli.worker`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from shoal import logs
from shoal.assemble import Services, assemble, utc_now
from shoal.jobs.lifeline import when_parent_ends
from shoal.jobs.worker import Worker
from shoal.services.run_states import QUEUE
from shoal.settings import Settings
from shoal.storage.base import Job

__all__ = ["main", "work"]


class _Runs:
    """What the worker asks of us: how to start a run's process, and what to do when it ended early."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def command(self, job: Job) -> Sequence[str]:
        settings = self._services.settings
        return [
            sys.executable, "-m", "shoal.cli.run_child",
            "--data", str(settings.data),
            "--threads", str(settings.threads),
            "--log-level", settings.log_level,
            "--log-format", settings.log_format,
            "--organization", job.scope.organization_id,
            "--namespace", job.scope.namespace_id,
            "--run", job.job_id,
            "--fence", str(job.fence),
        ]  # fmt: skip

    def gave_up(self, job: Job, cause: str) -> None:
        self._services.states.fail(job.scope, job.job_id, cause, "infrastructure")
        self._services.runner.discard(job)

    def stopped(self, job: Job) -> None:
        self._services.runner.discard(job)


def work(settings: Settings, *, attached: bool = False) -> None:
    """Carry out runs until SIGTERM or Ctrl-C; when `attached`, also until standard input closes."""
    services = assemble(settings)
    try:
        worker = Worker(
            services.metadata,
            _Runs(services),
            queue=QUEUE,
            folder=settings.data / "workers",
            lease=timedelta(seconds=settings.lease_seconds),
            now=utc_now,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        if attached:
            when_parent_ends(worker.stop)
        worker.run()
    finally:
        services.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry of a worker that a server starts."""
    parser = argparse.ArgumentParser(prog="shoal worker")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lease-seconds", type=float, default=30.0)
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

"""One worker process: `shoal worker`, or started by `shoal serve` as `python -m shoal.cli.processes.worker`."""

import signal
import sys
from datetime import timedelta
from typing import Final

from shoal import logs
from shoal.assemble import Services, assemble, utc_now
from shoal.jobs.child import ChildProcesses
from shoal.jobs.lifeline import when_parent_ends
from shoal.jobs.limits import run_memory_mib
from shoal.jobs.liveness import hold_alive_lock, is_alive, list_alive, process_name
from shoal.jobs.periodic import Periodic
from shoal.jobs.supervisor import max_per_organization
from shoal.jobs.worker import Worker
from shoal.runs.states import QUEUE
from shoal.settings import Settings
from shoal.storage.protocols.queue import Job
from shoal.without_pandas import keep_pandas_out

__all__ = ["CHILD_COMMAND", "main", "work"]


_PLAIN_ALLOCATOR: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's own allocator reserves a gigabyte of address space at once, which the memory limit would count as used."""


class _RunOutcomes:
    """Records the outcome of runs whose process could not."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def gave_up(self, job: Job, cause: str) -> None:
        self._fail(job, cause, "infrastructure")

    def out_of_memory(self, job: Job) -> None:
        limit = run_memory_mib(self._services.settings, several=self._services.keys.has_several_organizations())
        message = (
            f"The run needs more memory than the limit of {limit:,} MiB. Set a sample_size or a cheaper algorithm, or "
            "ask the operator of the server to raise SHOAL_RUN_MEMORY_MIB."
        )
        self._fail(job, message, "pipeline")

    def out_of_time(self, job: Job) -> None:
        max_seconds, planned, limit = (
            self._services.settings.run_seconds, job.payload.get("planned"), job.payload.get("seconds")
        )  # fmt: skip
        if planned is None or limit is None or limit >= max_seconds > 0:
            reason = (
                f"the limit of {max_seconds:g} s. Set a sample_size or a cheaper algorithm, or ask the operator of "
            )
            reason += "the server to raise SHOAL_RUN_SECONDS."
        else:
            reason = f"{limit:,.0f} s, far more than the {planned:,.0f} s that were planned, and was given up. Execute "
            reason += "again while the machine is less busy, set a sample_size, or ask the operator of the server to "
            reason += "set SHOAL_RUN_SECONDS=0 for no limits."
        self._fail(job, f"The run took longer than {reason}", "timeout")

    def stopped(self, job: Job) -> None:
        self._services.runner.discard(job)

    def _fail(self, job: Job, message: str, category: str) -> None:
        self._services.states.fail(job, message, category)
        self._services.runner.discard(job)


_TIDY_SECONDS: Final = 60.0
CHILD_COMMAND: Final = (sys.executable, "-m", "shoal.cli.processes.run_child")
"""The command line of the processes that execute runs; their settings come from the environment."""


def work(settings: Settings, *, attached: bool = False) -> None:
    """Execute runs until SIGTERM or Ctrl-C; when `attached`, also until standard input closes."""
    services = assemble(settings)
    name, folder = process_name(), settings.data / "workers"
    try:
        worker = Worker(
            services.metadata,
            _RunOutcomes(services),
            ChildProcesses(CHILD_COMMAND, settings.environ() | _PLAIN_ALLOCATOR),
            name=name,
            queue_name=QUEUE,
            lease=timedelta(seconds=settings.lease_seconds),
            is_alive=lambda name: is_alive(folder, name),
            now=utc_now,
            run_seconds=settings.run_seconds,
            most_of_one=lambda: max_per_organization(
                len(list_alive(folder)), several=services.keys.has_several_organizations()
            ),
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        if attached:
            when_parent_ends(worker.stop)
        tidying = Periodic("tidy", services.housekeeping.tidy, _TIDY_SECONDS, settings.data / "housekeeping")
        tidying.start()
        try:
            with hold_alive_lock(folder, name):
                worker.run()
        finally:
            tidying.stop()
    finally:
        services.close()


def main() -> None:
    """The entry point of a worker started by a server: settings come from the environment."""
    settings = Settings.read()
    logs.configure(settings.log_level, settings.log_format)
    work(settings, attached=True)


if __name__ == "__main__":
    keep_pandas_out()
    main()

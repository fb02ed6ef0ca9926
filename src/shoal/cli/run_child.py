"""The process of one run, started by a worker. It ends with the worker, and tells its progress on standard output."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import orjson

from shoal import logs
from shoal.assemble import assemble
from shoal.jobs.lifeline import when_parent_ends
from shoal.jobs.stages import StageClock
from shoal.records.scope import Scope
from shoal.settings import Settings

__all__ = ["main"]

_TELL_EVERY_SECONDS: Final = 0.1


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out one claimed run. Exit code 0 once its outcome is recorded."""
    parser = argparse.ArgumentParser(prog="shoal run")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="text")
    for name in ("organization", "namespace", "run"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--fence", type=int, required=True)
    given = parser.parse_args(arguments)
    logs.configure(given.log_level, given.log_format)
    logs.run_id.set(given.run)
    when_parent_ends()
    services = assemble(Settings(data=given.data, threads=given.threads, log_level=given.log_level))
    try:
        job = services.metadata.get_job(Scope(given.organization, given.namespace), given.run)
        if job is not None and job.fence == given.fence:
            clock = StageClock(_teller(time.monotonic), time.monotonic)
            services.runner.run(job, clock)
            services.states.note_figures(job, clock.seconds())
    finally:
        services.close()


def _teller(clock: Callable[[], float]) -> Callable[[str, float], None]:
    """Progress as JSON lines, at most ten a second and one for every new stage."""
    said: tuple[str, float] = ("", 0.0)

    def tell(stage: str, fraction: float) -> None:
        nonlocal said
        if stage == said[0] and clock() - said[1] < _TELL_EVERY_SECONDS:
            return
        said = (stage, clock())
        sys.stdout.buffer.write(orjson.dumps({"stage": stage, "fraction": fraction}) + b"\n")
        sys.stdout.buffer.flush()

    return tell


if __name__ == "__main__":
    main()

"""The process of one run, started by a worker. It ends with the worker, and reports progress on standard output.

It imports, opens and warms up everything first and then waits for its job, one JSON line on standard input: a worker
keeps one such process ready, so that a run starts within milliseconds.
"""

import faulthandler
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import orjson

from shoal import logs
from shoal.assemble import Services, assemble
from shoal.engine.parallel import reserve_blas_buffers
from shoal.jobs.lifeline import PARENT_ENDED, die_with_parent, when_parent_ends
from shoal.jobs.limits import OUT_OF_MEMORY, limit_memory, run_memory_mib
from shoal.jobs.stages import StageClock
from shoal.library.from_columns import ClusterOptions, cluster_columns
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.without_pandas import keep_pandas_out

__all__ = ["main"]

_REPORT_EVERY_SECONDS: Final = 0.1
_WARM_UP_SECONDS: Final = 60.0
"""It takes one. BLAS retries for ever where memory is refused: that is a crash, not a wait."""


def main() -> int:
    """Execute one claimed run with the settings in the environment. Exit code 0 once its outcome is recorded."""
    settings = Settings.read()
    logs.configure(settings.log_level, settings.log_format)
    die_with_parent()
    try:
        services = assemble(settings)
        try:
            faulthandler.dump_traceback_later(_WARM_UP_SECONDS, exit=True)
            _warm_up(settings.threads)
            faulthandler.cancel_dump_traceback_later()
            line = _read_line(0)
            if line:
                when_parent_ends()
                limit_memory(run_memory_mib(settings, several=services.keys.has_several_organizations()))
                _carry_out(services, orjson.loads(line))
        finally:
            services.close()
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


def _warm_up(threads: int) -> None:
    """Load or build before the run what is otherwise loaded at first use: the native core, word lists, buffers."""
    reserve_blas_buffers(threads)
    points = np.eye(4, 8, dtype=np.float32).repeat(10, axis=0)
    options = ClusterOptions(algorithm="kmeans", n_clusters=4, threads=1)
    cluster_columns(points, [str(row) for row in range(40)], ["one two", "three four"] * 20, options)


def _carry_out(services: Services, claim: dict[str, str | int]) -> None:
    scope = Scope(str(claim["organization"]), str(claim["namespace"]))
    job = services.metadata.get_job(scope, str(claim["job"]))
    if job is not None and job.fence == claim["fence"]:
        logs.run_id.set(job.job_id)
        clock = StageClock(_make_reporter(time.monotonic), time.monotonic)
        services.runner.run(job, clock)
        services.states.note_figures(job, clock.seconds())


def _read_line(descriptor: int) -> bytes:
    """Read up to the end of the line and not a byte further, which belongs to the lifeline. Empty at end of file."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        line += byte
    return line


def _make_reporter(clock: Callable[[], float]) -> Callable[[str, float], None]:
    """Return a callback that writes progress as JSON lines, at most ten a second and one for every new stage."""
    last_report: tuple[str, float] = ("", 0.0)

    def report(stage: str, fraction: float) -> None:
        nonlocal last_report
        if stage == last_report[0] and clock() - last_report[1] < _REPORT_EVERY_SECONDS:
            return
        last_report = (stage, clock())
        try:
            sys.stdout.buffer.write(orjson.dumps({"stage": stage, "fraction": fraction}) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the worker is gone, so exit
            os._exit(PARENT_ENDED)

    return report


if __name__ == "__main__":
    keep_pandas_out()
    code = main()
    logging.shutdown()
    os._exit(code)  # tearing the interpreter down would take longer than many runs

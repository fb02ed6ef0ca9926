"""The process of one run, started by a worker. It ends with the worker, and tells its progress on standard output.

It imports, opens and tries everything first and then waits for its job, one JSON line on standard input: a worker keeps
one ready, so that a run begins within milliseconds.
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
from shoal.jobs.lifeline import PARENT_ENDED, killed_with_parent, when_parent_ends
from shoal.jobs.limits import OUT_OF_MEMORY, limit_memory, run_memory_mib
from shoal.jobs.stages import StageClock
from shoal.library.from_columns import How, cluster_columns
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.without_pandas import keep_pandas_out

__all__ = ["main"]

_TELL_EVERY_SECONDS: Final = 0.1
_WARM_UP_SECONDS: Final = 60.0
"""It takes one. BLAS asks for memory without end where something outside refuses it: that is a crash, not a wait."""


def main() -> int:
    """Carry out one claimed run, under the settings in the environment. Exit code 0 once its outcome is recorded."""
    settings = Settings.read()
    logs.configure(settings.log_level, settings.log_format)
    killed_with_parent()
    try:
        services = assemble(settings)
        try:
            faulthandler.dump_traceback_later(_WARM_UP_SECONDS, exit=True)
            _warm_up(settings.threads)
            faulthandler.cancel_dump_traceback_later()
            told = _read_line(0)
            if told:
                when_parent_ends()
                limit_memory(run_memory_mib(settings, several=services.keys.several_organizations()))
                _carry_out(services, orjson.loads(told))
        finally:
            services.close()
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


def _warm_up(threads: int) -> None:
    """What is loaded or built at first use, is so before there is a run: the native core, tables of words, buffers."""
    reserve_blas_buffers(threads)
    points = np.eye(4, 8, dtype=np.float32).repeat(10, axis=0)
    how = How(algorithm="kmeans", n_clusters=4, threads=1)
    cluster_columns(points, [str(row) for row in range(40)], ["one two", "three four"] * 20, how)


def _carry_out(services: Services, told: dict[str, str | int]) -> None:
    scope = Scope(str(told["organization"]), str(told["namespace"]))
    job = services.metadata.get_job(scope, str(told["job"]))
    if job is not None and job.fence == told["fence"]:
        logs.run_id.set(job.job_id)
        clock = StageClock(_teller(time.monotonic), time.monotonic)
        services.runner.run(job, clock)
        services.states.note_figures(job, clock.seconds())


def _read_line(descriptor: int) -> bytes:
    """Up to the end of the line and not a byte further, which is the lifeline's. Empty where nothing comes any more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        line += byte
    return line


def _teller(clock: Callable[[], float]) -> Callable[[str, float], None]:
    """Progress as JSON lines, at most ten a second and one for every new stage."""
    said: tuple[str, float] = ("", 0.0)

    def tell(stage: str, fraction: float) -> None:
        nonlocal said
        if stage == said[0] and clock() - said[1] < _TELL_EVERY_SECONDS:
            return
        said = (stage, clock())
        try:
            sys.stdout.buffer.write(orjson.dumps({"stage": stage, "fraction": fraction}) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the worker is gone, and this process should be
            os._exit(PARENT_ENDED)

    return tell


if __name__ == "__main__":
    keep_pandas_out()
    code = main()
    logging.shutdown()
    os._exit(code)  # taking the interpreter down would take longer than many a run

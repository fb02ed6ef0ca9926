"""Blocks of rows on several threads, with answers that do not depend on how many there are.

BLAS runs on one thread while Python threads work on blocks of a fixed size: how a product is split between BLAS
threads can change its last bit, the split between blocks never does.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from shoal.engine.plan import Pulse

__all__ = ["map_in_order", "one_blas_thread", "reserve_blas_buffers", "spans", "thread_count"]

Result = TypeVar("Result")


_ROUNDS: Final = 3
_SIDE: Final = 500
"""Of a square matrix whose product takes long enough for threads to meet in it."""
_MOST_BUFFERS: Final = 64
"""The builds of OpenBLAS that come with NumPy and SciPy hold no more threads apart."""
_PULSE_EVERY: Final = 0.1
"""Seconds."""
_CPU_SHARE: Final = Path("/sys/fs/cgroup/cpu.max")


def thread_count(threads: int) -> int:
    """`threads`, or for 0 all cores this process may use, where a container has a share of them as many as that is."""
    if threads > 0:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, math.ceil(min(cores, _cgroup_cpu_limit(_CPU_SHARE))))


def _cgroup_cpu_limit(told: Path) -> float:
    """How many cores the container around this process may keep busy, by its cgroup (version 2)."""
    try:
        quota, period = told.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none, or "max"
        return math.inf


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS and OpenMP are held to one thread until the block ends, and then have as many as before.

    They know one number for the whole process: other threads that multiply matrices meanwhile have one thread too. Of
    several blocks at a time, on any threads, the first to begin sets it and the last to end puts back what was.
    """
    _ONE_THREAD.begin()
    try:
        yield
    finally:
        _ONE_THREAD.end()


class _OneThread:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before: threadpool_limits | None = None

    def begin(self) -> None:
        with self._lock:
            if self._blocks == 0:
                self._before = threadpool_limits(limits=1)
            self._blocks += 1

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0 and self._before is not None:
                self._before.restore_original_limits()
                self._before = None


_ONE_THREAD: Final = _OneThread()


def reserve_blas_buffers(threads: int) -> None:
    """Have BLAS map the buffers that so many threads need; call it before memory is limited.

    OpenBLAS maps 32 MiB for each thread that computes at a time, when it first does, and keeps it; where it is refused
    it asks again, and then ends the process or, in other builds, never stops asking. NumPy and SciPy have a BLAS each.
    """
    count = min(thread_count(threads), _MOST_BUFFERS)
    together = threading.Barrier(count, timeout=30.0)
    square = np.eye(_SIDE) * 2.0

    def compute() -> None:
        try:
            for _ in range(_ROUNDS):
                together.wait()
                square @ square
                together.wait()
                scipy.linalg.cholesky(square)
        except BaseException:  # out of memory: the others must not wait for this one
            together.abort()
            raise

    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        failed = [error for future in [pool.submit(compute) for _ in range(count)] if (error := future.exception())]
    if failed:
        raise next((error for error in failed if not isinstance(error, threading.BrokenBarrierError)), failed[0])


def spans(total: int, size: int) -> list[slice]:
    """0..total cut into slices of at most `size` rows."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def map_in_order(
    work: Callable[[slice], Result], blocks: Sequence[slice], threads: int, pulse: Pulse | None = None
) -> Iterator[Result]:
    """The answers of `work` for each block, in the order of the blocks.

    At most twice as many blocks as threads are under way, so memory stays bounded. Whoever stops listening, or
    raises, stops the work: blocks not yet begun are dropped. `pulse` is called ten times a second while a block is
    waited for.
    """
    count = min(thread_count(threads), len(blocks))
    if count < 1 or (count == 1 and pulse is None):
        yield from map(work, blocks)
        return
    pool = ThreadPoolExecutor(count, thread_name_prefix="engine")
    waiting: deque[Future[Result]] = deque()
    try:
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > 2 * count:
                yield _await_result(waiting.popleft(), pulse)
        while waiting:
            yield _await_result(waiting.popleft(), pulse)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _await_result(future: Future[Result], pulse: Pulse | None) -> Result:
    while pulse is not None and not wait((future,), timeout=_PULSE_EVERY).done:
        pulse()
    return future.result()

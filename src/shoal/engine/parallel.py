"""Runs blocks of rows on several threads, with results that do not depend on how many there are.

BLAS is limited to one thread while Python threads work on blocks of a fixed size: how BLAS splits a product between its
threads can change the last bit, the split into blocks never does.
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
"""Side of a square matrix whose product takes long enough for all threads to overlap."""
_MOST_BUFFERS: Final = 64
"""The OpenBLAS builds bundled with NumPy and SciPy support no more threads."""
_PULSE_EVERY: Final = 0.1
"""Seconds."""
_CPU_SHARE: Final = Path("/sys/fs/cgroup/cpu.max")


def thread_count(threads: int) -> int:
    """`threads`, or for 0 the cores available to this process, limited by the CPU quota of its container."""
    if threads > 0:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, math.ceil(min(cores, _cgroup_cpu_limit(_CPU_SHARE))))


def _cgroup_cpu_limit(cpu_max: Path) -> float:
    """CPU cores granted to this container by cgroup v2, infinite without a quota."""
    try:
        quota, period = cpu_max.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none, or "max"
        return math.inf


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread inside the block and restore the previous limit afterwards.

    The limit is process-wide: other threads that multiply matrices meanwhile are limited too. Of overlapping blocks, on
    any threads, the first to begin sets the limit and the last to end restores it.
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
    """Make BLAS allocate the buffers for so many threads; call before memory is limited.

    OpenBLAS maps 32 MiB for each concurrent thread on first use and keeps it. When the mapping fails it retries, and
    then ends the process or, in other builds, retries for ever. NumPy and SciPy each bundle a BLAS.
    """
    count = min(thread_count(threads), _MOST_BUFFERS)
    barrier = threading.Barrier(count, timeout=30.0)
    square = np.eye(_SIDE) * 2.0

    def compute() -> None:
        try:
            for _ in range(_ROUNDS):
                barrier.wait()
                square @ square
                barrier.wait()
                scipy.linalg.cholesky(square)
        except BaseException:  # out of memory: the others must not wait for this one
            barrier.abort()
            raise

    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        failed = [error for future in [pool.submit(compute) for _ in range(count)] if (error := future.exception())]
    if failed:
        raise next((error for error in failed if not isinstance(error, threading.BrokenBarrierError)), failed[0])


def spans(total: int, size: int) -> list[slice]:
    """0..total as slices of at most `size` rows."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def map_in_order(
    work: Callable[[slice], Result], blocks: Sequence[slice], threads: int, pulse: Pulse | None = None
) -> Iterator[Result]:
    """Yield `work(block)` for each block, in the order of the blocks.

    At most twice as many blocks as threads are in flight, so memory is bounded. Closing the iterator, or an exception,
    stops the work: blocks that have not started are dropped. `pulse` is called ten times a second while waiting for a
    block.
    """
    count = min(thread_count(threads), len(blocks))
    if count < 1 or (count == 1 and pulse is None):
        yield from map(work, blocks)
        return
    pool = ThreadPoolExecutor(count, thread_name_prefix="engine")
    pending: deque[Future[Result]] = deque()
    try:
        for block in blocks:
            pending.append(pool.submit(work, block))
            if len(pending) > 2 * count:
                yield _await_result(pending.popleft(), pulse)
        while pending:
            yield _await_result(pending.popleft(), pulse)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _await_result(future: Future[Result], pulse: Pulse | None) -> Result:
    while pulse is not None and not wait((future,), timeout=_PULSE_EVERY).done:
        pulse()
    return future.result()

"""The number of threads, and the buffers that they use."""

import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from shoal.engine import parallel
from shoal.engine.parallel import one_blas_thread, reserve_blas_buffers, thread_count


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("900000 100000", 8), ("100000 0", 8), ("garbage", 8), (None, 8)],
)
def test_a_container_with_a_share_of_the_cores_gets_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu_max: str | None, cores: int
) -> None:
    share = tmp_path / "cpu.max"
    if cpu_max is not None:
        share.write_text(cpu_max + "\n")
    monkeypatch.setattr(parallel, "_CPU_SHARE", share)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    assert thread_count(0) == cores
    assert thread_count(7) == 7  # an explicit number is used as given


@pytest.mark.parametrize("failing", [0, 2])
def test_a_thread_without_memory_blocks_no_other_and_raises(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    calls, before = itertools.count(), threading.active_count()

    def cholesky(_: object) -> None:
        if next(calls) == failing:
            raise MemoryError

    monkeypatch.setattr("shoal.engine.parallel.scipy.linalg.cholesky", cholesky)

    with pytest.raises(MemoryError):
        reserve_blas_buffers(2)

    assert threading.active_count() == before


def blas_threads() -> list[int]:
    return [int(pool["num_threads"]) for pool in threadpool_info()]


def test_overlapping_blocks_limit_blas_to_one_thread_and_restore_the_limit() -> None:
    np.eye(2) @ np.eye(2)
    with threadpool_limits(limits=2):
        before = blas_threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        between = blas_threads()
        second.__exit__(None, None, None)

        assert before and max(before) == 2
        assert set(between) == {1}
        assert blas_threads() == before

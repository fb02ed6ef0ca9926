"""How many threads there are to be, and the buffers that they take."""

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
    ("told", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("900000 100000", 8), ("100000 0", 8), ("garbage", 8), (None, 8)],
)
def test_a_container_with_a_share_of_the_cores_gets_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, cores: int
) -> None:
    share = tmp_path / "cpu.max"
    if told is not None:
        share.write_text(told + "\n")
    monkeypatch.setattr(parallel, "_CPU_SHARE", share)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    assert thread_count(0) == cores
    assert thread_count(7) == 7  # whoever asks for a number gets it


@pytest.mark.parametrize("failing", [0, 2])
def test_a_thread_without_memory_holds_up_nobody_and_is_told(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
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


def test_blocks_that_overlap_hold_blas_to_one_thread_and_put_back_what_was() -> None:
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

"""How many threads there are to be, and the buffers that they take."""

import itertools
import math
import os
import threading
from pathlib import Path

import pytest

from shoal.engine import parallel
from shoal.engine.parallel import take_blas_buffers, thread_count


@pytest.mark.parametrize(
    ("told", "cores"),
    [("max 100000", math.inf), ("150000 100000", 1.5), ("100000 0", math.inf), ("garbage", math.inf), (None, math.inf)],
)
def test_a_container_with_a_share_of_the_cores_gets_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, cores: float
) -> None:
    share = tmp_path / "cpu.max"
    if told is not None:
        share.write_text(told + "\n")
    monkeypatch.setattr(parallel, "_CPU_SHARE", share)

    assert thread_count(0) == math.ceil(min(len(os.sched_getaffinity(0)), cores))
    assert thread_count(7) == 7  # whoever asks for a number gets it


@pytest.mark.parametrize("failing", [0, 2])
def test_a_thread_without_memory_holds_up_nobody_and_is_told(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    calls, before = itertools.count(), threading.active_count()

    def cholesky(_: object) -> None:
        if next(calls) == failing:
            raise MemoryError

    monkeypatch.setattr("shoal.engine.parallel.scipy.linalg.cholesky", cholesky)

    with pytest.raises(MemoryError):
        take_blas_buffers(2)

    assert threading.active_count() == before

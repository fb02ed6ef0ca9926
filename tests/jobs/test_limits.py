"""Effects of a run's memory limit on the libraries that it computes with."""

import subprocess
import sys
from contextlib import suppress

import pytest

pytestmark = pytest.mark.process

COMPUTES = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np, scipy.linalg
from shoal.engine.parallel import one_blas_thread, reserve_blas_buffers
from shoal.jobs.limits import limit_memory

THREADS = 4
square = np.eye(300) * 2

def compute(_):
    for _ in range(20):
        scipy.linalg.cholesky(square @ square)
    return True

with ThreadPoolExecutor(THREADS) as pool, one_blas_thread():
    list(pool.map(lambda _: sum(range(10**6)), range(THREADS)))  # they are there before memory is short
    if sys.argv[1] == "taken":
        reserve_blas_buffers(THREADS)
    limit_memory(60)
    done = sum(pool.map(compute, range(THREADS)))
print("done", done)
"""


def computed(taken: str, patience: float) -> tuple[int, str]:
    command = [sys.executable, "-c", COMPUTES, taken]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_process_with_little_memory_can_compute_if_blas_allocated_its_buffers_beforehand() -> None:
    assert computed("taken", 60) == (0, "done 4\n")


def test_without_preallocated_buffers_it_cannot() -> None:
    """Otherwise the test above proves nothing. OpenBLAS retries allocating 32 MiB; it may give up or loop forever."""
    with suppress(subprocess.TimeoutExpired):
        assert computed("not", 10)[0] != 0

"""What the limit on a run's memory does to what it computes with."""

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


def test_a_process_with_little_memory_computes_where_blas_took_its_buffers_before() -> None:
    assert computed("taken", 60) == (0, "done 4\n")


def test_without_them_it_does_not() -> None:
    """Else the test above shows nothing. OpenBLAS asks for 32 MiB again and again; it gives up, or never does."""
    with suppress(subprocess.TimeoutExpired):
        assert computed("not", 10)[0] != 0

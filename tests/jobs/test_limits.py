"""What the limit on a run's memory does to what it computes with."""

import itertools
import subprocess
import sys
import threading

import pytest

from shoal.engine.parallel import take_blas_buffers

COMPUTES = """
import sys, threading
import numpy as np, scipy.linalg
from shoal.engine.parallel import take_blas_buffers
from shoal.jobs.limits import limit_memory

if sys.argv[1] == "taken":
    take_blas_buffers(2)
limit_memory(25)
square = np.eye(1000) * 2

def compute():
    for _ in range(20):
        square @ square
        scipy.linalg.cholesky(square)

threads = [threading.Thread(target=compute) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def computed(taken: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", COMPUTES, taken], capture_output=True, text=True, timeout=20)


def test_a_process_with_little_memory_computes_where_blas_took_its_buffers_before() -> None:
    ended = computed("taken")

    assert (ended.returncode, ended.stdout.strip()) == (0, "done"), ended.stderr


def test_without_them_it_does_not() -> None:
    """Else the test above shows nothing. OpenBLAS asks for 32 MiB again and again; some builds give up."""
    try:
        ended = computed("not")
    except subprocess.TimeoutExpired:
        return
    assert (ended.returncode, ended.stdout) != (0, "done\n")


@pytest.mark.parametrize("which", ["first", "later"])
def test_a_thread_that_fails_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    calls = itertools.count()

    def cholesky(_: object) -> None:
        if next(calls) == (0 if which == "first" else 2):
            raise MemoryError

    monkeypatch.setattr("shoal.engine.parallel.scipy.linalg.cholesky", cholesky)
    began = threading.active_count()

    with pytest.raises((MemoryError, threading.BrokenBarrierError)):
        take_blas_buffers(2)

    assert threading.active_count() == began

"""What the limit on a run's memory does to what it computes with."""

import subprocess
import sys

COMPUTES = """
import sys, threading
import numpy as np, scipy.linalg
from shoal.engine.parallel import take_blas_buffers
from shoal.jobs.limits import limit_memory

if sys.argv[1] == "taken":
    take_blas_buffers(2)
limit_memory(25)
square = np.eye(300) * 2

def compute():
    for _ in range(20):
        square @ square
        scipy.linalg.cholesky(square)

threads = [threading.Thread(target=compute) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def test_a_process_with_little_memory_computes_where_blas_took_its_buffers_before() -> None:
    """Without them OpenBLAS asks for 32 MiB again and again, and the run never ends."""
    ended = subprocess.run([sys.executable, "-c", COMPUTES, "taken"], capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout.strip()) == (0, "done"), ended.stderr

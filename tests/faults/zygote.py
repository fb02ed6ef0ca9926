"""A process that has imported everything and forks a victim for each case: a fresh Shoal in milliseconds.

    with Zygote() as zygote:
        code = zygote.fork("faults.inside:act", {"data": ..., "failpoints": "artifact.manifest=crash"})

It has one thread when it forks, so that a fork is as good as a start. The victim's exit code is the negative
signal number if it was killed, as in `subprocess`.
"""

import gc
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final, Self

import orjson

from shoal.without_pandas import keep_pandas_out

__all__ = ["Zygote"]

Json = dict[str, Any]
TESTS: Final = Path(__file__).parents[1]
# One thread each: libraries start theirs on import, and threads do not survive a fork.
_ONE_THREAD: Final = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}


class Zygote:
    """The forking process, in a process group of its own. One victim at a time."""

    def __init__(self, *, log: Path | None = None, **environ: str) -> None:
        path = os.pathsep.join(filter(None, (environ.pop("PYTHONPATH", ""), str(TESTS))))
        self._log = (log or Path(os.devnull)).open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **_ONE_THREAD, **environ, "PYTHONPATH": path},
            start_new_session=True,
        )

    def fork(self, function: str, argument: Json, *, timeout_s: float = 100.0) -> int:
        """Call `module:name` with the argument in a fork. Returns its exit code: 0 if it returned, 1 if it raised (the
        traceback is in the log), -9 if it was killed. Raises TimeoutError if it did not end in time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        call = {"function": function, "argument": argument, "timeout_s": timeout_s}
        self._process.stdin.write(orjson.dumps(call) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The forking process ended with {self._process.wait()}.")
        code: int | None = orjson.loads(line)["code"]
        if code is None:
            raise TimeoutError(f"{function} did not end within {timeout_s} s: {argument}")
        return code

    def close(self) -> None:
        """End the process and its victim."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve() -> None:
    keep_pandas_out()  # as the processes of a server do
    importlib.import_module("faults.inside").warm_up()
    gc.collect()
    gc.freeze()  # else the first collection of each victim would touch, and so copy, all shared memory
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what victims print goes to the log
    for line in sys.stdin.buffer:
        call = orjson.loads(line)
        victim = os.fork()
        if victim == 0:
            _run_in_child(call["function"], call["argument"])
        answers.write(orjson.dumps({"code": _wait_for_exit(victim, call["timeout_s"])}) + b"\n")


def _run_in_child(function: str, argument: Json) -> None:
    code = 1
    try:
        module, _, name = function.partition(":")
        getattr(importlib.import_module(module), name)(**argument)
        code = 0
    except BaseException:  # noqa: BLE001  # any error ends this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait_for_exit(victim: int, timeout_s: float) -> int | None:
    end = time.monotonic() + timeout_s
    pause = 0.0005
    while True:
        pid, status = os.waitpid(victim, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            return None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)


if __name__ == "__main__":
    _serve()

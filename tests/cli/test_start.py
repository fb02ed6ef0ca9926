"""Exit of a command's process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

CODE = """
import atexit, sys, threading, time
class Module:
    def __del__(self): print("taken down", flush=True)
module = Module()
atexit.register(print, "handlers ran")
threading.Thread(target=lambda: (time.sleep(1.5), print("threads ended"))).start()
sys.argv = ["shoal", {arguments}]
from shoal.cli.start import main
main()
"""


def run_to_end(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = CODE.format(arguments=", ".join(map(repr, arguments)))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_command_joins_its_threads_and_skips_the_interpreter_teardown() -> None:
    """An interpreter torn down while Arrow reads ahead aborts (2 of 30 refused runs on a CSV file of 3,000 rows)."""
    process = run_to_end("--version")

    assert process.returncode == 0
    assert set(process.stdout.splitlines()) >= {"threads ended", "handlers ran"}
    assert "taken down" not in process.stdout


def test_a_refused_command_exits_with_2_and_its_message() -> None:
    process = run_to_end("cluster", "not-there.csv")

    assert process.returncode == 2
    assert process.stderr.startswith("shoal: not-there.csv") and process.stderr.count("\n") == 1

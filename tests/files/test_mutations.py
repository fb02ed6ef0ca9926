"""Damaged and unusual files, the short form: `make mutations` is the long one."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from files.mutation_run import run_server
from files.mutations import mutations

pytestmark = pytest.mark.process

SHORT, FEW = 120, 40


def test_mutations_are_the_same_every_time() -> None:
    first, second = (
        sha256(b"".join(file.content for file in mutations(60, bombs=False))).hexdigest() for _ in range(2)
    )

    assert first == second


def test_no_file_makes_the_server_fail(tmp_path: Path) -> None:
    outcome = run_server(mutations(SHORT, bombs=False), tmp_path)

    assert outcome.faults == []
    assert outcome.files == SHORT
    assert outcome.answers["200"] > 10 and outcome.answers["422"] > 50
    assert outcome.peak_server < 2**30


def test_no_file_makes_the_library_fail() -> None:
    command = [sys.executable, "-m", "files.mutation_run", "--only", "library", "--no-bombs", "--count", str(FEW)]
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process with threads cannot be forked
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"library: {FEW} files" in done.stdout

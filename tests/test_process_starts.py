"""A test that starts a process has the mark `process`, or fails where only tests without it are run."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

_CONFTEST = """
import pytest
from process_starts import ProcessStarts

def pytest_configure(config):
    config.addinivalue_line("markers", "process: starts a process")
    config.pluginmanager.register(ProcessStarts(config))

@pytest.fixture(scope="session")
def processes():
    pass

@pytest.fixture(scope="module")
def server(processes):
    pass
"""
_TESTS = """
import contextlib, subprocess, sys, threading
import pytest

COMMAND = [sys.executable, "-c", ""]

def test_quiet():
    pass

def test_unmarked():
    subprocess.run(COMMAND)

def start_quietly():
    with contextlib.suppress(BaseException):
        subprocess.run(COMMAND)

def test_unmarked_in_a_thread():
    thread = threading.Thread(target=start_quietly)
    thread.start()
    thread.join()

@pytest.mark.process
def test_marked():
    subprocess.run(COMMAND, check=True)

def test_with_a_server(server):
    subprocess.run(COMMAND, check=True)
"""


def outcomes(folder: Path, *options: str) -> dict[str, set[str]]:
    """The outcomes, of its call and its teardown, of each of the tests above."""
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_them.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {Path(__file__).parent}\n")
    command = [sys.executable, "-m", "pytest", "-v", "--tb=no", "-p", "no:cacheprovider", *options]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    found_: dict[str, set[str]] = {}
    for line in process.splitlines():
        if line.startswith("test_them.py::"):
            name, result, *_ = line.removeprefix("test_them.py::").split()
            found_.setdefault(name, set()).add(result)
    return found_


def test_a_test_that_starts_a_process_without_the_mark_fails_where_marked_ones_are_left_out(tmp_path: Path) -> None:
    result = outcomes(tmp_path, "-m", "not process")

    assert result.keys() == {"test_quiet", "test_unmarked", "test_unmarked_in_a_thread"}
    assert result["test_quiet"] == {"PASSED"}
    assert result["test_unmarked"] & {"FAILED", "ERROR"}
    assert "ERROR" in result["test_unmarked_in_a_thread"]  # of its teardown: the exception was caught


def test_where_all_tests_are_run_every_one_may_start_processes(tmp_path: Path) -> None:
    assert set().union(*outcomes(tmp_path).values()) == {"PASSED"}

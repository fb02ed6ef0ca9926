"""What all tests have: their environment, the examples that Hypothesis makes, and how a parallel run hands them out."""

import functools
import gc
import logging
import os
import ssl
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

from process_starts import ProcessStarts
from shoal.settings import Settings

# The same examples in every run, so that the gate fails for a change and never for the day. `make fuzz` looks for new
# ones, with `--hypothesis-profile random`.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile("random", derandomize=False, database=None, deadline=None, print_blob=True)
settings.load_profile("fixed")
# It also draws the constants of all modules imported so far, which depend on what else the process has run.
assert hasattr(providers, "_get_local_constants"), "Hypothesis has renamed where it collects constants"
providers._get_local_constants = Constants

_OF_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")
_OF_SETTINGS = ["SHOAL_API_KEY", *(f"SHOAL_{field.name.upper()}" for field in fields(Settings))]
_LINES = pytest.StashKey[list[str]]()
_TOGETHER = "tests/sdk/"
_SDK = Path(__file__).with_name("sdk")
_LONG = ("docs", "faults", "jobs", "ops", "contract", "sdk", "tenancy", "simulation", "hostile", "engine", "cli")
"""Folders with files that take minutes, longest first."""

# Some shells forbid it, and then every server and command that a test starts compiles all of Shoal again, which takes
# longer than what the test looks at.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Two processes whose linear algebra spins on both cores are many times slower than two with a core each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# Each HTTP client of each test reads the same certificates, which takes longer than most requests.
_default_context = ssl.create_default_context
_with_public_certificates = functools.cache(lambda: _default_context(cafile=certifi.where()))


def _context_read_once(*arguments: Any, **options: Any) -> ssl.SSLContext:
    if not arguments and options == {"cafile": certifi.where()}:
        return _with_public_certificates()
    return _default_context(*arguments, **options)


ssl.create_default_context = _context_read_once


class _FilesTogether(LoadScopeScheduling):  # type: ignore[misc]  # for the same reason
    """A file is run by one process, so its fixtures are made once. The SDK's suite counts calls over all its files."""

    def _assign_work_unit(self, node: Any) -> None:
        """Long files first, so that no process has one left when the others are done; then those of many tests."""
        self.workqueue.move_to_end(min(self.workqueue, key=_turn), last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        return _TOGETHER if nodeid.startswith(_TOGETHER) else nodeid.partition("::")[0]


def _turn(scope: str) -> int:
    folder = scope.removeprefix("tests/").partition("/")[0]
    return _LONG.index(folder) if folder in _LONG else len(_LONG)


def pytest_configure(config: pytest.Config) -> None:
    """Tables are as wide as in a pipe, and the server's settings its own, whatever shell the tests are started from."""
    for name in (*_OF_TERMINALS, *_OF_SETTINGS):
        os.environ.pop(name, None)
    config.stash[_LINES] = []
    config.pluginmanager.register(ProcessStarts(config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded here stays: without `freeze`, each garbage collection of each test would look at all of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """All tests of the SDK need a server, and its import takes half as long as all others together."""
    return collection_path == _SDK or None if "not process" in config.getoption("markexpr") else None


@pytest.fixture(scope="session")
def processes() -> None:
    """For fixtures that start processes: what uses them gets the mark `process`."""


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that is run in this process sends its log to a stream that ends with its test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    if root.handlers != handlers:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook = hooks


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _FilesTogether | None:
    """In place of `--dist load`. `loadgroup` would do, but has no effect with pytest 9.2 and pytest-xdist 3.8."""
    return _FilesTogether(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process of pytest-xdist ended; it left its summary lines."""
    node.config.stash[_LINES] += getattr(node, "workeroutput", {}).get("summary_lines", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_LINES]:
        terminalreporter.write_line(line)

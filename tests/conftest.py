"""How a parallel run (`-n 2`) hands out the tests, and what its processes tell the one that prints."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

_LINES = pytest.StashKey[list[str]]()
_TOGETHER = "tests/sdk/"


class _FilesTogether(LoadScopeScheduling):  # type: ignore[misc]  # for the same reason
    """A file is run by one process, so its fixtures are made once. The SDK's suite counts calls over all its files."""

    def _split_scope(self, nodeid: str) -> str:
        return _TOGETHER if nodeid.startswith(_TOGETHER) else nodeid.partition("::")[0]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


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

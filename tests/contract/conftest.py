"""One populated server per test module, and the number of calls made to it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from contract.planted import Planted, serve_planted

_HERE = Path(__file__).parent
_CALLS = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CALLS] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Schemathesis names its tests by operation but, with pytest 9.2, leaves them one id, and a parallel run takes
    equal ids for one test. `test_every_operation_was_called` counts, so that this cannot go unnoticed."""
    for item in items:
        if item.path.parent == _HERE and item.id.params is None and "[" in item.name:
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))


def _summary(calls: Counter[str]) -> str:
    return f"Generated calls: {calls.total():,} over {len(calls)} operations"


def pytest_sessionfinish(session: pytest.Session) -> None:
    calls = session.config.stash[_CALLS]
    if calls and hasattr(session.config, "workeroutput"):
        session.config.workeroutput.setdefault("summary_lines", []).append(_summary(calls))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_CALLS]:
        terminalreporter.write_line(_summary(config.stash[_CALLS]))


@pytest.fixture(scope="session")
def calls(request: pytest.FixtureRequest) -> Counter[str]:
    """Generated calls by operation."""
    return request.config.stash[_CALLS]


@pytest.fixture(scope="module")
def contract_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with serve_planted(tmp_path_factory.mktemp("contract") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def connection() -> Iterator[requests.Session]:
    """The session for generated calls, independent of proxy settings."""
    with requests.Session() as session:
        session.trust_env = False
        yield session

"""One populated server, both readers, and their counts."""

from collections.abc import Iterator

import pytest

from contract.planted import Planted, serve_planted
from read_back.official import NEWER, OLDER, Reader

_LINES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[_LINES] and hasattr(session.config, "workeroutput"):
        session.config.workeroutput.setdefault("summary_lines", []).extend(session.config.stash[_LINES])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_LINES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def summary(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the summary at the end of the session."""
    return request.config.stash[_LINES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with serve_planted(tmp_path_factory.mktemp("read_back") / "data") as planted_server:
        yield planted_server


@pytest.fixture(scope="module")
def readers(summary: list[str]) -> Iterator[tuple[Reader, Reader]]:
    both = Reader(NEWER), Reader(OLDER)
    yield both
    for reader in both:
        reader.close()
        read = reader.read_answers
        summary.append(f"official SDK {reader.version}: {read.total():,} answers read back over {len(read)} routes")

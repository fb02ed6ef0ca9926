"""Which tests start processes: a mark, where it comes from, and the check that a test without it starts none.

A fixture that starts a process asks for the fixture `processes`, which marks every test that uses it; a test or a file
of tests that starts one by itself carries `pytest.mark.process`. `make check` runs the tests without the mark, with
`-m "not process …"`: there a test that starts a process fails, whatever library did it.
"""

import socket
import sys
from collections.abc import Generator
from typing import Final

import pytest

__all__ = ["ProcessStarts"]

_STARTS: Final = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
)
_REMEDY: Final = "A fixture that starts processes asks for the fixture `processes`; a test carries pytest.mark.process."


class ProcessStarts:
    """The pytest plugin. Python reports each start of a process to audit hooks beforehand."""

    def __init__(self, config: pytest.Config) -> None:
        self._enforced = "not process" in config.getoption("markexpr")
        self._refused: list[str] | None = None
        """What the running test tried to start; None where it may, and while none is running."""
        if self._enforced:  # each call of `id` is an event as well
            sys.addaudithook(self._audit)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what uses a fixture that starts processes, before `-m` selects."""
        for item in items:
            if "processes" in getattr(item, "fixturenames", ()):
                item.add_marker("process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        marked = item.get_closest_marker("process") is not None
        self._refused = [] if self._enforced and not marked else None
        try:
            return (yield)
        finally:
            self._refused = None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """The exception may have been caught on its way, or raised in another thread."""
        yield
        if self._refused:
            pytest.fail(f"The test starts a process: {self._refused[0]}. {_REMEDY}", pytrace=False)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._refused is None or not (event in _STARTS or _asks_reader_host(event, arguments)):
            return
        self._refused.append(f"{event} {arguments[1] if event == 'subprocess.Popen' else ''}".strip())
        pytest.fail(f"The test starts a process: {self._refused[-1]}. {_REMEDY}")


def _asks_reader_host(event: str, arguments: tuple[object, ...]) -> bool:
    """The host that forks for each file that is read (`shoal.intake.host`) may run since an earlier test."""
    argument = arguments[0] if event == "socket.sendmsg" else None
    return isinstance(argument, socket.socket) and (argument.family, argument.type) == (
        socket.AF_UNIX,
        socket.SOCK_SEQPACKET,
    )

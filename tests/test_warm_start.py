"""Servers that are forked from a process which has loaded everything are what new interpreters would be."""

import os
import signal
from pathlib import Path

import pytest

from server_process import ServerProcess
from warm_start import WarmProcess, can_start, start

pytestmark = pytest.mark.process


def test_a_forked_server_has_its_own_session_and_exit(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "one", workers=0) as first, ServerProcess(tmp_path / "two", workers=0) as second:
        assert isinstance(first._process, WarmProcess) and isinstance(second._process, WarmProcess)
        assert os.getsid(first.pid) == first.pid != os.getsid(second.pid) == second.pid
        second.kill(everything=True)

        with first.client() as client:
            assert client.get("/me").status_code == 200
        assert second._process.poll() == -signal.SIGKILL
        assert first.stop() == 0


def test_a_forked_command_exits_with_its_code_and_prints_to_its_output(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        process = start(["serve", "--port", "no number"], out.fileno(), os.environ)

        assert process.wait(60) == 2
        out.seek(0)
        assert "should be a valid integer" in out.read()


def test_settings_read_at_import_need_a_new_interpreter() -> None:
    assert can_start(os.environ)
    assert can_start({**os.environ, "SHOAL_LOG_LEVEL": "debug"})
    for name in ("SHOAL_FAILPOINTS", "SHOAL_KERNELS", "OPENBLAS_NUM_THREADS", "LD_PRELOAD", "PYTHONPATH"):
        assert not can_start({**os.environ, name: "other"})

"""Executable pages of the documentation.

Fenced blocks of `bash` and `python` are run in order in one folder; the Python blocks of a page form one session.
A block of `text` directly after one of them is its expected output: `…` matches anything within a line, a line of `…`
any lines. A comment `<!-- not run: why -->` before a block skips it. A server started by a page uses a free port
instead of 8000, is ready before the next block starts, and ends with the page.
"""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

__all__ = ["Block", "Session", "blocks_of", "calls_of", "matches"]

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN: Final = re.compile(r"<!-- not run: [^>]+ -->\s*$")
_BLOCK_SECONDS: Final = 90


@dataclass(frozen=True)
class Block:
    """One block that is run; `printed` is None where the page does not show what it prints."""

    language: str
    code: str
    line: int
    printed: str | None = None


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page that are to be run."""
    text, blocks = page.read_text(), list[Block]()
    end = 0
    for fence in _FENCE.finditer(text):
        language, code = fence.groups()
        between, end = text[end : fence.start()], fence.end()
        if language == "text" and blocks and not between.strip():
            blocks[-1] = Block(blocks[-1].language, blocks[-1].code, blocks[-1].line, code)
        elif language in {"bash", "python"} and not _NOT_RUN.search(between):
            blocks.append(Block(language, code, text.count("\n", 0, fence.start()) + 2))
    return blocks


def calls_of(page: Path) -> list[Block]:
    """The calls in the last column of the tables of a page, if its header is Shoal."""
    result, ours = list[Block](), False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        last = line.rstrip("| ").rpartition("| ")[2] if line.startswith("|") else ""
        ours = (ours or last == "Shoal") and bool(last)
        if ours and (call := re.fullmatch(r"`([^`]+)`", last)):
            result.append(Block("python", call[1] + "\n", number))
    return result


def matches(printed: str, shown: str) -> bool:
    """Whether the output on a page matches the actual output, except for its `…` and trailing spaces."""
    lines = [re.escape(line.rstrip()).replace("…", ".*") for line in shown.strip("\n").splitlines()]
    pattern = "\n".join("(?:.*\n)*?.*" if line == ".*" else line for line in lines)
    output = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, output) is not None


class Session:
    """A reader who follows the page in a separate folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._groups: list[int] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        home = folder.parent / f"{folder.name}-home"
        home.mkdir()
        self.environ: Mapping[str, str] = {
            "HOME": str(home), "XDG_DATA_HOME": "", "COLUMNS": "100", "SHOAL_PORT": str(self._port),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }  # fmt: skip

    def run(self, block: Block) -> str:
        """Return the output of the block. Raises AssertionError if it fails."""
        code = block.code.replace(":8000", f":{self._port}")
        printed = self._bash(code) if block.language == "bash" else self._python(code, block.line)
        return printed.replace(f":{self._port}", ":8000")

    def _python(self, code: str, line: int) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (line - 1) + code, "page", "exec"), self._names)
        return printed.getvalue()

    def _bash(self, code: str) -> str:
        # One file per block: background processes keep writing to their own.
        with (self._folder.parent / f"{self._folder.name}-{len(self._groups)}.out").open("w+") as out:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", code], cwd=self._folder, env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._groups.append(process.pid)
            code_of_exit = process.wait(_BLOCK_SECONDS)
            if "shoal serve" in code:
                self._await_server()
            out.seek(0)
            printed = out.read()
        assert code_of_exit == 0, printed
        return printed

    def _await_server(self) -> None:
        end = time.monotonic() + _BLOCK_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self._port}/readyz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def close(self) -> None:
        """End the processes that the page left running."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
                for _ in _until(20):
                    os.killpg(group, 0)
                os.killpg(group, signal.SIGKILL)


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)

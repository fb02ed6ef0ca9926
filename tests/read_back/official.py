"""Both versions of the official SDK as readers of answers, each in its own process."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["NEWER", "OLDER", "OLDER_SDK", "Reader"]

_PROGRAM: Final = Path(__file__).with_name("reader.py")
OLDER_SDK: Final = Path(sys.prefix) / "sdk-0.81.1"
"""Where `scripts/set-up` installs the older version: both share one package name, so they need separate folders."""

NEWER: Final = "1.3.783"
OLDER: Final = "0.81.1"


class Reader:
    """One SDK version; `agent` is its HTTP user agent. Counts the answers that it read."""

    def __init__(self, version: str) -> None:
        self.version, self.agent = version, f"OpenAPI-Generator/{version}/python"
        environ: Mapping[str, str] = os.environ
        if version == OLDER:
            assert OLDER_SDK.is_dir(), f"{OLDER_SDK} is missing: run `make install`"
            environ = {**os.environ, "PYTHONPATH": str(OLDER_SDK)}
        self.read_answers: Counter[tuple[str, str]] = Counter()
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )

    def close(self) -> None:
        """End its process."""
        self._process.communicate()

    def find_problem(self, method: str, path: str, text: str) -> str | None:
        """Return the error it raises for an answer of a route; None if it reads it or has no method for the route."""
        reply = self._ask({"method": method, "path": path, "text": text})
        if reply["known"]:
            self.read_answers[method, path] += 1
        error: str | None = reply["error"]
        return error

    def fields(self, method: str, path: str) -> list[str]:
        """List the fields that it reads in the answer of a route."""
        names: list[str] = self._ask({"fields": [method, path]})["fields"]
        return names

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        return reply

"""The official SDK before version 1 (0.81.1): every call that it has a method for and the server serves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from contract.planted import Planted
from read_back.official import OLDER, OLDER_SDK

pytestmark = pytest.mark.process

_PROGRAM: Final = Path(__file__).with_name("older_calls.py")
_HERE: Final = Path(__file__).parent


@pytest.fixture(scope="module")
def report(server: Planted, summary: list[str]) -> list[dict[str, Any]]:
    """Run the program and return its output, one line per step."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(OLDER_SDK), str(_HERE.parent)])}
    done = subprocess.run(
        [sys.executable, str(_PROGRAM), server.address, server.key],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    summary.append(f"official SDK {OLDER}: {lines[-1]['calls']} calls over {len(lines[-1]['routes'])} routes")
    return lines


def test_every_step_of_the_older_sdk_works(report: list[dict[str, Any]]) -> None:
    failed = [f"{line['step']}:\n{line['error']}" for line in report[:-1] if line["error"]]
    assert failed == [] and len(report) > 10, "\n".join(failed)


def test_every_route_that_the_older_sdk_has_a_method_for_was_called(
    server: Planted, report: list[dict[str, Any]]
) -> None:
    from sdk.calls import routes_of  # imports the SDK, which takes seconds

    served = routes_of(server.client.get("/openapi.json").json())
    listing = [sys.executable, "-c", "from sdk.calls import official_routes; print(*official_routes(), sep='\\n')"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(OLDER_SDK), str(_HERE.parent)])}
    sdk_routes = subprocess.run(listing, env=environ, capture_output=True, text=True, check=True).stdout.split("\n")
    assert sorted(set(map(str, served)) & set(sdk_routes) - set(report[-1]["routes"])) == []

"""Promises whose tries are tests of the suite: run in their long form, with what they counted."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

__all__ = ["SUITES", "Ran", "Suite"]

_TESTS: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. `tries` is the sum of what tests recorded under that name."""

    tries: int
    passed: int
    failed: Sequence[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests that show a promise. `asked` are arguments of pytest, files below `tests/`."""

    promise: str
    done: str
    asked: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> Ran:
        """In a process of its own."""
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "told.xml"
            told_as = [f"--junitxml={told}", "-o", "junit_family=xunit1"]  # the later family has no room for properties
            command = [sys.executable, "-m", "pytest", "-q", *told_as, *self.asked]
            environ = {**os.environ, **self.environ}
            ended = subprocess.run(command, cwd=_TESTS, env=environ, capture_output=True, text=True, check=False)
            if not told.exists():
                return Ran(0, 0, [f"pytest ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-2000:]}"])
            return _read(ElementTree.parse(told).getroot())


def _read(root: ElementTree.Element) -> Ran:
    cases = list(root.iter("testcase"))
    bad = [(case, why) for case in cases for why in (*case.iter("failure"), *case.iter("error"))]
    skipped = sum(case.find("skipped") is not None for case in cases)
    tries = sum(int(one.get("value", 0)) for one in root.iter("property") if one.get("name") == "tries")
    failed = [f"{case.get('classname')}::{case.get('name')}: {why.get('message')}" for case, why in bad]
    if not tries:
        failed.append("nothing was tried")
    return Ran(tries, len(cases) - len(bad) - skipped, failed)


SUITES: Final[Mapping[str, Suite]] = {
    "resume": Suite(
        "A4: an attempt goes on behind the last finished stage, with the same groups to the last bit",
        "every method, crashed in every stage",
        ["api/test_resume.py"],
    ),
    "replies": Suite(
        "A7: the reply is saved with the effect",
        "a crash between effect and saved reply, then the request again; for each kind of request",
        ["api/test_crash_before_reply.py"],
    ),
    "matrix": Suite(
        "A6: nobody sees what belongs to another",
        "every route × {foreign organisation, foreign namespace, no key, revoked, read-only}; whole answers compared",
        ["tenancy", "--deselect", "tenancy/test_canaries.py"],
    ),
    "canaries": Suite(
        "A6: no byte of one tenant reaches another",
        "two organisations with two namespaces each do random things; every answer searched for the others' canaries",
        ["tenancy/test_canaries.py", "-k", "another_in_process"],
        {"SHOAL_CANARY_STEPS": "10000", "SHOAL_CANARY_SEEDS": "5"},
    ),
    "migrations": Suite(
        "A21: a migration that is killed leaves the old file whole",
        "SIGKILL at each step of a migration",
        ["storage/test_old_folders.py"],
    ),
    "backups": Suite(
        "A22: a backup of a live server is consistent",
        "backups under write load, restored and compared with what was acknowledged",
        ["ops/test_backup.py"],
    ),
}

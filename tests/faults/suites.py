"""Promises tested by the suite itself: its tests run in their long form, with their counts."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

__all__ = ["SUITES", "Suite", "SuiteResult"]

_TESTS: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """Outcome of a suite. `tries` is the sum of the property of that name over all tests."""

    tries: int
    passed: int
    failed: Sequence[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of a promise. `arguments` are those of pytest, with files below `tests/`."""

    promise: str
    done: str
    arguments: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> SuiteResult:
        """Run the tests in a separate process."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            junit_options = [
                f"--junitxml={report}",
                "-o",
                "junit_family=xunit1",
            ]  # the later family has no room for properties
            command = [sys.executable, "-m", "pytest", "-q", *junit_options, *self.arguments]
            environ = {**os.environ, **self.environ}
            process = subprocess.run(command, cwd=_TESTS, env=environ, capture_output=True, text=True, check=False)
            if not report.exists():
                return SuiteResult(
                    0, 0, [f"pytest ended with {process.returncode}: {(process.stdout + process.stderr)[-2000:]}"]
                )
            return _read(ElementTree.parse(report).getroot())


def _read(root: ElementTree.Element) -> SuiteResult:
    cases = list(root.iter("testcase"))
    bad = [(case, failure) for case in cases for failure in (*case.iter("failure"), *case.iter("error"))]
    skipped = sum(case.find("skipped") is not None for case in cases)
    tries = sum(int(prop.get("value", 0)) for prop in root.iter("property") if prop.get("name") == "tries")
    failed = [f"{case.get('classname')}::{case.get('name')}: {failure.get('message')}" for case, failure in bad]
    if not tries:
        failed.append("nothing was tried")
    return SuiteResult(tries, len(cases) - len(bad) - skipped, failed)


SUITES: Final[Mapping[str, Suite]] = {
    "resume": Suite(
        "A4: an attempt resumes after the last finished stage, with bit-identical groups",
        "every method, crashed in every stage",
        ["api/test_resume.py"],
    ),
    "replies": Suite(
        "A7: the reply is saved with the effect",
        "a crash between effect and saved reply, then the request again; for each kind of request",
        ["api/test_crash_before_reply.py"],
    ),
    "matrix": Suite(
        "A6: no tenant sees data of another",
        "every route × {foreign organisation, foreign namespace, no key, revoked, read-only}; whole answers compared",
        ["tenancy", "--deselect", "tenancy/test_canaries.py"],
    ),
    "canaries": Suite(
        "A6: no byte of one tenant reaches another",
        "random requests of two organisations with two namespaces each; every answer searched for the others' canaries",
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

"""The harness itself: it finds each planted bug, raises no false alarm, and reduces a failure to few operations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import io_faults, selftest
from faults.disk import quick_folder
from faults.minimize import minimize
from faults.sweep import Fault
from faults.template import Template

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def clean(processes: None) -> Iterator[Template]:
    with quick_folder() as folder, Template(folder, io_faults.preload_environ_if_possible()) as template:
        yield template


@pytest.mark.parametrize("bug", selftest.PLANTED)
def test_each_planted_bug_is_found_by_the_cheapest_run_that_can_find_it(bug: str, clean: Template) -> None:
    run = selftest.PLANTED[bug]
    _skip_if_unsupported(run)
    report = selftest.run_with_bug(clean, bug, run)

    assert report is not None, f"{run} does not find {bug}"
    assert selftest.MESSAGES[bug] in report


@pytest.mark.parametrize("run", selftest.runs())
def test_no_run_raises_a_false_alarm_without_a_bug(run: str, clean: Template) -> None:
    _skip_if_unsupported(run)

    assert selftest.run_without_bug(clean, run) is None


def test_a_kill_does_not_find_missing_syncs(clean: Template) -> None:
    """Hence the run that loses power."""
    assert selftest.run_with_bug(clean, "no_fsync", "crash before the commit") is None


def test_a_failure_is_reduced_to_the_fewest_operations_that_cause_it(clean: Template) -> None:
    planted = {"SHOAL_PLANTED": "reply_before_commit", "PYTHONPATH": str(Path(selftest.__file__).with_name("planted"))}
    with quick_folder() as folder, Template(folder, planted, like=clean) as template:
        small = minimize(template, Fault(arm="ingest.appended=crash@1"))

    assert small is not None
    assert [kind for kind, _ in small.script] == ["ingest"], "a deferred write is lost however the process ends"
    assert "ingest.appended=crash@1" in str(small)


def _skip_if_unsupported(run: str) -> None:
    if run == "power loss" and (reason := io_faults.find_obstacle()):
        pytest.skip(f"calls cannot be recorded: {reason}")

"""The harness itself: it finds each planted bug, says nothing of the real product, and makes a failure small."""

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
    with quick_folder() as folder, Template(folder, io_faults.preloaded_where_possible()) as made:
        yield made


@pytest.mark.parametrize("bug", selftest.PLANTED)
def test_each_planted_bug_is_found_by_the_cheapest_run_that_can_find_it(bug: str, clean: Template) -> None:
    run = selftest.PLANTED[bug]
    _skip_where_impossible(run)
    said = selftest.found(clean, bug, run)

    assert said is not None, f"{run} does not find {bug}"
    assert selftest.SAYS[bug] in said


@pytest.mark.parametrize("run", selftest.runs())
def test_without_a_bug_no_run_cries_wolf(run: str, clean: Template) -> None:
    _skip_where_impossible(run)

    assert selftest.said_of(clean, run) is None


def test_a_kill_does_not_find_that_nothing_is_synced(clean: Template) -> None:
    """Which is why there is a run that loses power."""
    assert selftest.found(clean, "no_fsync", "crash before the commit") is None


def test_a_failure_is_shown_with_the_fewest_operations_that_bring_it_about(clean: Template) -> None:
    planted = {"SHOAL_PLANTED": "reply_before_commit", "PYTHONPATH": str(Path(selftest.__file__).with_name("planted"))}
    with quick_folder() as folder, Template(folder, planted, like=clean) as template:
        small = minimize(template, Fault(arm="ingest.appended=crash@1"))

    assert small is not None
    assert [kind for kind, _ in small.script] == ["ingest"], "a write that is put off is lost with any end"
    assert "ingest.appended=crash@1" in str(small)


def _skip_where_impossible(run: str) -> None:
    if run == "power loss" and (reason := io_faults.why_not()):
        pytest.skip(f"calls cannot be recorded: {reason}")

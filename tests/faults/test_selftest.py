"""The harness itself: it finds each planted bug, says nothing of the real product, and makes a failure small."""

from pathlib import Path

import pytest

from faults import io_faults, selftest
from faults.disk import quick_folder
from faults.minimize import minimize
from faults.sweep import Fault
from faults.template import Template


@pytest.mark.parametrize("bug", selftest.PLANTED)
def test_each_planted_bug_is_found_by_the_cheapest_run_that_can_find_it(bug: str) -> None:
    run = selftest.PLANTED[bug]
    _skip_where_impossible(run)
    with quick_folder() as folder:
        said = selftest.found(folder, bug, run)

    assert said is not None, f"{run} does not find {bug}"
    assert selftest.SAYS[bug] in said


@pytest.mark.parametrize("run", dict.fromkeys(selftest.PLANTED.values()))
def test_without_a_bug_no_run_cries_wolf(run: str) -> None:
    _skip_where_impossible(run)
    with quick_folder() as folder:
        assert selftest.found(folder, None, run) is None


def test_a_kill_does_not_find_that_nothing_is_synced() -> None:
    """Which is why there is a run that loses power."""
    with quick_folder() as folder:
        assert selftest.found(folder, "no_fsync", "crash before the commit") is None


def test_a_failure_is_shown_with_the_fewest_operations_that_bring_it_about() -> None:
    planted = {"SHOAL_PLANTED": "reply_before_commit", "PYTHONPATH": str(Path(selftest.__file__).with_name("planted"))}
    with quick_folder() as folder, Template(folder, **planted) as template:
        small = minimize(template, Fault(arm="ingest.appended=crash@1"))

    assert small is not None
    assert [kind for kind, _ in small.script] == ["ingest", "ingest"]
    assert "ingest.appended=crash@1" in str(small)


def _skip_where_impossible(run: str) -> None:
    if run == "power loss" and (reason := io_faults.why_not()):
        pytest.skip(f"calls cannot be recorded: {reason}")

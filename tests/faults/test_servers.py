"""D1, D3 and A5 in short form: real servers killed, terminated, suspended; a run that aborts its process."""

import pytest

from faults import signals
from faults.deletes import kill_in_deletes
from faults.hard_runs import poison
from faults.kills import kill_at_random

pytestmark = pytest.mark.process


def test_nothing_acknowledged_is_lost_when_the_server_is_killed() -> None:
    result = kill_at_random(3, seed=5)

    assert result.violations == []
    assert result.operations["ack"] > 20


def test_targets_of_a_delete_are_whole_or_gone_after_the_server_is_killed() -> None:
    result = kill_in_deletes(2, seed=5)

    assert result.violations == []
    assert result.deaths == 2


def test_a_server_terminated_under_load_exits_with_0_and_loses_nothing() -> None:
    assert signals.terminate(1, seed=5).violations == []


def test_a_worker_that_resumes_after_its_run_was_taken_over_changes_nothing() -> None:
    assert signals.zombies(1, seed=5).violations == []


def test_a_run_that_aborts_its_process_each_time_is_given_up_and_all_others_complete() -> None:
    result = poison(3)

    assert result.violations == []
    assert result.completed == 3

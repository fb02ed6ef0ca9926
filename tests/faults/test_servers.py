"""D1, D3 and A5, short: real servers killed, asked to end, stopped; a run that takes its process down."""

import pytest

from faults import signals
from faults.deletes import kill_in_deletes
from faults.hard_runs import poison
from faults.kills import kill_at_random

pytestmark = pytest.mark.process


def test_nothing_acknowledged_is_lost_when_the_server_is_killed() -> None:
    killed = kill_at_random(3, seed=5)

    assert killed.violations == []
    assert killed.operations["ack"] > 20


def test_what_is_being_deleted_when_the_server_is_killed_is_whole_or_gone() -> None:
    deleted = kill_in_deletes(2, seed=5)

    assert deleted.violations == []
    assert deleted.deaths == 2


def test_a_server_that_is_asked_to_end_under_load_does_so_with_0_and_loses_nothing() -> None:
    assert signals.terminate(1, seed=5).violations == []


def test_a_worker_that_comes_back_after_its_run_was_taken_over_changes_nothing() -> None:
    assert signals.zombies(1, seed=5).violations == []


def test_a_run_that_aborts_its_process_each_time_is_given_up_and_all_others_complete() -> None:
    hard = poison(3)

    assert hard.violations == []
    assert hard.completed == 3

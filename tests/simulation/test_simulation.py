"""Workers, queue, run states and store under a virtual clock: a few hundred seeds, and a proof that it finds bugs.

The long form is `make simulate`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

import pytest

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.repositories.repository import TransactionRepository
from shoal.runs.states import RunStates
from shoal.storage.memory.transaction import MemoryTransaction
from shoal.storage.protocols.queue import Job, JobReader
from shoal.storage.sqlite import job_queue
from shoal.storage.sqlite.job_queue import SqliteJobQueue
from simulation.promises import Promises
from simulation.run import broken
from simulation.world import Artifacts

pytestmark = pytest.mark.slow

SEEDS = range(1, 151)
ENOUGH = 120
"""How many seeds it takes at most until a planted bug shows."""
LATE = {"tables_not_fenced": 400}
"""The first seed to try for a bug that shows only when much comes together."""


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_no_seed_breaks_a_promise(store: str) -> None:
    found = broken(SEEDS, kind=store)

    assert not found, f"python -m simulation.run --store {store} --seed {found[0][0]}\n{found[0][1]}"


def test_a_seed_does_the_same_again() -> None:
    """With a bug in it, so that there is something to compare."""
    with crashes_not_counted():
        first, again = broken(range(1, 9)), broken(range(1, 9))

    assert first == again
    assert first


@contextmanager
def fence_ignored() -> Iterator[None]:
    """Whoever once held a run may write."""

    def holds(states: RunStates, jobs: JobReader, job: Job) -> bool:
        held = jobs.get_job(job.scope, job.job_id)
        return held is not None and not held.cancel_requested

    with mock.patch.object(RunStates, "_holds", holds):
        yield


@contextmanager
def crashes_not_counted() -> Iterator[None]:
    """A crash looks like a worker that stopped."""
    requeue = SqliteJobQueue.requeue

    def lenient(queue: SqliteJobQueue, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        return requeue(queue, job_id, fence, crashed=False)

    with mock.patch.object(SqliteJobQueue, "requeue", lenient):
        yield


@contextmanager
def claim_without_comparing() -> Iterator[None]:
    """Look first, take later: in between it may be somebody else's."""

    def claim(queue: Any, name: str, worker: str, now: datetime, lease_until: datetime) -> Job | None:
        asked = {"queue": name, "now": format_stored_time(now)}
        turn = queue._database.read().execute(job_queue._NEXT, asked).fetchall()
        if not turn:
            return None
        queue._changed(job_queue._SERVED, {"queue": name, "organization": turn[0][1]})
        values = (worker, format_stored_time(lease_until), format_stored_time(now), turn[0][0])
        taken: Job | None = queue._move(job_queue._CLAIM, values)
        return taken

    with (
        mock.patch.object(SqliteJobQueue, "claim", claim),
        # To know whose turn it is, the onlooker stops time; here it must not.
        mock.patch.object(Promises, "watching", lambda _, watched: watched),
        mock.patch.object(Promises, "watching_release", lambda _, watched: watched),
    ):
        yield


@contextmanager
def cancel_after_the_flip() -> Iterator[None]:
    """Cancelling does not look whether results are visible."""
    cancel, get = RunStates.cancel_within, TransactionRepository.get

    def hidden(executions: Any, scope: Any, ref: str) -> Any:
        return get(executions, scope, ref).with_changes(published=False)

    def careless(states: RunStates, tx: Any, scope: Any, run_id: str) -> Any:
        with mock.patch.object(TransactionRepository, "get", hidden):
            return cancel(states, tx, scope, run_id)

    with mock.patch.object(RunStates, "cancel_within", careless):
        yield


@contextmanager
def tables_not_fenced() -> Iterator[None]:
    """The tables of a run are put in place by whoever comes last."""

    def write(self: Artifacts, scope: Scope, run_id: str, *_: object, attempt: int = 0) -> None:
        self.written[run_id] = attempt

    with mock.patch.object(Artifacts, "write", write):
        yield


@contextmanager
def first_come_first_served() -> Iterator[None]:
    """The oldest job, whoever's it is."""
    unfair = "ORDER BY (SELECT created_at FROM jobs WHERE jobs.job_id = turn.job_id) LIMIT 1"
    fair = "ORDER BY busy, served, organization_id LIMIT 1"
    with mock.patch.object(job_queue, "_NEXT", job_queue._NEXT.replace(fair, unfair)):
        yield


@contextmanager
def the_lost_stay_lost() -> Iterator[None]:
    """Leases never end and nobody looks for the dead."""
    with (
        mock.patch("shoal.jobs.worker.Worker._release_lost_jobs", return_value=None),
        mock.patch.object(job_queue, "_NEXT", job_queue._NEXT.replace("OR lease_until <= :now", "")),
    ):
        yield


@pytest.mark.parametrize(
    "bug",
    [
        fence_ignored,
        crashes_not_counted,
        claim_without_comparing,
        cancel_after_the_flip,
        tables_not_fenced,
        first_come_first_served,
        the_lost_stay_lost,
    ],
)
def test_a_planted_bug_is_found(bug: Callable[[], Any]) -> None:
    with bug():
        for seed in range(LATE.get(bug.__name__, 1), LATE.get(bug.__name__, 1) + ENOUGH):
            if broken([seed]):
                return

    pytest.fail("no seed found it")


def test_a_store_that_overlooks_conflicts_is_found() -> None:
    """Each transaction reads one moment and nothing looks whether that is still so when it commits."""
    with mock.patch.object(MemoryTransaction, "_validate", return_value=None):
        for seed in range(1, 1 + ENOUGH):
            if broken([seed], kind="memory"):
                return

    pytest.fail("no seed found it")

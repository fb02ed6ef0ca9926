"""Workers, queue, run states and store under a virtual clock: a few hundred seeds, and a proof that it finds bugs.

The long form is `make simulate`.
"""

import re
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
from simulation.run import find_broken
from simulation.world import Artifacts

pytestmark = pytest.mark.slow

SEEDS = range(1, 151)
MAX_SEEDS = 120
"""Number of seeds within which a planted bug must show."""
FIRST_SEEDS = {"write_tables_unfenced": 400}
"""The first seed to try for a bug that shows only under rare coincidences."""


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_no_seed_breaks_a_promise(store: str) -> None:
    failures = find_broken(SEEDS, kind=store)

    assert not failures, f"python -m simulation.run --store {store} --seed {failures[0][0]}\n{failures[0][1]}"


def test_a_seed_is_reproducible() -> None:
    """With a planted bug, so that there are failures to compare."""
    with count_no_crashes():
        first, second = find_broken(range(1, 9)), find_broken(range(1, 9))

    assert first == second
    assert first


@contextmanager
def ignore_fences() -> Iterator[None]:
    """Any worker that once held a run may write."""

    def holds(states: RunStates, jobs: JobReader, job: Job) -> bool:
        held = jobs.get_job(job.scope, job.job_id)
        return held is not None and not held.cancel_requested

    with mock.patch.object(RunStates, "_holds", holds):
        yield


@contextmanager
def count_no_crashes() -> Iterator[None]:
    """A crash is treated like a worker that stopped."""
    requeue = SqliteJobQueue.requeue

    def lenient(queue: SqliteJobQueue, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        return requeue(queue, job_id, fence, crashed=False)

    with mock.patch.object(SqliteJobQueue, "requeue", lenient):
        yield


@contextmanager
def claim_without_comparing() -> Iterator[None]:
    """Read first, claim later: in between another worker may have claimed the job."""

    def claim(queue: Any, name: str, worker: str, now: datetime, lease_until: datetime, most: int | None) -> Job | None:
        parameters = {"queue": name, "now": format_stored_time(now), "most": 1 << 30 if most is None else most}
        turn = queue._database.read().execute(job_queue._NEXT, parameters).fetchall()
        if not turn:
            return None
        queue._change(job_queue._SERVED, {"queue": name, "organization": turn[0][1]})
        values = (worker, format_stored_time(lease_until), format_stored_time(now), turn[0][0])
        job: Job | None = queue._move(job_queue._CLAIM, values)
        return job

    with (
        mock.patch.object(SqliteJobQueue, "claim", claim),
        # The fairness check makes the claim atomic; here it must not.
        mock.patch.object(Promises, "check_claims", lambda _, function: function),
        mock.patch.object(Promises, "uncount_released", lambda _, function: function),
    ):
        yield


@contextmanager
def cancel_after_the_flip() -> Iterator[None]:
    """Cancelling does not check whether results are visible."""
    cancel, get = RunStates.cancel_within, TransactionRepository.get

    def hidden(executions: Any, scope: Any, ref: str) -> Any:
        return get(executions, scope, ref).with_changes(published=False)

    def careless(states: RunStates, tx: Any, scope: Any, run_id: str) -> Any:
        with mock.patch.object(TransactionRepository, "get", hidden):
            return cancel(states, tx, scope, run_id)

    with mock.patch.object(RunStates, "cancel_within", careless):
        yield


@contextmanager
def write_tables_unfenced() -> Iterator[None]:
    """The last writer replaces the tables of a run, whatever its fence."""

    def write(self: Artifacts, scope: Scope, run_id: str, *_: object, attempt: int = 0) -> None:
        self.written[run_id] = attempt

    with mock.patch.object(Artifacts, "write", write):
        yield


@contextmanager
def serve_in_order_of_arrival() -> Iterator[None]:
    """The oldest job is served, whatever its organisation."""
    unfair = "ORDER BY (SELECT created_at FROM jobs WHERE jobs.job_id = turn.job_id) LIMIT 1"
    fair = "ORDER BY busy, served, organization_id LIMIT 1"
    with mock.patch.object(job_queue, "_NEXT", job_queue._NEXT.replace(fair, unfair)):
        yield


@contextmanager
def never_recover_lost_jobs() -> Iterator[None]:
    """Leases never expire and jobs of dead workers are not released."""
    with (
        mock.patch("shoal.jobs.worker.Worker._release_lost_jobs", return_value=None),
        mock.patch.object(job_queue, "_NEXT", job_queue._NEXT.replace("OR lease_until <= :now", "")),
    ):
        yield


@pytest.mark.parametrize(
    "bug",
    [
        ignore_fences,
        count_no_crashes,
        claim_without_comparing,
        cancel_after_the_flip,
        write_tables_unfenced,
        serve_in_order_of_arrival,
        never_recover_lost_jobs,
    ],
)
def test_a_planted_bug_is_found(bug: Callable[[], Any]) -> None:
    with bug():
        for seed in range(FIRST_SEEDS.get(bug.__name__, 1), FIRST_SEEDS.get(bug.__name__, 1) + MAX_SEEDS):
            if failures := find_broken([seed]):
                assert not re.search("TypeError|AttributeError|NameError", failures[0][1]), failures[0][1]
                return

    pytest.fail("no seed found it")


def test_a_store_that_overlooks_conflicts_is_found() -> None:
    """Each transaction reads one snapshot and its reads are not validated at the commit."""
    with mock.patch.object(MemoryTransaction, "_validate", return_value=None):
        for seed in range(1, 1 + MAX_SEEDS):
            if find_broken([seed], kind="memory"):
                return

    pytest.fail("no seed found it")

"""Fair scheduling and one running job per subject: guarantees of the queue that involve several jobs."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shoal.errors import Conflict
from shoal.records.scope import Scope
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.metadata_schema import METADATA_SCHEMA
from single_writes import MemoryStore, SqliteStore

LEASE = timedelta(seconds=30)
A, B, C = (Scope(f"org_{letter}", "ns_1") for letter in "abc")


Store = SqliteStore | MemoryStore


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = SqliteStore(tmp_path / "metadata.sqlite") if request.param == "sqlite" else MemoryStore()
    yield store
    store.close()


def claimed(store: Store, now: datetime, worker: str = "w") -> str | None:
    job = store.claim("q", worker, now, now + LEASE)
    return None if job is None else job.job_id


# ── fairness ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_thousands_of_jobs_of_one_organisation_do_not_delay_the_single_one_of_another(
    store: Store, now: datetime
) -> None:

    def enqueue(tx: Transaction) -> None:
        for number in range(10_000):
            tx.enqueue(A, f"a{number:05d}", "q", {}, now)

    store.transact(enqueue)
    first = store.claim("q", "w", now, now + LEASE)
    assert first is not None
    store.finish(first.job_id, first.fence)
    store.enqueue(B, "b", "q", {}, now + timedelta(hours=1))

    assert claimed(store, now) == "b"


def test_organisations_take_turns_and_each_has_its_jobs_in_order(store: Store, now: datetime) -> None:
    for number in range(3):
        for letter, scope in (("a", A), ("b", B), ("c", C)):
            store.enqueue(scope, f"{letter}{number}", "q", {}, now + timedelta(seconds=number))
    order = []
    while job := store.claim("q", "w", now, now + LEASE):
        order.append(job.job_id)
        store.finish(job.job_id, job.fence)

    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_fewer_running_jobs_take_precedence_over_having_been_served_longer_ago(store: Store, now: datetime) -> None:
    for number in range(3):
        store.enqueue(A, f"a{number}", "q", {}, now)
    assert [claimed(store, now) for _ in range(2)] == ["a0", "a1"]
    store.enqueue(B, "b0", "q", {}, now)
    store.enqueue(B, "b1", "q", {}, now)

    # b0 because B has no job running; b1 because one is less than two, though B was served last.
    assert [claimed(store, now) for _ in range(3)] == ["b0", "b1", "a2"]


def test_an_organisation_at_its_limit_does_not_delay_others(store: Store, now: datetime) -> None:
    for number in range(3):
        store.enqueue(A, f"a{number}", "q", {}, now)
    first = store.claim("q", "w", now, now + LEASE, 1)
    assert first is not None
    assert store.claim("q", "v", now, now + LEASE, 1) is None

    store.enqueue(B, "b", "q", {}, now + timedelta(hours=1))
    found = store.claim("q", "v", now, now + LEASE, 1)
    assert found is not None and found.job_id == "b"

    store.finish(first.job_id, first.fence)
    following = store.claim("q", "w", now, now + LEASE, 1)
    assert following is not None and following.job_id == "a1"


def test_each_queue_takes_turns_independently(store: Store, now: datetime) -> None:
    store.enqueue(A, "a0", "other", {}, now)
    store.claim("other", "w", now, now + LEASE)
    store.enqueue(A, "a1", "q", {}, now)
    store.enqueue(B, "b0", "q", {}, now)

    assert claimed(store, now) == "a1"


def test_waiting_jobs_are_counted_across_the_namespaces_of_an_organisation(store: Store, now: datetime) -> None:
    store.enqueue(A, "a0", "q", {}, now)
    store.enqueue(Scope(A.organization_id, "ns_2"), "a1", "q", {}, now)
    store.enqueue(A, "a2", "other", {}, now)
    store.enqueue(B, "b0", "q", {}, now)
    claimed(store, now)

    assert (store.count_queued(A, "q"), store.count_queued(B, "q"), store.count_queued(C, "q")) == (1, 1, 0)


def test_an_idle_claim_does_not_wait_for_writers(tmp_path: Path, now: datetime) -> None:
    """It only reads; the write lock is requested only when there is a job to claim."""
    store, other = (SqliteStore(tmp_path / "metadata.sqlite") for _ in range(2))
    other._database.read().execute("PRAGMA busy_timeout=0")

    def enqueue(tx: Transaction) -> str | None:
        tx.enqueue(A, "a0", "q", {}, now)
        return claimed(other, now)

    assert store.transact(enqueue) is None
    assert claimed(other, now) == "a0"
    store.close()
    other.close()


def test_waiting_for_a_change_ends_on_a_write_by_another_process_but_not_by_its_own(
    tmp_path: Path, now: datetime
) -> None:
    store, other = (SqliteStore(tmp_path / "metadata.sqlite") for _ in range(2))
    before = store.wait_for_change(None, 60.0)
    store.enqueue(A, "a0", "q", {}, now)
    own = store.wait_for_change(before, 0.0)
    other.enqueue(A, "a1", "q", {}, now)

    assert (before == own, own == store.wait_for_change(own, 60.0)) == (True, False)
    store.close()
    other.close()


def test_waiting_for_a_change_ends_with_the_change_or_at_the_timeout(store: Store, now: datetime) -> None:
    seen = store.wait_for_change(None, 60.0)
    assert store.wait_for_change(seen, 0.02) == seen

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(lambda: store.wait_for_change(store.wait_for_change(None, 0.0), 60.0) == seen)
        while not waiting.done():
            store.enqueue(A, f"a{time.monotonic_ns()}", "q", {}, now)

    assert not waiting.result()


# ── subjects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_job_for_a_subject_is_rejected_until_the_first_is_over(store: Store, now: datetime) -> None:
    store.enqueue(A, "a0", "q", {}, now, subject="clust_1")
    for free in (Scope("org_a", "ns_2"), B):
        store.enqueue(free, f"free_{free.namespace_id}_{free.organization_id}", "q", {}, now, subject="clust_1")
    with pytest.raises(Conflict, match="clust_1"):
        store.enqueue(A, "a1", "q", {}, now, subject="clust_1")

    job = store.claim("q", "w", now, now + LEASE)
    assert job is not None and job.job_id == "a0"
    with pytest.raises(Conflict):
        store.enqueue(A, "a1", "q", {}, now, subject="clust_1")
    store.finish("a0", job.fence)

    store.enqueue(A, "a1", "q", {}, now, subject="clust_1")


@pytest.mark.parametrize("end", ["release_subject", "request_cancel"])
def test_a_finished_job_frees_its_subject_but_the_next_runs_only_once_it_is_removed(
    store: Store, now: datetime, end: str
) -> None:
    store.enqueue(A, "a0", "q", {}, now, subject="clust_1")
    job = store.claim("q", "w", now, now + LEASE)
    assert job is not None
    getattr(store, end)(A, "a0")
    store.enqueue(A, "a1", "q", {}, now, subject="clust_1")

    during = claimed(store, now)
    store.finish("a0", job.fence)

    assert (during, claimed(store, now)) == (None, "a1")


def test_a_job_whose_worker_died_is_resumed_before_the_next_of_its_subject(store: Store, now: datetime) -> None:
    store.enqueue(A, "a0", "q", {}, now, subject="clust_1")
    claimed(store, now)
    store.request_cancel(A, "a0")
    store.enqueue(A, "a1", "q", {}, now, subject="clust_1")

    late = now + 2 * LEASE

    assert [claimed(store, late), claimed(store, late)] == ["a0", None]


def test_a_job_that_looks_older_because_the_clock_was_set_back_still_waits(store: Store, now: datetime) -> None:
    """The lease of the first has expired, but its worker may merely be slow and send a heartbeat again."""
    store.enqueue(A, "a0", "q", {}, now, subject="clust_1")
    claimed(store, now)
    store.request_cancel(A, "a0")
    store.enqueue(A, "a1", "q", {}, now - timedelta(hours=1), subject="clust_1")

    assert claimed(store, now + LEASE) == "a0"


def test_jobs_of_the_previous_format_are_migrated(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "metadata.sqlite"
    old = Database(path, METADATA_SCHEMA[:2])
    with old.transaction() as connection:
        connection.execute(
            "INSERT INTO jobs VALUES ('a0', 'org_a', 'ns_1', 'q', '{}', 'queued', 0, 0, NULL, NULL, 0, '', 0, ?, ?)",
            (now.isoformat(timespec="microseconds"), now.isoformat(timespec="microseconds")),
        )
    old.close()

    store = SqliteStore(path)
    assert claimed(store, now) == "a0"
    store.close()


RACING = """
import sys
from datetime import datetime
from pathlib import Path
from shoal.errors import Conflict
from shoal.records.scope import Scope
from shoal.storage.sqlite.metadata import SqliteMetadata
store, now = SqliteMetadata(Path(sys.argv[1])), datetime.fromisoformat(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    try:
        job, subject = f"{sys.argv[2]}_{number}", f"clust_{number}"
        store.transact(lambda tx: tx.enqueue(Scope("org_a", "ns_1"), job, "q", {}, now, subject=subject))
        print(number)
    except Conflict:
        pass
store.close()
"""


@pytest.mark.process
def test_of_two_racing_processes_exactly_one_gets_each_subject(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "metadata.sqlite"
    SqliteStore(path).close()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(path), name, now.isoformat()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None and racer.stdin is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    won = [racer.communicate()[0].split() for racer in racers]

    assert sorted(int(number) for side in won for number in side) == list(range(200))


# ── leases, as a state machine ───────────────────────────────────────────────────────────────────────────────────────


class Leases(RuleBasedStateMachine):
    """Compare with a dictionary workers that claim, send heartbeats, finish, crash and die while clocks jump."""

    def open(self, folder: Path) -> Store:
        return SqliteStore(folder / "metadata.sqlite")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.open(Path(self.folder.name))
        if isinstance(self.store, SqliteStore):
            self.store._database.read().execute("PRAGMA synchronous=OFF")
        self.now = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        self.claims: list[Job] = []
        self.model: dict[str, tuple[str, int, int]] = {}
        """State, fencing token and attempts of each job."""
        self.leases: dict[str, datetime] = {}
        self.holders: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(scope=st.sampled_from((A, B)), subject=st.sampled_from(("c1", "c2", None)))
    def enqueue(self, scope: Scope, subject: str | None) -> None:
        id = f"job_{len(self.model)}_{scope.organization_id}_{subject}"
        held = [
            other
            for other, (state, _, _) in self.model.items()
            if subject and state != "done" and other.endswith(f"{scope.organization_id}_{subject}")
        ]
        try:
            self.store.enqueue(scope, id, "q", {}, self.now, subject=subject)
        except Conflict:
            assert held
            return
        assert not held
        self.model[id] = ("queued", 0, 0)

    @rule(worker=st.sampled_from(("w1", "w2", "w3")))
    def claim(self, worker: str) -> None:
        free = {
            id
            for id, (state, _, _) in self.model.items()
            if (state == "queued" or (state == "running" and self.leases[id] <= self.now))
        }
        job = self.store.claim("q", worker, self.now, self.now + LEASE)
        if job is None:
            assert not free
            return
        assert job.job_id in free
        _, fence, attempts = self.model[job.job_id]
        assert (job.fence, job.attempts) == (fence + 1, attempts + 1)
        self.model[job.job_id] = ("running", fence + 1, attempts + 1)
        self.leases[job.job_id], self.holders[job.job_id] = self.now + LEASE, worker
        self.claims.append(job)

    @rule(data=st.data(), move=st.sampled_from(("beat", "finish", "crash", "hand back")))
    def move(self, data: st.DataObject, move: str) -> None:
        """Of any past claim: a worker that was suspended for long does not know that it lost its lease."""
        if not self.claims:
            return
        job = data.draw(st.sampled_from(self.claims))
        state, fence, attempts = self.model[job.job_id]
        counts = state == "running" and fence == job.fence
        if move == "beat":
            done = self.store.heartbeat(job.job_id, job.fence, self.now, self.now + LEASE, "s", 0.5) is not None
            after = (state, fence, attempts)
            self.leases[job.job_id] = self.now + LEASE if counts else self.leases[job.job_id]
        elif move == "finish":
            done, after = self.store.finish(job.job_id, job.fence), ("done", fence, attempts)
        else:
            crashed = move == "crash"
            done = self.store.requeue(job.job_id, job.fence, crashed=crashed)
            after = ("queued", fence, attempts - (not crashed))
        assert done == counts
        if counts:
            self.model[job.job_id] = after

    @rule(worker=st.sampled_from(("w1", "w2", "w3")))
    def die(self, worker: str) -> None:
        lost = [id for id, (state, _, _) in self.model.items() if state == "running" and self.holders[id] == worker]
        assert self.store.release_worker(worker) == len(lost)
        for id in lost:
            _, fence, attempts = self.model[id]
            self.model[id] = ("queued", fence, attempts - 1)

    @rule(seconds=st.sampled_from((1, 10, 31, 3600, -10, -3600)))
    def jump(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def as_in_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        jobs = {id: self.store.get_job(_scope_of(id), id) for id in self.model}
        assert {id: job and (job.state, job.fence, job.attempts) for id, job in jobs.items()} == self.model


class LeasesInMemory(Leases):
    def open(self, folder: Path) -> Store:
        return MemoryStore()


def _scope_of(job_id: str) -> Scope:
    return A if "org_a" in job_id else B


TestLeases, TestLeasesInMemory = Leases.TestCase, LeasesInMemory.TestCase
for case in (TestLeases, TestLeasesInMemory):
    case.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_damaged_job_does_not_block_other_jobs(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "metadata.sqlite")
    now = datetime.now(UTC)
    for number, scope in enumerate((Scope("org_a", "ns"), Scope("org_b", "ns"))):
        store.enqueue(scope, f"job_{number}", "runs", {"outputs": []}, now)
    with store._database.transaction() as connection:
        connection.execute("UPDATE jobs SET payload = '{\"outp' WHERE job_id = 'job_0'")

    claimed = [store.claim("runs", "worker", now, now + timedelta(seconds=30)) for _ in range(2)]

    assert {job.job_id: (job.damaged, job.payload) for job in claimed if job is not None} == {
        "job_0": (True, {}),
        "job_1": (False, {"outputs": []}),
    }
    assert len(store.running_jobs("runs")) == 2
    store.close()

"""State transitions of a run, as a state machine over the real store, with valid and superseded claims."""

import tempfile
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shoal.errors import Cancelled, Conflict, QueueFull
from shoal.records.clusters.cluster import Cluster
from shoal.records.runs.execution import ACTIVE, MOVES, Execution
from shoal.records.scope import Scope
from shoal.records.task import TERMINAL, Task
from shoal.runs.results import ClusterResult, RunResult
from shoal.runs.states import QUEUE, RunStates
from shoal.storage.protocols.queue import Job
from shoal.storage.sqlite.metadata import SqliteMetadata

SCOPE = Scope("org_a", "ns_1")
LEASE = timedelta(seconds=30)
BEGINNING = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def cluster_called(id: str, scope: Scope = SCOPE) -> Cluster:
    return Cluster(
        cluster_id=id,
        cluster_name=id,
        namespace_id=scope.namespace_id,
        organization_id=scope.organization_id,
        cluster_type="vector",
        algorithm="kmeans",
        input_collections=["docs"],
        created_at=BEGINNING,
        updated_at=BEGINNING,
    )


class Runs(RuleBasedStateMachine):
    """Clients and workers of two clusters. Any past claim may come back and try to write."""

    @initialize()
    def begin(self) -> None:
        ids = count()
        # Ids break ties: the same steps must generate the same ids again.
        self.named = mock.patch("shoal.runs.states.new_id", lambda prefix: f"{prefix}_{next(ids):04d}")
        self.named.start()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteMetadata(Path(self.folder.name) / "metadata.sqlite")
        self.store._database.read().execute("PRAGMA synchronous=OFF")
        self.now = BEGINNING
        self.states = RunStates(self.store, lambda: self.now)
        for id in ("clust_1", "clust_2"):
            self.states.clusters.add(SCOPE, cluster_called(id))
        self.claims: list[Job] = []
        self.status: dict[str, str] = {}
        self.published: set[str] = set()
        self.fences: dict[str, int] = {}
        self.held: dict[str, int | None] = {}
        """The fencing token of the valid claim; None while the run is queued or has no owner."""
        self.leases: dict[str, datetime] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.named.stop()
            self.store.close()
            self.folder.cleanup()

    # ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(cluster=st.sampled_from(("clust_1", "clust_2")))
    def create(self, cluster: str) -> None:
        active = [id for id, status in self.status.items() if status in ACTIVE and self.cluster_of(id) == cluster]
        try:
            task = created(self.states, SCOPE, self.states.clusters.get(SCOPE, cluster))
        except Conflict:
            assert active
            return
        assert not active
        run_id = str(task.additional_data["run_id"])
        self.status[run_id], self.held[run_id] = "pending", None

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.status:
            return
        run_id = data.draw(st.sampled_from(sorted(self.status)))
        may = self.status[run_id] in ACTIVE and run_id not in self.published
        try:
            self.states.cancel(SCOPE, run_id)
        except Conflict:
            assert not may
            return
        assert may
        self.status[run_id] = "canceled"

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def claim(self) -> None:
        job = self.store.claim(QUEUE, "w", self.now, self.now + LEASE)
        if job is None:
            return
        before = self.held[job.job_id]
        assert before is None or self.leases[job.job_id] <= self.now, "it was taken from a worker that holds it"
        assert job.fence > self.fences.get(job.job_id, 0)
        self.fences[job.job_id] = self.held[job.job_id] = job.fence
        self.leases[job.job_id] = self.now + LEASE
        self.claims.append(job)
        running = [other for other, fence in self.held.items() if fence is not None and self.leases[other] > self.now]
        assert len({self.cluster_of(other) for other in running}) == len(running), "two runs of a cluster are held"

    @rule(data=st.data(), move=st.sampled_from(("processing", "publish", "complete", "fail")))
    def write(self, data: st.DataObject, move: str) -> None:
        if not self.claims:
            return
        job = data.draw(st.sampled_from(self.claims))
        id, status = job.job_id, self.status[job.job_id]
        counts = self.held[id] == job.fence and status != "canceled"
        if move == "processing":
            self.allowed(counts and status in ACTIVE, lambda: self.states.processing(job))
            if counts and status in ACTIVE:
                self.status[id] = "processing"
        elif move == "publish" and status == "processing":
            self.allowed(
                counts,
                lambda: self.states.publish(
                    job, RunResult(num_clusters=1), ClusterResult(num_clusters=1), lambda *_: None
                ),
            )
            self.published |= {id} if counts else set()
        elif move == "complete" and status == "processing" and (id in self.published or not counts):
            self.allowed(counts, lambda: self.states.complete(job, enriched=None))
            self.status[id] = "completed" if counts else status
        elif move == "fail":
            self.states.fail(job, "It broke.", "pipeline")
            self.status[id] = "failed" if counts and status in ACTIVE else status

    def allowed(self, may: bool, act: object) -> None:
        assert callable(act)
        if may:
            act()
            return
        with pytest.raises(Cancelled):
            act()

    @rule(data=st.data(), end=st.sampled_from(("finish", "crash", "hand back", "beat")))
    def end(self, data: st.DataObject, end: str) -> None:
        """A worker finishes a job only once its run is over."""
        if not self.claims:
            return
        job = data.draw(st.sampled_from(self.claims))
        if end == "finish" and self.status[job.job_id] in ACTIVE:
            return
        counts = self.held[job.job_id] == job.fence
        if end == "beat":
            beaten = self.store.heartbeat(job.job_id, job.fence, self.now, self.now + LEASE, "load", 0.0)
            assert (beaten is not None) == counts
            self.leases[job.job_id] = self.now + LEASE if counts else self.leases[job.job_id]
            return
        if end == "finish":
            assert self.store.finish(job.job_id, job.fence) == counts
        else:
            assert self.store.requeue(job.job_id, job.fence, crashed=end == "crash") == counts
        if counts:
            self.held[job.job_id] = None

    @rule(seconds=st.sampled_from((1, 31, -10)))
    def jump(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # ── invariants ───────────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def every_record_tells_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        runs = {run.run_id: run for run in self.states.executions.all(SCOPE)}
        assert {id: run.status for id, run in runs.items()} == self.status
        active: list[str] = []
        for run in runs.values():
            self.check(run)
            active += [run.cluster_id] if run.status in ACTIVE else []
        assert len(active) == len(set(active)), "two runs of a cluster are active"
        for id in ("clust_1", "clust_2"):
            shown = self.states.clusters.get(SCOPE, id).current_run_id
            assert shown is None or shown in self.published
        self.check_events(runs)

    def check_events(self, runs: dict[str, Execution]) -> None:
        """The outbox contains each run's history in order, and nothing else."""
        types: dict[str, list[str]] = {id: [] for id in runs}
        for event in self.store.events(SCOPE, after=0, most=1_000):
            types[event.subject].append(event.type.removeprefix("run."))
        for id, run in runs.items():
            moves = ["created", *(change.status for change in run.history[1:])]
            assert [type for type in types[id] if type != "published"] == moves
            assert ("published" in types[id]) == (id in self.published)

    def check(self, run: Execution) -> None:
        moves = [change.status for change in run.history]
        assert moves[0] == "pending" and moves[-1] == run.status
        assert all(after in MOVES[before] for before, after in pairwise(moves))
        assert run.published == (run.run_id in self.published)
        assert run.status != "completed" or (run.published and run.num_clusters == 1)
        task = self.states.tasks.get(SCOPE.organization, run.task_id)
        assert (task.status in TERMINAL) == (not MOVES[run.status])

    def cluster_of(self, run_id: str) -> str:
        return self.states.executions.get(SCOPE, run_id).cluster_id


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> SqliteMetadata:
    return SqliteMetadata(tmp_path / "metadata.sqlite")


def test_a_full_queue_rejects_only_further_runs_of_its_organisation(store: SqliteMetadata) -> None:
    states = RunStates(store, lambda: BEGINNING, max_queued=3)
    for number in range(3):
        created(states, SCOPE, cluster_called_and_stored(states, f"clust_{number}"))
    with pytest.raises(QueueFull, match="3 runs of this organisation are waiting") as refused:
        created(states, SCOPE, cluster_called_and_stored(states, "clust_3"))
    elsewhere = Scope("org_b", "ns_1")
    created(states, elsewhere, cluster_called_and_stored(states, "clust_4", elsewhere))

    assert "SHOAL_MAX_QUEUED_RUNS" in refused.value.message
    assert refused.value.details == {"queued": 3, "limit": 3, "retry_after_seconds": 10, "retryable": True}
    assert len(states.executions.all(SCOPE)) == 3
    store.close()


def test_a_cancellation_after_the_results_are_visible_is_rejected_and_the_run_completes(store: SqliteMetadata) -> None:
    states = RunStates(store, lambda: BEGINNING)
    task = created(states, SCOPE, cluster_called_and_stored(states, "clust_1"))
    run_id = str(task.additional_data["run_id"])
    job = store.claim(QUEUE, "w", BEGINNING, BEGINNING + LEASE)
    assert job is not None
    states.processing(job)
    states.publish(job, RunResult(num_clusters=1), ClusterResult(num_clusters=1), lambda *_: None)

    with pytest.raises(Conflict, match="already visible"):
        states.cancel(SCOPE, run_id)
    states.complete(job, enriched=None)

    run = states.executions.get(SCOPE, run_id)
    assert [(change.status, change.attempt, change.worker) for change in run.history] == [
        ("pending", None, None),
        ("processing", 1, "w"),
        ("completed", 1, "w"),
    ]
    store.close()


def test_a_run_reports_the_method_of_its_cluster_when_queued_and_when_started(store: SqliteMetadata) -> None:
    def patched(n_clusters: int, outputs: list[str]) -> None:
        edits = {"algorithm_params": {"n_clusters": n_clusters}, "output_collection_ids": outputs}
        states.clusters.change(SCOPE, "clust_1", lambda cluster: cluster.with_changes(**edits))

    states = RunStates(store, lambda: BEGINNING)
    create = states.creation(SCOPE, cluster_called_and_stored(states, "clust_1"), {}, None)
    patched(3, ["col_3"])
    task = store.transact(create)
    run_id = str(task.additional_data["run_id"])
    assert states.executions.get(SCOPE, run_id).algorithm_params == {"n_clusters": 3}

    patched(4, ["col_4"])
    job = store.claim(QUEUE, "w", BEGINNING, BEGINNING + LEASE)
    assert job is not None and job.payload["outputs"] == ["col_3"]
    run, cluster = states.processing(job)

    assert run.algorithm_params == cluster.algorithm_params == {"n_clusters": 4}
    assert states.executions.get(SCOPE, run_id).algorithm_params == {"n_clusters": 4}


def test_a_run_resumed_after_its_results_are_visible_keeps_their_method(store: SqliteMetadata) -> None:
    states = RunStates(store, lambda: BEGINNING)
    created(states, SCOPE, cluster_called_and_stored(states, "clust_1"))
    first = store.claim(QUEUE, "w", BEGINNING, BEGINNING)
    assert first is not None
    states.processing(first)
    result = RunResult(num_clusters=1, algorithm_params={"n_clusters": 7})
    states.publish(first, result, ClusterResult(num_clusters=1), lambda *_: None)

    second = store.claim(QUEUE, "w", BEGINNING, BEGINNING + LEASE)
    assert second is not None
    run, _ = states.processing(second)

    assert run.published and run.algorithm_params == {"n_clusters": 7}


def test_a_failure_reported_by_a_superseded_worker_is_not_recorded(store: SqliteMetadata) -> None:
    states = RunStates(store, lambda: BEGINNING)
    created(states, SCOPE, cluster_called_and_stored(states, "clust_1"))
    stale = store.claim(QUEUE, "slow", BEGINNING, BEGINNING)
    fresh = store.claim(QUEUE, "quick", BEGINNING, BEGINNING + LEASE)
    assert stale is not None and fresh is not None

    states.fail(stale, "The disk did not answer.", "infrastructure")
    told_by_stale = states.executions.get(SCOPE, stale.job_id).status
    states.fail(fresh, "The disk did not answer.", "infrastructure")

    run = states.executions.get(SCOPE, stale.job_id)
    assert (told_by_stale, run.status, run.attempts) == ("pending", "failed", 2)  # though none of them began
    store.close()


def created(states: RunStates, scope: Scope, cluster: Cluster) -> Task:
    return states._store.transact(states.creation(scope, cluster, {}, None))


def cluster_called_and_stored(states: RunStates, id: str, scope: Scope = SCOPE) -> Cluster:
    return states.clusters.add(scope, cluster_called(id, scope))

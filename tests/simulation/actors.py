"""The actors of a simulation: workers with their children, and clients."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from shoal.errors import (
    Cancelled,
    Conflict,
    Corrupt,
    InvalidField,
    NotFound,
    QueueFull,
    RunFailed,
    ShoalError,
    Unavailable,
)
from shoal.jobs.child import Child, Progress
from shoal.jobs.limits import OUT_OF_MEMORY
from shoal.jobs.worker import Worker
from shoal.records.clusters.cluster import Cluster
from shoal.records.runs.execution import ACTIVE, ExecuteCluster
from shoal.records.scope import Scope
from shoal.runs.results import ClusterResult, RunResult
from shoal.runs.states import QUEUE, RunStates
from shoal.services.clusters import Clusters
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.transactions import Transaction
from simulation.world import Artifacts, Clock, Died, MemoryStore, Store

__all__ = ["LEASE_SECONDS", "Actor", "Client", "SharedState", "SimulatedChild", "SimulatedWorker"]

LEASE_SECONDS = 5.0


@dataclass
class SharedState:
    """State shared by all actors."""

    rng: random.Random
    clock: Clock
    store: Store | MemoryStore
    artifacts: Artifacts
    states: RunStates
    clusters: Clusters
    poisoned: set[str] = field(default_factory=set)
    """Runs whose child crashes each time."""
    crashes: dict[str, int] = field(default_factory=dict)
    """Number of children of each run that crashed unprovoked."""
    published: dict[str, int] = field(default_factory=dict)
    """The claim (fence) that published each run."""
    calm: bool = False
    """True once no more faults are injected."""


class Actor(Protocol):
    """Something that takes steps."""

    def ready(self) -> bool: ...

    def step(self) -> None: ...

    def check_alive(self) -> None:
        """Raise Died if it was killed while others acted during its step."""


class SimulatedChild:
    """The process of one run: the steps of `runs/run.py` without the computation. It can die between any two."""

    def __init__(self, shared: SharedState, job: Job) -> None:
        self.job, self.code, self.dead = job, None, False
        self.frozen_until, self.doomed_at = 0.0, float("inf")
        self._shared, self._steps = shared, self._live(shared, job)

    code: int | None
    crashed = False
    progress = Progress()

    # ── interface to its worker ──────────────────────────────────────────────────────────────────────────────────────

    def poll(self) -> int | None:
        return self.code

    def wait(self, seconds: float) -> None: ...

    def kill(self) -> None:
        self.dead = True
        if self.code is None:
            self.code = -9

    # ── as an actor ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> bool:
        if self._shared.clock.steady >= self.doomed_at:
            self.kill()
        return self.code is None and not self.dead and self._shared.clock.steady >= self.frozen_until

    def step(self) -> None:
        if not self._shared.calm and self._shared.rng.random() < 0.02:
            self.crash(self._shared.rng.choice((-11, -6, 1)))
            return
        try:
            next(self._steps)
        except StopIteration:
            self.code = 0 if self.code is None else self.code
        except Died:
            return
        except ShoalError:  # recording the failure failed as well
            self.crash(1)

    def crash(self, code: int) -> None:
        if self.code is None:
            self.code = code
            if code != OUT_OF_MEMORY and self.doomed_at == float("inf"):  # else no worker is left to notice
                self.crashed = True
                self._shared.crashes[self.job.job_id] = self._shared.crashes.get(self.job.job_id, 0) + 1

    def check_alive(self) -> None:
        if self.code is not None:
            raise Died

    def _live(self, shared: SharedState, job: Job) -> Iterator[None]:
        try:
            yield from self._run(shared, job)
            return
        except Cancelled:
            pass
        except (Unavailable, Corrupt) as error:
            shared.states.fail(job, error.message, "infrastructure")
        except ShoalError as error:
            shared.states.fail(job, error.message, "validation")
        yield
        discard(shared, job)

    def _run(self, shared: SharedState, job: Job) -> Iterator[None]:
        run, _ = shared.states.processing(job)
        yield
        if job.job_id in shared.poisoned:
            self.crash(-11)
            yield
        if not run.published:
            for _ in range(shared.rng.randrange(4)):
                yield
            self._fail_at_random(shared)
            shared.states.check_now(job)
            yield
            try:
                shared.artifacts.write(job.scope, job.job_id, {}, {"fence": job.fence}, attempt=job.fence)
            except Conflict:
                shared.states.check_now(job)
                raise
            yield
            shared.states.publish(
                job, RunResult(num_clusters=1), ClusterResult(num_clusters=1), lambda tx, _: self._flip(shared, tx)
            )
            yield
        shared.states.check_now(job)
        yield
        shared.states.complete(job, enriched=None)

    def _fail_at_random(self, shared: SharedState) -> None:
        luck = 1.0 if shared.calm else shared.rng.random()
        if luck < 0.05:
            raise RunFailed("The data do not allow it.")
        if luck < 0.08:
            self.crash(OUT_OF_MEMORY)
            raise Died

    def _flip(self, shared: SharedState, tx: Transaction) -> None:
        tx.on_commit(lambda: shared.published.update({self.job.job_id: self.job.fence}))


def discard(shared: SharedState, job: Job) -> None:
    """Mirror of `Runner.discard`."""
    run = shared.states.executions.find_one(job.scope, job.job_id)
    if run is None or (run.status not in ACTIVE and not run.published):
        shared.artifacts.delete(job.scope, job.job_id)


class SimulatedWorker:
    """A real Worker in a process that may be killed, or suspended and resumed. It is its own handler and executor."""

    def __init__(self, shared: SharedState, name: str, is_alive: "dict[str, SimulatedWorker]") -> None:
        self.name, self.dead, self.frozen_until = name, False, 0.0
        self.children: list[SimulatedChild] = []
        self._shared = shared
        self.worker = Worker(
            shared.store,
            self,
            self,
            name=name,
            queue_name=QUEUE,
            lease=timedelta(seconds=LEASE_SECONDS),
            is_alive=lambda other: not is_alive[other].dead,
            now=shared.clock.now,
            steady=shared.clock.read_steady,
            run_seconds=60.0,
        )

    # ── as an actor ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> bool:
        return not self.dead and self._shared.clock.steady >= self.frozen_until

    def step(self) -> None:
        try:
            self.worker.step()
        except Unavailable:
            self.frozen_until = self._shared.clock.steady + 1.0  # as in `run`
        except Died:
            return

    def check_alive(self) -> None:
        if self.dead:
            raise Died

    def die(self) -> None:
        """Simulate SIGKILL. Its children die at once or a little later."""
        self.dead = True
        for child in self.children:
            if child.crashed and self.worker.busy and child is self.children[-1]:
                self._shared.crashes[child.job.job_id] -= 1  # unnoticed
            child.doomed_at = self._shared.clock.steady + self._shared.rng.choice((0.0, 0.5))

    # ── as executor and handler of its worker ────────────────────────────────────────────────────────────────────────

    def start(self, job: Job) -> Child:
        self.check_alive()
        self.children = [child for child in self.children if child.code is None]
        self.children.append(SimulatedChild(self._shared, job))
        return self.children[-1]

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def gave_up(self, job: Job, cause: str) -> None:
        self._record_failure(job, cause, "infrastructure")

    def out_of_memory(self, job: Job) -> None:
        self._record_failure(job, "memory", "pipeline")

    def out_of_time(self, job: Job) -> None:
        self._record_failure(job, "time", "timeout")

    def stopped(self, job: Job) -> None:
        discard(self._shared, job)

    def _record_failure(self, job: Job, cause: str, category: str) -> None:
        self._shared.states.fail(job, cause, category)
        discard(self._shared, job)


@dataclass
class Client:
    """Users of one organisation: they execute, cancel and delete, and remember what was accepted."""

    shared: SharedState
    scope: Scope
    names: list[str]
    accepted: dict[str, str] = field(default_factory=dict)
    """Accepted runs, with their clusters."""
    cancelled: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    """Deleted clusters."""
    eager: bool = False

    def ready(self) -> bool:
        return not self.shared.calm

    def check_alive(self) -> None: ...

    def step(self) -> None:
        luck = self.shared.rng.random()
        try:
            if luck < (0.85 if self.eager else 0.6):
                self._execute()
            elif luck < 0.97:
                self._cancel()
            else:
                self._delete()
        except (Conflict, QueueFull, NotFound, InvalidField, Unavailable):
            return

    def add_cluster(self) -> None:
        number = len(self.names) + len(self.removed)
        name = f"clust_{self.scope.organization_id}_{self.scope.namespace_id}_{number}"
        now = self.shared.clock.now()
        cluster = Cluster(
            cluster_id=name,
            cluster_name=name,
            namespace_id=self.scope.namespace_id,
            organization_id=self.scope.organization_id,
            cluster_type="vector",
            algorithm="kmeans",
            input_collections=["docs"],
            created_at=now,
            updated_at=now,
        )
        self.shared.states.clusters.add(self.scope, cluster)
        self.names.append(name)

    def _execute(self) -> None:
        name = self.shared.rng.choice(self.names)
        task = self.shared.clusters.execute(self.scope, self.shared.clusters.admit(self.scope, name, ExecuteCluster()))
        run_id = str(task.additional_data["run_id"])
        if run_id not in self.accepted and self.shared.rng.random() < 0.1:
            self.shared.poisoned.add(run_id)
        self.accepted[run_id] = name

    def _cancel(self) -> None:
        if not self.accepted:
            return
        run_id = self.shared.rng.choice(list(self.accepted)[-4:])
        self.shared.states.cancel(self.scope, run_id)
        self.cancelled.add(run_id)

    def _delete(self) -> None:
        name = self.shared.rng.choice(self.names)
        self.shared.clusters.delete(self.scope, name)
        self.names.remove(name)
        self.removed.add(name)
        with self.shared.store.without_faults():
            self.add_cluster()

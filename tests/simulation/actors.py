"""Who acts in a simulation: workers with their children, and clients."""

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

__all__ = ["LEASE_SECONDS", "Actor", "Client", "Parts", "SimulatedChild", "SimulatedWorker"]

LEASE_SECONDS = 5.0


@dataclass
class Parts:
    """What the actors share."""

    rng: random.Random
    clock: Clock
    store: Store | MemoryStore
    artifacts: Artifacts
    states: RunStates
    clusters: Clusters
    poisoned: set[str] = field(default_factory=set)
    """Runs whose child crashes each time."""
    crashes: dict[str, int] = field(default_factory=dict)
    """How many children of a run crashed by themselves."""
    published: dict[str, int] = field(default_factory=dict)
    """Which claim published a run."""
    calm: bool = False
    """No more faults."""


class Actor(Protocol):
    """One that can be asked to take a step."""

    def ready(self) -> bool: ...

    def step(self) -> None: ...

    def check_alive(self) -> None:
        """Raises Died where it was killed while others acted in the middle of its step."""


class SimulatedChild:
    """The process of one run: the moves of `runs/run.py`, without the computing. It can die between any two."""

    def __init__(self, parts: Parts, job: Job) -> None:
        self.job, self.code, self.dead = job, None, False
        self.frozen_until, self.doomed_at = 0.0, float("inf")
        self._parts, self._life = parts, self._live(parts, job)

    code: int | None
    crashed = False
    progress = Progress()

    # ── as its worker sees it ────────────────────────────────────────────────────────────────────────────────────────

    def poll(self) -> int | None:
        return self.code

    def wait(self, seconds: float) -> None: ...

    def kill(self) -> None:
        self.dead = True
        if self.code is None:
            self.code = -9

    # ── as an actor ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> bool:
        if self._parts.clock.steady >= self.doomed_at:
            self.kill()
        return self.code is None and not self.dead and self._parts.clock.steady >= self.frozen_until

    def step(self) -> None:
        if not self._parts.calm and self._parts.rng.random() < 0.02:
            self.crash(self._parts.rng.choice((-11, -6, 1)))
            return
        try:
            next(self._life)
        except StopIteration:
            self.code = 0 if self.code is None else self.code
        except Died:
            return
        except ShoalError:  # recording its failure failed as well
            self.crash(1)

    def crash(self, code: int) -> None:
        if self.code is None:
            self.code = code
            if code != OUT_OF_MEMORY and self.doomed_at == float("inf"):  # else nobody is left to notice
                self.crashed = True
                self._parts.crashes[self.job.job_id] = self._parts.crashes.get(self.job.job_id, 0) + 1

    def check_alive(self) -> None:
        if self.code is not None:
            raise Died

    def _live(self, parts: Parts, job: Job) -> Iterator[None]:
        try:
            yield from self._run(parts, job)
            return
        except Cancelled:
            pass
        except (Unavailable, Corrupt) as error:
            parts.states.fail(job, error.message, "infrastructure")
        except ShoalError as error:
            parts.states.fail(job, error.message, "validation")
        yield
        discard(parts, job)

    def _run(self, parts: Parts, job: Job) -> Iterator[None]:
        run, _ = parts.states.processing(job)
        yield
        if job.job_id in parts.poisoned:
            self.crash(-11)
            yield
        if not run.published:
            for _ in range(parts.rng.randrange(4)):
                yield
            self._perhaps_fail(parts)
            parts.states.check_now(job)
            yield
            try:
                parts.artifacts.write(job.scope, job.job_id, {}, {"fence": job.fence}, attempt=job.fence)
            except Conflict:
                parts.states.check_now(job)
                raise
            yield
            parts.states.publish(
                job, RunResult(num_clusters=1), ClusterResult(num_clusters=1), lambda tx, _: self._flip(parts, tx)
            )
            yield
        parts.states.check_now(job)
        yield
        parts.states.complete(job, enriched=None)

    def _perhaps_fail(self, parts: Parts) -> None:
        luck = 1.0 if parts.calm else parts.rng.random()
        if luck < 0.05:
            raise RunFailed("The data do not allow it.")
        if luck < 0.08:
            self.crash(OUT_OF_MEMORY)
            raise Died

    def _flip(self, parts: Parts, tx: Transaction) -> None:
        tx.on_commit(lambda: parts.published.update({self.job.job_id: self.job.fence}))


def discard(parts: Parts, job: Job) -> None:
    """As `Runner.discard`."""
    run = parts.states.executions.find_one(job.scope, job.job_id)
    if run is None or (run.status not in ACTIVE and not run.published):
        parts.artifacts.delete(job.scope, job.job_id)


class SimulatedWorker:
    """A real Worker in a process that may be killed or stopped and continued. It is its own handler and executor."""

    def __init__(self, parts: Parts, name: str, is_alive: "dict[str, SimulatedWorker]") -> None:
        self.name, self.dead, self.frozen_until = name, False, 0.0
        self.children: list[SimulatedChild] = []
        self._parts = parts
        self.worker = Worker(
            parts.store,
            self,
            self,
            name=name,
            queue_name=QUEUE,
            lease=timedelta(seconds=LEASE_SECONDS),
            is_alive=lambda other: not is_alive[other].dead,
            now=parts.clock.now,
            steady=parts.clock.read_steady,
            run_seconds=60.0,
        )

    # ── as an actor ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> bool:
        return not self.dead and self._parts.clock.steady >= self.frozen_until

    def step(self) -> None:
        try:
            self.worker.step()
        except Unavailable:
            self.frozen_until = self._parts.clock.steady + 1.0  # as `run` does
        except Died:
            return

    def check_alive(self) -> None:
        if self.dead:
            raise Died

    def die(self) -> None:
        """SIGKILL. Its children follow, at once or a little later."""
        self.dead = True
        for child in self.children:
            if child.crashed and self.worker.busy and child is self.children[-1]:
                self._parts.crashes[child.job.job_id] -= 1  # nobody has noticed
            child.doomed_at = self._parts.clock.steady + self._parts.rng.choice((0.0, 0.5))

    # ── as its worker's executor and handler ─────────────────────────────────────────────────────────────────────────

    def start(self, job: Job) -> Child:
        self.check_alive()
        self.children = [child for child in self.children if child.code is None]
        self.children.append(SimulatedChild(self._parts, job))
        return self.children[-1]

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def gave_up(self, job: Job, cause: str) -> None:
        self._failed(job, cause, "infrastructure")

    def out_of_memory(self, job: Job) -> None:
        self._failed(job, "memory", "pipeline")

    def out_of_time(self, job: Job) -> None:
        self._failed(job, "time", "timeout")

    def stopped(self, job: Job) -> None:
        discard(self._parts, job)

    def _failed(self, job: Job, cause: str, category: str) -> None:
        self._parts.states.fail(job, cause, category)
        discard(self._parts, job)


@dataclass
class Client:
    """People of one organisation: they execute, cancel and delete, and remember what they were promised."""

    parts: Parts
    scope: Scope
    names: list[str]
    accepted: dict[str, str] = field(default_factory=dict)
    """Runs that were accepted, with their clusters."""
    cancelled: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    """Clusters that were deleted."""
    eager: bool = False

    def ready(self) -> bool:
        return not self.parts.calm

    def check_alive(self) -> None: ...

    def step(self) -> None:
        luck = self.parts.rng.random()
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
        now = self.parts.clock.now()
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
        self.parts.states.clusters.add(self.scope, cluster)
        self.names.append(name)

    def _execute(self) -> None:
        name = self.parts.rng.choice(self.names)
        task = self.parts.clusters.execute(self.scope, self.parts.clusters.admit(self.scope, name, ExecuteCluster()))
        run_id = str(task.additional_data["run_id"])
        if run_id not in self.accepted and self.parts.rng.random() < 0.1:
            self.parts.poisoned.add(run_id)
        self.accepted[run_id] = name

    def _cancel(self) -> None:
        if not self.accepted:
            return
        run_id = self.parts.rng.choice(list(self.accepted)[-4:])
        self.parts.states.cancel(self.scope, run_id)
        self.cancelled.add(run_id)

    def _delete(self) -> None:
        name = self.parts.rng.choice(self.names)
        self.parts.clusters.delete(self.scope, name)
        self.names.remove(name)
        self.removed.add(name)
        with self.parts.store.quietly():
            self.add_cluster()

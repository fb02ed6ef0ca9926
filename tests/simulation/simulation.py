"""One seed: which actor is next, which faults occur, and whether every promise holds.

Everything runs in one thread. An actor's step is a few calls of the store, and before each of them others may act, so
that steps of two processes interleave as they would in real processes. The same seed gives the same run.
"""

import contextlib
import random
from contextlib import ExitStack
from itertools import count
from unittest import mock

from shoal.errors import Unavailable
from shoal.jobs.worker import BEAT_SECONDS
from shoal.records.collection import Collection, CollectionSource
from shoal.records.scope import Scope
from shoal.runs.config.planning import Planning
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.connected import ConnectedModels
from shoal.runs.models.spending import Spendings
from shoal.runs.states import RunStates
from shoal.services.clusters import Clusters
from shoal.services.removals import Removals
from shoal.storage.protocols.records import Json
from simulation.actors import LEASE_SECONDS, Actor, Client, SharedState, SimulatedWorker
from simulation.promises import Promises
from simulation.world import Artifacts, Checkpoints, Clock, Died, Documents, MemoryStore, Store

__all__ = ["Simulation"]

WORKERS = 3
CLUSTERS = 2
CALM_STEPS = 4000
CLIENT_WEIGHT = 0.3


class Simulation:
    """The world of one seed on an empty store. `run` raises AssertionError if a promise is broken."""

    def __init__(self, store: Store | MemoryStore, seed: int) -> None:
        rng, clock, artifacts = random.Random(seed), Clock(), Artifacts()
        states = RunStates(store, clock.now, max_queued=6)
        documents = Documents().as_store()
        planning = Planning(
            store,
            documents,
            lambda: 1 << 40,
            memory_limit=lambda: 1 << 40,
            threads=1,
            models=ConnectedModels(),
            spendings=Spendings(store, clock.now),
            encoders=PermittedEncoders(),
        )
        removals = Removals(
            store,
            documents,
            artifacts.as_store(),
            Checkpoints().as_store(),
            clock.now,
            contextlib.nullcontext,
            AnswerStore(store, clock.now),
        )
        clusters = Clusters(store, documents, states, removals, planning, clock.now)
        self.shared = SharedState(rng, clock, store, artifacts, states, clusters)
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients = [
            Client(self.shared, Scope("org_a", "ns_1"), [], eager=True),
            Client(self.shared, Scope("org_a", "ns_2"), [], eager=True),
            Client(self.shared, Scope("org_b", "ns_1"), []),
        ]
        self.promises = Promises(self.shared, self.clients, self.workers)
        self._stack: list[Actor] = []
        self._ids = count()

    def run(self, steps: int) -> None:
        """Take `steps` steps with faults, then continue without faults until every job is done."""
        with ExitStack() as patches:
            # Ids break ties, so a seed must always give the same ones.
            for function in ("new_id", "new_task_id"):
                patch = mock.patch(f"shoal.runs.states.{function}", lambda prefix="task": self._next_id(prefix))
                patches.enter_context(patch)
            store, promises = self.shared.store, self.promises
            patches.enter_context(mock.patch.object(store, "claim", promises.check_claims(store.claim)))
            release = promises.uncount_released(store.release_worker)
            patches.enter_context(mock.patch.object(store, "release_worker", release))
            self._set_up()
            for _ in range(steps):
                self.shared.clock.forward(self.shared.rng.expovariate(1 / (BEAT_SECONDS / 2)))
                self._disturb()
                self._act()
                self.promises.check()
            self._finish_calmly()
            self.promises.check_end()

    def _next_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):06d}"

    def _set_up(self) -> None:
        self.shared.store.before = lambda: None
        self.shared.store.is_answer_lost = lambda: False
        for client in self.clients:
            now = self.shared.clock.now()
            source = CollectionSource(type="direct_upsert")
            docs = Collection(
                collection_id="docs", collection_name="docs", source=source, created_at=now, updated_at=now
            )
            body = docs.model_dump(mode="json")
            insert(self.shared.store, client.scope, body)
            for _ in range(CLUSTERS):
                client.add_cluster()
        for _ in range(WORKERS):
            self._start_worker()
        self.shared.store.before = self._before_call
        self.shared.store.is_answer_lost = self._is_answer_lost

    def _start_worker(self) -> None:
        name = self._next_id("worker")
        self.workers[name] = SimulatedWorker(self.shared, name, self.workers)

    # ── scheduling ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _actors(self) -> list[Actor]:
        living = [worker for worker in self.workers.values() if not worker.dead]
        children: list[Actor] = [child for worker in self.workers.values() for child in worker.children]
        actors: list[Actor] = [*living, *children, *self.clients]
        return [actor for actor in actors if actor not in self._stack and actor.ready()]

    def _act(self) -> None:
        ready = self._actors()
        if not ready:
            return
        weights = [CLIENT_WEIGHT if isinstance(actor, Client) else 1.0 for actor in ready]
        actor = self.shared.rng.choices(ready, weights)[0]
        self._stack.append(actor)
        try:
            actor.step()
        finally:
            self._stack.pop()

    def _before_call(self) -> None:
        """Before a call of the store: others may act, the caller may die, the store may not answer."""
        rng = self.shared.rng
        if self.shared.calm or not self._stack:
            return
        if len(self._stack) < 4 and rng.random() < 0.06:
            if rng.random() < 0.1:
                self.shared.clock.forward(rng.uniform(0, 2 * LEASE_SECONDS))
            self._act()
        actor = self._stack[-1]
        actor.check_alive()
        luck = rng.random()
        if luck < 0.004 and isinstance(actor, SimulatedWorker):
            self._kill(actor)
            raise Died
        if luck > 0.99:
            raise Unavailable("The store does not answer.")

    def _is_answer_lost(self) -> bool:
        """Lose answers of workers only: a child that does not know what is stored simply ends."""
        if self.shared.calm or not self._stack or not isinstance(self._stack[-1], SimulatedWorker):
            return False
        return self.shared.rng.random() < 0.005

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _disturb(self) -> None:
        rng, luck = self.shared.rng, self.shared.rng.random()
        living = [worker for worker in self.workers.values() if not worker.dead]
        if luck < 0.01:
            self._kill(rng.choice(living))
        elif luck < 0.03:
            self._freeze(rng.choice(living))
        elif luck < 0.04:
            self.shared.clock.set_wall(rng.choice((-86_400.0, -3600.0, -10.0, 10.0, 3600.0)))

    def _kill(self, worker: SimulatedWorker) -> None:
        worker.die()
        self._start_worker()

    def _freeze(self, worker: SimulatedWorker) -> None:
        """Suspend a worker for up to three leases, with or without its children."""
        until = self.shared.clock.steady + self.shared.rng.uniform(0.5, 3 * LEASE_SECONDS)
        worker.frozen_until = until
        if self.shared.rng.random() < 0.5:
            for child in worker.children:
                child.frozen_until = until

    def _finish_calmly(self) -> None:
        self.shared.calm = True
        for worker in self.workers.values():
            worker.frozen_until = 0.0
            for child in worker.children:
                child.frozen_until = 0.0
        for number in range(CALM_STEPS):
            if number % 20 == 0 and self.promises.is_finished():
                return
            self.shared.clock.forward(BEAT_SECONDS / 2)
            for actor in self._actors():
                self._stack.append(actor)
                actor.step()
                self._stack.pop()
            self.promises.check()
        raise AssertionError(f"jobs are unfinished: {self.promises.list_active_jobs()}")


def insert(store: Store | MemoryStore, scope: Scope, body: Json) -> None:
    store.transact(lambda tx: tx.insert(scope, "collection", "docs", body, name="docs"))

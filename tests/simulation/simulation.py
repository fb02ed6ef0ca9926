"""One seed: who acts next, what goes wrong, and whether every promise was kept.

Everything runs in one thread. An actor's step is a few calls of the store, and before each of them others may act, so
that moves of two processes interleave as they would with processes of the system. The same seed does the same again.
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
from shoal.runs.states import RunStates
from shoal.services.clusters import Clusters
from shoal.services.removals import Removals
from shoal.storage.protocols.records import Json
from simulation.actors import LEASE_SECONDS, Actor, Client, Parts, SimulatedWorker
from simulation.promises import Promises
from simulation.world import Artifacts, Checkpoints, Clock, Died, Documents, MemoryStore, Store

__all__ = ["Simulation"]

WORKERS = 3
CLUSTERS = 2
CALM_STEPS = 4000
CLIENT_WEIGHT = 0.3


class Simulation:
    """The world of one seed on a store that is empty. `run` raises AssertionError where a promise is broken."""

    def __init__(self, store: Store | MemoryStore, seed: int) -> None:
        rng, clock, artifacts = random.Random(seed), Clock(), Artifacts()
        states = RunStates(store, clock.now, max_queued=6)
        documents = Documents().as_store()
        planning = Planning(store, documents, lambda: 1 << 40, memory_limit=lambda: 1 << 40, threads=1)
        removals = Removals(
            store, documents, artifacts.as_store(), Checkpoints().as_store(), clock.now, contextlib.nullcontext
        )
        clusters = Clusters(store, documents, states, removals, planning, clock.now)
        self.parts = Parts(rng, clock, store, artifacts, states, clusters)
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients = [
            Client(self.parts, Scope("org_a", "ns_1"), [], eager=True),
            Client(self.parts, Scope("org_a", "ns_2"), [], eager=True),
            Client(self.parts, Scope("org_b", "ns_1"), []),
        ]
        self.promises = Promises(self.parts, self.clients, self.workers)
        self._stack: list[Actor] = []
        self._ids = count()

    def run(self, steps: int) -> None:
        """`steps` moves among faults, then calm until nothing is under way."""
        with ExitStack() as patches:
            # Names are part of what happens: they decide ties, so a seed must give the same ones again.
            for place in ("new_id", "new_task_id"):
                named = mock.patch(f"shoal.runs.states.{place}", lambda prefix="task": self._name(prefix))
                patches.enter_context(named)
            store, promises = self.parts.store, self.promises
            patches.enter_context(mock.patch.object(store, "claim", promises.watching(store.claim)))
            release = promises.watching_release(store.release_worker)
            patches.enter_context(mock.patch.object(store, "release_worker", release))
            self._set_up()
            for _ in range(steps):
                self.parts.clock.forward(self.parts.rng.expovariate(1 / (BEAT_SECONDS / 2)))
                self._disturb()
                self._act()
                self.promises.check()
            self._calm_down()
            self.promises.check_end()

    def _name(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):06d}"

    def _set_up(self) -> None:
        self.parts.store.before = lambda: None
        self.parts.store.lost = lambda: False
        for client in self.clients:
            now = self.parts.clock.now()
            source = CollectionSource(type="direct_upsert")
            docs = Collection(
                collection_id="docs", collection_name="docs", source=source, created_at=now, updated_at=now
            )
            body = docs.model_dump(mode="json")
            insert(self.parts.store, client.scope, body)
            for _ in range(CLUSTERS):
                client.add_cluster()
        for _ in range(WORKERS):
            self._hire()
        self.parts.store.before = self._between
        self.parts.store.lost = self._answer_lost

    def _hire(self) -> None:
        name = self._name("worker")
        self.workers[name] = SimulatedWorker(self.parts, name, self.workers)

    # ── who acts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _actors(self) -> list[Actor]:
        living = [worker for worker in self.workers.values() if not worker.dead]
        children: list[Actor] = [child for worker in self.workers.values() for child in worker.children]
        everyone: list[Actor] = [*living, *children, *self.clients]
        return [actor for actor in everyone if actor not in self._stack and actor.ready()]

    def _act(self) -> None:
        ready = self._actors()
        if not ready:
            return
        weights = [CLIENT_WEIGHT if isinstance(actor, Client) else 1.0 for actor in ready]
        actor = self.parts.rng.choices(ready, weights)[0]
        self._stack.append(actor)
        try:
            actor.step()
        finally:
            self._stack.pop()

    def _between(self) -> None:
        """Before a call of the store: others may act, its caller may die, the store may not answer."""
        rng = self.parts.rng
        if self.parts.calm or not self._stack:
            return
        if len(self._stack) < 4 and rng.random() < 0.06:
            if rng.random() < 0.1:
                self.parts.clock.forward(rng.uniform(0, 2 * LEASE_SECONDS))
            self._act()
        actor = self._stack[-1]
        actor.check_alive()
        luck = rng.random()
        if luck < 0.004 and isinstance(actor, SimulatedWorker):
            self._kill(actor)
            raise Died
        if luck > 0.99:
            raise Unavailable("The store does not answer.")

    def _answer_lost(self) -> bool:
        """Only workers have to bear it: a child that does not know what is stored asks nobody, it ends."""
        if self.parts.calm or not self._stack or not isinstance(self._stack[-1], SimulatedWorker):
            return False
        return self.parts.rng.random() < 0.005

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────

    def _disturb(self) -> None:
        rng, luck = self.parts.rng, self.parts.rng.random()
        living = [worker for worker in self.workers.values() if not worker.dead]
        if luck < 0.01:
            self._kill(rng.choice(living))
        elif luck < 0.03:
            self._freeze(rng.choice(living))
        elif luck < 0.04:
            self.parts.clock.set_wall(rng.choice((-86_400.0, -3600.0, -10.0, 10.0, 3600.0)))

    def _kill(self, worker: SimulatedWorker) -> None:
        worker.die()
        self._hire()

    def _freeze(self, worker: SimulatedWorker) -> None:
        """SIGSTOP for up to three leases, with its children or without."""
        until = self.parts.clock.steady + self.parts.rng.uniform(0.5, 3 * LEASE_SECONDS)
        worker.frozen_until = until
        if self.parts.rng.random() < 0.5:
            for child in worker.children:
                child.frozen_until = until

    def _calm_down(self) -> None:
        self.parts.calm = True
        for worker in self.workers.values():
            worker.frozen_until = 0.0
            for child in worker.children:
                child.frozen_until = 0.0
        for number in range(CALM_STEPS):
            if number % 20 == 0 and self.promises.all_over():
                return
            self.parts.clock.forward(BEAT_SECONDS / 2)
            for actor in self._actors():
                self._stack.append(actor)
                actor.step()
                self._stack.pop()
            self.promises.check()
        raise AssertionError(f"something is under way still: {self.promises.under_way()}")


def insert(store: Store | MemoryStore, scope: Scope, body: Json) -> None:
    store.transact(lambda tx: tx.insert(scope, "collection", "docs", body, name="docs"))

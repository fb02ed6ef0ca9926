"""The world of a simulation: a clock that tests move, and a store in which faults can be asked for at each call.

The store is a real one: SQLite on a file in memory and without waiting for a disk, or the optimistic store. What is
simulated is everything around it: time, who gets to act next, processes that die, stores that do not answer.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar, cast

import orjson

from shoal.errors import Conflict, Unavailable
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.memory.outbox import OutboxTransaction, OutboxView
from shoal.storage.memory.table import Table
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.checkpoints import CheckpointStore
from shoal.storage.protocols.documents import DocumentStore, StoredDocument
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Json
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.retries import Retries
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.metadata import SqliteMetadata
from shoal.storage.sqlite.metadata_schema import METADATA_SCHEMA
from shoal.storage.transaction_bodies import TransactionBodies

__all__ = ["Artifacts", "Checkpoints", "Clock", "Died", "Documents", "JobSeen", "MemoryStore", "Store"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


_NOT_FROM_THE_LIVING = """
CREATE TEMP TRIGGER claims BEFORE UPDATE OF fence ON main.jobs
WHEN NEW.fence > OLD.fence AND OLD.state <> 'queued' AND OLD.lease_until > NEW.updated_at
BEGIN SELECT RAISE(ABORT, 'a job was taken from a worker that holds it'); END
"""


class Died(BaseException):
    """The process that acts has been killed: nothing it would have done now happens."""


@dataclass
class Clock:
    """The wall clock, which may be set, and the steady one, which only goes forward."""

    steady: float = 0.0
    wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.wall

    def read_steady(self) -> float:
        return self.steady

    def forward(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds)

    def set_wall(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


class JobSeen(NamedTuple):
    """What an onlooker sees of a job."""

    job_id: str
    organization_id: str
    namespace_id: str
    state: str
    fence: int
    attempts: int
    worker: str | None
    subject: str | None
    lease_until: datetime | None

    @property
    def cluster(self) -> tuple[str, str, str | None]:
        """The cluster of the job, in its namespace."""
        return self.organization_id, self.namespace_id, self.subject


class Hooks:
    """What a simulation asks of its store.

    `before` is called before each read and each transaction: it may let others act, raise Died, or raise Unavailable.
    `lost` tells whether the answer of a transaction that was stored gets lost.
    """

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None
        self.lost: Callable[[], bool] = lambda: False
        self.writes = 0
        self._quiet = 0

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """No faults and no others inside: for those who look on from outside."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """One step of somebody who looks first: others act before it, and its answer may get lost after it."""
        self.called()
        with self.quietly():
            yield
        self.answered()

    def called(self) -> None:
        if not self._quiet:
            self.before()

    def answered(self) -> None:
        self.writes += 1
        if not self._quiet and self.lost():
            raise Unavailable("The answer was lost; the write is stored.")


class Store(Hooks, SqliteMetadata):
    """The metadata store in SQLite. Whoever is inside a transaction is not interrupted."""

    def __init__(self, path: Path) -> None:
        Hooks.__init__(self)
        self._bodies = TransactionBodies()
        self._database = _Hooked(path, self)
        self._database.read().execute("PRAGMA synchronous=OFF")
        self._database.read().execute(_NOT_FROM_THE_LIVING)

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """All actors share one connection here, which does not see its own writes as changes."""
        self._database.read()
        return self.writes

    def empty(self) -> None:
        """As new."""
        with self.quietly(), self._database.transaction() as connection:
            for table in ("records", "jobs", "turns"):
                connection.execute(f"DELETE FROM {table}")
        self.writes = 0

    # ── for onlookers ────────────────────────────────────────────────────────────────────────────────────────────────

    def versions(self) -> dict[tuple[str, str, str, str], int]:
        """The version of each record by (kind, organisation, namespace, id)."""
        rows = self._rows("SELECT kind, organization_id, namespace_id, id, version FROM records")
        return {row[:4]: row[4] for row in rows}

    def body(self, *key: str) -> Json:
        """The body of a record."""
        where = "kind = ? AND organization_id = ? AND namespace_id = ? AND id = ?"
        body: Json = orjson.loads(self._rows(f"SELECT body FROM records WHERE {where}", *key)[0][0])
        return body

    def jobs(self) -> list[JobSeen]:
        """All jobs."""
        columns = "job_id, organization_id, namespace_id, state, fence, attempts, worker, subject, lease_until"
        rows = self._rows(f"SELECT {columns} FROM jobs")
        return [JobSeen._make((*row[:-1], row[-1] and datetime.fromisoformat(row[-1]))) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.quietly():
            return self._database.read().execute(statement, values).fetchall()


class _Hooked(Database):
    """A database that tells its store before it is used."""

    def __init__(self, path: Path, store: Store) -> None:
        self._store: Store | None = None
        super().__init__(path, METADATA_SCHEMA, setup=register_functions)
        self._store = store

    def read(self) -> Any:
        if self._store is not None and not self._session().connection.in_transaction:
            self._store.called()
        return super().read()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        outermost = self._store is not None and not self._session().connection.in_transaction
        if outermost and self._store is not None:
            self._store.called()
        with super().transaction() as connection:
            yield connection
        if outermost and self._store is not None:
            self._store.answered()


class MemoryStore(Hooks, MemoryMetadata):
    """The metadata store in memory, with conflicts. Others act also between two reads of a transaction, as they may
    where nothing is locked; what they changed is then found at the commit."""

    def __init__(self) -> None:
        Hooks.__init__(self)
        self.empty()

    def empty(self) -> None:
        """As new, and the same conflicts again."""
        conflicts = Conflicts(rate=0.05, seed=1)
        MemoryMetadata.__init__(self, conflicts, Retries(random=Random(1), sleep=lambda _: None))
        self.writes = 0

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """Time stands still while a simulated worker waits."""
        self.called()
        return super().wait_for_change(version, 0.0)

    def transact(self, body: Callable[[Transaction], T]) -> T:
        self.called()
        result = super().transact(body)
        self.answered()
        return result

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        before = {seen.job_id: seen for seen in self.jobs()}
        job = super().claim(queue, worker, now, lease_until, most_of_one)
        if job is not None and self._quiet:  # nobody acted in between
            seen = before[job.job_id]
            living = seen.state != "queued" and seen.lease_until is not None and seen.lease_until > now
            assert not living, "a job was taken from a worker that holds it"
        return job

    def called(self) -> None:
        """Others may act in the middle of a transaction: they are not inside it."""
        bodies, self._bodies = self._bodies, TransactionBodies()
        try:
            super().called()
        finally:
            self._bodies = bodies

    def _look(self, read: Callable[[OutboxView], T]) -> T:
        self.called()
        return super()._look(read)

    def _change(self, body: Callable[[OutboxTransaction], T]) -> T:
        self.called()
        with self.quietly():
            result = super()._change(body)
        self.answered()
        return result

    @contextmanager
    def _snapshot(self) -> Iterator[OutboxTransaction]:
        with super()._snapshot() as transaction:
            transaction.__class__ = _Interrupted
            cast(_Interrupted, transaction).store = self
            yield transaction

    # ── for onlookers ────────────────────────────────────────────────────────────────────────────────────────────────

    def versions(self) -> dict[tuple[str, str, str, str], int]:
        """The version of each record by (kind, organisation, namespace, id)."""
        records = self._state.records
        present = ((key, records.at(key, self._state.moment)) for key in records.every_key())
        return {key: record.version for key, record in present if record is not None}

    def body(self, *key: str) -> Json:
        """The body of a record."""
        record = self._state.records.at(cast("tuple[str, str, str, str]", key), self._state.moment)
        assert record is not None
        body: Json = orjson.loads(record.text)
        return body

    def jobs(self) -> list[JobSeen]:
        """All jobs."""
        return [
            JobSeen(job.job_id, job.scope.organization_id, job.scope.namespace_id, job.state, job.fence, job.attempts,
                    job.worker, place.subject, job.lease_until)
            for place in OutboxView(self._state, self._state.moment).places() for job in (place.job,)
        ]  # fmt: skip


class _Interrupted(OutboxTransaction):
    """A transaction that others interrupt at each read."""

    store: MemoryStore

    def row(self, table: Table[K, V], key: K) -> V | None:
        self.store.called()
        return super().row(table, key)

    def rows(self, table: Table[K, V], group: Hashable) -> list[tuple[K, V]]:
        self.store.called()
        return super().rows(table, group)


@dataclass
class Artifacts:
    """Which claim of a run wrote its tables last."""

    written: dict[str, int] = field(default_factory=dict)

    def write(
        self,
        scope: Scope,
        run_id: str,
        tables: Mapping[str, Any],
        meta: Json,
        *,
        attempt: int = 0,
    ) -> Json:
        if self.written.get(run_id, 0) > attempt:
            raise Conflict("A later attempt has written.")
        self.written[run_id] = attempt
        return meta

    def delete(self, scope: Scope, run_id: str) -> None:
        self.written.pop(run_id, None)

    def as_store(self) -> ArtifactStore:
        return cast(ArtifactStore, self)


class Checkpoints:
    """None are kept."""

    def delete(self, *_: object) -> None: ...

    def as_store(self) -> CheckpointStore:
        return cast(CheckpointStore, self)


class Documents:
    """Always two documents that match and hold no words, never one that is written."""

    def find(self, *_: object, **_more: object) -> Listing[StoredDocument]:
        return Listing([], 0, more=False)

    def result_fields(self, *_: object) -> frozenset[str]:
        return frozenset()

    def count(self, *_: object) -> int:
        return 2

    def vector_dimensions(self, *_: object) -> dict[str, int]:
        return {"v": 2}

    def generations(self, *_: object) -> list[str]:
        return []

    def drop_collection(self, *_: object) -> None: ...

    def clear_all_results(self, *_: object, **_more: object) -> bool:
        return False

    def forget_results(self, *_: object) -> None: ...

    def as_store(self) -> DocumentStore:
        return cast(DocumentStore, self)

"""The world of a simulation: a clock moved by the test, and a store that can inject faults at each call.

The store is real: SQLite on an in-memory file without syncs, or the optimistic store. Everything around it is
simulated: time, scheduling, processes that die, stores that do not answer.
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

__all__ = ["Artifacts", "Checkpoints", "Clock", "Died", "Documents", "JobSnapshot", "MemoryStore", "Store"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


_NO_CLAIM_FROM_THE_LIVING = """
CREATE TEMP TRIGGER claims BEFORE UPDATE OF fence ON main.jobs
WHEN NEW.fence > OLD.fence AND OLD.state <> 'queued' AND OLD.lease_until > NEW.updated_at
BEGIN SELECT RAISE(ABORT, 'a job was taken from a worker that holds it'); END
"""


class Died(BaseException):
    """The acting process was killed: the rest of its step does not happen."""


@dataclass
class Clock:
    """The wall clock, which may be set, and the monotonic clock."""

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


class JobSnapshot(NamedTuple):
    """The state of a job as stored."""

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
        """The cluster of the job with organisation and namespace."""
        return self.organization_id, self.namespace_id, self.subject


class Hooks:
    """Hooks of a simulation into its store.

    `before` is called before each read and each transaction: it may let others act, raise Died, or raise Unavailable.
    `is_answer_lost` returns whether the answer to a committed transaction is lost.
    """

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None
        self.is_answer_lost: Callable[[], bool] = lambda: False
        self.writes = 0
        self._quiet = 0

    @contextmanager
    def without_faults(self) -> Iterator[None]:
        """Inject no faults and let no others act: for observers."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @contextmanager
    def atomic_step(self) -> Iterator[None]:
        """Run the block as one step: others act before it, and its answer may be lost after it."""
        self.before_call()
        with self.without_faults():
            yield
        self.after_write()

    def before_call(self) -> None:
        if not self._quiet:
            self.before()

    def after_write(self) -> None:
        self.writes += 1
        if not self._quiet and self.is_answer_lost():
            raise Unavailable("The answer was lost; the write is stored.")


class Store(Hooks, SqliteMetadata):
    """The metadata store in SQLite. Transactions are not interrupted."""

    def __init__(self, path: Path) -> None:
        Hooks.__init__(self)
        self._bodies = TransactionBodies()
        self._database = _HookedDatabase(path, self)
        self._database.read().execute("PRAGMA synchronous=OFF")
        self._database.read().execute(_NO_CLAIM_FROM_THE_LIVING)

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """Count writes: all actors share one connection, which does not see its own writes as changes."""
        self._database.read()
        return self.writes

    def empty(self) -> None:
        """Delete everything."""
        with self.without_faults(), self._database.transaction() as connection:
            for table in ("records", "jobs", "turns"):
                connection.execute(f"DELETE FROM {table}")
        self.writes = 0

    # ── for observers ────────────────────────────────────────────────────────────────────────────────────────────────

    def versions(self) -> dict[tuple[str, str, str, str], int]:
        """The version of each record by (kind, organisation, namespace, id)."""
        rows = self._rows("SELECT kind, organization_id, namespace_id, id, version FROM records")
        return {row[:4]: row[4] for row in rows}

    def body(self, *key: str) -> Json:
        """The body of a record."""
        where = "kind = ? AND organization_id = ? AND namespace_id = ? AND id = ?"
        body: Json = orjson.loads(self._rows(f"SELECT body FROM records WHERE {where}", *key)[0][0])
        return body

    def jobs(self) -> list[JobSnapshot]:
        """All jobs."""
        columns = "job_id, organization_id, namespace_id, state, fence, attempts, worker, subject, lease_until"
        rows = self._rows(f"SELECT {columns} FROM jobs")
        return [JobSnapshot._make((*row[:-1], row[-1] and datetime.fromisoformat(row[-1]))) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.without_faults():
            return self._database.read().execute(statement, values).fetchall()


class _HookedDatabase(Database):
    """A database that calls the hooks of its store."""

    def __init__(self, path: Path, store: Store) -> None:
        self._store: Store | None = None
        super().__init__(path, METADATA_SCHEMA, setup=register_functions)
        self._store = store

    def read(self) -> Any:
        if self._store is not None and not self._session().connection.in_transaction:
            self._store.before_call()
        return super().read()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        outermost = self._store is not None and not self._session().connection.in_transaction
        if outermost and self._store is not None:
            self._store.before_call()
        with super().transaction() as connection:
            yield connection
        if outermost and self._store is not None:
            self._store.after_write()


class MemoryStore(Hooks, MemoryMetadata):
    """The metadata store in memory, with conflicts. Others may also act between two reads of a transaction, since
    nothing is locked; the commit then detects their changes."""

    def __init__(self) -> None:
        Hooks.__init__(self)
        self.empty()

    def empty(self) -> None:
        """Delete everything and restart the sequence of conflicts."""
        conflicts = Conflicts(rate=0.05, seed=1)
        MemoryMetadata.__init__(self, conflicts, Retries(random=Random(1), sleep=lambda _: None))
        self.writes = 0

    def wait_for_change(self, version: int | None, seconds: float) -> int:
        """Return at once: time does not pass while a simulated worker waits."""
        self.before_call()
        return super().wait_for_change(version, 0.0)

    def transact(self, body: Callable[[Transaction], T]) -> T:
        self.before_call()
        result = super().transact(body)
        self.after_write()
        return result

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        before = {snapshot.job_id: snapshot for snapshot in self.jobs()}
        job = super().claim(queue, worker, now, lease_until, most_of_one)
        if job is not None and self._quiet:  # no other actor in between
            snapshot = before[job.job_id]
            living = snapshot.state != "queued" and snapshot.lease_until is not None and snapshot.lease_until > now
            assert not living, "a job was taken from a worker that holds it"
        return job

    def before_call(self) -> None:
        """Let others act during a transaction, outside of it."""
        bodies, self._bodies = self._bodies, TransactionBodies()
        try:
            super().before_call()
        finally:
            self._bodies = bodies

    def _look(self, read: Callable[[OutboxView], T]) -> T:
        self.before_call()
        return super()._look(read)

    def _change(self, body: Callable[[OutboxTransaction], T]) -> T:
        self.before_call()
        with self.without_faults():
            result = super()._change(body)
        self.after_write()
        return result

    @contextmanager
    def _snapshot(self) -> Iterator[OutboxTransaction]:
        with super()._snapshot() as transaction:
            transaction.__class__ = _Interrupted
            cast(_Interrupted, transaction).store = self
            yield transaction

    # ── for observers ────────────────────────────────────────────────────────────────────────────────────────────────

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

    def jobs(self) -> list[JobSnapshot]:
        """All jobs."""
        return [
            JobSnapshot(job.job_id, job.scope.organization_id, job.scope.namespace_id, job.state, job.fence,
                        job.attempts, job.worker, place.subject, job.lease_until)
            for place in OutboxView(self._state, self._state.moment).places() for job in (place.job,)
        ]  # fmt: skip


class _Interrupted(OutboxTransaction):
    """A transaction in which others may act before each read."""

    store: MemoryStore

    def row(self, table: Table[K, V], key: K) -> V | None:
        self.store.before_call()
        return super().row(table, key)

    def rows(self, table: Table[K, V], group: Hashable) -> list[tuple[K, V]]:
        self.store.before_call()
        return super().rows(table, group)


@dataclass
class Artifacts:
    """The claim (fence) that last wrote the tables of each run."""

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
    """A checkpoint store that keeps nothing."""

    def delete(self, *_: object) -> None: ...

    def as_store(self) -> CheckpointStore:
        return cast(CheckpointStore, self)


class Documents:
    """A document store that counts two documents and lists none."""

    def find(self, *_: object, **_options: object) -> Listing[StoredDocument]:
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

    def clear_all_results(self, *_: object, **_options: object) -> bool:
        return False

    def forget_results(self, *_: object) -> None: ...

    def as_store(self) -> DocumentStore:
        return cast(DocumentStore, self)

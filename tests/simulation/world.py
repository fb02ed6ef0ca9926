"""The world of a simulation: a clock that tests move, and a store in which faults can be asked for at each call.

The store is the real one, SQLite with its transactions, on a file in memory and without waiting for a disk. What is
simulated is everything around it: time, who gets to act next, processes that die, stores that do not answer.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from shoal.errors import Unavailable
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.checkpoints import CheckpointStore
from shoal.storage.protocols.documents import DocumentStore, StoredDocument
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.metadata import _SCHEMA, SqliteMetadata

__all__ = ["Artifacts", "Checkpoints", "Clock", "Died", "Documents", "Store"]


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


class Store(SqliteMetadata):
    """The metadata store. `before` is called before each read and each transaction: it may let others act first, raise
    Died, or raise Unavailable. `lost` tells whether the answer of a transaction that was stored gets lost."""

    def __init__(self, path: Path) -> None:
        self.before: Callable[[], None] = lambda: None
        self.lost: Callable[[], bool] = lambda: False
        self.writes = 0
        self._quiet = 0
        self._database = _Hooked(path, self)
        self._database.read().execute("PRAGMA synchronous=OFF")
        self._database.read().execute(_NOT_FROM_THE_LIVING)

    def revision(self) -> int:
        """All actors share one connection here, which does not see its own writes as changes."""
        self._database.read()
        return self.writes

    def empty(self) -> None:
        """As new."""
        with self.quietly(), self._database.transaction() as connection:
            for table in ("records", "jobs", "turns"):
                connection.execute(f"DELETE FROM {table}")
        self.writes = 0

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """No faults and no others inside: for those who look on from outside."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What an onlooker reads."""
        with self.quietly():
            return self._database.read().execute(statement, values).fetchall()

    def called(self) -> None:
        if not self._quiet:
            self.before()

    def answered(self) -> None:
        self.writes += 1
        if not self._quiet and self.lost():
            raise Unavailable("The answer was lost; the write is stored.")


class _Hooked(Database):
    """A database that tells its store before it is used. Whoever is inside a transaction is not interrupted."""

    def __init__(self, path: Path, store: Store) -> None:
        self._store: Store | None = None
        super().__init__(path, _SCHEMA, setup=register_functions)
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
        while_holding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Json:
        with while_holding():
            self.written[run_id] = meta["fence"]
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

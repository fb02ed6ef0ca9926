"""Records and the queue of jobs in one SQLite file.

A record is a JSON body under (kind, organisation, namespace, id); what the store itself must know of it (name, version,
creation) stands beside it in columns. A job is all columns, because each move of the queue is one UPDATE.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from shoal.errors import AlreadyExists, Corrupt, NotFound, StaleVersion
from shoal.records.base import wire_time
from shoal.records.filters import Filter
from shoal.records.paging import Listing, Sort
from shoal.records.scope import Scope
from shoal.storage.base import Job, Json, Kind, Query, Stored, Totals
from shoal.storage.filters.to_sql import Sql, compile_filter, compile_search, field_sql, register_functions
from shoal.storage.sqlite import Database

__all__ = ["SqliteMetadata"]

_FIRST: Final = """
CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    namespace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT,
    version INTEGER NOT NULL,
    created_at TEXT,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX records_by_id ON records (kind, organization_id, namespace_id, id);
CREATE UNIQUE INDEX records_by_name ON records (kind, organization_id, namespace_id, name) WHERE name IS NOT NULL;
CREATE INDEX records_by_creation ON records (
    kind, organization_id, namespace_id, created_at DESC, (CASE WHEN created_at IS NULL THEN position END) DESC, id
);
CREATE INDEX records_by_namespace ON records (organization_id, namespace_id);
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    namespace_id TEXT NOT NULL,
    queue TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    fence INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    worker TEXT,
    lease_until TEXT,
    cancel_requested INTEGER NOT NULL,
    stage TEXT NOT NULL,
    fraction REAL NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX jobs_open ON jobs (queue, created_at, job_id) WHERE state <> 'done';
CREATE INDEX jobs_by_worker ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_by_namespace ON jobs (organization_id, namespace_id);
"""
_NEWEST_IN_FRONT: Final = """
DROP INDEX records_by_creation;
CREATE INDEX records_by_creation ON records (kind, organization_id, namespace_id, created_at DESC, position DESC);
"""
_SCHEMA: Final = (_FIRST, _NEWEST_IN_FRONT)

_RECORD: Final = "id, name, version, body"
_HERE: Final = "kind = ? AND organization_id = ? AND namespace_id = ?"
_NEWEST_FIRST: Final = "created_at DESC, position DESC"
_JOB: Final = (
    "job_id, organization_id, namespace_id, queue, payload, state, fence, attempts, worker, lease_until, "
    "cancel_requested, stage, fraction"
)
_MINE: Final = "job_id = ? AND fence = ? AND state = 'running'"
_CLAIM: Final = f"""
UPDATE jobs SET state = 'running', worker = ?, lease_until = ?, updated_at = ?, fence = fence + 1,
    attempts = attempts + 1
WHERE job_id = (
    SELECT job_id FROM jobs
    WHERE queue = ? AND state <> 'done' AND (state = 'queued' OR lease_until <= ?)
    ORDER BY created_at, job_id LIMIT 1
)
RETURNING {_JOB}
"""
_CANCEL: Final = f"""
UPDATE jobs SET cancel_requested = cancel_requested OR state <> 'done',
    state = CASE state WHEN 'queued' THEN 'done' ELSE state END
WHERE job_id = ? AND organization_id = ? AND namespace_id = ?
RETURNING {_JOB}
"""


class SqliteMetadata:
    """The MetadataStore of one machine: a SQLite file for all threads and processes."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, setup=register_functions)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside becomes visible at once or, on an exception, not at all. Nested calls join."""
        with self._database.transaction():
            yield

    def close(self) -> None:
        """Close the file; later calls raise Unavailable."""
        self._database.close()

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """Raises AlreadyExists where the id, or the name among records of this kind and scope, is taken."""
        values = (kind, scope.organization_id, scope.namespace_id, id, name, _created_at(body), _json(body))
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO records (kind, organization_id, namespace_id, id, name, version, created_at, body) "
                    "VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError:
                taken = name if self.get(scope, kind, id) is None else id
                raise AlreadyExists(kind, str(taken)) from None
        return Stored(id, name, 1, body)

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """None where there is no such record in the scope."""
        return self._one(scope, kind, "id", id)

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """None where no record of this kind in the scope has the name."""
        return self._one(scope, kind, "name", name)

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """Filtered, searched, sorted (default: newest first, of equal times the last one stored), paged. `total` is
        always exact."""
        where, values = _where(scope, kind, query)
        order, order_values = _order(query.sort)
        page = query.page
        with self._database.snapshot() as connection:
            total = int(connection.execute(f"SELECT count(*) FROM records WHERE {where}", values).fetchone()[0])
            rows = connection.execute(
                f"SELECT {_RECORD} FROM records WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
                (*values, *order_values, page.limit, page.offset),
            ).fetchall()
        return Listing([_stored(row) for row in rows], total, page.offset + len(rows) < total and bool(rows))

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """Raises StaleVersion where the stored version differs, NotFound where it is gone, AlreadyExists for the
        name."""
        values = (name, _created_at(body), _json(body), *_key(scope, kind), id, expect_version)
        with self._database.transaction() as connection:
            try:
                changed = connection.execute(
                    "UPDATE records SET name = ?, created_at = ?, body = ?, version = version + 1 "
                    f"WHERE {_HERE} AND id = ? AND version = ?",
                    values,
                ).rowcount
            except sqlite3.IntegrityError:
                raise AlreadyExists(kind, str(name)) from None
            if not changed:
                raise self._lost_race(scope, kind, id, expect_version)
        return Stored(id, name, expect_version + 1, body)

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """Whether there was something to delete."""
        return self._write(f"DELETE FROM records WHERE {_HERE} AND id = ?", (*_key(scope, kind), id)) > 0

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, keep: int, most: int) -> int:
        """Delete records that were created before a moment, and all but the newest `keep`: the oldest first, at most
        `most` for either reason. Returns how many."""
        oldest = f"SELECT position FROM records WHERE {_HERE}"
        first = "ORDER BY created_at, position LIMIT ?"
        key = _key(scope, kind)
        with self._database.transaction() as connection:
            aged = self._write(
                f"DELETE FROM records WHERE position IN ({oldest} AND created_at < ? {first})",
                (*key, wire_time(before), most),
            )
            count = connection.execute(f"SELECT count(*) FROM records WHERE {_HERE}", key).fetchone()[0]
            surplus = min(max(count - keep, 0), most)
            return aged + self._write(f"DELETE FROM records WHERE position IN ({oldest} {first})", (*key, surplus))

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """For each value of the top-level text field `by`: how many records match, and the sums of the top-level
        numeric fields `sums` over them (absent and null count as 0)."""
        where, values = _where(scope, kind, Query(filter=filter))
        fields = "".join(", total(json_extract(body, ?))" for _ in sums)
        rows = self._database.read().execute(
            f"SELECT json_extract(body, ?), count(*){fields} FROM records WHERE {where} GROUP BY 1 ORDER BY 1",
            (f"$.{by}", *(f"$.{field}" for field in sums), *values),
        )
        return {str(value): (count, added) for value, count, *added in rows.fetchall()}

    def delete_scope(self, scope: Scope) -> int:
        """Delete every record and job of exactly this organisation and namespace. Returns how many records."""
        with self._database.transaction():
            self._write("DELETE FROM jobs WHERE organization_id = ? AND namespace_id = ?", _place(scope))
            return self._write("DELETE FROM records WHERE organization_id = ? AND namespace_id = ?", _place(scope))

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def enqueue(self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime) -> None:
        """Put a job at the end of its queue. Raises AlreadyExists for a job id that was ever used."""
        values = (job_id, *_place(scope), queue, _json(payload), _time(now), _time(now))
        try:
            self._write(
                f"INSERT INTO jobs ({_JOB}, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, ?, 'queued', 0, 0, NULL, NULL, 0, '', 0.0, ?, ?)",
                values,
            )
        except sqlite3.IntegrityError:
            raise AlreadyExists("job", job_id) from None

    def claim(self, queue: str, worker: str, now: datetime, lease_until: datetime) -> Job | None:
        """Take the oldest job that is queued, or running with a lease that ended; its fence and attempts grow by 1.
        One atomic statement: two workers never get the same job."""
        return self._move(_CLAIM, (worker, _time(lease_until), _time(now), queue, _time(now)))

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """Extend the lease and note the progress. None where the fence is stale or the job is done: stop at once."""
        return self._move(
            f"UPDATE jobs SET lease_until = ?, updated_at = ?, stage = ?, fraction = ? WHERE {_MINE} RETURNING {_JOB}",
            (_time(lease_until), _time(now), stage, fraction, job_id, fence),
        )

    def finish(self, job_id: str, fence: int) -> bool:
        """Move to done. False where the fence is stale."""
        return self._write(f"UPDATE jobs SET state = 'done', lease_until = NULL WHERE {_MINE}", (job_id, fence)) > 0

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """Hand a running job back to the queue, in its old place. False where the fence is stale."""
        back = "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, attempts = attempts - ?"
        return self._write(f"{back} WHERE {_MINE}", (0 if crashed else 1, job_id, fence)) > 0

    def release_worker(self, worker: str) -> int:
        """Return the running jobs of a worker known to be dead to the queue. Returns how many.

        The attempt does not count: it was the worker that died, with its server perhaps, not the job.
        """
        back = "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, attempts = attempts - 1"
        return self._write(f"{back} WHERE worker = ? AND state = 'running'", (worker,))

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """A queued job becomes done; a running one is asked to stop. Returns the job afterwards, None if unknown."""
        return self._move(_CANCEL, (job_id, *_place(scope)))

    def get_job(self, scope: Scope, job_id: str) -> Job | None:
        """None where there is no such job in the scope."""
        row = (
            self._database.read()
            .execute(
                f"SELECT {_JOB} FROM jobs WHERE job_id = ? AND organization_id = ? AND namespace_id = ?",
                (job_id, *_place(scope)),
            )
            .fetchall()
        )
        return _job(row[0]) if row else None

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """Forget a job. Whether there was something to remove."""
        statement = "DELETE FROM jobs WHERE job_id = ? AND organization_id = ? AND namespace_id = ?"
        return self._write(statement, (job_id, *_place(scope))) > 0

    def running_workers(self) -> Sequence[str]:
        """The distinct workers that hold a running job, in order."""
        select = "SELECT DISTINCT worker FROM jobs WHERE state = 'running' ORDER BY worker"
        return [row[0] for row in self._database.read().execute(select).fetchall()]

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _one(self, scope: Scope, kind: Kind, column: str, value: str) -> Stored | None:
        select = f"SELECT {_RECORD} FROM records WHERE {_HERE} AND {column} = ?"
        rows = self._database.read().execute(select, (*_key(scope, kind), value)).fetchall()
        return _stored(rows[0]) if rows else None

    def _lost_race(self, scope: Scope, kind: Kind, id: str, expected: int) -> NotFound | StaleVersion:
        present = self.get(scope, kind, id)
        if present is None:
            return NotFound(kind, id)
        return StaleVersion(
            f"The {kind} {id!r} was changed meanwhile (version {present.version}, not {expected}). Read it again.",
            id=id,
            version=present.version,
        )

    def _write(self, statement: str, values: Sequence[object]) -> int:
        """Run one statement on its own, or in the transaction that is open. Returns the rows it changed."""
        with self._database.transaction() as connection:
            return connection.execute(statement, values).rowcount

    def _move(self, statement: str, values: Sequence[object]) -> Job | None:
        with self._database.transaction() as connection:
            # All rows are fetched: a statement that is still running would block the commit.
            rows = connection.execute(statement, values).fetchall()
        return _job(rows[0]) if rows else None


def _place(scope: Scope) -> tuple[str, str]:
    return scope.organization_id, scope.namespace_id


def _key(scope: Scope, kind: Kind) -> tuple[str, str, str]:
    return kind, scope.organization_id, scope.namespace_id


def _where(scope: Scope, kind: Kind, query: Query) -> tuple[str, list[object]]:
    parts = [Sql(_HERE, _key(scope, kind)), compile_filter(query.filter, "body")]
    if query.search:
        parts.append(compile_search(query.search, query.search_fields, "body"))
    return " AND ".join(f"({part.text})" for part in parts), [value for part in parts for value in part.params]


def _order(sorts: Sequence[Sort]) -> tuple[str, list[object]]:
    """Records without the field come last both ways, ties by id."""
    if not sorts:
        return _NEWEST_FIRST, []
    texts, values = [], list[object]()
    for sort in sorts:
        field = field_sql(sort.field, "body")
        texts.append(f"({field.text}) {'DESC' if sort.descending else 'ASC'} NULLS LAST")
        values += field.params
    return ", ".join([*texts, "id"]), values


def _json(body: Json) -> str:
    return orjson.dumps(body).decode()


def _created_at(body: Json) -> str | None:
    value = body.get("created_at")
    return value if isinstance(value, str) else None


def _stored(row: tuple[Any, ...]) -> Stored:
    id, name, version, body = row
    return Stored(id, name, version, _parsed(body))


def _job(row: tuple[Any, ...]) -> Job:
    id, organization, namespace, queue, payload, state, fence, attempts, worker, lease, cancel, stage, fraction = row
    return Job(
        job_id=id,
        scope=Scope(organization, namespace),
        queue=queue,
        payload=_parsed(payload),
        state=state,
        fence=fence,
        attempts=attempts,
        worker=worker,
        lease_until=None if lease is None else datetime.fromisoformat(lease),
        cancel_requested=bool(cancel),
        stage=stage,
        fraction=fraction,
    )


def _parsed(text: str) -> Json:
    try:
        parsed: Json = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Corrupt(f"A stored record is damaged ({error}). Restore the database from a backup.") from error
    return parsed


def _time(moment: datetime) -> str:
    """UTC with microseconds, always the same width: the order of the texts is the order of the times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")

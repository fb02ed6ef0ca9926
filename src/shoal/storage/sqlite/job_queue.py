"""The job queue in SQLite. A job is all columns, because each move of the queue is one UPDATE.

Next is the organisation with the fewest running jobs, of those the one that was served longest ago, and of its jobs the
oldest. So ten thousand jobs of one organisation delay a job of another by no more than those that are running. Of the
jobs of one subject (a cluster) at most one runs, and at most one is open whose outcome is not recorded yet.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.errors import AlreadyExists, Conflict
from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.access import IN_SCOPE, SqliteReads, SqliteWrites, place
from shoal.storage.sqlite.stored_cells import parse_object, parse_time

__all__ = ["FAIR_QUEUE", "IN_ORDER_OF_STORING", "SqliteJobQueue", "SqliteJobReads", "SqliteJobWrites"]

FAIR_QUEUE: Final = """
ALTER TABLE jobs ADD COLUMN subject TEXT;
ALTER TABLE jobs ADD COLUMN holds_subject INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_open;
CREATE INDEX jobs_open ON jobs (queue, organization_id, created_at, job_id) WHERE state <> 'done';
CREATE INDEX jobs_queued ON jobs (queue, organization_id) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (queue, organization_id, subject) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_holding ON jobs (queue, organization_id, namespace_id, subject) WHERE holds_subject;
CREATE TABLE turns (
    queue TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    served INTEGER NOT NULL,
    PRIMARY KEY (queue, organization_id)
) WITHOUT ROWID;
CREATE INDEX turns_by_time ON turns (queue, served);
"""
"""The step of the schema that introduced fair scheduling (the table `turns`) and subjects."""
IN_ORDER_OF_STORING: Final = """
DROP INDEX jobs_open;
CREATE INDEX jobs_open ON jobs (queue, organization_id) WHERE state <> 'done';
"""
"""The step since which the oldest job is the one that was stored first, whatever its time."""

_JOB: Final = (
    "job_id, organization_id, namespace_id, queue, payload, state, fence, attempts, worker, lease_until, "
    "cancel_requested, stage, fraction"
)
_ANY: Final = 2**62
_MINE: Final = "job_id = ? AND fence = ? AND state = 'running'"
_HERE: Final = f"job_id = ? AND {IN_SCOPE}"
# A loose index scan: one step for each organisation, however many jobs it has.
_NEXT: Final = """
WITH RECURSIVE
open(organization_id) AS (
    SELECT min(organization_id) FROM jobs WHERE queue = :queue AND state <> 'done'
    UNION ALL
    SELECT (SELECT min(jobs.organization_id) FROM jobs
            WHERE queue = :queue AND state <> 'done' AND jobs.organization_id > open.organization_id)
    FROM open WHERE open.organization_id IS NOT NULL
),
turn(job_id, busy, served, organization_id) AS (
    SELECT
        (SELECT job_id FROM jobs AS job
         WHERE job.queue = :queue AND state <> 'done' AND job.organization_id = open.organization_id
            AND (state = 'queued' OR lease_until <= :now)
            AND NOT EXISTS (
                SELECT 1 FROM jobs AS other INDEXED BY jobs_running
                WHERE other.state = 'running' AND other.queue = :queue AND other.subject = job.subject
                    AND other.organization_id = job.organization_id AND other.namespace_id = job.namespace_id
                    AND other.job_id <> job.job_id)
         ORDER BY job.rowid LIMIT 1),
        (SELECT count(*) FROM jobs AS other INDEXED BY jobs_running
         WHERE other.state = 'running' AND other.queue = :queue AND other.lease_until > :now
            AND other.organization_id = open.organization_id),
        coalesce((SELECT served FROM turns
                  WHERE turns.queue = :queue AND turns.organization_id = open.organization_id), 0),
        organization_id
    FROM open WHERE organization_id IS NOT NULL
)
SELECT job_id, organization_id FROM turn WHERE job_id IS NOT NULL AND busy < :most
ORDER BY busy, served, organization_id LIMIT 1
"""
_CLAIM: Final = f"""
UPDATE jobs SET state = 'running', worker = ?, lease_until = ?, updated_at = ?, fence = fence + 1,
    attempts = attempts + 1
WHERE job_id = ? RETURNING {_JOB}
"""
_SERVED: Final = """
INSERT INTO turns (queue, organization_id, served)
VALUES (:queue, :organization, 1 + coalesce((SELECT max(served) FROM turns WHERE queue = :queue), 0))
ON CONFLICT (queue, organization_id) DO UPDATE SET served = excluded.served
"""
_CANCEL: Final = f"""
UPDATE jobs SET cancel_requested = cancel_requested OR state <> 'done', holds_subject = 0,
    state = CASE state WHEN 'queued' THEN 'done' ELSE state END
WHERE {_HERE} RETURNING {_JOB}
"""


class SqliteJobReads(SqliteReads):
    """The JobReader."""

    def get_job(self, scope: Scope, job_id: str) -> Job | None:
        """See JobReader."""
        select = f"SELECT {_JOB} FROM jobs WHERE {_HERE}"
        rows = self._read().execute(select, (job_id, *place(scope))).fetchall()
        return _job(rows[0]) if rows else None

    def count_queued(self, scope: Scope, queue: str) -> int:
        """See JobReader."""
        select = "SELECT count(*) FROM jobs WHERE queue = ? AND organization_id = ? AND state = 'queued'"
        return int(self._read().execute(select, (queue, scope.organization_id)).fetchone()[0])


class SqliteJobMoves(SqliteJobReads, SqliteWrites):
    """Moves of jobs, each one statement."""

    def _change(self, statement: str, values: Sequence[object]) -> int:
        """Run one statement. Returns the number of rows it changed."""
        with self._writing() as connection:
            return connection.execute(statement, values).rowcount

    def _move(self, statement: str, values: Sequence[object]) -> Job | None:
        with self._writing() as connection:
            # All rows are fetched: a statement that is still running would block the commit.
            rows = connection.execute(statement, values).fetchall()
        return _job(rows[0]) if rows else None


class SqliteJobWrites(SqliteJobMoves):
    """The JobWriter, inside a transaction."""

    def enqueue(
        self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime, *, subject: str | None = None
    ) -> None:
        """See JobWriter."""
        values = (
            job_id,
            *place(scope),
            queue,
            orjson.dumps(payload).decode(),
            format_stored_time(now),
            format_stored_time(now),
            subject,
        )
        with self._writing() as connection:
            try:
                connection.execute(
                    f"INSERT INTO jobs ({_JOB}, created_at, updated_at, subject, holds_subject) "
                    "VALUES (?, ?, ?, ?, ?, 'queued', 0, 0, NULL, NULL, 0, '', 0.0, ?, ?, ?, ?)",
                    (*values, int(subject is not None)),
                )
            except sqlite3.IntegrityError:
                if self.get_job(scope, job_id) is None and subject is not None:
                    raise Conflict(f"Another job for {subject} is open.", subject=subject) from None
                raise AlreadyExists("job", job_id) from None

    def release_subject(self, scope: Scope, job_id: str) -> None:
        """See JobWriter."""
        self._change(f"UPDATE jobs SET holds_subject = 0 WHERE {_HERE}", (job_id, *place(scope)))

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """See JobWriter."""
        return self._move(_CANCEL, (job_id, *place(scope)))

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """See JobWriter."""
        return self._change(f"DELETE FROM jobs WHERE {_HERE}", (job_id, *place(scope))) > 0


class SqliteJobQueue(SqliteJobMoves):
    """The JobQueue; each call is a transaction of its own."""

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        """See JobQueue."""
        most = _ANY if most_of_one is None else most_of_one
        parameters = {"queue": queue, "now": format_stored_time(now), "most": most}
        if not self._read().execute(_NEXT, parameters).fetchall():
            return None  # an idle worker takes no write lock
        with self._writing() as connection:
            candidates = connection.execute(_NEXT, parameters).fetchall()
            if not candidates:
                return None
            job_id, organization = candidates[0]
            connection.execute(_SERVED, {"queue": queue, "organization": organization})
            rows = connection.execute(
                _CLAIM, (worker, format_stored_time(lease_until), format_stored_time(now), job_id)
            ).fetchall()
        return _job(rows[0])

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """See JobQueue."""
        return self._move(
            f"UPDATE jobs SET lease_until = ?, updated_at = ?, stage = ?, fraction = ? WHERE {_MINE} RETURNING {_JOB}",
            (format_stored_time(lease_until), format_stored_time(now), stage, fraction, job_id, fence),
        )

    def finish(self, job_id: str, fence: int) -> bool:
        """See JobQueue."""
        done = "UPDATE jobs SET state = 'done', lease_until = NULL, holds_subject = 0"
        return self._change(f"{done} WHERE {_MINE}", (job_id, fence)) > 0

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """See JobQueue."""
        back = "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, attempts = attempts - ?"
        return self._change(f"{back} WHERE {_MINE}", (0 if crashed else 1, job_id, fence)) > 0

    def release_worker(self, worker: str) -> int:
        """See JobQueue. The attempt does not count, because the worker died, perhaps with its server, not the job."""
        back = "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, attempts = attempts - 1"
        return self._change(f"{back} WHERE worker = ? AND state = 'running'", (worker,))

    def running_jobs(self, queue: str) -> Sequence[Job]:
        """See JobQueue."""
        select = f"SELECT {_JOB} FROM jobs WHERE state = 'running' AND queue = ?"
        return [_job(row) for row in self._read().execute(select, (queue,)).fetchall()]

    def waiting(self, queue: str) -> tuple[int, datetime | None]:
        """See JobQueue."""
        select = "SELECT count(*), min(created_at) FROM jobs WHERE queue = ? AND state = 'queued'"
        count, oldest = self._read().execute(select, (queue,)).fetchone()
        return count, None if oldest is None else datetime.fromisoformat(oldest)

    def running_workers(self) -> Sequence[str]:
        """See JobQueue."""
        select = "SELECT DISTINCT worker FROM jobs WHERE state = 'running' ORDER BY worker"
        return [row[0] for row in self._read().execute(select).fetchall()]


def _job(row: tuple[Any, ...]) -> Job:
    id, organization, namespace, queue, payload, state, fence, attempts, worker, lease, cancel, stage, fraction = row
    read = parse_object(payload)  # one damaged job must not prevent reading the others
    return Job(
        job_id=id,
        scope=Scope(organization, namespace),
        queue=queue,
        payload=read or {},
        damaged=read is None,
        state=state,
        fence=fence,
        attempts=attempts,
        worker=worker,
        lease_until=parse_time(lease),
        cancel_requested=bool(cancel),
        stage=stage,
        fraction=fraction,
    )

"""The schema of the metadata store, one step for each format.

A record is a JSON body under (kind, organisation, namespace, id); what the store itself needs to know about it (name,
version, creation time) has columns of its own.
"""

from typing import Final

from shoal.storage.sqlite.events import EVENTS_CHECKSUM, EVENTS_SCHEMA
from shoal.storage.sqlite.job_queue import FAIR_QUEUE, IN_ORDER_OF_STORING
from shoal.storage.sqlite.replies import REPLIES_CHECKSUM, REPLIES_SCHEMA
from shoal.storage.sqlite.schedules import SCHEDULES_CHECKSUM, SCHEDULES_SCHEMA

__all__ = ["METADATA_FORMAT", "METADATA_SCHEMA"]

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
_CHECKSUMS: Final = """
ALTER TABLE records ADD COLUMN checksum INTEGER;
CREATE TABLE counters (name TEXT PRIMARY KEY, count INTEGER NOT NULL, total REAL NOT NULL) WITHOUT ROWID;
"""
_IN_ORDER_OF_STORING: Final = (
    """
DROP INDEX records_by_creation;
CREATE INDEX records_by_position ON records (kind, organization_id, namespace_id, position);
CREATE INDEX records_by_age ON records (kind, organization_id, namespace_id, created_at);
"""
    + IN_ORDER_OF_STORING
)
"""Times do not give the order: a clock may be set back."""
METADATA_SCHEMA: Final = (
    *(_FIRST, _NEWEST_IN_FRONT, FAIR_QUEUE, _CHECKSUMS, REPLIES_SCHEMA, REPLIES_CHECKSUM),
    _IN_ORDER_OF_STORING,
    EVENTS_SCHEMA + SCHEDULES_SCHEMA,
    EVENTS_CHECKSUM + SCHEDULES_CHECKSUM,
)
METADATA_FORMAT: Final = len(METADATA_SCHEMA)

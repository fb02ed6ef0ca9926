"""The audit log: who did what, when, and with which outcome. No contents of documents, no secrets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shoal.records.base import Record, Timestamp
from shoal.records.key import Caller
from shoal.records.queries.paging import Pagination

__all__ = ["Action", "AuditEntry", "AuditList", "AuditQuestion", "Origin", "Outcome"]

Action = Literal[
    "namespace.create", "namespace.change", "namespace.delete",
    "bucket.create", "bucket.change", "bucket.delete",
    "object.create", "object.change", "object.delete",
    "collection.create", "collection.change", "collection.delete", "collection.enrich",
    "document.create", "document.change", "document.delete",
    "documents.upsert", "documents.change", "documents.delete", "documents.import",
    "cluster.create", "cluster.change", "cluster.delete", "cluster.execute",
    "run.cancel", "run.change",
    "key.create", "key.change", "key.revoke", "key.delete", "key.rotate", "key.refuse",
]  # fmt: skip
"""What can be done, as `resource.verb`. `key.refuse` is a call that its key does not allow, or that has no good key."""

Outcome = Literal["done", "forbidden", "unauthenticated"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call comes from. `caller` is None until the key was checked; `via` names the way in."""

    via: Literal["http", "command line"]
    caller: Caller | None = None
    request_id: str | None = None
    address: str | None = None
    """The client's address as the server sees it: behind a proxy, the proxy's."""
    user: str | None = None
    """The user of the operating system, for the command line."""


class AuditEntry(Record):
    """One thing that was done, or was refused. `details` holds counts and ids of what else is concerned."""

    schema_version: int = 1
    audit_id: str
    created_at: Timestamp
    organization_id: str
    """Empty for a call whose key belongs to no organisation."""
    namespace_id: str | None = None
    action: Action
    outcome: Outcome = "done"
    resource_type: str
    resource_id: str
    via: str
    key_id: str | None = None
    key_name: str | None = None
    user: str | None = None
    """The key's user, or the one at the command line."""
    address: str | None = None
    request_id: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuestion:
    """Which rows are asked for. `action` may be the beginning of one, such as `key.`; `key` is a name or an id."""

    action: str | None = None
    outcome: Outcome | None = None
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditList(Record):
    """The answer to the list route."""

    results: list[AuditEntry]
    pagination: Pagination
    total_count: int

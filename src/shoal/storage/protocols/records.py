"""Records of all kinds, as JSON objects, within a scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing, Page, Sort
from shoal.records.scope import Scope

__all__ = ["Json", "Kind", "Query", "RecordReader", "RecordWriter", "Stored", "Totals"]

Json = dict[str, Any]
"""A decoded JSON object."""

Totals = Mapping[str, tuple[int, Sequence[float]]]
"""A count and sums for each value of a field."""

Kind = Literal[
    "organization",
    "key",
    "namespace",
    "bucket",
    "object",
    "collection",
    "cluster",
    "execution",
    "task",
    "audit",
    "removal",
    "relabeling",
    "clock",
    "document_write",
    "enrichment",
    "migration",
    "answer",
    "spending",
]


@dataclass(frozen=True, slots=True)
class Query:
    """The query of a list.

    `search` is a case-insensitive substring over `search_fields`; a page of documents that would take more than
    `most_bytes` as JSON is refused with InvalidField.
    """

    filter: Filter = MATCH_ALL
    sort: Sequence[Sort] = ()
    page: Page = field(default_factory=Page)
    search: str | None = None
    search_fields: Sequence[str] = ()
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as stored. `version` starts at 1 and grows by 1 with each write."""

    id: str
    name: str | None
    version: int
    body: Json


class RecordReader(Protocol):
    """Reads of records: of a store, which sees committed records, or of a transaction, which sees its own writes
    too."""

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """Return a record; None if the scope has no such record."""

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """Return a record by name; None if no record of this kind in the scope has the name."""

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """Return the alphabetically first `most` names of records of a kind in exactly this scope."""

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """Return a page of records: filtered, searched, sorted (newest first by default). `total` is exact."""

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """Group the matching records by the top-level text field `by`: count them, and sum the top-level numeric fields
        `sums` (absent and null count as 0). No record leaves the store."""


class RecordWriter(Protocol):
    """Writes of records, inside a transaction. A write that raises ends the transaction."""

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """Insert a record.

        Raises AlreadyExists if the id, or the name among records of this kind and scope, is taken.
        """

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """Replace a record. Raises StaleVersion if the stored version differs, NotFound if the record is gone, and
        AlreadyExists if the name is taken."""

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """Delete a record. Returns whether it existed."""

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int) -> int:
        """Delete records created before a time, and all but the newest `keep`: oldest first, at most `most` for either
        reason. Returns their number.

        A record stored after one that is kept is kept too, whatever its time: the clock was set back then. Times after
        `now` are ignored.
        """

    def delete_scope(self, scope: Scope) -> int:
        """Delete every record, job, saved reply, event, feed and schedule of exactly this scope. Returns the
        number of records."""

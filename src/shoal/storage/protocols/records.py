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
]


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks for. `search` is a case-insensitive substring over `search_fields`; a page of documents that
    would take more than `most_bytes` as JSON is refused with InvalidField."""

    filter: Filter = MATCH_ALL
    sort: Sequence[Sort] = ()
    page: Page = field(default_factory=Page)
    search: str | None = None
    search_fields: Sequence[str] = ()
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the store holds it. `version` starts at 1 and grows by 1 with each write."""

    id: str
    name: str | None
    version: int
    body: Json


class RecordReader(Protocol):
    """Reads of records: of a store, which sees what is committed, or of a transaction, which sees its own writes."""

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """None where the scope has no such record."""

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """None where no record of this kind in the scope has the name."""

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """The names of records of a kind in exactly this scope, the first in alphabetical order."""

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """Filtered, searched, sorted (default: the last one stored first), paged. `total` is exact."""

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """For each value of the top-level text field `by`: how many records match, and the sums of the top-level
        numeric fields `sums` over them (absent and null count as 0). No record leaves the store."""


class RecordWriter(Protocol):
    """Writes of records, which only a transaction has. One that raises ends the transaction it belongs to."""

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """Raises AlreadyExists where the id, or the name among records of this kind and scope, is taken."""

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """Raises StaleVersion where the stored version differs, NotFound where it is gone, AlreadyExists for the
        name."""

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """Whether there was something to delete."""

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int) -> int:
        """Delete records that were created before a moment, and all but the newest `keep`: the first ones stored first,
        at most `most` for either reason. Returns how many.

        A record that was stored after one that is to be kept stays, whatever its time says: a clock was set back then.
        Times after `now` say nothing."""

    def delete_scope(self, scope: Scope) -> int:
        """Delete every record, job, saved reply, event, feed and schedule of exactly this scope. Returns how many
        records."""

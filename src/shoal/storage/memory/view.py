"""Reads of a snapshot of an in-memory store, which track what was read."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from shoal.records.queries.filters import Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.filters.ordering import in_order
from shoal.storage.filters.to_mask import contains_text, matches
from shoal.storage.memory.state import EVERY_JOB, Place, Record, State
from shoal.storage.memory.table import Table
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Json, Kind, Query, Stored, Totals
from shoal.storage.protocols.replies import SavedReply

__all__ = ["View"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class View:
    """A RecordReader, JobReader and ReplyReader over a snapshot and the transaction's own writes.

    A commit validates `read_keys`, which include keys of missing rows, and `scanned`, whole groups, which cover rows
    that did not exist yet.
    """

    def __init__(self, state: State, moment: int) -> None:
        self.state, self.moment = state, moment
        self.read_keys: dict[Table[Any, Any], dict[Any, None]] = {table: {} for table in state.tables}
        self.scanned: dict[Table[Any, Any], dict[Hashable, None]] = {table: {} for table in state.tables}
        self.written: dict[Table[Any, Any], dict[Any, Any]] = {table: {} for table in state.tables}
        self.usable = True

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def row(self, table: Table[K, V], key: K) -> V | None:
        """Return the value of a key."""
        self.check()
        own: dict[K, V | None] = self.written[table]
        if key in own:
            return own[key]
        self.read_keys[table][key] = None
        with self.state.lock:
            return table.at(key, self.moment)

    def rows(self, table: Table[K, V], group: Hashable) -> list[tuple[K, V]]:
        """Return the keys and values of a group."""
        self.check()
        own: dict[K, V | None] = self.written[table]
        self.scanned[table][group] = None
        with self.state.lock:
            committed = [(key, value) for key, value in table.scan(group, self.moment) if key not in own]
        mine = [(key, value) for key, value in own.items() if value is not None and table.group_of(key) == group]
        return committed + mine

    def check(self) -> None:
        """Raise RuntimeError after the end of the transaction."""
        if not self.usable:
            raise RuntimeError("The transaction cannot be used any more: it is over or refused a write.")

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """See RecordReader."""
        record = self.row(self.state.records, (kind, scope.organization_id, scope.namespace_id, id))
        return None if record is None else to_stored(id, record)

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """See RecordReader."""
        id = self.row(self.state.names, (kind, scope.organization_id, scope.namespace_id, name))
        return None if id is None else self.get(scope, kind, id)

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """See RecordReader."""
        found_names = self.rows(self.state.names, (kind, scope.organization_id, scope.namespace_id))
        return sorted((key[3] for key, _ in found_names), key=str.encode)[:most]

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """See RecordReader."""
        rows = [row for row in self._parse_rows(scope, kind) if _is_wanted(query, row[1])]
        if query.sort:
            rows = in_order(rows, query.sort)
        else:
            rows.sort(key=lambda row: row[2].position, reverse=True)
        page = query.page
        part = rows[page.offset : page.offset + page.limit]
        items = [Stored(id, record.name, record.version, body) for id, body, record in part]
        return Listing(items, len(rows), page.offset + len(items) < len(rows) and bool(items))

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """See RecordReader."""
        figures: dict[str, tuple[int, list[float]]] = {}
        for _, body, _ in sorted(self._parse_rows(scope, kind), key=lambda row: str(row[1].get(by))):
            if matches(filter, body):
                count, added = figures.get(str(body.get(by)), (0, [0.0] * len(sums)))
                more = [total + _number(body.get(name)) for total, name in zip(added, sums, strict=True)]
                figures[str(body.get(by))] = (count + 1, more)
        return figures

    def _parse_rows(self, scope: Scope, kind: Kind) -> list[tuple[str, Json, Record]]:
        rows = self.rows(self.state.records, (kind, scope.organization_id, scope.namespace_id))
        return [(key[3], orjson.loads(record.text), record) for key, record in rows]

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_job(self, scope: Scope, job_id: str) -> Job | None:
        """See JobReader."""
        place = self.place(scope, job_id)
        return None if place is None else place.job

    def count_queued(self, scope: Scope, queue: str) -> int:
        """See JobReader."""
        return len(self.rows(self.state.waiting, (queue, scope.organization_id)))

    def place(self, scope: Scope, job_id: str) -> Place | None:
        """Return the place of a job of exactly this scope."""
        place = self.row(self.state.jobs, job_id)
        return place if place is not None and place.job.scope == scope else None

    def places(self) -> Iterator[Place]:
        """Yield the places of all jobs, in the order in which they were stored."""
        yield from sorted(
            (place for _, place in self.rows(self.state.jobs, EVERY_JOB)), key=lambda place: place.position
        )

    # ── replies and counters ─────────────────────────────────────────────────────────────────────────────────────────

    def get_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """See ReplyReader."""
        return self.row(self.state.replies, (scope.organization_id, scope.namespace_id, key))

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """See CounterReader."""
        with self.state.lock:
            return {name: (counter.count, counter.total) for name, counter in self.state.counters.items()}


def to_stored(id: str, record: Record) -> Stored:
    """Convert a record for readers."""
    return Stored(id, record.name, record.version, orjson.loads(record.text))


def _is_wanted(query: Query, body: Json) -> bool:
    if not matches(query.filter, body):
        return False
    return not query.search or contains_text(query.search, query.search_fields, body)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0

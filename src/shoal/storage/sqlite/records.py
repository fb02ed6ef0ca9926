"""Records in SQLite: reads over any connection, writes over that of a transaction."""

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.errors import AlreadyExists, Corrupt, NotFound, StaleVersion
from shoal.records.base import format_wire_time
from shoal.records.queries.filters import Filter
from shoal.records.queries.paging import Listing, Sort
from shoal.records.scope import Scope
from shoal.storage.checksums import text_checksum
from shoal.storage.filters.expressions import Sql
from shoal.storage.filters.to_sql import compile_filter, compile_search, order_sql
from shoal.storage.protocols.records import Json, Kind, Query, Stored, Totals
from shoal.storage.sqlite.access import IN_SCOPE, SqliteReads, SqliteWrites, place
from shoal.storage.sqlite.events import delete_events
from shoal.storage.sqlite.replies import forget_replies
from shoal.storage.sqlite.schedules import delete_schedules
from shoal.storage.sqlite.stored_cells import parse_object

__all__ = ["SqliteRecordReads", "SqliteRecordWrites"]

_RECORD: Final = "id, name, version, body, checksum"
_HERE: Final = f"kind = ? AND {IN_SCOPE}"
_NEWEST_FIRST: Final = "position DESC"


class SqliteRecordReads(SqliteReads):
    """The RecordReader."""

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a connection on which all reads see one snapshot."""

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None:
        """See RecordReader."""
        return self._get(scope, kind, "id", id)

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None:
        """See RecordReader."""
        return self._get(scope, kind, "name", name)

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """See RecordReader."""
        select = f"SELECT name FROM records WHERE {_HERE} AND name IS NOT NULL ORDER BY name LIMIT ?"
        return [row[0] for row in self._read().execute(select, (*_key(scope, kind), most)).fetchall()]

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """See RecordReader."""
        where, values = _where(scope, kind, query)
        order, order_values = _order(query.sort)
        page = query.page
        with self._snapshot() as connection:
            total = int(connection.execute(f"SELECT count(*) FROM records WHERE {where}", values).fetchone()[0])
            rows = connection.execute(
                f"SELECT {_RECORD} FROM records WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
                (*values, *order_values, page.limit, page.offset),
            ).fetchall()
        return Listing([_read_row(row) for row in rows], total, page.offset + len(rows) < total and bool(rows))

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """See RecordReader."""
        where, values = _where(scope, kind, Query(filter=filter))
        fields = "".join(", total(json_extract(body, ?))" for _ in sums)
        rows = self._read().execute(
            f"SELECT json_extract(body, ?), count(*){fields} FROM records WHERE {where} GROUP BY 1 ORDER BY 1",
            (f"$.{by}", *(f"$.{field}" for field in sums), *values),
        )
        return {str(value): (count, added) for value, count, *added in rows.fetchall()}

    def _get(self, scope: Scope, kind: Kind, column: str, value: str) -> Stored | None:
        select = f"SELECT {_RECORD} FROM records WHERE {_HERE} AND {column} = ?"
        rows = self._read().execute(select, (*_key(scope, kind), value)).fetchall()
        return _read_row(rows[0]) if rows else None


class SqliteRecordWrites(SqliteRecordReads, SqliteWrites):
    """The RecordWriter, inside a transaction."""

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """See RecordWriter."""
        text = _json(body)
        values = (*_key(scope, kind), id, name, _creation_time(body), text, text_checksum(text, id))
        with self._writing() as connection:
            try:
                connection.execute(
                    "INSERT INTO records (kind, organization_id, namespace_id, id, name, version, created_at, body, "
                    "checksum) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError:
                raise self._conflict(scope, kind, id, name) from None
        return Stored(id, name, 1, body)

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """See RecordWriter."""
        text = _json(body)
        values = (name, _creation_time(body), text, text_checksum(text, id), *_key(scope, kind), id, expect_version)
        with self._writing() as connection:
            try:
                changed = connection.execute(
                    "UPDATE records SET name = ?, created_at = ?, body = ?, checksum = ?, version = version + 1 "
                    f"WHERE {_HERE} AND id = ? AND version = ?",
                    values,
                ).rowcount
            except sqlite3.IntegrityError:
                raise self._conflict(scope, kind, None, name) from None
            if not changed:
                raise self._stale(scope, kind, id, expect_version)
        return Stored(id, name, expect_version + 1, body)

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """See RecordWriter."""
        return self._execute(f"DELETE FROM records WHERE {_HERE} AND id = ?", (*_key(scope, kind), id)) > 0

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int) -> int:
        """See RecordWriter."""
        oldest, here = f"SELECT position FROM records WHERE {_HERE}", f"FROM records WHERE {_HERE}"
        first = "ORDER BY position LIMIT ?"
        key, old = _key(scope, kind), format_wire_time(before)
        with self._writing() as connection:
            (first_recent,) = connection.execute(
                f"SELECT min(position) {here} AND created_at >= ? AND created_at <= ?",
                (*key, old, format_wire_time(now)),
            ).fetchone()
            (last,) = connection.execute(
                f"SELECT max(position) {here} AND created_at < ? AND (? IS NULL OR position < ?)",
                (*key, old, first_recent, first_recent),
            ).fetchone()
            aged = self._execute(
                f"DELETE FROM records WHERE position IN ({oldest} AND position <= ? {first})", (*key, last, most)
            )
            count = connection.execute(f"SELECT count(*) FROM records WHERE {_HERE}", key).fetchone()[0]
            surplus = min(max(count - keep, 0), most)
            return aged + self._execute(f"DELETE FROM records WHERE position IN ({oldest} {first})", (*key, surplus))

    def delete_scope(self, scope: Scope) -> int:
        """See RecordWriter."""
        with self._writing() as connection:
            forget_replies(connection, scope)
            delete_events(connection, scope)
            delete_schedules(connection, scope)
            self._execute(f"DELETE FROM jobs WHERE {IN_SCOPE}", place(scope))
            return self._execute(f"DELETE FROM records WHERE {IN_SCOPE}", place(scope))

    def _conflict(self, scope: Scope, kind: Kind, id: str | None, name: str | None) -> AlreadyExists:
        """Return the error for an id or a name that is taken, whichever it is."""
        if id is not None and self.get(scope, kind, id) is not None:
            return AlreadyExists(kind, id)
        holder = self.get_by_name(scope, kind, str(name))
        return AlreadyExists(kind, str(name), existing_id=None if holder is None else holder.id)

    def _stale(self, scope: Scope, kind: Kind, id: str, expected: int) -> NotFound | StaleVersion:
        present = self.get(scope, kind, id)
        if present is None:
            return NotFound(kind, id)
        return StaleVersion(
            f"The {kind} {id!r} was changed meanwhile (version {present.version}, not {expected}). Read it again.",
            id=id,
            version=present.version,
        )

    def _execute(self, statement: str, values: Sequence[object]) -> int:
        """Run one statement. Returns the number of rows it changed."""
        with self._writing() as connection:
            return connection.execute(statement, values).rowcount


def _key(scope: Scope, kind: Kind) -> tuple[str, str, str]:
    return kind, scope.organization_id, scope.namespace_id


def _where(scope: Scope, kind: Kind, query: Query) -> tuple[str, list[object]]:
    parts = [Sql(_HERE, _key(scope, kind)), compile_filter(query.filter, "body")]
    if query.search:
        parts.append(compile_search(query.search, query.search_fields, "body"))
    return " AND ".join(f"({part.text})" for part in parts), [value for part in parts for value in part.params]


def _order(sorts: Sequence[Sort]) -> tuple[str, list[object]]:
    """Compile an order: records without the field come last in both directions, ties are broken by id."""
    if not sorts:
        return _NEWEST_FIRST, []
    texts, values = [], list[object]()
    for sort in sorts:
        field = order_sql(sort.field, "body")
        texts.append(f"({field.text}) {'DESC' if sort.descending else 'ASC'} NULLS LAST")
        values += field.params
    return ", ".join([*texts, "id"]), values


def _json(body: Json) -> str:
    return orjson.dumps(body).decode()


def _creation_time(body: Json) -> str | None:
    value = body.get("created_at")
    return value if isinstance(value, str) else None


def _read_row(row: tuple[Any, ...]) -> Stored:
    id, name, version, body, checksum = row
    whole = checksum is None or text_checksum(body, id) == checksum
    parsed = parse_object(body) if whole else None
    if parsed is None:
        raise Corrupt(f"The stored record {id!r} is damaged. Restore the database from a backup.", id=id)
    return Stored(id, name, version, parsed)

"""Reads of the documents of a namespace on one connection, in one snapshot."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final, Literal, TypeVar

import numpy as np
import orjson

from shoal import deadline
from shoal.columns import Matrix, Rows
from shoal.errors import Corrupt, InvalidField
from shoal.records.queries.fields import find_field, key_paths
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing, Sort
from shoal.records.scope import Scope
from shoal.storage.checksums import UNKNOWN
from shoal.storage.distinct_values import check_values_size, distinct_key, tally
from shoal.storage.filters.expressions import Sql, sql
from shoal.storage.filters.to_sql import compile_filter, compile_search, order_sql
from shoal.storage.protocols.documents import StoredDocument
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.batches import split_batches
from shoal.storage.sqlite.documents.rows import check_payloads, json_ids, json_list
from shoal.storage.sqlite.documents.slots import Places, Slots, Space, as_numbers
from shoal.storage.sqlite.documents.vectors import VectorSegments

__all__ = ["Made", "Names", "View"]

Made = TypeVar("Made")
Names = Sequence[str] | Literal["all"]

_ID: Final = "d.document_id"
# The storage key without the generation.
_COLLECTION: Final = "(SELECT substr(key, 1, instr(key || '@', '@') - 1) FROM collections WHERE number = d.collection)"
_INTERNAL: Final[Mapping[str, str]] = {
    "document_id": _ID,
    "collection_id": _COLLECTION,
    # To the millisecond, as on the wire.
    "created_at": "(substr(d.created_at, 1, 23) || 'Z')",
    "updated_at": "(substr(d.updated_at, 1, 23) || 'Z')",
}
"""Fields shown under `_internal` that are columns of `documents d`, not part of the payload. A `created_at` in the
payload is another field."""
_PIECE: Final = 1_000
_DECODED_AT_ONCE: Final = 200
_DECODED_CHARACTERS: Final = 2**20
"""Characters of payloads decoded at once: decoding blocks all other threads of the process."""
_WRITTEN_NUMBER: Final = 20
"""Characters of a number of a vector as JSON."""
_VALUE_BYTES: Final = 400


class View:
    """A namespace as seen by one connection."""

    def __init__(self, connection: Connection, files: VectorSegments, scope: Scope) -> None:
        self.connection = connection
        self.files = files
        self._internal = {
            **_INTERNAL,
            "internal_id": _constant(scope.organization_id),
            "namespace_id": _constant(scope.namespace_id),
        }
        self._columns = {
            "document_id": _ID,
            "collection_id": _COLLECTION,
            **{f"_internal.{name}": column for name, column in self._internal.items()},
        }
        self.slots = Slots(connection, files)

    def get(self, collection: str, ids: Sequence[str], vectors: Names) -> list[StoredDocument | None]:
        documents: dict[str, StoredDocument] = {}
        for piece in split_batches(ids, _PIECE):
            with_ids = sql("document_id IN (SELECT value FROM json_each({}))", json_ids(piece))
            where = sql("{} AND {}", self._where([collection]), with_ids)
            documents |= {
                document.document_id: document for document in self._documents(collection, where, Sql("", ()), vectors)
            }
        return [documents.get(document_id) for document_id in ids]

    def find(self, collection: str, query: Query, vectors: Names) -> Listing[StoredDocument]:
        where = self._where([collection], query.filter)
        if query.search:
            where = sql(
                "{} AND {}", where, compile_search(query.search, query.search_fields, "d.payload", self._columns)
            )
        page = query.page
        tail = sql("{} LIMIT {} OFFSET {}", self._order(query.sort), page.limit + 1, page.offset)
        listed = self._find_sorted if query.sort else self._documents
        documents = listed(collection, where, tail, vectors, query.most_bytes)
        total = self._scalar(sql("SELECT count(*) FROM documents d WHERE {}", where)) if page.include_total else 0
        return Listing(documents[: page.limit], total, len(documents) > page.limit)

    def _find_sorted(
        self, collection: str, where: Sql, tail: Sql, vectors: Names, most_bytes: int | None
    ) -> list[StoredDocument]:
        """Sort ids first, then load their documents: SQLite sorts in memory, and payloads are large."""
        ids = [id for (id,) in self._rows(sql("SELECT d.document_id FROM documents d WHERE {} {}", where, tail))]
        chosen = sql("document_id IN (SELECT value FROM json_each({}))", json_ids(ids))
        here = sql("{} AND {}", self._where([collection]), chosen)
        documents = {
            document.document_id: document
            for document in self._documents(collection, here, Sql("", ()), vectors, most_bytes)
        }
        return [documents[id] for id in ids]

    def count(self, collections: Sequence[str], filter: Filter) -> int:
        return self._scalar(sql("SELECT count(*) FROM documents d WHERE {}", self._where(collections, filter)))

    def numbers(self, collection: str, filter: Filter) -> list[int]:
        """Return the row numbers of the documents that match."""
        rows = self._rows(sql("SELECT d.number FROM documents d WHERE {}", self._where([collection], filter)))
        return [number for (number,) in rows]

    def numbers_of(self, collection: str, ids: Sequence[str]) -> dict[str, int]:
        """Return the row number of each document that exists."""
        number = self.collection_number(collection)
        rows = self._rows(
            sql(
                "SELECT document_id, number FROM documents "
                "WHERE collection = {} AND document_id IN (SELECT value FROM json_each({}))",
                *(number, json_ids(ids)),
            )
        )
        return dict(rows)

    def collection_number(self, key: str) -> int | None:
        """Return the number of a collection; None if it has no documents.

        Raises Corrupt if the index contradicts the table: damage must not make a collection look empty.
        """
        rows = self._rows(sql("SELECT number FROM collections WHERE key = {}", key))
        if rows:
            stored = self._rows(sql("SELECT key FROM collections WHERE number = {}", rows[0][0]))
            sound = stored == [(key,)]
        else:
            sound = not self._rows(sql("SELECT 1 FROM collections NOT INDEXED WHERE key = {}", key))
        if not sound:
            id = key.partition("@")[0]
            raise Corrupt(
                f"The list of collections is damaged at {id!r}. Restore documents.sqlite from a backup.",
                collection_id=id,
            )
        return int(rows[0][0]) if rows else None

    def generations(self, collection_id: str) -> list[str]:
        start = f"{collection_id}@"
        rows = self._rows(sql("SELECT key FROM collections WHERE substr(key, 1, {}) = {}", len(start), start))
        return [key.removeprefix(start) for (key,) in rows]

    def list_generated_collections(self) -> list[str]:
        select = "SELECT DISTINCT substr(key, 1, instr(key, '@') - 1) FROM collections WHERE instr(key, '@')"
        return [id for (id,) in self._rows(Sql(select, ()))]

    def distinct(self, collection: str, field: str, filter: Filter, limit: int) -> tuple[list[tuple[Any, int]], int]:
        counts: Counter[tuple[str, Any]] = Counter()
        shown: dict[tuple[str, Any], Any] = {}
        size = 0
        for (values,) in self._values([field], self._where([collection], filter), Sql("", ())):
            for value, count in tally(values):
                key = distinct_key(value)
                counts[key] += count
                if key not in shown:
                    shown[key] = value
                    size += _VALUE_BYTES + (len(key[1]) * 2 if isinstance(key[1], str) else 0)
                    check_values_size(field, size)
        counts.pop(("null", None), None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(shown[key], count) for key, count in ranked[:limit]], len(ranked)

    def fields(
        self, collections: Sequence[str], fields: Sequence[str], filter: Filter
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        ids, keys, rows = self.make_values(collections, fields, tuple, filter)
        return ids, keys, [[row[place] for row in rows] for place in range(len(fields))]

    def make_values(
        self,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        filter: Filter,
    ) -> tuple[list[str], list[str], list[Made]]:
        where, order = self._where(collections, filter), _matrix_order(collections)
        ids: list[str] = []
        results: list[Made] = []
        for *values, those in self._values([*fields, "document_id"], where, order):
            ids += those
            results += [make(row) for row in zip(*values, strict=True)] if fields else [make(())] * len(those)
        if len(collections) == 1:
            return ids, [collections[0]] * len(ids), results
        rows = self._rows(sql("SELECT d.collection FROM documents d WHERE {} {}", where, order))
        return ids, self._keys([number for (number,) in rows]), results

    def each_fields(
        self,
        collection: str,
        fields: Sequence[str],
        filter: Filter,
        take: Callable[[int, Sequence[Sequence[Any]]], None],
    ) -> None:
        where, order = self._where([collection], filter), _matrix_order([collection])
        for *values, ids in self._values([*fields, "document_id"], where, order):
            take(len(ids), values)

    def matrix(
        self, collections: Sequence[str], names: Sequence[str], filter: Filter, sample: int | None, seed: int
    ) -> Matrix:
        spaces = self.slots.spaces()
        chosen = [spaces.get(name) or Space(-1, name, 0) for name in names]
        rows = self._rows(_places(chosen, self._where(collections, filter), _matrix_order(collections)))
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * (3 + 3 * len(chosen))
        ids, numbers, *places = columns
        # (row number of the document, then segment, slot and checksum of each space in turn; row)
        where = as_numbers(places).reshape(1 + 3 * len(chosen), len(rows))
        for place, space in enumerate(chosen):
            self._check_places(space, where[0], *where[1 + 3 * place : 4 + 3 * place : 2])
        complete = np.flatnonzero((where[1::3] >= 0).all(axis=0))
        missing = len(rows) - len(complete)
        if sample is not None and sample < len(complete):
            complete = np.sort(np.random.default_rng(seed).choice(complete, size=sample, replace=False))
        if len(complete) < len(rows):
            where = where[:, complete]
            ids, numbers = [ids[row] for row in complete.tolist()], [numbers[row] for row in complete.tolist()]
        blocks = {
            space.name: self.slots.read(space, Places(where[0], *where[1 + 3 * place : 4 + 3 * place]))
            for place, space in enumerate(chosen)
        }
        return Matrix(list(ids), self._keys(numbers), blocks, missing, _fingerprint(ids, numbers, chosen, where))

    def ids_with_vector(self, collection: str, name: str) -> list[str]:
        space = self.slots.spaces().get(name)
        if space is None:
            return []
        select = "SELECT d.document_id FROM documents d JOIN slots s ON s.document = d.number AND s.space = {} WHERE {}"
        return [id for (id,) in self._rows(sql(select, space.number, self._where([collection])))]

    def _check_places(self, space: Space, documents: Rows, segments: Rows, checksums: Rows) -> None:
        """Verify missing vectors, and those without a checksum, against the lists of the documents."""
        present = segments >= 0
        unverified = ~present | (checksums == UNKNOWN)
        if unverified.any():
            self.slots.check_listed(
                space, documents[unverified].tolist(), frozenset(documents[unverified & present].tolist())
            )

    def _keys(self, numbers: Sequence[int]) -> list[str]:
        """Return the storage keys of collection numbers."""
        keys = dict(self._rows(Sql("SELECT number, key FROM collections", ())))
        return [keys[number] for number in numbers]

    def _values(self, fields: Sequence[str], where: Sql, tail: Sql) -> Iterator[list[list[Any]]]:
        """Yield the values of fields in batches, one list for each field; None if absent."""
        needed = {place[-1] for field in fields for place in key_paths(field)}
        shown = [name for name in self._internal if name in needed or "_internal" in needed]
        columns = ["d.document_id", "d.payload", "d.created_at", "d.updated_at", "d.checksum"]
        chosen = ", ".join([*columns, *(self._internal[name] for name in shown)])
        cursor = self.connection.execute(*sql(f"SELECT {chosen} FROM documents d WHERE {{}} {{}}", where, tail))
        size = 1
        while rows := cursor.fetchmany(size):
            deadline.check()
            check_payloads(rows)
            payloads = [row[1] for row in rows]
            taken = sum(map(len, payloads))
            size = min(_DECODED_AT_ONCE, max(1, _DECODED_CHARACTERS * len(rows) // taken))
            # One call decodes many payloads far faster than many calls.
            decoded = orjson.loads(f"[{','.join(payloads)}]")
            for document, row in zip(decoded, rows, strict=True) if shown else ():
                internal = dict(zip(shown, row[5:], strict=True))
                document |= {name: internal[name] for name in ("document_id", "collection_id") if name in internal}
                document["_internal"] = {**document.get("_internal", {}), **internal}
            yield [[find_field(document, field)[1] for document in decoded] for field in fields]

    def _documents(
        self, collection: str, where: Sql, tail: Sql, vectors: Names, most_bytes: int | None = None
    ) -> list[StoredDocument]:
        spaces = [space for name, space in self.slots.spaces().items() if vectors == "all" or name in vectors]
        rows = self._page(where, tail, sum(space.dimension for space in spaces), most_bytes)
        check_payloads(row[1:] for row in rows)
        by_number = self.slots.of_documents([row[0] for row in rows], spaces)
        return [
            StoredDocument(
                row[1], collection, orjson.loads(row[2]), _time(row[3]), _time(row[4]), by_number.get(row[0], {})
            )
            for row in rows
        ]

    def _page(self, where: Sql, tail: Sql, dimensions: int, most_bytes: int | None) -> list[tuple[Any, ...]]:
        """Read the rows of documents with vectors of `dimensions` numbers in total.

        Raises InvalidField if they exceed the size of a page.
        """
        chosen = "d.number, d.document_id, d.payload, d.created_at, d.updated_at, d.checksum"
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in self.connection.execute(*sql(f"SELECT {chosen} FROM documents d WHERE {{}} {{}}", where, tail)):
            rows.append(row)
            size += len(row[2]) + dimensions * _WRITTEN_NUMBER
            if most_bytes is not None and size > most_bytes and len(rows) > 1:
                raise InvalidField(
                    "limit",
                    f"a page of so many documents would hold more than {most_bytes // 2**20} MiB",
                    remedy=f"Ask for at most {max(1, len(rows) // 2)} at once, or without vectors.",
                )
        return rows

    def _where(self, collections: Sequence[str], filter: Filter = MATCH_ALL) -> Sql:
        matching = compile_filter(filter, "d.payload", self._columns)
        if len(collections) == 1:
            # An equality, so that rows come from the index in the order of their ids.
            return sql("d.collection = {} AND {}", self.collection_number(collections[0]), matching)
        numbers = [number for key in collections if (number := self.collection_number(key)) is not None]
        return sql("d.collection IN (SELECT value FROM json_each({})) AND {}", json_list(numbers), matching)

    def _order(self, sorts: Sequence[Sort]) -> Sql:
        """Compile an order: absent fields last in both directions, ties by id."""
        order = Sql("ORDER BY ", ())
        for sort in sorts:
            value = order_sql(sort.field, "d.payload", self._columns)
            direction = "DESC" if sort.descending else "ASC"
            order = sql(f"{{}}({{}}) IS NULL, {{}} {direction}, ", order, value, value)
        return sql("{}d.document_id", order)

    def _rows(self, query: Sql) -> list[tuple[Any, ...]]:
        return self.connection.execute(*query).fetchall()

    def _scalar(self, query: Sql) -> int:
        return int(self._rows(query)[0][0])


def _places(spaces: Sequence[Space], where: Sql, tail: Sql) -> Sql:
    """Select id, collection, row number and, for each space, segment, slot and checksum; -1 for a missing vector."""
    columns = "".join(
        f", coalesce(s{n}.segment, -1), coalesce(s{n}.slot, -1), coalesce(s{n}.checksum, {UNKNOWN})"
        for n in range(len(spaces))
    )
    joins = "".join(
        f" LEFT JOIN slots s{n} ON s{n}.document = d.number AND s{n}.space = {{}}" for n in range(len(spaces))
    )
    return sql(
        f"SELECT d.document_id, d.collection, d.number{columns} FROM documents d{joins} WHERE {{}} {{}}",
        *(*(space.number for space in spaces), where, tail),
    )


def _matrix_order(collections: Sequence[str]) -> Sql:
    key = ", (SELECT key FROM collections WHERE number = d.collection)" if len(collections) > 1 else ""
    return Sql(f"ORDER BY d.document_id{key}", ())


def _fingerprint(ids: Sequence[str], numbers: Sequence[int], spaces: Sequence[Space], where: Rows) -> str:
    """Fingerprint the vectors by their places, since a slot is never overwritten and a segment number never reused."""
    digest = hashlib.blake2b(orjson.dumps([ids, numbers, [list(space) for space in spaces]]), digest_size=16)
    digest.update(np.ascontiguousarray(where).data)
    return digest.hexdigest()


def _constant(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

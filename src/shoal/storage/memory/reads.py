"""Reading documents in memory."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TypeVar

import numpy as np
import orjson

from shoal.columns import Matrix
from shoal.errors import InvalidField
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.distinct_values import check_values_size, distinct_key, tally
from shoal.storage.filters.ordering import in_order
from shoal.storage.memory.document import Document, passes, to_visible_fields
from shoal.storage.memory.namespace import Namespace
from shoal.storage.protocols.documents import StoredDocument
from shoal.storage.protocols.records import Json, Query

__all__ = ["MemoryReads", "rows_of"]

Made = TypeVar("Made")
Row = tuple[str, str, Document, Json]
"""Id, collection, document, and its visible fields."""

_VALUE_BYTES: Final = 400


class MemoryReads:
    """The reads of a document store over the namespaces that `_reading` opens."""

    def _reading(self, scope: Scope) -> AbstractContextManager[Namespace]:
        raise NotImplementedError

    def get(
        self, scope: Scope, collection: str, ids: Sequence[str], *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> list[StoredDocument | None]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            there = space.collections.get(collection, {})
            return [_to_stored(id, collection, there[id], vectors) if id in there else None for id in ids]

    def find(
        self, scope: Scope, collection: str, query: Query, *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> Listing[StoredDocument]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            there = space.collections.get(collection, {})
            visible = {id: to_visible_fields(scope, collection, id, document) for id, document in there.items()}
        chosen = [
            (id, visible_fields) for id, visible_fields in visible.items() if passes(visible_fields, there[id], query)
        ]
        page = query.page
        window = in_order(chosen, query.sort)[page.offset : page.offset + page.limit + 1]
        stored = [_to_stored(id, collection, there[id], vectors) for id, _ in window]
        _check_size(stored[: page.limit], query.most_bytes)
        return Listing(stored[: page.limit], len(chosen) if page.include_total else 0, len(stored) > page.limit)

    def count(self, scope: Scope, collection: str, filter: Filter = MATCH_ALL) -> int:
        """See DocumentStore."""
        return len(self._rows(scope, [collection], filter))

    def distinct(
        self, scope: Scope, collection: str, field: str, filter: Filter, limit: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """See DocumentStore."""
        counts, shown, held = Counter[tuple[str, Any]](), dict[tuple[str, Any], Any](), 0
        values = [find_field(visible, field)[1] for *_, visible in self._rows(scope, [collection], filter)]
        for value, count in tally(values):
            key = distinct_key(value)
            counts[key] += count
            held += 0 if key in shown else _VALUE_BYTES
            shown.setdefault(key, value)
            check_values_size(field, held)
        counts.pop(("null", None), None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(shown[key], count) for key, count in ranked[:limit]], len(ranked)

    def load_matrix(
        self,
        scope: Scope,
        collections: Sequence[str],
        vector_names: Sequence[str],
        *,
        filter: Filter = MATCH_ALL,
        sample: int | None = None,
        seed: int = 42,
    ) -> Matrix:
        """See DocumentStore."""
        rows = self._rows(scope, collections, filter)
        complete = [row for row in rows if all(name in row[2].vectors for name in vector_names)]
        missing = len(rows) - len(complete)
        if sample is not None and sample < len(complete):
            chosen = np.sort(np.random.default_rng(seed).choice(len(complete), size=sample, replace=False))
            complete = [complete[place] for place in chosen.tolist()]
        dimensions = self._dimensions(scope)
        blocks = {
            name: np.array([row[2].vectors[name] for row in complete], dtype=np.float32).reshape(
                len(complete), dimensions.get(name, 0)
            )
            for name in vector_names
        }
        ids, keys = [row[0] for row in complete], [row[1] for row in complete]
        digest = hashlib.blake2b(orjson.dumps([ids, keys, list(blocks)]), digest_size=16)
        for block in blocks.values():
            digest.update(block.data if block.size else b"")
        return Matrix(ids, keys, blocks, missing, digest.hexdigest())

    def load_ids_with_vector(self, scope: Scope, collection: str, name: str) -> list[str]:
        """See DocumentStore."""
        with self._reading(scope) as space:
            there = space.collections.get(collection, {})
            return [id for id, document in there.items() if name in document.vectors]

    def load_fields(
        self, scope: Scope, collections: Sequence[str], fields: Sequence[str], *, filter: Filter = MATCH_ALL
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        """See DocumentStore."""
        ids, keys, rows = self.load_made(scope, collections, fields, tuple, filter=filter)
        return ids, keys, [[row[place] for row in rows] for place in range(len(fields))]

    def load_made(
        self,
        scope: Scope,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        *,
        filter: Filter = MATCH_ALL,
    ) -> tuple[list[str], list[str], list[Made]]:
        """See DocumentStore."""
        rows = self._rows(scope, collections, filter)
        values = [make([find_field(visible, field)[1] for field in fields]) for *_, visible in rows]
        return [row[0] for row in rows], [row[1] for row in rows], values

    def each_fields(
        self,
        scope: Scope,
        collection: str,
        fields: Sequence[str],
        take: Callable[[int, Sequence[Sequence[Any]]], None],
        *,
        filter: Filter = MATCH_ALL,
    ) -> None:
        """See DocumentStore."""
        ids, _, columns = self.load_fields(scope, [collection], fields, filter=filter)
        if ids:
            take(len(ids), columns)

    def _dimensions(self, scope: Scope) -> dict[str, int]:
        with self._reading(scope) as space:
            return dict(space.dimensions)

    def _rows(self, scope: Scope, collections: Sequence[str], filter: Filter) -> list[Row]:
        with self._reading(scope) as space:
            return rows_of(scope, space, collections, filter)


def rows_of(scope: Scope, space: Namespace, collections: Sequence[str], filter: Filter) -> list[Row]:
    """Return the documents that match, sorted by (id, collection)."""
    query = Query(filter=filter)
    rows = [
        (id, key, document, visible)
        for key in dict.fromkeys(collections)
        for id, document in space.collections.get(key, {}).items()
        if passes(visible := to_visible_fields(scope, key, id, document), document, query)
    ]
    return sorted(rows, key=lambda row: (row[0].encode(), row[1].encode()))


def _to_stored(id: str, collection: str, document: Document, vectors: Sequence[str] | Literal["all"]) -> StoredDocument:
    shown = {name: values for name, values in document.vectors.items() if vectors == "all" or name in vectors}
    return StoredDocument(id, collection, document.decode(), document.created_at, document.updated_at, shown)


def _check_size(documents: Sequence[StoredDocument], most_bytes: int | None) -> None:
    size = sum(
        len(orjson.dumps(document.payload)) + 20 * sum(map(len, document.vectors.values())) for document in documents
    )
    if most_bytes is not None and size > most_bytes and len(documents) > 1:
        raise InvalidField(
            "limit",
            f"a page of so many documents would hold more than {most_bytes // 2**20} MiB",
            remedy=f"Ask for at most {max(1, len(documents) // 2)} at once, or without vectors.",
        )

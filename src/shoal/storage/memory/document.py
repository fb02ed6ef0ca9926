"""One document in memory, and what filters, sorting and reading see of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.records.base import wire_time
from shoal.records.queries.fields import find_field
from shoal.records.queries.paging import Sort
from shoal.records.scope import Scope
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.to_mask import found, kind_of, matches
from shoal.storage.protocols.records import Json, Query

__all__ = ["Document", "Mark", "as_seen", "ordered", "passes"]

SortKey: TypeAlias = tuple[int, Any]
_SHOWN: Final = ("document_id", "collection_id")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a cluster wrote into a document. `fields` and `stale` have the shape of `result_marks`."""

    intent: str
    run_id: str
    step: int
    partition: str
    by_run: bool
    fields: Json
    stale: Json


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is stored; a change makes another one. `payload` is JSON."""

    payload: bytes
    created_at: datetime
    updated_at: datetime
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By cluster."""

    def decoded(self) -> Json:
        """The payload."""
        loaded: Json = orjson.loads(self.payload)
        return loaded


def as_seen(scope: Scope, collection: str, id: str, document: Document) -> Json:
    """The fields that filters, sorting and reading look at: the payload, and beside it what Shoal knows."""
    payload = document.decoded()
    known = {
        "internal_id": scope.organization_id,
        "namespace_id": scope.namespace_id,
        "document_id": id,
        "collection_id": collection.partition("@")[0],
        "created_at": wire_time(document.created_at),
        "updated_at": wire_time(document.updated_at),
    }
    own = payload.get("_internal")
    shown = {name: known[name] for name in _SHOWN}
    return payload | shown | {"_internal": {**(own if isinstance(own, dict) else {}), **known}}


def passes(seen: Json, document: Document, query: Query) -> bool:
    """Whether a document belongs to the answer of a query; `seen` is what `as_seen` makes of it."""
    if not matches(query.filter, seen):
        return False
    if not query.search:
        return True
    return found(query.search, query.search_fields, seen if query.search_fields else document.decoded())


def ordered(rows: Sequence[tuple[str, Json]], sorts: Sequence[Sort]) -> list[tuple[str, Json]]:
    """(id, document as it is seen) by these fields: absent ones last both ways, ties by id ascending."""
    result = sorted(rows, key=lambda row: row[0].encode())
    for sort in reversed(sorts):
        keyed = [(_sort_key(find_field(seen, sort.field)[1]), (id, seen)) for id, seen in result]
        there = [one for one in keyed if one[0] is not None]
        there.sort(key=lambda one: one[0] or (0, 0), reverse=sort.descending)
        result = [row for _, row in there] + [row for key, row in keyed if key is None]
    return result


def _sort_key(value: object) -> SortKey | None:
    """Numbers, and booleans as 0 and 1, before text; lists and objects as their JSON; None for what is absent."""
    kind = kind_of(value)
    if kind == "null":
        return None
    if kind in ("number", "boolean"):
        return 0, value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return 1, (instant_of(text) or text).encode()

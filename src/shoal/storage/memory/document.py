"""One document in memory, and what filters, sorting and reading see of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.records.base import wire_time
from shoal.records.scope import Scope
from shoal.storage.filters.to_mask import found, matches
from shoal.storage.protocols.records import Json, Query

__all__ = ["Document", "Mark", "as_seen", "passes"]

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

"""A document in memory, and the fields that filters, sorting and readers see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.records.base import format_wire_time
from shoal.records.scope import Scope
from shoal.storage.filters.to_mask import contains_text, matches
from shoal.storage.protocols.records import Json, Query

__all__ = ["Document", "Mark", "passes", "to_visible_fields"]

_SHOWN: Final = ("document_id", "collection_id")


@dataclass(frozen=True, slots=True)
class Mark:
    """The fields that a cluster wrote into a document. `fields` and `stale` have the shape of `result_marks`."""

    intent: str
    run_id: str
    step: int
    partition: str
    by_run: bool
    fields: Json
    stale: Json


@dataclass(frozen=True, slots=True)
class Document:
    """An immutable stored document. `payload` is JSON."""

    payload: bytes
    created_at: datetime
    updated_at: datetime
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By cluster."""

    def decode(self) -> Json:
        """Decode the payload."""
        loaded: Json = orjson.loads(self.payload)
        return loaded


def to_visible_fields(scope: Scope, collection: str, id: str, document: Document) -> Json:
    """Return the fields that filters, sorting and readers see: the payload, and Shoal's own fields."""
    payload = document.decode()
    own_fields = {
        "internal_id": scope.organization_id,
        "namespace_id": scope.namespace_id,
        "document_id": id,
        "collection_id": collection.partition("@")[0],
        "created_at": format_wire_time(document.created_at),
        "updated_at": format_wire_time(document.updated_at),
    }
    internal = payload.get("_internal")
    shown = {name: own_fields[name] for name in _SHOWN}
    return payload | shown | {"_internal": {**(internal if isinstance(internal, dict) else {}), **own_fields}}


def passes(visible: Json, document: Document, query: Query) -> bool:
    """Whether a document matches a query; `visible` is the result of `to_visible_fields`."""
    if not matches(query.filter, visible):
        return False
    if not query.search:
        return True
    return contains_text(query.search, query.search_fields, visible if query.search_fields else document.decode())

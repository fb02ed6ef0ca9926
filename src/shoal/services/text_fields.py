"""The fields that name clusters: those that a configuration or a run asks for, checked against the documents."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from shoal.errors import InvalidField
from shoal.records.cluster import Cluster
from shoal.records.filters import MATCH_ALL, Condition
from shoal.records.paging import Page
from shoal.records.scope import Scope
from shoal.storage.base import DocumentStore, Query

__all__ = ["check_text_fields", "named_fields"]

_LISTED: Final = 20
_LOOKED_AT: Final = 20


def named_fields(cluster: Cluster, request: Mapping[str, Any]) -> list[str]:
    """The fields that were asked for: by the run before the cluster, as `text_fields` before inputs of
    `llm_labeling`; none where they are to be chosen."""
    asked = (
        request.get("text_fields"), _inputs(request.get("llm_labeling")), cluster.text_fields,
        _inputs(cluster.llm_labeling),
    )  # fmt: skip
    return list(dict.fromkeys(next((fields for fields in asked if fields), ())))


def check_text_fields(store: DocumentStore, scope: Scope, keys: Sequence[str], fields: Sequence[str]) -> None:
    """Refuse a field that no document has; of collections that are empty nothing is known. Raises InvalidField."""
    for field in fields:
        there = Query(filter=Condition(field, "is_null", False), page=Page(limit=1))
        if any(store.find(scope, key, there).items for key in keys):
            continue
        known = sorted({name for key in keys for name in _known(store, scope, key)})
        if known:
            near = get_close_matches(field, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            remedy = f"{hint}They have {', '.join(known[:_LISTED])}. Without text_fields they are chosen."
            raise InvalidField("text_fields", "is no field of the documents", value=field, remedy=remedy)


def _inputs(labeling: Mapping[str, Any] | None) -> list[str]:
    """The payload fields that a labelling configuration names."""
    mappings = ((labeling or {}).get("labeling_inputs") or {}).get("input_mappings") or []
    return [
        str(mapping["path"])
        for mapping in mappings
        if isinstance(mapping, Mapping) and mapping.get("source_type") in (None, "payload") and mapping.get("path")
    ]


def _known(store: DocumentStore, scope: Scope, key: str) -> Iterator[str]:
    for document in store.find(scope, key, Query(filter=MATCH_ALL, page=Page(limit=_LOOKED_AT))).items:
        for name, value in document.payload.items():
            if name.startswith("_"):
                continue
            yield from (f"{name}.{inner}" for inner in value) if isinstance(value, Mapping) else (name,)

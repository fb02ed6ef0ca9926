"""Selection of fields and grouping of a page of documents."""

from collections.abc import Sequence

from shoal.records.queries.fields import KeyPath, find_field, key_paths
from shoal.storage.protocols.records import Json

__all__ = ["group_documents", "select_fields"]


def select_fields(document: Json, fields: Sequence[str] | None) -> Json:
    """Return the ids and the selected fields, resolved as in filters; everything where none is selected."""
    if not fields:
        return document
    selected: Json = {name: document[name] for name in ("document_id", "collection_id")}
    for field in fields:
        any(_copy(document, selected, path) for path in key_paths(field))
    return selected


def group_documents(documents: Sequence[Json], shown: Sequence[Json], field: str) -> list[Json]:
    """Return the wire's DocumentGroups of a page: the documents of `shown`, grouped by a field of `documents`, in order
    of first occurrence. Fields are resolved as in filters."""
    groups: dict[str, Json] = {}
    for document, shape in zip(documents, shown, strict=True):
        key = find_field(document, field)[1]
        group = groups.setdefault(repr(key), {"group_key": key, "documents": [], "count": 0})
        group["documents"].append(shape)
        group["count"] += 1
    return list(groups.values())


def _copy(source: Json, target: Json, path: KeyPath) -> bool:
    """Copy the value at a path with its enclosing objects; False where there is none."""
    value: object = source
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    for part in path[:-1]:
        target = target.setdefault(part, {})
    target[path[-1]] = value
    return True

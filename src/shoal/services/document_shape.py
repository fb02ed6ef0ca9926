"""How a page of documents is cut to what was asked for."""

from collections.abc import Sequence

from shoal.records.queries.fields import KeyPath, find_field, key_paths
from shoal.storage.protocols.records import Json

__all__ = ["group_documents", "select_fields"]


def select_fields(document: Json, fields: Sequence[str] | None) -> Json:
    """The ids and the chosen fields alone, found as filters find them; everything where none is chosen."""
    if not fields:
        return document
    chosen: Json = {name: document[name] for name in ("document_id", "collection_id")}
    for field in fields:
        any(_copy(document, chosen, path) for path in key_paths(field))
    return chosen


def group_documents(documents: Sequence[Json], shown: Sequence[Json], field: str) -> list[Json]:
    """DocumentGroups of one page: the forms in `shown`, by the value of a field in `documents`, in the order of first
    appearance. Fields are found as filters find them."""
    groups: dict[str, Json] = {}
    for document, form in zip(documents, shown, strict=True):
        key = find_field(document, field)[1]
        group = groups.setdefault(repr(key), {"group_key": key, "documents": [], "count": 0})
        group["documents"].append(form)
        group["count"] += 1
    return list(groups.values())


def _copy(source: Json, target: Json, path: KeyPath) -> bool:
    """Copy the value at a path, with the objects around it; False where there is nothing."""
    value: object = source
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    for part in path[:-1]:
        target = target.setdefault(part, {})
    target[path[-1]] = value
    return True

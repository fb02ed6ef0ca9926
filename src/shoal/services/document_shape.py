"""How a page of documents is cut to what was asked for."""

from collections.abc import Sequence

from shoal.storage.base import Json
from shoal.storage.filters.to_mask import find_field

__all__ = ["group_documents", "select_fields"]


def select_fields(document: Json, fields: Sequence[str] | None) -> Json:
    """The ids and the chosen dotted fields alone; everything where none is chosen."""
    if not fields:
        return document
    chosen: Json = {name: document[name] for name in ("document_id", "collection_id")}
    for field in fields:
        _copy(document, chosen, field.split("."))
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


def _copy(source: Json, target: Json, path: Sequence[str]) -> None:
    for part in path[:-1]:
        inner = source.get(part)
        if not isinstance(inner, dict):
            return
        source, target = inner, target.setdefault(part, {})
    if path[-1] in source:
        target[path[-1]] = source[path[-1]]

"""Lookup of the fields of a document, shared by filters, sorting, answers and the choice of text, for stored documents
and for those in a file, so that all of them resolve a field in the same way."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

__all__ = ["KeyPath", "find_field", "key_paths"]

KeyPath: TypeAlias = tuple[str, ...]
"""Keys from the root of a document down to a value."""

_METADATA: Final = "metadata"
_TIMES: Final = frozenset({"created_at", "updated_at"})


@lru_cache(maxsize=4096)
def key_paths(field: str) -> tuple[KeyPath, ...]:
    """Return the paths to try for a dotted name, in order; the first that exists is the field.

    Dots mean nesting, at the root or under `metadata`; then a key that contains the dots, as in flattened tables
    (`{"info.note": …}`); then the times of a document, unless it has fields of these names.
    """
    written = tuple(field.split("."))
    places = [written, written[1:] if _is_metadata(written) else (_METADATA, *written)]
    if len(written) > 1:
        places.append((field,))
        rest = written[1:] if _is_metadata(written) else written
        places += [(_METADATA, ".".join(rest)), (".".join(rest),)]
    if field in _TIMES:
        places.append(("_internal", field))
    return tuple(dict.fromkeys(places))


def find_field(document: Mapping[str, Any], field: str) -> tuple[bool, Any]:
    """Return (whether the field exists, its value). See `key_paths` for the lookup order."""
    for path in key_paths(field):
        there, value = _descend(document, path)
        if there:
            return True, value
    return False, None


def _is_metadata(written: KeyPath) -> bool:
    return len(written) > 1 and written[0] == _METADATA


def _descend(document: Mapping[str, Any], path: KeyPath) -> tuple[bool, Any]:
    value: Any = document
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value

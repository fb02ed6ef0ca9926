"""Query parameters: unknown ones are rejected with the most similar known name.

Some parameters of the official SDK have no effect here. They are accepted where ignoring them makes no difference to
the caller, and otherwise only with the value that requests nothing.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from fastapi import Request
from fastapi.dependencies.models import Dependant

from shoal.errors import InvalidField

__all__ = ["check_query", "query_names"]

_ANY: Final = None
_OFF: Final = frozenset({"", "false", "False", "0"})
_INSERT: Final = frozenset({"", "insert"})
_IGNORED: Final[Mapping[str, Mapping[str, frozenset[str] | None]]] = {
    "create_object": {"auto_process": _OFF, "policy": _INSERT},
    "create_objects": {"auto_process": _OFF},
    "delete_bucket": {"force_foreclose": _ANY},
    "delete_key": {"force": _ANY},
    "delete_namespace": {"force": _ANY},
    # The parameters of a signed link, which authentication reads (`api/callers/auth.py`).
    "download_table": {"expires": _ANY, "namespace": _ANY, "organization": _ANY, "signature": _ANY},
    "get_document": {"expand": frozenset({""}), "return_presigned_urls": _OFF},
    "get_object": {"include_document_count": _OFF, "return_presigned_urls": _OFF},
    "list_collections": {"include_system": _ANY},
    "list_documents": {"return_presigned_urls": _OFF},
    "list_keys": {"include_session_keys": _ANY},
    "patch_bucket": {"force_schema_break": _ANY},
    "put_bucket": {"force_schema_break": _ANY},
    "query_documents": {"return_presigned_urls": _OFF},
    "query_namespaces": {"include_system": _ANY, "view": _ANY},
}
"""By handler name: parameters of the official SDK without effect, and their accepted values (None: any)."""


def query_names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters that a route and its dependencies read."""
    return frozenset(_names(dependant))


def check_query(route: str, parameters: frozenset[str], request: Request) -> None:
    """Raise InvalidField for the first parameter that the route, named by its handler, does not accept."""
    ignored = _IGNORED.get(route, {})
    for name, value in request.query_params.multi_items():
        if name in parameters:
            continue
        if name not in ignored:
            raise InvalidField(name, "is not a parameter of this route", value=value, remedy=_hint(name, parameters))
        allowed = ignored[name]
        if allowed is not None and value not in allowed:
            raise InvalidField(name, "is not available", value=value, remedy="Leave it out.")


def _names(dependant: Dependant) -> Iterator[str]:
    field: Any
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _names(inner)


def _hint(name: str, parameters: frozenset[str]) -> str:
    near = get_close_matches(name, sorted(parameters), n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"It takes: {', '.join(sorted(parameters))}." if parameters else "It takes none."

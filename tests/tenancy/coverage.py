"""The routes of an application according to its OpenAPI and its router, and what the matrix table lacks of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from shoal.api.mounts import MOUNTS
from tenancy.operations import Operation

__all__ = ["HIDDEN", "left_out", "namespaced", "operations_of", "routes_of", "unnamed_ids"]

HIDDEN: Final = frozenset({"GET /openapi.json", "POST /clusters/{cluster_identifier}/execute/submit"})
"""Served but not described: the description itself, and an alias of a described route."""

_METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
_AN_ID: Final = re.compile(r"(^|_)ids?$")


def operations_of(openapi: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Maps `METHOD /path` without the mount to its OpenAPI description."""
    return {
        f"{method.upper()} {path.removeprefix(MOUNTS[0])}": described
        for path, methods in openapi["paths"].items()
        for method, described in methods.items()
        if method in _METHODS
    }


def routes_of(app: FastAPI) -> dict[str, set[str]]:
    """Maps `METHOD /path` without the mount to the mounts that serve it. HEAD is covered by GET."""
    found: dict[str, set[str]] = {}
    for method, path in _walk(app):
        mount = next((mount for mount in MOUNTS if path.startswith(f"{mount}/")), "")
        found.setdefault(f"{method} {path.removeprefix(mount).replace(':path}', '}')}", set()).add(mount)
    return found


def left_out(openapi: Mapping[str, Any], table: Mapping[str, Operation]) -> list[str]:
    """The gaps of the table, as sentences; empty if it covers everything."""
    described = operations_of(openapi)
    missing = [f"{name}: has no entry in tests/tenancy/operations.py" for name in described.keys() - table.keys()]
    gone = [f"{name}: is no operation any more" for name in table.keys() - described.keys()]
    unnamed = [
        f"{name}: {id} is neither a slot nor free"
        for name in described.keys() & table.keys()
        for id in unnamed_ids(openapi, described[name], table[name])
    ]
    return sorted([*missing, *gone, *unnamed])


def unnamed_ids(openapi: Mapping[str, Any], described: Mapping[str, Any], operation: Operation) -> list[str]:
    """Path parameters, and fields and parameters named like ids, that the entry does not list."""
    named = {word for slot in operation.slots for word in slot.place.split(".")} | operation.free.keys()
    parameters = [(each["in"], each["name"]) for each in described.get("parameters", ())]
    ids = {name for place, name in parameters if place == "path" or _AN_ID.search(name)}
    content = described.get("requestBody", {}).get("content", {})
    for media in content.values():
        ids |= {name for name in _fields(openapi, media.get("schema", {}), frozenset()) if _AN_ID.search(name)}
    return sorted(ids - named)


def namespaced(described: Mapping[str, Any]) -> bool:
    """Whether the operation requires a namespace in the X-Namespace header."""
    return any(each["in"] == "header" and each["name"] == "X-Namespace" for each in described.get("parameters", ()))


def _walk(app: FastAPI) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(app.routes):
        assert route.path is not None and route.methods, f"{route!r} is a kind of route that this walk does not know"
        for method in sorted(set(route.methods) - {"HEAD"}):
            yield method, route.path


def _fields(openapi: Mapping[str, Any], schema: Mapping[str, Any], seen: frozenset[str]) -> Iterator[str]:
    """The names of all fields at any depth."""
    ref = schema.get("$ref")
    if ref is not None:
        if ref not in seen:
            yield from _fields(openapi, openapi["components"]["schemas"][ref.rpartition("/")[2]], seen | {ref})
        return
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from _fields(openapi, field, seen)
    for inner in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from _fields(openapi, inner, seen)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield from _fields(openapi, schema[name], seen)

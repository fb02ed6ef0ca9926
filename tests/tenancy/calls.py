"""The parts of a request, and the slots in it that could hold the id of another tenant."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from shoal.api.mounts import MOUNTS

__all__ = ["FORGOTTEN", "OF_THE_ORGANIZATION", "PREFIXES", "Call", "Kind", "Slot", "equals", "one_of", "put_in"]

Kind = Literal[
    "namespace", "bucket", "object", "collection", "document", "cluster", "run", "task", "key"
]  # fmt: skip

FORGOTTEN: Final = ""
PREFIXES: Final = (*MOUNTS, FORGOTTEN)
"""The prefix of an operation's path: a mount, or nothing, for clients that omit it."""

OF_THE_ORGANIZATION: Final = frozenset[Kind]({"namespace", "task", "key"})
"""Kinds that are visible in every namespace of their organisation."""


@dataclass(frozen=True)
class Call:
    """A request without its mount, method and key. `path` holds the values of the path's parameters."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: bytes | None = None


@dataclass(frozen=True)
class Slot:
    """A slot for a reference: `path.cluster_identifier`, `query.run_id`, `body.collection_ids.0`.

    `status` is the response to a reference to something missing in this slot; `write` turns the reference into the
    value of the slot.
    """

    place: str
    kind: Kind
    status: int = 404
    write: Callable[[str], Any] = str


def put_in(call: Call, slot: Slot, ref: str) -> Call:
    """The same call with `ref` in the slot."""
    part, *keys = slot.place.split(".")
    value = deepcopy({"path": call.path, "query": call.query, "body": call.body}[part])
    return replace(call, **{part: _with(value, keys, slot.write(ref))})


def equals(name: str) -> Callable[[str], Any]:
    """A filter on an id."""
    return lambda ref: {"AND": [{"field": name, "operator": "eq", "value": ref}]}


def one_of(name: str) -> Callable[[str], Any]:
    """A filter on a list of ids under a double negation, where a carelessly added tenant clause gets lost."""
    return lambda ref: {"NOT": [{"NOT": [{"field": name, "operator": "in", "value": [ref]}]}]}


def _with(value: Any, keys: list[str], new: Any) -> Any:
    if not keys:
        return new
    first, rest = keys[0], keys[1:]
    if first.isdigit():
        items = list(value or [])
        place = int(first)
        items[place : place + 1] = [_with(items[place] if place < len(items) else None, rest, new)]
        return items
    fields = dict(value or {})
    fields[first] = _with(fields.get(first), rest, new)
    return fields

"""Marks: the shape of what a cluster wrote into a document, with the CRC-32 of each value in its place.

A store keeps a mark beside the document. Comparing it with the payload shows which fields still hold the values that
were written, so that only those are replaced or cleared later.
"""

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

import orjson

from shoal.errors import Conflict

__all__ = ["cleared", "marks_of", "merged", "overtaken", "paths_of", "unchanged", "without"]

Json = dict[str, Any]
_NOTHING: Final[Json] = {}


def marks_of(update: Json) -> Json:
    """The mark of an update."""
    return {
        name: marks_of(value) if isinstance(value, dict) else crc32(orjson.dumps(value))
        for name, value in update.items()
    }


def paths_of(shape: Json, prefix: str = "") -> Iterator[str]:
    """The dotted path of each leaf."""
    for name, inner in shape.items():
        if isinstance(inner, dict):
            yield from paths_of(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def merged(old: Json, new: Json) -> Json:
    """Objects merge key by key, all else is replaced by the value of `new`."""
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        result[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def without(shape: Json, other: Json) -> Json:
    """The leaves of `shape` that are not in `other`."""
    left: Json = {}
    for name, value in shape.items():
        if name not in other:
            left[name] = value
        elif isinstance(value, dict) and isinstance(other[name], dict) and (inner := without(value, other[name])):
            left[name] = inner
    return left


def unchanged(payload: Json, marks: Json, update: Json) -> Json:
    """The part of an update whose fields hold the values that they were marked with."""
    left: Json = {}
    for name, value in update.items():
        mark, held = marks.get(name), payload.get(name)
        if isinstance(value, dict):
            if isinstance(mark, dict) and isinstance(held, dict) and (inner := unchanged(held, mark, value)):
                left[name] = inner
        elif name in payload and not isinstance(mark, dict) and crc32(orjson.dumps(held)) == mark:
            left[name] = value
    return left


def cleared(payload: Json, doomed: Json, others: Json = _NOTHING) -> Json:
    """The payload without the doomed fields that hold the marked value and that no other writer has marked alike; an
    object that becomes empty goes too."""
    left = dict(payload)
    for name, mark in doomed.items():
        if name not in left:
            continue
        value, other = left[name], others.get(name)
        if isinstance(mark, dict):
            if isinstance(value, dict):
                inner = cleared(value, mark, other if isinstance(other, dict) else {})
                if inner or not value:
                    left[name] = inner
                else:
                    del left[name]
        elif not isinstance(value, dict) and crc32(orjson.dumps(value)) == mark != other:
            del left[name]
    return left


def overtaken(run_id: str, later: str) -> Conflict:
    """The error about results of a run that come after those of a later one."""
    return Conflict(
        f"The documents hold the results of a later run, {later}; those of {run_id} were not written.", run_id=later
    )

"""Marks: the fields that a cluster wrote into a document, each with the CRC-32 of its value.

A store keeps the mark beside the document. Comparing it with the payload shows which fields still hold the values that
were written, so that only those are replaced or cleared later.
"""

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

import orjson

from shoal.errors import Conflict

__all__ = [
    "clear_fields",
    "conflict_with_later_run",
    "keep_unchanged",
    "marks_of",
    "merge_fields",
    "paths_of",
    "without",
]

Json = dict[str, Any]
_NOTHING: Final[Json] = {}


def marks_of(update: Json) -> Json:
    """Return the mark of an update."""
    return {
        name: marks_of(value) if isinstance(value, dict) else crc32(orjson.dumps(value))
        for name, value in update.items()
    }


def paths_of(shape: Json, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of each leaf."""
    for name, inner in shape.items():
        if isinstance(inner, dict):
            yield from paths_of(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def merge_fields(old: Json, new: Json) -> Json:
    """Merge two objects, recursively; values that are not objects are replaced by those of `new`."""
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        result[name] = merge_fields(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def without(shape: Json, other: Json) -> Json:
    """Return the leaves of `shape` that are not in `other`."""
    left: Json = {}
    for name, value in shape.items():
        if name not in other:
            left[name] = value
        elif isinstance(value, dict) and isinstance(other[name], dict) and (inner := without(value, other[name])):
            left[name] = inner
    return left


def keep_unchanged(payload: Json, marks: Json, update: Json) -> Json:
    """Return the part of an update whose fields still hold their marked values."""
    left: Json = {}
    for name, value in update.items():
        mark, held = marks.get(name), payload.get(name)
        if isinstance(value, dict):
            if isinstance(mark, dict) and isinstance(held, dict) and (inner := keep_unchanged(held, mark, value)):
                left[name] = inner
        elif name in payload and not isinstance(mark, dict) and crc32(orjson.dumps(held)) == mark:
            left[name] = value
    return left


def clear_fields(payload: Json, doomed: Json, others: Json = _NOTHING) -> Json:
    """Return the payload without the `doomed` fields.

    Only fields that still hold their marked value go, unless another writer has the same mark in `others`. An object
    that becomes empty is removed too.
    """
    left = dict(payload)
    for name, mark in doomed.items():
        if name not in left:
            continue
        value, other = left[name], others.get(name)
        if isinstance(mark, dict):
            if isinstance(value, dict):
                inner = clear_fields(value, mark, other if isinstance(other, dict) else {})
                if inner or not value:
                    left[name] = inner
                else:
                    del left[name]
        elif not isinstance(value, dict) and crc32(orjson.dumps(value)) == mark != other:
            del left[name]
    return left


def conflict_with_later_run(run_id: str, later: str) -> Conflict:
    """Return the error for results of a run that arrive after those of a later run."""
    return Conflict(
        f"The documents hold the results of a later run, {later}; those of {run_id} were not written.", run_id=later
    )

"""The rows of a file as they stand in it, with all of its columns: what is written back beside results."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
import pyarrow as pa

__all__ = ["JsonSchema", "Originals", "as_batches"]

Json: TypeAlias = Mapping[str, Any]
Originals: TypeAlias = Iterator[pa.RecordBatch] | Iterator[Sequence[Json]]
"""Stretches of a file from its first row on: Arrow columns, or JSON objects as they came."""

_MOST_FIELDS: Final = 200
"""Fields of an object up to which it is a struct. With more its keys are data, such as dates or ids."""


class JsonSchema:
    """The columns of JSON objects with the Arrow types that hold all of their values.

    A column whose values are of several kinds, and one of objects with very many keys, is text: strings as they are,
    all else as JSON.

    Parameters
    ----------
    stretches
        All of the rows.
    """

    def __init__(self, stretches: Iterable[Sequence[Json]]) -> None:
        self._types: dict[str, pa.DataType | None] = {}
        for rows in stretches:
            self._look_at(rows)
        kinds = {name: pa.string() if kind is None else kind for name, kind in self._types.items()}
        self.schema: pa.Schema = pa.schema(kinds.items())

    def batch(self, rows: Sequence[Json]) -> pa.RecordBatch:
        """The rows as Arrow columns."""
        columns = [
            pa.array(_as_text(rows, name), pa.string())
            if kind is None
            else pa.array([row.get(name) for row in rows], kind)
            for name, kind in self._types.items()
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _look_at(self, rows: Sequence[Json]) -> None:
        for name in dict.fromkeys(name for row in rows for name in row):
            before = self._types.get(name, pa.null())
            self._types[name] = None if before is None else _united(before, [row.get(name) for row in rows])


def as_batches(originals: Callable[[], Originals]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The same as Arrow columns of one schema; what came as JSON is read twice. `originals` starts at the first row."""
    stretches = iter(originals())
    first = next(stretches, None)
    if isinstance(first, pa.RecordBatch):
        return first.schema, _chained(first, stretches)
    known = JsonSchema(originals())
    return known.schema, map(known.batch, originals())


def _chained(first: pa.RecordBatch, rest: Iterator[Any]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _united(before: pa.DataType, values: Sequence[Any]) -> pa.DataType | None:
    """The type that holds what was before and these values; None where there is none but text."""
    try:
        found = pa.array(values).type
        both = [pa.schema([("one", kind)]) for kind in (before, found)]
        kind = pa.unify_schemas(both, promote_options="permissive").field("one").type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None
    return kind if _is_tame(kind) else None


def _is_tame(kind: pa.DataType) -> bool:
    """Whether a table may have a column of this type: no struct in it is empty, or of very many fields."""
    if pa.types.is_struct(kind) and not 0 < kind.num_fields <= _MOST_FIELDS:
        return False
    return all(_is_tame(kind.field(at).type) for at in range(kind.num_fields))


def _as_text(rows: Sequence[Json], name: str) -> list[str | None]:
    values = (row.get(name) for row in rows)
    return [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]

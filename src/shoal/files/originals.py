"""The rows of a file with all of its columns as they stand in it, to be written back beside results."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
import pyarrow as pa

__all__ = ["JsonSchema", "Originals", "to_batches"]

Json: TypeAlias = Mapping[str, Any]
Originals: TypeAlias = Iterator[pa.RecordBatch] | Iterator[Sequence[Json]]
"""Chunks of a file from its first row on: Arrow columns, or JSON objects as read."""

_MOST_FIELDS: Final = 200
"""The maximum number of keys of an object that becomes a struct. With more, its keys are data, such as dates or ids."""


class JsonSchema:
    """Infers Arrow columns that hold all values of JSON objects.

    A column of mixed types, and one of objects with very many keys, is text: strings unchanged, anything else as JSON.

    Parameters
    ----------
    chunks
        All of the rows.
    """

    def __init__(self, chunks: Iterable[Sequence[Json]]) -> None:
        self._types: dict[str, pa.DataType | None] = {}
        for rows in chunks:
            self._widen(rows)
        kinds = {name: pa.string() if kind is None else kind for name, kind in self._types.items()}
        self.schema: pa.Schema = pa.schema(kinds.items())

    def batch(self, rows: Sequence[Json]) -> pa.RecordBatch:
        """Convert rows to Arrow columns."""
        columns = [
            pa.array(_to_text(rows, name), pa.string())
            if kind is None
            else pa.array([row.get(name) for row in rows], kind)
            for name, kind in self._types.items()
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _widen(self, rows: Sequence[Json]) -> None:
        for name in dict.fromkeys(name for row in rows for name in row):
            before = self._types.get(name, pa.null())
            self._types[name] = None if before is None else _unify_types(before, [row.get(name) for row in rows])


def to_batches(originals: Callable[[], Originals]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the rows as Arrow columns of one schema; JSON is read twice. `originals` starts at the first row."""
    chunks = iter(originals())
    first = next(chunks, None)
    if isinstance(first, pa.RecordBatch):
        return first.schema, _chain(first, chunks)
    columns = JsonSchema(originals())
    return columns.schema, map(columns.batch, originals())


def _chain(first: pa.RecordBatch, rest: Iterator[Any]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _unify_types(before: pa.DataType, values: Sequence[Any]) -> pa.DataType | None:
    """Return the type that holds the values so far and these; None where only text does."""
    try:
        new_type = pa.array(values).type
        both = [pa.schema([("one", kind)]) for kind in (before, new_type)]
        kind = pa.unify_schemas(both, promote_options="permissive").field("one").type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None
    return kind if _is_supported(kind) else None


def _is_supported(kind: pa.DataType) -> bool:
    """Return whether a table may have a column of this type: no struct in it is empty, or has very many fields."""
    if pa.types.is_struct(kind) and not 0 < kind.num_fields <= _MOST_FIELDS:
        return False
    return all(_is_supported(kind.field(at).type) for at in range(kind.num_fields))


def _to_text(rows: Sequence[Json], name: str) -> list[str | None]:
    values = (row.get(name) for row in rows)
    return [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]

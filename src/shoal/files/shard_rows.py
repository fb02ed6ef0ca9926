"""Several Parquet files that are read as one table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds, Unfolding
from shoal.files.columnar.parquet import ParquetRows
from shoal.files.columnar.parquet_probe import check_metadata
from shoal.files.columnar.tables import check_names
from shoal.files.formats import format_of
from shoal.files.pieces import Shards
from shoal.files.reading import speaking_shoal
from shoal.files.shards import Shard
from shoal.tables import is_json, is_text, to_plain

__all__ = ["ShardRows", "partitions"]

_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})")


class ShardRows:
    """The rows of Parquet files of one schema, one file after the other.

    What the names of their folders say of them (`lang=en`) is a column, unless the files have one of that name. Whole
    numbers in all of them are numbers, anything else is text.

    Parameters
    ----------
    shards
        The files, at least one, in the order of their rows.
    label
        Names all of them in errors.
    bounds
        How far they may unfold, all together.

    Raises
    ------
    InvalidField
        For a file that is damaged, or whose columns are not those of the first: it names the file, the column and both
        types.
    TooLarge
        For files that unfold to more than `bounds` allow.
    """

    warnings: Mapping[str, str] = MappingProxyType({})
    untyped = False

    def __init__(self, shards: Sequence[Shard], label: str, bounds: Bounds) -> None:
        for shard in shards:
            format_of(shard.path, shard.name, "parquet")
        if bounds.most_bytes is not None:  # in the process of the user
            check_metadata([(shard.path, shard.name) for shard in shards])
        size = sum(shard.path.stat().st_size for shard in shards)
        self._unfolding = Unfolding(label, size, bounds)
        self._files = [_opened(shard, size, bounds) for shard in shards]
        counts = [file.count or 0 for file in self._files]
        self.count: int | None = sum(counts)
        self._unfolding.check(sum(file.least_bytes for file in self._files), self.count)
        starts = accumulate(counts[:-1], initial=0)
        self.shards: Shards = [(shard.name, first) for shard, first in zip(shards, starts, strict=True)]
        self._columns = _common(shards, [file.schema for file in self._files])
        self._partitions = partitions(shards, self._columns)
        added = [(name, values.type) for name, values in self._partitions.items()]
        self.schema: pa.Schema = pa.schema([*self._columns.items(), *added])

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._unfolding.bounded(self._decoded(size, columns or self.schema.names), size)

    def _decoded(self, size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        stored = [name for name in columns if name in self._columns]
        for number, file in enumerate(self._files):
            for batch in file.decoded(size, stored) if file.count else ():
                yield pa.RecordBatch.from_arrays([self._column(name, batch, number) for name in columns], names=columns)

    def _column(self, name: str, batch: pa.RecordBatch, number: int) -> pa.Array:
        if name in self._partitions:
            return pa.repeat(self._partitions[name][number], len(batch))
        column = batch.column(name)
        # A file in which a column is empty does not say what the others hold in it.
        kind = self._columns[name]
        return pa.nulls(len(batch), kind) if pa.types.is_null(column.type) else _in_order(column, kind)


def _opened(shard: Shard, size: int, bounds: Bounds) -> ParquetRows:
    with speaking_shoal(shard.name):
        rows = ParquetRows(shard.path, shard.name, Unfolding(shard.name, size, bounds))
    check_names(rows.schema.names, shard.name)
    return rows


def _common(shards: Sequence[Shard], schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """The columns of the first file, each with its type in the first where it is not empty."""
    columns: dict[str, pa.DataType] = {field.name: field.type for field in schemas[0]}
    named = dict.fromkeys(columns, shards[0].name)
    for shard, schema in zip(shards[1:], schemas[1:], strict=True):
        if odd := sorted(columns.keys() ^ set(schema.names)):
            has, lacks = (shards[0], shard) if odd[0] in columns else (shard, shards[0])
            problem = f"has no column {odd[0]!r}, and {has.name} has one"
            raise InvalidField(lacks.name, problem, remedy="Write all files with the same columns.")
        for field in schema:
            if pa.types.is_null(columns[field.name]):
                columns[field.name], named[field.name] = field.type, shard.name
            elif not (pa.types.is_null(field.type) or _alike(columns[field.name], field.type)):
                place = f"{shard.name}: column {field.name!r}"
                problem = f"is {field.type}, and {columns[field.name]} in {named[field.name]}"
                raise InvalidField(place, problem, remedy="Write all files with the same types.")
    return columns


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether both are the same in a layout of `shoal.tables.plain`, where text is text whatever its width."""
    if one == other:
        return True
    if is_json(one) or is_json(other):
        return False
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields, others = ({field.name: field.type for field in kind} for kind in (one, other))
        same = fields.keys() == others.keys() and len(fields) == one.num_fields == other.num_fields
        return same and all(_alike(kind, others[name]) for name, kind in fields.items())
    one, other = (to_plain(pa.array([], kind)).type for kind in (one, other))
    return bool(one == other) or (is_text(one) and is_text(other))


def _in_order(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A struct with its fields in the order of another one of the same fields."""
    if not pa.types.is_struct(kind) or column.type == kind:
        return column
    held = {field.name: part for field, part in zip(column.type, column.flatten(), strict=True)}
    parts = [_in_order(held[field.name], field.type) for field in kind]
    return pa.StructArray.from_arrays(parts, [field.name for field in kind], mask=column.is_null())


def partitions(shards: Sequence[Shard], columns: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """A column of one value for each file, by name."""
    found: dict[str, pa.Array] = {}
    for name in shards[0].partition:
        if name not in columns:
            values = [shard.partition[name] for shard in shards]
            whole = all(value is None or _WHOLE.fullmatch(value) for value in values)
            numbers = [None if value is None else int(value) for value in values] if whole else values
            found[name] = pa.array(numbers, pa.int64() if whole else pa.string())
    return found

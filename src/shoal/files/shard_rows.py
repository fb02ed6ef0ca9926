"""Several Parquet files that are read as one table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds, SizeGuard
from shoal.files.columnar.parquet import ParquetRows
from shoal.files.columnar.parquet_probe import check_metadata
from shoal.files.columnar.tables import check_names
from shoal.files.formats import detect_format
from shoal.files.paths.partitions import partition_columns
from shoal.files.paths.shards import Shard
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors
from shoal.tables import is_json, is_text, to_plain

__all__ = ["ShardRows"]


class ShardRows:
    """The rows of Parquet files of one schema, one file after the other.

    Partition values in folder names (`lang=en`) become a column, unless the files have one of that name: numbers where
    all are integers, otherwise text.

    Parameters
    ----------
    shards
        The files, at least one, in the order of their rows.
    label
        Names all of them in errors.
    bounds
        Limits on their total expanded size.

    Raises
    ------
    InvalidField
        For a file that is damaged, or whose columns differ from those of the first: it names the file, the column and
        both types.
    TooLarge
        For files that expand to more than `bounds` allow.
    """

    warnings: Mapping[str, str] = MappingProxyType({})
    untyped = False

    def __init__(self, shards: Sequence[Shard], label: str, bounds: Bounds) -> None:
        for shard in shards:
            detect_format(shard.path, shard.name, "parquet")
        if bounds.most_bytes is not None:  # read in the user's process
            check_metadata([(shard.path, shard.name) for shard in shards])
        size = sum(shard.path.stat().st_size for shard in shards)
        self._guard = SizeGuard(label, size, bounds)
        self._files = [_open_shard(shard, size, bounds) for shard in shards]
        counts = [file.count or 0 for file in self._files]
        self.count: int | None = sum(counts)
        self._guard.check(sum(file.min_bytes for file in self._files), self.count)
        starts = accumulate(counts[:-1], initial=0)
        self.shards: Shards = [(shard.name, first) for shard, first in zip(shards, starts, strict=True)]
        self._columns = _merge_schemas(shards, [file.schema for file in self._files])
        self._partitions = partition_columns(shards, self._columns)
        partition_types = [(name, values.type) for name, values in self._partitions.items()]
        self.schema: pa.Schema = pa.schema([*self._columns.items(), *partition_types])

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._guard.bound_batches(self._iter_batches(size, columns or self.schema.names), size)

    def _iter_batches(self, size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        stored = [name for name in columns if name in self._columns]
        for number, file in enumerate(self._files):
            for batch in file.decode_batches(size, stored) if file.count else ():
                yield pa.RecordBatch.from_arrays(
                    [self._read_column(name, batch, number) for name in columns], names=columns
                )

    def _read_column(self, name: str, batch: pa.RecordBatch, number: int) -> pa.Array:
        if name in self._partitions:
            return pa.repeat(self._partitions[name][number], len(batch))
        column = batch.column(name)
        # A null column in one file says nothing about its type in the others.
        kind = self._columns[name]
        return pa.nulls(len(batch), kind) if pa.types.is_null(column.type) else _reorder_fields(column, kind)


def _open_shard(shard: Shard, size: int, bounds: Bounds) -> ParquetRows:
    with translate_errors(shard.name):
        rows = ParquetRows(shard.path, shard.name, SizeGuard(shard.name, size, bounds))
    check_names(rows.schema.names, shard.name)
    return rows


def _merge_schemas(shards: Sequence[Shard], schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """Return the columns of the first file, each with its type in the first file where it is not null."""
    columns: dict[str, pa.DataType] = {field.name: field.type for field in schemas[0]}
    first_typed = dict.fromkeys(columns, shards[0].name)
    for shard, schema in zip(shards[1:], schemas[1:], strict=True):
        if unshared := sorted(columns.keys() ^ set(schema.names)):
            has, lacks = (shards[0], shard) if unshared[0] in columns else (shard, shards[0])
            problem = f"has no column {unshared[0]!r}, and {has.name} has one"
            raise InvalidField(lacks.name, problem, remedy="Write all files with the same columns.")
        for field in schema:
            if pa.types.is_null(columns[field.name]):
                columns[field.name], first_typed[field.name] = field.type, shard.name
            elif not (pa.types.is_null(field.type) or _is_compatible(columns[field.name], field.type)):
                place = f"{shard.name}: column {field.name!r}"
                problem = f"is {field.type}, and {columns[field.name]} in {first_typed[field.name]}"
                raise InvalidField(place, problem, remedy="Write all files with the same types.")
    return columns


def _is_compatible(left: pa.DataType, right: pa.DataType) -> bool:
    """Return whether two types are the same in a layout of `shoal.tables.to_plain`, where all text types are one."""
    if left == right:
        return True
    if is_json(left) or is_json(right):
        return False
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        fields, right_fields = ({field.name: field.type for field in kind} for kind in (left, right))
        same = fields.keys() == right_fields.keys() and len(fields) == left.num_fields == right.num_fields
        return same and all(_is_compatible(kind, right_fields[name]) for name, kind in fields.items())
    left, right = (to_plain(pa.array([], kind)).type for kind in (left, right))
    return bool(left == right) or (is_text(left) and is_text(right))


def _reorder_fields(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a struct column with its fields in the order of another struct type."""
    if not pa.types.is_struct(kind) or column.type == kind:
        return column
    by_name = {field.name: part for field, part in zip(column.type, column.flatten(), strict=True)}
    parts = [_reorder_fields(by_name[field.name], field.type) for field in kind]
    return pa.StructArray.from_arrays(parts, [field.name for field in kind], mask=column.is_null())

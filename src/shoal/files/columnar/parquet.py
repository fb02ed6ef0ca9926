"""Parquet files, read so that what a few bytes stand for is counted before it is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.files.bounds import Unfolding
from shoal.files.pieces import Shards
from shoal.files.reading import speaking_shoal

__all__ = ["ParquetRows"]

_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_BATCH_BYTES: Final = 16 * 2**20
_BUFFER_BYTES: Final = 2**20
_FEW: Final = 100_000
_LOOKED_AT: Final = 8
"""Row groups of which the dictionaries are looked at before anything is read."""
_HARMLESS: Final = 64 * 2**20
_DELTA_ROWS: Final = 256
"""Rows decoded at once where texts are stored as what differs from the one before: their sizes are nowhere told."""


class ParquetRows:
    """A Parquet file, read row group by row group, pages as they are needed."""

    warnings: Mapping[str, str] = MappingProxyType({})
    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, label: str, unfolding: Unfolding) -> None:
        self._path, self._label, self._unfolding = path, label, unfolding
        with pq.ParquetFile(path) as file:
            self._metadata = file.metadata
            unfolding.check_columns(self._metadata.num_columns)
            self.schema: pa.Schema = file.schema_arrow
            unfolding.check_schema(self.schema)
        self.count: int | None = self._metadata.num_rows
        self._paths = [self._metadata.schema.column(at).path for at in range(self._metadata.num_columns)]
        self.least_bytes = self._least_bytes() + self._least_repeated()
        unfolding.check(self.least_bytes, self._metadata.num_rows)

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._unfolding.bounded(self.decoded(size, columns), size)

    def decoded(self, size: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """As `batches`, but not counted yet."""
        with speaking_shoal(self._label), self._open() as file:
            yield from self._decoded(file, size, columns)

    def _decoded(self, file: pq.ParquetFile, size: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        names = None if columns is None else frozenset(columns)
        wanted = [at for at, path in enumerate(self._paths) if names is None or _belongs(path, names)]
        plans = [(self._rows_at_once(group, wanted, size), group) for group in range(file.num_row_groups)]
        for rows, groups in groupby(plans, key=lambda plan: plan[0]):
            yield from file.iter_batches(
                batch_size=rows, row_groups=[group for _, group in groups], columns=columns, use_threads=True
            )

    def _open(self, dictionaries: Sequence[str] | None = None) -> pq.ParquetFile:
        # Through a buffer, or Arrow takes whole columns of a row group into memory.
        return pq.ParquetFile(
            self._path, metadata=self._metadata, read_dictionary=dictionaries, buffer_size=_BUFFER_BYTES
        )

    def _least_bytes(self) -> int:
        """What the values come to at least: those of a fixed width, whatever they are stored as."""
        total = 0
        for group in range(self._metadata.num_row_groups):
            row_group = self._metadata.row_group(group)
            for at in range(row_group.num_columns):
                column = row_group.column(at)
                total += column.num_values * self._width(at, column.physical_type)
        return total

    def _least_repeated(self) -> int:
        """What texts come to at least that stand in a dictionary and are repeated by number, in the largest row groups:
        a few kilobytes may stand for any number of gigabytes."""
        total, metadata = 0, self._metadata
        groups = sorted(range(metadata.num_row_groups), key=lambda group: -metadata.row_group(group).num_rows)
        for group in groups[:_LOOKED_AT]:
            row_group = metadata.row_group(group)
            columns = [row_group.column(at) for at in range(row_group.num_columns)]
            names = {
                column.path_in_schema: column.num_values - (column.statistics.null_count or 0)
                for column in columns
                if column.physical_type == "BYTE_ARRAY"
                and column.has_dictionary_page
                and column.num_values > max(column.total_uncompressed_size, _FEW)
                and column.statistics is not None
                and column.statistics.has_null_count
            }
            if not names:
                continue
            with self._open(list(names)) as file:
                first = next(file.iter_batches(batch_size=1, row_groups=[group], columns=list(names)), None)
            for name, count in names.items():
                if first is not None and name in first.schema.names:
                    total += count * min(_dictionaries(first.column(name), pc.min), default=0)
        return total

    def _width(self, at: int, physical: str) -> int:
        if physical == "FIXED_LEN_BYTE_ARRAY":
            return int(self._metadata.schema.column(at).length)
        return _WIDTHS.get(physical, 0)

    def _rows_at_once(self, group: int, wanted: Sequence[int], size: int) -> int:
        """How many rows of a group unfold to about 16 MiB, at most `size`."""
        row_group = self._metadata.row_group(group)
        rows = max(row_group.num_rows, 1)
        each, most, repeating = 0.0, size, {}
        for at in wanted:
            column = row_group.column(at)
            if column.physical_type != "BYTE_ARRAY":
                each += column.num_values / rows * self._width(at, column.physical_type)
                continue
            each += column.total_uncompressed_size / rows
            if column.total_uncompressed_size * min(size, rows) > _HARMLESS:
                if "DELTA_BYTE_ARRAY" in column.encodings:
                    most = min(most, _DELTA_ROWS)
                if column.has_dictionary_page:
                    repeating[column.path_in_schema] = column.num_values / rows
        each += sum(
            largest * repeating[name] for name, largest in zip(repeating, self._largest(group, repeating), strict=True)
        )
        return min(max(int(_BATCH_BYTES / max(each, 1.0)), 1), most)

    def _largest(self, group: int, names: dict[str, float]) -> list[int]:
        """The bytes of the largest value in the dictionary of each column."""
        if not names:
            return []
        with self._open(list(names)) as file:
            first = next(file.iter_batches(batch_size=1, row_groups=[group], columns=list(names)), None)
        found = [] if first is None else [size for column in first.columns for size in _dictionaries(column)]
        # Where Arrow could not keep them as dictionaries, nothing is known: the largest there is stands for all.
        return found if len(found) == len(names) else [max(found, default=0)] * len(names)


def _belongs(path: str, names: frozenset[str]) -> bool:
    """Whether the leaf at a dotted path is one of these columns or a part of one. Names may hold dots themselves."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def _dictionaries(column: pa.Array, extreme: Callable[[pa.Array], pa.Scalar] = pc.max) -> Iterator[int]:
    """The bytes of the largest value in each dictionary of a column, in the order of its fields, or of the smallest."""
    if pa.types.is_dictionary(column.type):
        yield int(extreme(pc.binary_length(column.dictionary)).as_py() or 0)
    elif pa.types.is_struct(column.type):
        for field in column.flatten():
            yield from _dictionaries(field, extreme)
    elif pa.types.is_map(column.type):
        yield from _dictionaries(column.keys, extreme)
        yield from _dictionaries(column.items, extreme)
    elif column.type.num_fields:
        yield from _dictionaries(column.values, extreme)

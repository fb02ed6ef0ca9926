"""Parquet files, whose expanded size is checked before they are decoded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.files.bounds import SizeGuard
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors

__all__ = ["ParquetRows"]

_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_BATCH_BYTES: Final = 16 * 2**20
_BUFFER_BYTES: Final = 2**20
_FEW: Final = 100_000
_SAMPLED_GROUPS: Final = 8
"""Row groups whose dictionaries are inspected before anything is read."""
_HARMLESS: Final = 64 * 2**20
_DELTA_ROWS: Final = 256
"""Rows decoded at once where texts are delta-encoded: their sizes are not stored anywhere."""


class ParquetRows:
    """A Parquet file, read one row group at a time, pages on demand."""

    warnings: Mapping[str, str] = MappingProxyType({})
    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, label: str, guard: SizeGuard) -> None:
        self._path, self._label, self._guard = path, label, guard
        with pq.ParquetFile(path) as file:
            self._metadata = file.metadata
            guard.check_columns(self._metadata.num_columns)
            self.schema: pa.Schema = file.schema_arrow
            guard.check_schema(self.schema)
        self.count: int | None = self._metadata.num_rows
        self._paths = [self._metadata.schema.column(at).path for at in range(self._metadata.num_columns)]
        self.min_bytes = self._min_fixed_bytes() + self._min_dictionary_bytes()
        guard.check(self.min_bytes, self._metadata.num_rows)

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._guard.bound_batches(self.decode_batches(size, columns), size)

    def decode_batches(self, size: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """As `batches`, without the size check."""
        with translate_errors(self._label), self._open() as file:
            yield from self._iter_batches(file, size, columns)

    def _iter_batches(self, file: pq.ParquetFile, size: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        names = None if columns is None else frozenset(columns)
        selected = [at for at, path in enumerate(self._paths) if names is None or _is_selected(path, names)]
        plans = [(self._choose_batch_rows(group, selected, size), group) for group in range(file.num_row_groups)]
        for rows, groups in groupby(plans, key=lambda plan: plan[0]):
            yield from file.iter_batches(
                batch_size=rows, row_groups=[group for _, group in groups], columns=columns, use_threads=True
            )

    def _open(self, dictionaries: Sequence[str] | None = None) -> pq.ParquetFile:
        # Buffered, or Arrow loads whole columns of a row group into memory.
        return pq.ParquetFile(
            self._path, metadata=self._metadata, read_dictionary=dictionaries, buffer_size=_BUFFER_BYTES
        )

    def _min_fixed_bytes(self) -> int:
        """Return a lower bound of the expanded size: the fixed-width values, however they are encoded."""
        total = 0
        for group in range(self._metadata.num_row_groups):
            row_group = self._metadata.row_group(group)
            for at in range(row_group.num_columns):
                column = row_group.column(at)
                total += column.num_values * self._value_width(at, column.physical_type)
        return total

    def _min_dictionary_bytes(self) -> int:
        """Return a lower bound for dictionary-encoded text in the largest row groups: a few kilobytes may stand for
        gigabytes."""
        total, metadata = 0, self._metadata
        groups = sorted(range(metadata.num_row_groups), key=lambda group: -metadata.row_group(group).num_rows)
        for group in groups[:_SAMPLED_GROUPS]:
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
                    total += count * min(_dictionary_value_sizes(first.column(name), pc.min), default=0)
        return total

    def _value_width(self, at: int, physical: str) -> int:
        if physical == "FIXED_LEN_BYTE_ARRAY":
            return int(self._metadata.schema.column(at).length)
        return _WIDTHS.get(physical, 0)

    def _choose_batch_rows(self, group: int, selected: Sequence[int], size: int) -> int:
        """Return how many rows of a group expand to about 16 MiB, at most `size`."""
        row_group = self._metadata.row_group(group)
        rows = max(row_group.num_rows, 1)
        row_bytes, most, repeating = 0.0, size, {}
        for at in selected:
            column = row_group.column(at)
            if column.physical_type != "BYTE_ARRAY":
                row_bytes += column.num_values / rows * self._value_width(at, column.physical_type)
                continue
            row_bytes += column.total_uncompressed_size / rows
            if column.total_uncompressed_size * min(size, rows) > _HARMLESS:
                if "DELTA_BYTE_ARRAY" in column.encodings:
                    most = min(most, _DELTA_ROWS)
                if column.has_dictionary_page:
                    repeating[column.path_in_schema] = column.num_values / rows
        row_bytes += sum(
            largest * repeating[name]
            for name, largest in zip(repeating, self._largest_values(group, repeating), strict=True)
        )
        return min(max(int(_BATCH_BYTES / max(row_bytes, 1.0)), 1), most)

    def _largest_values(self, group: int, names: dict[str, float]) -> list[int]:
        """Return the size in bytes of the largest dictionary value of each column."""
        if not names:
            return []
        with self._open(list(names)) as file:
            first = next(file.iter_batches(batch_size=1, row_groups=[group], columns=list(names)), None)
        sizes = [] if first is None else [size for column in first.columns for size in _dictionary_value_sizes(column)]
        # Where Arrow did not keep dictionaries, sizes are unknown: assume the largest one for all.
        return sizes if len(sizes) == len(names) else [max(sizes, default=0)] * len(names)


def _is_selected(path: str, names: frozenset[str]) -> bool:
    """Return whether the leaf at a dotted path belongs to one of these columns, whose names may contain dots."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def _dictionary_value_sizes(column: pa.Array, extreme: Callable[[pa.Array], pa.Scalar] = pc.max) -> Iterator[int]:
    """Yield the size in bytes of the largest (or smallest) value of each dictionary in a column, in field order."""
    if pa.types.is_dictionary(column.type):
        yield int(extreme(pc.binary_length(column.dictionary)).as_py() or 0)
    elif pa.types.is_struct(column.type):
        for field in column.flatten():
            yield from _dictionary_value_sizes(field, extreme)
    elif pa.types.is_map(column.type):
        yield from _dictionary_value_sizes(column.keys, extreme)
        yield from _dictionary_value_sizes(column.items, extreme)
    elif column.type.num_fields:
        yield from _dictionary_value_sizes(column.values, extreme)

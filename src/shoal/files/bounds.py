"""Limits on the expanded size of a file.

A few kilobytes can stand for gigabytes (dictionaries, run-length encoding, compressed zeros), so the expanded size is
computed and checked before anything is materialized.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.errors import InvalidField, TooLarge
from shoal.files.expanded_size import nesting_depth, row_bytes

__all__ = [
    "MAX_COLUMNS",
    "MAX_NESTING",
    "ROW_BYTES",
    "Bounds",
    "SizeGuard",
    "available_bytes",
    "check_columns",
    "format_size",
]

MAX_COLUMNS: Final = 16_384
"""The maximum number of columns in a file, fields of structs included."""
MAX_NESTING: Final = 64
"""The maximum nesting of lists and structs in a value."""
ROW_BYTES: Final = 512
"""Overhead of a document beyond its content. It bounds the number of empty rows."""

_TIMES: Final = 200
_BATCH_BYTES: Final = 8 * 2**20
_ROW_MOST: Final = 64 * 2**20
_MIB: Final = 2**20
_SETTING: Final = "SHOAL_IMPORT_UNFOLDED_MIB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much data reading a file may produce.

    Parameters
    ----------
    free_bytes
        The expanded size that any file may have; a larger file may expand to 200 times its size.
    most_bytes
        The upper limit on the expanded size of any file; None where documents are read one batch at a time.
    batch_bytes
        The most memory that may be needed at once, such as for a compressed batch of an Arrow file.
    """

    free_bytes: int = 256 * _MIB
    most_bytes: int | None = None
    batch_bytes: int = 384 * _MIB

    @staticmethod
    def in_memory(free_mib: int = 0) -> "Bounds":
        """Return bounds for a file that is held in memory as a whole.

        They allow four fifths of the available memory, and at least 1 GiB for a small file. `free_mib`, where it is not
        0, replaces both, in MiB.
        """
        available = available_bytes() * 4 // 5
        if free_mib:
            return Bounds(free_bytes=free_mib * _MIB, most_bytes=free_mib * _MIB, batch_bytes=available)
        return Bounds(free_bytes=1024 * _MIB, most_bytes=available, batch_bytes=available)

    def max_expanded_bytes(self, file_bytes: int) -> int:
        """Return the expanded size allowed for a file of `file_bytes`."""
        most = sys.maxsize if self.most_bytes is None else self.most_bytes
        return min(max(self.free_bytes, _TIMES * file_bytes), most)


class SizeGuard:
    """Enforces the bounds of one file. `label` names it in errors, `file_bytes` is its size."""

    def __init__(self, label: str, file_bytes: int, bounds: Bounds) -> None:
        self._label, self._file_bytes, self.bounds = label, file_bytes, bounds
        self._most = bounds.max_expanded_bytes(file_bytes)

    def check(self, total_bytes: int, rows: int) -> None:
        """Raise TooLarge where this many bytes in this many rows exceed the limit of the file."""
        total = total_bytes + rows * ROW_BYTES
        if total > self._most:
            raise TooLarge(
                f"{self._label}: unfolds to {rows:,} documents of together {format_size(total)} or more, and a file of "
                f"{format_size(self._file_bytes)} may unfold to {format_size(self._most)}. Send it in parts, or raise "
                f"{_SETTING}.",
                field=self._label,
                limit_bytes=self._most,
                setting=_SETTING,
            )

    def check_at_once(self, needed: int, what: str) -> None:
        """Raise TooLarge where `needed` bytes would be in memory at once. `what` names the part, such as "batch 3"."""
        if needed > self.bounds.batch_bytes:
            raise TooLarge(
                f"{self._label}: {what} unfolds to {format_size(needed)}, and {format_size(self.bounds.batch_bytes)} "
                "may be in memory at once. Write the file in smaller batches, or raise SHOAL_IMPORT_MEMORY_MIB.",
                field=self._label,
                limit_bytes=self.bounds.batch_bytes,
                setting="SHOAL_IMPORT_MEMORY_MIB",
            )

    def check_schema(self, schema: pa.Schema) -> None:
        """Raise InvalidField for too many columns, and for types that are nested too deeply."""
        self.check_columns(sum(_count_leaves(field.type) for field in schema))
        for field in schema:
            if nesting_depth(field.type) > MAX_NESTING:
                remedy = "Flatten it, or leave it out."
                place = f"{self._label}: column {field.name!r}"
                raise InvalidField(place, f"is nested more than {MAX_NESTING} deep", remedy=remedy)

    def check_columns(self, columns: int) -> None:
        """Raise InvalidField for too many columns."""
        check_columns(columns, self._label)

    def bound_batches(self, batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the same rows, counted, in batches of at most `rows` that expand to at most 8 MiB or hold a single row.

        Raises TooLarge once the file exceeds its limit, InvalidField for a row over 64 MiB.
        """
        total, first = 0, 0
        for batch in batches:
            sizes = row_sizes(batch)
            self.check(total + int(sizes.sum()), first + len(batch))
            for start, stop in _split_by_size(sizes, rows):
                size = int(sizes[start:stop].sum())
                if size > _ROW_MOST:
                    raise self._row_too_large(batch.slice(start, 1), first + start, size)
                yield batch.slice(start, stop - start)
            first, total = first + len(batch), total + int(sizes.sum())

    def _row_too_large(self, row: pa.RecordBatch, number: int, size: int) -> InvalidField:
        widest = max(range(row.num_columns), key=lambda at: int(row_bytes(row.column(at))[0]))
        return InvalidField(
            f"{self._label}: row {number}, column {row.schema.names[widest]!r}",
            f"unfolds to {format_size(size)}, and a row may have {format_size(_ROW_MOST)}",
            remedy="Leave large columns out.",
        )


def check_columns(columns: int, label: str) -> None:
    """Raise InvalidField about the file `label` for too many columns."""
    if columns > MAX_COLUMNS:
        problem = f"has {columns:,} columns, more than the {MAX_COLUMNS:,} allowed"
        raise InvalidField(label, problem, remedy="Keep numbers that belong together in a column of lists.")


def row_sizes(batch: pa.RecordBatch) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return (n,) the expanded size in bytes of each row of a batch, column names included."""
    names = sum(len(name) + 8 for name in batch.schema.names)
    sizes = np.full(len(batch), names, np.int64)
    for column in batch.columns:
        sizes += row_bytes(column)
    return sizes


def available_bytes() -> int:
    """Return the memory that this process can still allocate without making others swap."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _split_by_size(sizes: "np.ndarray[tuple[int], np.dtype[np.int64]]", rows: int) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + _BATCH_BYTES, side="right"))
        stop = min(max(fitting, start + 1), start + rows)
        yield start, stop
        start = stop


def _count_leaves(kind: pa.DataType) -> int:
    return max(1, sum(_count_leaves(kind.field(i).type) for i in range(kind.num_fields)))


def format_size(count: int) -> str:
    """Format a number of bytes for people."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:,} bytes"

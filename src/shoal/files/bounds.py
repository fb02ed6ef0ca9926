"""How far a file may unfold. A few kilobytes can stand for gigabytes (dictionaries, runs, compressed zeros, a text that
is repeated by number), so what comes out is counted, and bounded, before it is made."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.errors import InvalidField, TooLarge
from shoal.files.unfolding import depth_of, row_bytes

__all__ = [
    "MAX_COLUMNS",
    "MAX_NESTING",
    "ROW_BYTES",
    "Bounds",
    "Unfolding",
    "available_bytes",
    "check_columns",
    "size_text",
]

MAX_COLUMNS: Final = 16_384
"""Most columns of a file, fields of structs counted."""
MAX_NESTING: Final = 64
"""Most levels of lists and structs in a value."""
ROW_BYTES: Final = 512
"""What a document costs beside its content. It bounds rows that hold nothing."""

_TIMES: Final = 200
_BATCH_BYTES: Final = 8 * 2**20
_ROW_MOST: Final = 64 * 2**20
_MIB: Final = 2**20
_SETTING: Final = "SHOAL_IMPORT_UNFOLDED_MIB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What reading a file may come to.

    Parameters
    ----------
    free_bytes
        What a file may unfold to whatever its size; a larger file may unfold to 200 times its size.
    most_bytes
        What no file may unfold to more than, whatever its size; None where documents are read one batch at a time.
    batch_bytes
        Most memory that may be needed at once, such as for a compressed batch of an Arrow file.
    """

    free_bytes: int = 256 * _MIB
    most_bytes: int | None = None
    batch_bytes: int = 384 * _MIB

    @staticmethod
    def in_memory(free_mib: int = 0) -> "Bounds":
        """For a whole file that is held in the memory of this machine: four fifths of what is available, and at least
        1 GiB for a small file. `free_mib`, where it is not 0, is what is allowed instead, in MiB."""
        available = available_bytes() * 4 // 5
        if free_mib:
            return Bounds(free_bytes=free_mib * _MIB, most_bytes=free_mib * _MIB, batch_bytes=available)
        return Bounds(free_bytes=1024 * _MIB, most_bytes=available, batch_bytes=available)

    def unfolded_bytes(self, file_bytes: int) -> int:
        """What a file of so many bytes may unfold to."""
        most = sys.maxsize if self.most_bytes is None else self.most_bytes
        return min(max(self.free_bytes, _TIMES * file_bytes), most)


class Unfolding:
    """The bounds of one file. `label` names it in errors, `file_bytes` is its size."""

    def __init__(self, label: str, file_bytes: int, bounds: Bounds) -> None:
        self._label, self._file_bytes, self.bounds = label, file_bytes, bounds
        self._most = bounds.unfolded_bytes(file_bytes)

    def check(self, total_bytes: int, rows: int) -> None:
        """Raises TooLarge where content of so many bytes in so many rows is more than the file may unfold to."""
        total = total_bytes + rows * ROW_BYTES
        if total > self._most:
            raise TooLarge(
                f"{self._label}: unfolds to {rows:,} documents of together {size_text(total)} or more, and a file of "
                f"{size_text(self._file_bytes)} may unfold to {size_text(self._most)}. Send it in parts, or raise "
                f"{_SETTING}.",
                field=self._label,
                limit_bytes=self._most,
                setting=_SETTING,
            )

    def check_at_once(self, needed: int, what: str) -> None:
        """Raises TooLarge where `needed` bytes would have to be in memory at once. `what` is, such as "batch 3"."""
        if needed > self.bounds.batch_bytes:
            raise TooLarge(
                f"{self._label}: {what} unfolds to {size_text(needed)}, and {size_text(self.bounds.batch_bytes)} may "
                "be in memory at once. Write the file in smaller batches, or raise SHOAL_IMPORT_MEMORY_MIB.",
                field=self._label,
                limit_bytes=self.bounds.batch_bytes,
                setting="SHOAL_IMPORT_MEMORY_MIB",
            )

    def check_schema(self, schema: pa.Schema) -> None:
        """Raises InvalidField for too many columns, and for values nested too deeply."""
        self.check_columns(sum(_leaves(field.type) for field in schema))
        for field in schema:
            if depth_of(field.type) > MAX_NESTING:
                remedy = "Flatten it, or leave it out."
                place = f"{self._label}: column {field.name!r}"
                raise InvalidField(place, f"is nested more than {MAX_NESTING} deep", remedy=remedy)

    def check_columns(self, columns: int) -> None:
        """Raises InvalidField for too many."""
        check_columns(columns, self._label)

    def bounded(self, batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
        """The same rows, counted, in batches of at most `rows` that unfold to at most 8 MiB, or are single rows.

        Raises TooLarge once they are more than the file may unfold to, InvalidField for a row over 64 MiB.
        """
        total, first = 0, 0
        for batch in batches:
            sizes = sizes_of(batch)
            self.check(total + int(sizes.sum()), first + len(batch))
            for start, stop in _stretches(sizes, rows):
                size = int(sizes[start:stop].sum())
                if size > _ROW_MOST:
                    raise self._row_too_large(batch.slice(start, 1), first + start, size)
                yield batch.slice(start, stop - start)
            first, total = first + len(batch), total + int(sizes.sum())

    def _row_too_large(self, row: pa.RecordBatch, number: int, size: int) -> InvalidField:
        widest = max(range(row.num_columns), key=lambda at: int(row_bytes(row.column(at))[0]))
        return InvalidField(
            f"{self._label}: row {number}, column {row.schema.names[widest]!r}",
            f"unfolds to {size_text(size)}, and a row may have {size_text(_ROW_MOST)}",
            remedy="Leave large columns out.",
        )


def check_columns(columns: int, label: str) -> None:
    """Raises InvalidField about the file `label` for too many columns."""
    if columns > MAX_COLUMNS:
        problem = f"has {columns:,} columns, more than the {MAX_COLUMNS:,} allowed"
        raise InvalidField(label, problem, remedy="Keep numbers that belong together in a column of lists.")


def sizes_of(batch: pa.RecordBatch) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """(n,) bytes of the rows of a batch, unfolded, names of columns included."""
    names = sum(len(name) + 8 for name in batch.schema.names)
    sizes = np.full(len(batch), names, np.int64)
    for column in batch.columns:
        sizes += row_bytes(column)
    return sizes


def available_bytes() -> int:
    """The memory that this process could still have, without making others leave theirs."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _stretches(sizes: "np.ndarray[tuple[int], np.dtype[np.int64]]", rows: int) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + _BATCH_BYTES, side="right"))
        stop = min(max(fitting, start + 1), start + rows)
        yield start, stop
        start = stop


def _leaves(kind: pa.DataType) -> int:
    return max(1, sum(_leaves(kind.field(i).type) for i in range(kind.num_fields)))


def size_text(count: int) -> str:
    """A number of bytes for people."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:,} bytes"

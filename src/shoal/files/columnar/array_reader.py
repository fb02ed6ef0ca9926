"""Reads a NumPy array, with attributes from a table beside it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.bounds import SizeGuard
from shoal.files.layout import ReadRequest
from shoal.files.originals import Originals
from shoal.files.reader import Chunk, Reader, Shards, row_place
from shoal.files.reader_errors import translate_errors
from shoal.precision import split_if_significant
from shoal.records.documents.vectors import check_finite

__all__ = ["ArrayReader"]

_DEFAULT_NAME = "embedding"
_HEADER = 256
_BLOCK_BYTES = 8 * 2**20


class ArrayReader:
    """An (n, d) array of numbers, memory-mapped. `sidecar` holds one row per vector, in the same order."""

    byo = False
    shards: Shards = ()

    def __init__(self, path: Path, sidecar: Reader | None, name: str | None, request: ReadRequest) -> None:
        self._label, self._sidecar, self._make_ids = request.label, sidecar, request.make_ids
        self._array = _open_array(path, request.label, request.max_dimension)
        SizeGuard(request.label, path.stat().st_size, request.bounds).check(4 * self._array.size, len(self._array))
        self._name = name or _DEFAULT_NAME
        self.count: int | None = len(self._array)
        self.dimensions: Mapping[str, int] = {self._name: int(self._array.shape[1])}
        self.columns: Sequence[str] = [] if sidecar is None else sidecar.columns
        self.delimiter = None if sidecar is None else sidecar.delimiter
        self.nameless: Sequence[str] = () if sidecar is None else sidecar.nameless
        self.id_column = None if sidecar is None else sidecar.id_column
        self.warnings: Sequence[str] = [] if sidecar is None else sidecar.warnings
        beside = [] if sidecar is None else list(sidecar.original_columns)
        self.original_columns: Sequence[str] = [*beside, _find_free_name(self._name, beside)]
        if sidecar is not None and sidecar.count not in (None, self.count):
            raise self._row_count_error(f"{sidecar.count}")

    def line_of(self, row: int) -> int | None:
        return None

    def chunks(self, size: int) -> Iterator[Chunk]:
        if self._sidecar is None:
            size = min(size, max(_BLOCK_BYTES // (4 * self._array.shape[1]), 1))
            for first in range(0, len(self._array), size):
                rows = min(size, len(self._array) - first)
                yield Chunk(first, self._make_ids(first, rows), self._read_block(first, rows), [{}] * rows)
            return
        rows_read = 0
        for chunk in self._sidecar.chunks(size):
            rows_read = chunk.first + len(chunk.ids)
            if rows_read > len(self._array):
                raise self._row_count_error("more")
            yield Chunk(
                chunk.first, chunk.ids, self._read_block(chunk.first, len(chunk.ids)), chunk.attributes, chunk.whole_ids
            )
        if rows_read != len(self._array):
            raise self._row_count_error(f"{rows_read}")

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        name = self.original_columns[-1]
        if columns is not None and name not in columns and self._sidecar is not None:
            yield from self._sidecar.originals(size, columns, as_text=as_text)
        elif self._sidecar is None:
            for first in range(0, len(self._array), size):
                yield pa.RecordBatch.from_pydict({name: self._to_lists(first, min(size, len(self._array) - first))})
        else:
            beside = None if columns is None else [column for column in columns if column != name]
            yield from self._append_vectors(self._sidecar.originals(size, beside, as_text=as_text), name)

    def _append_vectors(self, beside: Originals, name: str) -> Originals:
        first = 0
        for part in beside:
            lists = self._to_lists(first, len(part))
            first += len(part)
            if isinstance(part, pa.RecordBatch):
                yield part.append_column(name, lists)
            else:
                yield [{**row, name: vector} for row, vector in zip(part, lists.to_pylist(), strict=True)]

    def _to_lists(self, first: int, rows: int) -> pa.FixedSizeListArray:
        block = np.ascontiguousarray(self._array[first : first + rows])
        return pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), block.shape[1])

    def _read_block(self, first: int, rows: int) -> dict[str, VectorColumn]:
        block = split_if_significant(self._array[first : first + rows])
        check_finite(block.points, row_place(self._label, first))
        return {self._name: VectorColumn(np.arange(rows, dtype=np.int64), *block)}

    def _row_count_error(self, beside: str) -> InvalidField:
        problem = f"has {len(self._array)} rows, and the file beside it {beside}"
        return InvalidField(self._label, problem, remedy="Both must hold the same documents in the same order.")


def _find_free_name(name: str, used: Sequence[str]) -> str:
    while name in used:
        name = f"{name}_vector"
    return name


def _holds_objects(path: Path) -> bool:
    """Return whether an array is pickled, such as vectors of different lengths."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    return b"'descr': '|O'" in head


def _open_array(path: Path, label: str, most: int) -> NDArray[Any]:
    if _holds_objects(path):
        remedy = "Save one array of numbers: numpy.save('docs.npy', numpy.stack(vectors))."
        raise InvalidField(label, "holds Python objects, which may run code", remedy=remedy)
    # A shape that overflows is rejected below; NumPy would only warn.
    with translate_errors(label, remedy="Write it again with numpy.save."), np.errstate(over="ignore"):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        problem = f"holds {array.dtype} of shape {array.shape}, not rows of numbers"
        raise InvalidField(label, problem, remedy="Save a two-dimensional array of floats.")
    if not len(array):
        raise InvalidField(label, "has no rows", remedy="Save at least one vector.")
    if not 0 < array.shape[1] <= most:
        raise InvalidField(label, f"has vectors of {array.shape[1]} numbers; 1 to {most} are allowed")
    return array

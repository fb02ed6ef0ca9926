"""NPZ archives: arrays by name. Those with one value per row are the columns of a table."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files.bounds import SizeGuard
from shoal.files.layout import ReadRequest, choose_vectors
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors

__all__ = ["ArchiveRows"]

_NUMBERS: Final = "fiu"
_TEXTS: Final = "US"
_FLAGS: Final = "b"
_TIMES: Final = "mM"
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"Y": "D", "M": "D", "W": "D", "D": "D", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
)
"""Time units of NumPy and the Arrow unit for each."""
_CALENDAR: Final = frozenset({"Y", "M"})
"""Units of variable length, in which no duration can be expressed."""
_ENDING: Final = ".npy"

ShapeAndType: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


class ArchiveRows:
    """An archive written by `numpy.savez`: one array of vectors and further arrays of the same length.

    Parameters
    ----------
    path
        The archive.
    request
        Which of its arrays to read.
    guard
        Limits the expanded size.

    Raises
    ------
    InvalidField
        Where no array, or several of different lengths, may be the vectors, and for arrays of Python objects.
    """

    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, request: ReadRequest, guard: SizeGuard) -> None:
        self._label, self._guard = request.label, guard
        shapes = _read_shapes(path, request.label)
        guard.check_columns(len(shapes))
        matrices = [name for name, (shape, kind) in shapes.items() if len(shape) == 2 and kind.kind in _NUMBERS]
        lengths = {shapes[name][0][0] for name in matrices}
        requested = request.vectors
        if len(lengths) > 1 or requested is not None or not matrices:
            chosen = choose_vectors(list(shapes), matrices, request, requested, [])
            lengths = {shapes[name][0][0] for name in chosen.values() if shapes[name][0]} or lengths
        count = next(iter(lengths), next((shape[0] for shape, _ in shapes.values() if shape), 0))
        if not count:
            raise InvalidField(request.label, "has no rows", remedy="Save at least one vector.")
        fitting = [name for name, (shape, _) in shapes.items() if shape and shape[0] == count and len(shape) <= 2]
        names = [name for name in fitting if _is_column(shapes[name][1])]
        if not names:
            problem = f"holds no array of numbers, texts or times, but {_format_types(shapes, fitting)}"
            raise InvalidField(request.label, problem, remedy="Save the vectors as one array of floats.")
        sizes = [int(np.prod(shapes[name][0])) * shapes[name][1].itemsize for name in names]
        guard.check(sum(sizes), count)
        guard.check_at_once(sum(sizes), "the archive")
        self._arrays = _load_arrays(path, names, request.label)
        self.count: int | None = count
        self.schema: pa.Schema = self._build_batch(0, 0, names).schema
        self.warnings: Mapping[str, str] = MappingProxyType(
            {"": note} if (note := _describe_skipped(shapes, fitting)) else {}
        )

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        names = self.schema.names if columns is None else columns
        count = self.count or 0
        whole = (self._build_batch(first, min(size, count - first), names) for first in range(0, count, size))
        with translate_errors(self._label):
            yield from self._guard.bound_batches(whole, size)

    def _build_batch(self, first: int, rows: int, names: Sequence[str]) -> pa.RecordBatch:
        parts = [self._build_column(name, first, rows) for name in names]
        return pa.RecordBatch.from_arrays(parts, names=list(names))

    def _build_column(self, name: str, first: int, rows: int) -> pa.Array:
        with translate_errors(f"{self._label}: array {name!r}", remedy="Save it with another type, or leave it out."):
            return _to_arrow(self._arrays[name][first : first + rows])


def _to_arrow(array: NDArray[Any]) -> pa.Array:
    if array.dtype.kind in _TEXTS:
        texts = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in array.ravel().tolist()
        ]
        values = pa.array(texts, pa.string())
    else:
        values = pa.array(np.ascontiguousarray(array, _to_arrow_dtype(array.dtype)).ravel())
    return values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, array.shape[1])


def _to_arrow_dtype(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Return the closest type that Arrow supports: native byte order, floats of at most 64 bits, times in days or
    seconds and finer."""
    if kind.kind in _TIMES:
        unit = _UNITS[np.datetime_data(kind)[0]]
        return np.dtype(f"{kind.kind}8[{'s' if kind.kind == 'm' and unit == 'D' else unit}]")
    return np.dtype(np.float64) if kind.kind == "f" and kind.itemsize > 8 else kind.newbyteorder("=")


def _is_column(kind: np.dtype[Any]) -> bool:
    """Return whether a table column can hold a type: no complex numbers, records or raw bytes."""
    if kind.kind in _TIMES:
        unit = np.datetime_data(kind)[0]
        return unit in _UNITS and (kind.kind == "M" or unit not in _CALENDAR)
    return kind.kind in _NUMBERS + _TEXTS + _FLAGS


def _describe_skipped(shapes: Mapping[str, ShapeAndType], fitting: Sequence[str]) -> str:
    """Return a sentence on the arrays that are not columns; empty where all are."""
    others = [name for name in shapes if name not in fitting]
    unlike = [name for name in fitting if not _is_column(shapes[name][1])]
    sentences = [f"Arrays of another length were left out: {', '.join(others)}."] if others else []
    return " ".join(
        [*sentences, f"Arrays of a type that no column has were left out: {_format_types(shapes, unlike)}."]
        if unlike
        else sentences
    )


def _format_types(shapes: Mapping[str, ShapeAndType], names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({shapes[name][1]})" for name in names)


def _read_shapes(path: Path, label: str) -> dict[str, ShapeAndType]:
    """Return shape and type of each array without reading it.

    Raises InvalidField for Python objects, and for two arrays of the same name.
    """
    shapes: dict[str, ShapeAndType] = {}
    with translate_errors(label, remedy="Write it again with numpy.savez."), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(_ENDING)
            if name in shapes:
                raise InvalidField(label, f"holds two arrays named {name!r}", remedy="Write it again with numpy.savez.")
            with archive.open(member) as stream:
                version = npy.read_magic(stream)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, kind = read(stream)
            if kind.hasobject:
                remedy = f"Save text as text: {name}.astype(str)."
                raise InvalidField(
                    f"{label}: array {name!r}", "holds Python objects, which may run code", remedy=remedy
                )
            shapes[name] = (shape, kind)
    return shapes


def _load_arrays(path: Path, names: Sequence[str], label: str) -> dict[str, NDArray[Any]]:
    """Load the arrays from the members that `_read_shapes` measured; `numpy.load` may pick another of a similar
    name."""
    arrays = {}
    with translate_errors(label, remedy="Write it again with numpy.savez."), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if (name := member.removesuffix(_ENDING)) in names:
                with archive.open(member) as stream:
                    arrays[name] = npy.read_array(stream, allow_pickle=False)
    return arrays

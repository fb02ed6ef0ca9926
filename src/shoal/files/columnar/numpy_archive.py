"""NPZ archives: arrays by name, of which those with one value a row are the columns of a table."""

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
from shoal.files.bounds import Unfolding
from shoal.files.layout import Asked, choose_vectors
from shoal.files.pieces import Shards
from shoal.files.reading import speaking_shoal

__all__ = ["ArchiveRows"]

_NUMBERS: Final = "fiu"
_TEXTS: Final = "US"
_FLAGS: Final = "b"
_TIMES: Final = "mM"
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"Y": "D", "M": "D", "W": "D", "D": "D", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
)
"""Units of NumPy's times, and those that Arrow has for them."""
_CALENDAR: Final = frozenset({"Y", "M"})
"""Of no fixed length: no duration is counted in them."""
_ENDING: Final = ".npy"

Shaped: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


class ArchiveRows:
    """An archive of `numpy.savez`: one array of vectors, and beside it arrays of as many values.

    Parameters
    ----------
    path
        The archive.
    asked
        Which of its arrays are meant.
    unfolding
        How far it may unfold.

    Raises
    ------
    InvalidField
        Where no array, or several of different lengths, may be the vectors, and for arrays of Python objects.
    """

    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, asked: Asked, unfolding: Unfolding) -> None:
        self._label, self._unfolding = asked.label, unfolding
        shapes = _shapes(path, asked.label)
        unfolding.check_columns(len(shapes))
        matrices = [name for name, (shape, kind) in shapes.items() if len(shape) == 2 and kind.kind in _NUMBERS]
        lengths = {shapes[name][0][0] for name in matrices}
        wanted = asked.vectors
        if len(lengths) > 1 or wanted is not None or not matrices:
            chosen = choose_vectors(list(shapes), matrices, asked, wanted, [])
            lengths = {shapes[name][0][0] for name in chosen.values() if shapes[name][0]} or lengths
        count = next(iter(lengths), next((shape[0] for shape, _ in shapes.values() if shape), 0))
        if not count:
            raise InvalidField(asked.label, "has no rows", remedy="Save at least one vector.")
        fitting = [name for name, (shape, _) in shapes.items() if shape and shape[0] == count and len(shape) <= 2]
        kept = [name for name in fitting if _is_column(shapes[name][1])]
        if not kept:
            problem = f"holds no array of numbers, texts or times, but {_listed(shapes, fitting)}"
            raise InvalidField(asked.label, problem, remedy="Save the vectors as one array of floats.")
        sizes = [int(np.prod(shapes[name][0])) * shapes[name][1].itemsize for name in kept]
        unfolding.check(sum(sizes), count)
        unfolding.check_at_once(sum(sizes), "the archive")
        self._arrays = _loaded(path, kept, asked.label)
        self.count: int | None = count
        self.schema: pa.Schema = self._batch(0, 0, kept).schema
        self.warnings: Mapping[str, str] = MappingProxyType({"": left} if (left := _left_out(shapes, fitting)) else {})

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        names = self.schema.names if columns is None else columns
        count = self.count or 0
        whole = (self._batch(first, min(size, count - first), names) for first in range(0, count, size))
        with speaking_shoal(self._label):
            yield from self._unfolding.bounded(whole, size)

    def _batch(self, first: int, rows: int, names: Sequence[str]) -> pa.RecordBatch:
        parts = [self._column(name, first, rows) for name in names]
        return pa.RecordBatch.from_arrays(parts, names=list(names))

    def _column(self, name: str, first: int, rows: int) -> pa.Array:
        with speaking_shoal(f"{self._label}: array {name!r}", remedy="Save it with another type, or leave it out."):
            return _column(self._arrays[name][first : first + rows])


def _column(array: NDArray[Any]) -> pa.Array:
    if array.dtype.kind in _TEXTS:
        texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in array.ravel().tolist()]
        values = pa.array(texts, pa.string())
    else:
        values = pa.array(np.ascontiguousarray(array, _arrow_type(array.dtype)).ravel())
    return values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, array.shape[1])


def _arrow_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The type next to this one that Arrow has: of this machine's byte order, floats of 64 bits at most, and times in
    days or seconds and below."""
    if kind.kind in _TIMES:
        unit = _UNITS[np.datetime_data(kind)[0]]
        return np.dtype(f"{kind.kind}8[{'s' if kind.kind == 'm' and unit == 'D' else unit}]")
    return np.dtype(np.float64) if kind.kind == "f" and kind.itemsize > 8 else kind.newbyteorder("=")


def _is_column(kind: np.dtype[Any]) -> bool:
    """Whether a column of a table holds values of a type: no complex numbers, records or bare bytes."""
    if kind.kind in _TIMES:
        unit = np.datetime_data(kind)[0]
        return unit in _UNITS and (kind.kind == "M" or unit not in _CALENDAR)
    return kind.kind in _NUMBERS + _TEXTS + _FLAGS


def _left_out(shapes: Mapping[str, Shaped], fitting: Sequence[str]) -> str:
    """What is said about the arrays that are no columns; nothing where all are."""
    others = [name for name in shapes if name not in fitting]
    unlike = [name for name in fitting if not _is_column(shapes[name][1])]
    said = [f"Arrays of another length were left out: {', '.join(others)}."] if others else []
    return " ".join(
        [*said, f"Arrays of a type that no column has were left out: {_listed(shapes, unlike)}."] if unlike else said
    )


def _listed(shapes: Mapping[str, Shaped], names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({shapes[name][1]})" for name in names)


def _shapes(path: Path, label: str) -> dict[str, Shaped]:
    """Shape and type of each array, without reading it. Raises InvalidField for Python objects, and for two arrays of
    one name."""
    found: dict[str, Shaped] = {}
    with speaking_shoal(label, remedy="Write it again with numpy.savez."), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(_ENDING)
            if name in found:
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
            found[name] = (shape, kind)
    return found


def _loaded(path: Path, names: Sequence[str], label: str) -> dict[str, NDArray[Any]]:
    """The arrays from the members that `_shapes` measured; `numpy.load` may take another one of a similar name."""
    found = {}
    with speaking_shoal(label, remedy="Write it again with numpy.savez."), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if (name := member.removesuffix(_ENDING)) in names:
                with archive.open(member) as stream:
                    found[name] = npy.read_array(stream, allow_pickle=False)
    return found

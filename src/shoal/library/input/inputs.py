"""What callers of the library hand in, as columns: arrays, lists, Arrow columns, data frames."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.errors import InvalidField
from shoal.precision import Split, split_float32, split_if_significant
from shoal.records.ids import check_id
from shoal.records.vectors import check_finite
from shoal.scalars import format_cell, is_missing, parse_id, unwrap
from shoal.tables import to_plain

__all__ = ["GivenIds", "column_of", "ids_of", "points_of", "renamed", "split_points", "texts_of"]

_MIXED: Final = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)
"""How Arrow refuses values of several types, and of types that it does not know."""
_ARROW_UNITS: Final = frozenset((unit, 1) for unit in ("D", "s", "ms", "us", "ns"))


def points_of(vectors: object) -> Points:
    """(n, d) float32, C-order, finite; a view where the input is that already.

    Parameters
    ----------
    vectors : array, masked array, list, Arrow column or data frame
        (n, d) numbers of any type, or n vectors.

    Raises
    ------
    InvalidField
        For another shape, and naming the row of a vector that is missing, of another length, or not finite.
    """
    return split_points(vectors).points


def split_points(vectors: object) -> Split:
    """The same, with what rounding to float32 left of float64 and whole numbers. Raises InvalidField."""
    raw = _table(vectors)
    if raw.ndim > 0 and len(raw) == 0:
        raise InvalidField("vectors", "has no rows", remedy="Give one for each document.")
    if raw.ndim == 1 and raw.dtype.kind in "fiu":
        problem = f"is one row of {len(raw):,} numbers, not a table of rows"
        raise InvalidField("vectors", problem, remedy="One document is a table of one row: [vector].")
    if raw.ndim != 2 or raw.shape[1] == 0:
        raise InvalidField("vectors", f"must have two axes (rows, dimensions), not the shape {raw.shape}")
    if raw.dtype.kind not in "fiu":
        raise InvalidField("vectors", f"must be numbers, not {raw.dtype}")
    found = split_float32(raw)
    check_finite(found.points, _place)
    return found


class GivenIds(NamedTuple):
    """Ids as text, and whether all were whole numbers as they were given."""

    texts: list[str]
    whole: bool


def ids_of(ids: Iterable[object] | None, count: int | None) -> GivenIds:
    """`count` unique ids, or any number where that is None; row numbers where none are given.

    Text, whole numbers of any type, UUIDs and UTF-8 bytes are ids. Raises InvalidField, also for a missing one.
    """
    if ids is None:
        return GivenIds([str(row) for row in range(count or 0)], whole=True)
    listed = _listed(ids, "id")
    names = [parse_id(value, f"id[{row}]") for row, value in enumerate(listed)]
    _check_count("id", names, count)
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        check_id(f"id[{row}]", name)
        if rows.setdefault(name, row) != row:
            raise InvalidField(f"id[{row}]", f"repeats id[{rows[name]}]", value=name, remedy="Ids must be unique.")
    return GivenIds(names, whole=all(isinstance(unwrap(value), (int, float, Decimal)) for value in listed))


def texts_of(texts: Iterable[object] | None, count: int | None) -> list[str] | None:
    """`count` texts, or any number where that is None, empty where one is missing: None, NaN, NaT, pandas.NA or masked.
    Raises InvalidField."""
    if texts is None:
        return None
    listed = _listed(texts, "text")
    _check_count("text", listed, count)
    return [_text(value, row) for row, value in enumerate(listed)]


def _text(value: object, row: int) -> str:
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return ""
    raise InvalidField(f"text[{row}]", "must be text", value=unwrap(value))


def column_of(name: str, values: object) -> pa.Array:
    """An Arrow column; vectors where the values have two axes. `name` is told in errors. Raises InvalidField."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if _axes(values) == 2:
        with renamed("vectors", name):
            return _vectors_column(values)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidField(name, "is one value and no column", value=unwrap(values), remedy="Give one value a row.")
    held = _with_known_times(values)
    held = _listed(cast("Iterable[object]", held), name) if isinstance(held, np.ma.MaskedArray) else held
    try:
        return pa.array(held)
    except _MIXED:
        listed = [
            None if is_missing(value) else unwrap(_with_known_times(value)) for value in cast("Iterable[object]", held)
        ]
    try:
        return pa.array(listed)
    except _MIXED:
        if all(value is None or isinstance(value, (str, int, float)) for value in listed):  # as spreadsheets hold them
            return pa.array([None if value is None else format_cell(value) for value in listed], pa.large_string())
        kinds = sorted({type(value).__name__ for value in listed if value is not None})
        problem = f"holds values of several types ({', '.join(kinds[:4])}), or of one that no column holds"
        raise InvalidField(name, problem, remedy="Give values of one type.") from None


def _with_known_times(values: Any) -> Any:
    """Times of NumPy in microseconds where Arrow does not have their unit: minutes, hours, weeks, months."""
    kind = getattr(values, "dtype", None)
    if not isinstance(kind, np.dtype) or kind.kind != "M" or np.datetime_data(kind) in _ARROW_UNITS:
        return values
    return values.astype("M8[us]")


def _vectors_column(values: Any) -> pa.Array:
    block = points_of(values)
    numbers = pa.array(block.ravel(), pa.float32())
    wide = np.asarray(values)
    if split_if_significant(wide).rest is not None:  # whoever reads the column is to see what float32 would lose
        numbers = pa.array(np.asarray(wide, np.float64).ravel(), pa.float64())
    return pa.FixedSizeListArray.from_arrays(numbers, block.shape[1])


@contextmanager
def renamed(field: str, name: str) -> Iterator[None]:
    """Errors about `field`, or a part of it, are about the argument that the caller knows as `name`."""
    try:
        yield
    except InvalidField as error:
        if error.field == field or error.field.startswith(f"{field}["):
            error.move(name + error.field.removeprefix(field), error.problem)
        raise


def _axes(values: Any) -> int:
    """How many axes the values have; one for lists of different lengths."""
    try:
        return np.ndim(values)
    except ValueError:
        return 1


def _listed(values: Iterable[object], field: str) -> list[object]:
    """One value a row. Raises InvalidField for what has no order of rows, or a name for each."""
    if isinstance(values, (Set, Mapping)):
        kind = type(values).__name__
        raise InvalidField(
            field, f"is a {kind}, not one value a row", remedy="Give a list in the order of the vectors."
        )
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return [value for chunk in _chunks(values) for value in to_plain(chunk).to_pylist()]
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidField(field, "is one value, not one a row", value=unwrap(values), remedy="Give one a row.")
    return list(values)


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _mask(values: Any) -> NDArray[np.bool_]:
    return np.ma.getmaskarray(values)


def _check_count(field: str, values: Sequence[object], count: int | None) -> None:
    if count is not None and len(values) != count:
        remedy = "Give one value a row, in the order of the vectors."
        raise InvalidField(field, f"must be as many as the vectors ({count:,}), not {len(values):,}", remedy=remedy)


def _place(row: int) -> str:
    return f"vectors[{row}]"


def _table(vectors: object) -> NDArray[Any]:
    """Any input as an array, its dtype as it comes. Raises InvalidField."""
    if isinstance(vectors, (pa.Array, pa.ChunkedArray)):
        return _from_arrow(vectors)
    if isinstance(vectors, np.ma.MaskedArray):
        _check_unmasked(_mask(vectors))
        return np.asarray(vectors.data)
    if isinstance(vectors, (list, tuple)):
        _check_rows(vectors)
    if hasattr(vectors, "toarray"):  # of SciPy
        remedy = "Make it dense first: sklearn.decomposition.TruncatedSVD(100).fit_transform(matrix)."
        raise InvalidField("vectors", "is a sparse matrix", remedy=remedy)
    vectors = _detached(vectors)
    try:
        array = np.asarray(vectors)
    except (ValueError, TypeError):  # lists of different lengths
        array = _rows_of(vectors)
    if array.ndim == 0:
        raise _not_a_table(f"; a {type(vectors).__name__} is none")
    if array.dtype == object and array.ndim == 2 and array.shape[1] == 1 and np.ndim(array[0, 0]):
        array = array[:, 0]  # a data frame of one column, each value of it a vector
    # A column of a data frame is a row of objects, each of them a vector.
    return _stacked(array) if array.dtype == object else array


def _detached(vectors: Any) -> object:
    """A tensor of torch where NumPy can read it: without its gradient, on the processor, in a type that NumPy has."""
    if not (hasattr(vectors, "detach") and hasattr(vectors, "cpu")):
        return vectors
    tensor = vectors.detach().cpu()
    return tensor.float() if str(tensor.dtype).endswith("bfloat16") else tensor


def _check_rows(rows: Sequence[object]) -> None:
    """Refuses the rows that NumPy reads in silence as something else. Raises InvalidField."""
    for row, vector in enumerate(rows):
        if isinstance(vector, np.ma.MaskedArray):
            _check_unmasked(_mask(vector)[None], row)
        elif isinstance(vector, (bytes, bytearray)):
            remedy = "Say what number they are: numpy.frombuffer(row, numpy.float32)."
            raise InvalidField(_place(row), "is bytes, not numbers", remedy=remedy)
        elif isinstance(vector, str):
            listed = vector.lstrip().startswith("[")
            remedy = "Use json.loads." if listed else "Shoal makes no vectors: embed the texts, with one model for all."
            raise InvalidField(_place(row), "is no vector of numbers but text", value=vector[:80], remedy=remedy)


def _rows_of(vectors: object) -> NDArray[Any]:
    """A row of objects, one for each vector. Raises InvalidField for what has no rows."""
    try:
        listed = list(cast("Iterable[object]", vectors))
    except (ValueError, TypeError):
        raise _not_a_table() from None
    rows = np.empty(len(listed), object)
    rows[:] = [_Held(row) for row in listed]
    return rows


class _Held:
    """Keeps NumPy from looking into a value that it would take for more axes."""

    def __init__(self, value: object) -> None:
        self.value = value


def _stacked(rows: NDArray[Any]) -> NDArray[Any]:
    """Objects as (n, d) float64: n vectors, or numbers that a data frame holds as objects. Raises InvalidField."""
    vectors = [_vector(row.value if isinstance(row, _Held) else row, place) for place, row in enumerate(rows)]
    lengths = [len(vector) for vector in vectors]
    if len(set(lengths)) > 1:
        raise _ragged(lengths)
    return np.array(vectors) if vectors else np.empty((0, 1))


def _vector(value: object, row: int) -> NDArray[np.float64]:
    """One vector; a missing number is NaN, for `check_finite` to find. Raises InvalidField."""
    if is_missing(value):
        raise InvalidField(_place(row), "is missing", remedy="Leave the row out.")
    if isinstance(value, np.ma.MaskedArray):
        _check_unmasked(_mask(value)[None], row)
    try:
        numbers = [np.nan if is_missing(number) else number for number in cast("Iterable[object]", value)]
        vector = np.asarray(numbers, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise InvalidField(_place(row), "is no vector of numbers", value=str(value)[:80]) from None
    if vector.ndim != 1:
        raise InvalidField(_place(row), f"must be one row of numbers, not of shape {vector.shape}")
    return vector


def _check_unmasked(mask: NDArray[np.bool_], first: int = 0) -> None:
    """Raises InvalidField naming the first element under a mask: what lies there is no value."""
    if mask.any():
        row, *place = np.argwhere(mask)[0].tolist()
        shown = "".join(f"[{index}]" for index in place)
        remedy = "Fill it, or leave the row out; under a mask lies no value."
        raise InvalidField(f"{_place(first + row)}{shown}", "is not a finite number but masked", remedy=remedy)


def _ragged(lengths: Sequence[int]) -> InvalidField:
    """The error about the first vector whose length is not that of most."""
    ((usual, _),) = Counter(lengths).most_common(1)
    row = next(row for row, length in enumerate(lengths) if length != usual)
    problem = f"has {lengths[row]} numbers where the others have {usual}"
    return InvalidField(_place(row), problem, remedy="All vectors have the same length.")


def _not_a_table(detail: str = "") -> InvalidField:
    remedy = "Give an array of shape (rows, dimensions)."
    return InvalidField("vectors", f"is not rows of equally many numbers{detail}", remedy=remedy)


def _from_arrow(given: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Raises InvalidField for a column that holds no vectors, and naming a row without one."""
    column = to_plain(given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given)
    kind = column.type
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        raise InvalidField("vectors", f"must be a column of lists of numbers, not of {given.type}")
    if not len(column):
        return np.empty((0, 1), np.float32)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidField(_place(row), "is missing", remedy="Fill it, or leave the row out.")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if lengths.min() != lengths.max():
        raise _ragged(lengths.tolist())
    numbers = column.flatten()
    if numbers.null_count:
        at = numbers.is_null().to_pylist().index(True)
        row, place = divmod(at, int(lengths[0]))
        raise InvalidField(f"{_place(row)}[{place}]", "is missing", remedy="Fill it, or leave the row out.")
    return cast("NDArray[Any]", numbers.to_numpy(zero_copy_only=False).reshape(len(column), -1))

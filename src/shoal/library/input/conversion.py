"""Converts arrays, lists, Arrow columns and data frames from callers to columns."""

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
from shoal.records.documents.vectors import check_finite
from shoal.records.ids import check_id
from shoal.scalars import format_cell, is_missing, parse_id, replace_surrogates, unwrap
from shoal.tables import to_plain

__all__ = ["IdValues", "rename_field_in_errors", "split_points", "to_column", "to_ids", "to_points", "to_texts"]

_MIXED: Final = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)
"""What Arrow raises for values of mixed or unknown types."""
_ARROW_UNITS: Final = frozenset((unit, 1) for unit in ("D", "s", "ms", "us", "ns"))


def to_points(vectors: object) -> Points:
    """Convert to (n, d) float32, C-order, finite; a view where the input is that already.

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
    """As `to_points`, with the residuals of rounding float64 and integers to float32. Raises InvalidField."""
    raw = _to_array(vectors)
    if raw.ndim > 0 and len(raw) == 0:
        raise InvalidField("vectors", "has no rows", remedy="Give one for each document.")
    if raw.ndim == 1 and raw.dtype.kind in "fiu":
        problem = f"is one row of {len(raw):,} numbers, not a table of rows"
        raise InvalidField("vectors", problem, remedy="One document is a table of one row: [vector].")
    if raw.ndim != 2 or raw.shape[1] == 0:
        raise InvalidField("vectors", f"must have two axes (rows, dimensions), not the shape {raw.shape}")
    if raw.dtype.kind not in "fiu":
        raise InvalidField("vectors", f"must be numbers, not {raw.dtype}")
    parts = split_float32(raw)
    check_finite(parts.points, _format_row)
    return parts


class IdValues(NamedTuple):
    """Ids as text, and whether all were integers in the input."""

    texts: list[str]
    whole: bool


def to_ids(ids: Iterable[object] | None, count: int | None) -> IdValues:
    """Return `count` unique ids, or any number where that is None; row numbers for None.

    Ids are text, integers of any type, UUIDs or UTF-8 bytes. Raises InvalidField, also for a missing id.
    """
    if ids is None:
        return IdValues([str(row) for row in range(count or 0)], whole=True)
    values = _to_list(ids, "id")
    names = [parse_id(value, f"id[{row}]") for row, value in enumerate(values)]
    _check_count("id", names, count)
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        check_id(f"id[{row}]", name)
        if rows.setdefault(name, row) != row:
            raise InvalidField(f"id[{row}]", f"repeats id[{rows[name]}]", value=name, remedy="Ids must be unique.")
    return IdValues(names, whole=all(isinstance(unwrap(value), (int, float, Decimal)) for value in values))


def to_texts(texts: Iterable[object] | None, count: int | None) -> list[str] | None:
    """Return `count` texts, or any number where that is None; empty for None, NaN, NaT, pandas.NA and masked values.

    Raises InvalidField.
    """
    if texts is None:
        return None
    values = _to_list(texts, "text")
    _check_count("text", values, count)
    return [_to_text(value, row) for row, value in enumerate(values)]


def _to_text(value: object, row: int) -> str:
    if isinstance(value, str):
        return replace_surrogates(value)
    if is_missing(value):
        return ""
    raise InvalidField(f"text[{row}]", "must be text", value=unwrap(value))


def to_column(name: str, values: object) -> pa.Array:
    """Convert to an Arrow column, of vectors for two axes. `name` is the name in errors. Raises InvalidField."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if _count_axes(values) == 2:
        with rename_field_in_errors("vectors", name):
            return _to_vector_column(values)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidField(
            name, "is a single value, not a column", value=unwrap(values), remedy="Give one value per row."
        )
    values_with_times = _convert_times(values)
    values_with_times = (
        _to_list(cast("Iterable[object]", values_with_times), name)
        if isinstance(values_with_times, np.ma.MaskedArray)
        else values_with_times
    )
    try:
        return pa.array(values_with_times)
    except UnicodeEncodeError:
        texts = cast("Iterable[object]", values_with_times)
        return to_column(name, [replace_surrogates(each) if isinstance(each, str) else each for each in texts])
    except _MIXED:
        plain_values = [
            None if is_missing(value) else unwrap(_convert_times(value))
            for value in cast("Iterable[object]", values_with_times)
        ]
    try:
        return pa.array(plain_values)
    except _MIXED:
        if all(
            value is None or isinstance(value, (str, int, float)) for value in plain_values
        ):  # as spreadsheets hold them
            return pa.array(
                [None if value is None else format_cell(value) for value in plain_values], pa.large_string()
            )
        kinds = sorted({type(value).__name__ for value in plain_values if value is not None})
        problem = f"holds values of several types ({', '.join(kinds[:4])}), or of one that no column holds"
        raise InvalidField(name, problem, remedy="Give values of one type.") from None


def _convert_times(values: Any) -> Any:
    """Convert NumPy times to microseconds where Arrow lacks their unit: minutes, hours, weeks, months."""
    kind = getattr(values, "dtype", None)
    if not isinstance(kind, np.dtype) or kind.kind != "M" or np.datetime_data(kind) in _ARROW_UNITS:
        return values
    return values.astype("M8[us]")


def _to_vector_column(values: Any) -> pa.Array:
    block = to_points(values)
    numbers = pa.array(block.ravel(), pa.float32())
    wide = np.asarray(values)
    if split_if_significant(wide).rest is not None:  # readers of the column need the digits that float32 would lose
        numbers = pa.array(np.asarray(wide, np.float64).ravel(), pa.float64())
    return pa.FixedSizeListArray.from_arrays(numbers, block.shape[1])


@contextmanager
def rename_field_in_errors(field: str, name: str) -> Iterator[None]:
    """Rename `field`, and parts of it, in errors to the argument that the caller knows as `name`."""
    try:
        yield
    except InvalidField as error:
        if error.field == field or error.field.startswith(f"{field}["):
            error.move(name + error.field.removeprefix(field), error.problem)
        raise


def _count_axes(values: Any) -> int:
    """Return the number of axes; one for lists of different lengths."""
    try:
        return np.ndim(values)
    except ValueError:
        return 1


def _to_list(values: Iterable[object], field: str) -> list[object]:
    """Return one value per row. Raises InvalidField for collections without row order."""
    if isinstance(values, (Set, Mapping)):
        kind = type(values).__name__
        raise InvalidField(
            field, f"is a {kind}, not one value per row", remedy="Give a list in the order of the vectors."
        )
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return [value for chunk in _chunks(values) for value in to_plain(chunk).to_pylist()]
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidField(
            field, "is a single value, not one per row", value=unwrap(values), remedy="Give one per row."
        )
    return list(values)


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _mask(values: Any) -> NDArray[np.bool_]:
    return np.ma.getmaskarray(values)


def _check_count(field: str, values: Sequence[object], count: int | None) -> None:
    if count is not None and len(values) != count:
        remedy = "Give one value per row, in the order of the vectors."
        raise InvalidField(field, f"must have one value per vector ({count:,}), not {len(values):,}", remedy=remedy)


def _format_row(row: int) -> str:
    return f"vectors[{row}]"


def _to_array(vectors: object) -> NDArray[Any]:
    """Convert any input to an array of its own dtype. Raises InvalidField."""
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
    vectors = _detach_tensor(vectors)
    try:
        array = np.asarray(vectors)
    except (ValueError, TypeError):  # lists of different lengths
        array = _wrap_rows(vectors)
    if array.ndim == 0:
        raise _not_a_table_error(f"; a {type(vectors).__name__} is none")
    if array.dtype == object and array.ndim == 2 and array.shape[1] == 1 and np.ndim(array[0, 0]):
        array = array[:, 0]  # a data frame of one column, each value of it a vector
    # A column of a data frame is a row of objects, each of them a vector.
    return _stack_rows(array) if array.dtype == object else array


def _detach_tensor(vectors: Any) -> object:
    """Make a torch tensor readable by NumPy: without gradient, on the CPU, in a type that NumPy has."""
    if not (hasattr(vectors, "detach") and hasattr(vectors, "cpu")):
        return vectors
    tensor = vectors.detach().cpu()
    return tensor.float() if str(tensor.dtype).endswith("bfloat16") else tensor


def _check_rows(rows: Sequence[object]) -> None:
    """Reject rows that NumPy would silently misread. Raises InvalidField."""
    for row, vector in enumerate(rows):
        if isinstance(vector, np.ma.MaskedArray):
            _check_unmasked(_mask(vector)[None], row)
        elif isinstance(vector, (bytes, bytearray)):
            remedy = "Say what number they are: numpy.frombuffer(row, numpy.float32)."
            raise InvalidField(_format_row(row), "is bytes, not numbers", remedy=remedy)
        elif isinstance(vector, str):
            listed = vector.lstrip().startswith("[")
            remedy = "Use json.loads." if listed else "Encode the texts: shoal.TextEncoder().fit_transform(texts)."
            raise InvalidField(
                _format_row(row), "is not a vector of numbers: it is text", value=vector[:80], remedy=remedy
            )


def _wrap_rows(vectors: object) -> NDArray[Any]:
    """Return an object array of one vector per row. Raises InvalidField for what has no rows."""
    try:
        vectors_list = list(cast("Iterable[object]", vectors))
    except (ValueError, TypeError):
        raise _not_a_table_error() from None
    rows = np.empty(len(vectors_list), object)
    rows[:] = [_Opaque(row) for row in vectors_list]
    return rows


class _Opaque:
    """Keeps NumPy from treating a value as further axes."""

    def __init__(self, value: object) -> None:
        self.value = value


def _stack_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """Stack objects to (n, d) float64: n vectors, or numbers in an object column. Raises InvalidField."""
    vectors = [_to_vector(row.value if isinstance(row, _Opaque) else row, place) for place, row in enumerate(rows)]
    lengths = [len(vector) for vector in vectors]
    if len(set(lengths)) > 1:
        raise _length_error(lengths)
    return np.array(vectors) if vectors else np.empty((0, 1))


def _to_vector(value: object, row: int) -> NDArray[np.float64]:
    """Convert one vector; a missing number becomes NaN, for `check_finite` to report. Raises InvalidField."""
    if is_missing(value):
        raise InvalidField(_format_row(row), "is missing", remedy="Leave the row out.")
    if isinstance(value, np.ma.MaskedArray):
        _check_unmasked(_mask(value)[None], row)
    try:
        numbers = [np.nan if is_missing(number) else number for number in cast("Iterable[object]", value)]
        vector = np.asarray(numbers, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise InvalidField(_format_row(row), "is not a vector of numbers", value=str(value)[:80]) from None
    if vector.ndim != 1:
        raise InvalidField(_format_row(row), f"must be one row of numbers, not of shape {vector.shape}")
    return vector


def _check_unmasked(mask: NDArray[np.bool_], first: int = 0) -> None:
    """Raise InvalidField naming the first masked element: there is no value under a mask."""
    if mask.any():
        row, *place = np.argwhere(mask)[0].tolist()
        shown = "".join(f"[{index}]" for index in place)
        remedy = "Fill it, or leave the row out; under a mask lies no value."
        raise InvalidField(f"{_format_row(first + row)}{shown}", "is not a finite number but masked", remedy=remedy)


def _length_error(lengths: Sequence[int]) -> InvalidField:
    """Build the error about the first vector whose length is not the most common one."""
    ((usual, _),) = Counter(lengths).most_common(1)
    row = next(row for row, length in enumerate(lengths) if length != usual)
    problem = f"has {lengths[row]} numbers where the others have {usual}"
    return InvalidField(_format_row(row), problem, remedy="All vectors have the same length.")


def _not_a_table_error(detail: str = "") -> InvalidField:
    remedy = "Give an array of shape (rows, dimensions)."
    return InvalidField("vectors", f"is not rows of equally many numbers{detail}", remedy=remedy)


def _from_arrow(vectors: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Convert an Arrow column. Raises InvalidField for a column without vectors, and naming a row without one."""
    column = to_plain(vectors.combine_chunks() if isinstance(vectors, pa.ChunkedArray) else vectors)
    kind = column.type
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        raise InvalidField("vectors", f"must be a column of lists of numbers, not of {vectors.type}")
    if not len(column):
        return np.empty((0, 1), np.float32)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidField(_format_row(row), "is missing", remedy="Fill it, or leave the row out.")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if lengths.min() != lengths.max():
        raise _length_error(lengths.tolist())
    numbers = column.flatten()
    if numbers.null_count:
        at = numbers.is_null().to_pylist().index(True)
        row, place = divmod(at, int(lengths[0]))
        raise InvalidField(f"{_format_row(row)}[{place}]", "is missing", remedy="Fill it, or leave the row out.")
    return cast("NDArray[Any]", numbers.to_numpy(zero_copy_only=False).reshape(len(column), -1))

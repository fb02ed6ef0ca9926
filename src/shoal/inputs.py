"""What callers of the library hand in, as columns: arrays, lists, Arrow columns, data frames."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.errors import InvalidField
from shoal.records.ids import check_id
from shoal.records.vectors import check_finite, to_float32

__all__ = ["column_of", "ids_of", "points_of", "texts_of"]


def points_of(vectors: object) -> Points:
    """(n, d) float32, C-order, finite; a view where the input is that already. Raises InvalidField."""
    raw = _table(vectors)
    if raw.ndim != 2 or raw.shape[1] == 0:
        raise InvalidField("vectors", f"must have two axes (rows, dimensions), not the shape {raw.shape}")
    if raw.dtype.kind not in "fiu":
        raise InvalidField("vectors", f"must be numbers, not {raw.dtype}")
    if len(raw) == 0:
        raise InvalidField("vectors", "are empty", remedy="Give at least one row.")
    points = to_float32(raw)
    check_finite(points, lambda row: f"vectors[{row}]")
    return points


def ids_of(ids: Iterable[object] | None, count: int) -> list[str]:
    """`count` unique ids as text; row numbers where none are given. Raises InvalidField."""
    if ids is None:
        return [str(row) for row in range(count)]
    names = [str(value) for value in _listed(ids)]
    _check_count("ids", names, count)
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        check_id(f"ids[{row}]", name)
        if rows.setdefault(name, row) != row:
            raise InvalidField(f"ids[{row}]", f"repeats ids[{rows[name]}]", value=name, remedy="Ids must be unique.")
    return names


def texts_of(texts: Iterable[str | None] | None, count: int) -> list[str] | None:
    """`count` texts, empty where one is None. Raises InvalidField."""
    if texts is None:
        return None
    listed = _listed(texts)
    _check_count("texts", listed, count)
    for row, text in enumerate(listed):
        if text is not None and not isinstance(text, str):
            raise InvalidField(f"texts[{row}]", "must be text", value=text)
    return [cast("str | None", text) or "" for text in listed]


def column_of(name: str, values: object) -> pa.Array:
    """An Arrow column; vectors where the values have two axes. `name` is told in errors. Raises InvalidField."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if np.ndim(values) == 2:  # type: ignore[arg-type]  # anything with axes is welcome
        block = points_of(values)
        return pa.FixedSizeListArray.from_arrays(pa.array(block.ravel(), pa.float32()), block.shape[1])
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidField(name, f"is no column ({error})") from None


def _listed(values: Iterable[object]) -> list[object]:
    return values.to_pylist() if isinstance(values, (pa.Array, pa.ChunkedArray)) else list(values)


def _check_count(field: str, values: Sequence[object], count: int) -> None:
    if len(values) != count:
        raise InvalidField(field, f"must be as many as the vectors ({count:,}), not {len(values):,}")


def _table(vectors: object) -> NDArray[Any]:
    """Any input as an array, its dtype as it comes. Raises InvalidField."""
    if isinstance(vectors, (pa.Array, pa.ChunkedArray)):
        return _from_arrow(vectors)
    try:
        array = np.asarray(vectors)
        # A column of a data frame is a row of objects, each of them a vector.
        return np.asarray([np.asarray(row, np.float64) for row in array]) if array.dtype == object else array
    except (ValueError, TypeError):
        raise InvalidField(
            "vectors", "are not rows of equally many numbers", remedy="Give an array of shape (rows, dimensions)."
        ) from None


def _from_arrow(given: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    column = given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    if not any(test(column.type) for test in (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)):
        raise InvalidField("vectors", f"must be a column of lists of numbers, not of {column.type}")
    if not len(column):
        return np.empty((0, 1), np.float32)
    numbers = column.flatten()
    if column.null_count or numbers.null_count:
        raise InvalidField("vectors", "have missing values", remedy="Fill them, or leave those rows out.")
    if pc.count_distinct(pc.list_value_length(column)).as_py() > 1:
        raise InvalidField("vectors", "are not rows of equally many numbers")
    return cast("NDArray[Any]", numbers.to_numpy(zero_copy_only=False).reshape(len(column), -1))

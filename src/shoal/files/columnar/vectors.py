"""Arrow columns of vectors, converted to float32 blocks without a loop over rows."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.columnar.vector_forms import VectorForm, decode_lists, is_missing_text, parse_vector, parse_vectors
from shoal.precision import Split, split_if_significant
from shoal.records.documents.vectors import Place, check_finite, double_block

__all__ = ["to_vector_column"]


def to_vector_column(column: pa.Array, form: VectorForm, place: Place) -> VectorColumn:
    """Convert the vectors of a batch; rows that are null (or empty text) have none.

    Parameters
    ----------
    column : Array
        In a layout of `shoal.tables.to_plain`.
    form : VectorForm
        How its vectors are encoded.
    place : callable
        Names a row of the batch in errors.

    Raises
    ------
    InvalidField
        Naming row and column, for other lengths, missing or non-finite numbers.
    """
    if form.encoding == "text":
        return _parse_texts(column.to_pylist(), form.dimension, place)
    lists = decode_lists(column, form, place)
    empty = _find_all_nan(lists)
    if empty is not None:
        lists = pc.if_else(pa.array(empty), pa.scalar(None, lists.type), lists)
    rows = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False)).astype(np.int64)
    lists_present = lists if len(rows) == len(lists) else lists.drop_null()
    return VectorColumn(rows, *_to_block(lists_present, form.dimension, lambda row: place(int(rows[row]))))


def _find_all_nan(lists: pa.Array) -> NDArray[np.bool_] | None:
    """Return which vectors are all NaN, as pandas writes a missing one; None where there are none."""
    if not pa.types.is_floating(lists.type.value_type):
        return None
    first = pc.list_element(lists.filter(pc.greater(pc.list_value_length(lists), 0)), 0)
    if not pc.any(pc.is_nan(first)).as_py():
        return None
    numbers = [value or () for value in lists.to_pylist()]
    return np.array([bool(value) and all(number != number for number in value) for value in numbers])


def _to_block(lists: pa.Array, dimension: int, place: Place) -> Split:
    """`lists` holds no nulls."""
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != dimension)
    if len(wrong):
        raise _length_error(place(int(wrong[0])), int(lengths[wrong[0]]), dimension)
    numbers = lists.flatten()
    if numbers.null_count:
        at = numbers.is_null().to_pylist().index(True)
        remedy = "Fill it, or leave the row out."
        raise InvalidField(f"{place(at // dimension)}[{at % dimension}]", "is missing", remedy=remedy)
    if pa.types.is_decimal(numbers.type):
        numbers = numbers.cast(pa.float64())
    block = split_if_significant(numbers.to_numpy(zero_copy_only=False).reshape(-1, dimension))
    check_finite(block.points, place)
    return block


def _parse_texts(texts: Sequence[str | None], dimension: int, place: Place) -> VectorColumn:
    rows = [row for row, text in enumerate(texts) if not (is_missing_text(text) or _is_nan_text(text))]

    def present_place(row: int) -> str:
        return place(rows[row])

    lists = parse_vectors([texts[row] or "" for row in rows], present_place)
    for i, values in enumerate(lists):
        if isinstance(values, list) and len(values) != dimension:
            raise _length_error(present_place(i), len(values), dimension)
    block = double_block(lists, present_place, dimension=dimension, most=dimension)
    return VectorColumn(np.array(rows, np.int64), *split_if_significant(block))


def _is_nan_text(text: str | None) -> bool:
    """Return whether a text holds a vector of NaN only."""
    if text is None or "nan" not in text[:8].lower():
        return False
    numbers = parse_vector(text)
    return bool(numbers) and all(number != number for number in numbers or ())


def _length_error(path: str, length: int, dimension: int) -> InvalidField:
    return InvalidField(
        path,
        f"has {length} numbers where the others have {dimension}",
        remedy="All vectors of a column have the same length; leave a missing one null.",
    )

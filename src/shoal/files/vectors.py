"""Arrow columns of vectors, made into float32 blocks without touching single rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.columns import Points, VectorColumn
from shoal.errors import InvalidField
from shoal.records.vectors import Place, check_finite, float_block, to_float32

__all__ = ["dimension_of", "is_list", "is_number_list", "is_text", "vector_column"]


def is_list(kind: pa.DataType) -> bool:
    """Lists of any layout."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number_list(kind: pa.DataType) -> bool:
    return is_list(kind) and is_number(kind.value_type)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def dimension_of(column: pa.Array) -> int | None:
    """The length that all vectors of a column share; None where it holds no vectors or their lengths differ.

    Columns of text count where they hold JSON arrays of numbers.
    """
    if is_text(column.type):
        return _dimension_of_text(column)
    if not is_number_list(column.type):
        return None
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    lengths = pc.unique(pc.list_value_length(column.drop_null())).to_pylist()
    return int(lengths[0]) if len(lengths) == 1 else None


def vector_column(column: pa.Array, dimension: int, place: Place) -> VectorColumn:
    """The vectors of a batch; rows that are null (or empty text) have none. `place(row)` names a row of the batch.

    Raises InvalidField naming row and column for other lengths, missing or non-finite numbers.
    """
    there = _present(column)
    rows = np.flatnonzero(there).astype(np.int64)
    kept = column if len(rows) == len(column) else column.filter(pa.array(there))

    def kept_place(row: int) -> str:
        return place(int(rows[row]))

    if is_text(column.type):
        return VectorColumn(rows, _from_text(kept.to_pylist(), dimension, kept_place))
    return VectorColumn(rows, _from_lists(kept, dimension, kept_place))


def _present(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    valid = column.is_valid()
    if is_text(column.type):
        valid = pc.and_(valid, pc.fill_null(pc.not_equal(column, ""), False))
    return np.asarray(valid.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _from_lists(column: pa.Array, dimension: int, place: Place) -> Points:
    """`column` holds no null lists."""
    if not pa.types.is_fixed_size_list(column.type):
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != dimension)
        if len(wrong):
            raise _ragged(place(int(wrong[0])), int(lengths[wrong[0]]), dimension)
    numbers = column.flatten()
    if numbers.null_count:
        at = numbers.is_null().to_pylist().index(True)
        raise InvalidField(f"{place(at // dimension)}[{at % dimension}]", "is missing")
    block = to_float32(numbers.to_numpy(zero_copy_only=False)).reshape(-1, dimension)
    check_finite(block, place)
    return block


def _from_text(texts: Sequence[str], dimension: int, place: Place) -> Points:
    try:
        lists = orjson.loads("[" + ",".join(texts) + "]")
    except orjson.JSONDecodeError:
        lists = []
    if len(lists) != len(texts):
        lists = [_parsed(text, place(i)) for i, text in enumerate(texts)]
    for i, values in enumerate(lists):
        if isinstance(values, list) and len(values) != dimension:
            raise _ragged(place(i), len(values), dimension)
    return float_block(lists, place, dimension=dimension, most=dimension)


def _parsed(text: str, path: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidField(path, "is no JSON array of numbers", value=text, remedy='Such as "[0.1, 0.2]".') from None


def _dimension_of_text(column: pa.Array) -> int | None:
    for text in column.to_pylist():
        if not text:
            continue
        if not text.lstrip().startswith("["):
            return None
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
        return len(values) if numbers and values else None
    return None


def _ragged(path: str, length: int, dimension: int) -> InvalidField:
    return InvalidField(
        path,
        f"has {length} numbers where the others have {dimension}",
        remedy="All vectors of a column have the same length; leave a missing one null.",
    )

"""The size of the rows of an Arrow column once fully expanded: dictionaries looked up, runs repeated, views followed.

It is computed from lengths and offsets, without materializing anything.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["nesting_depth", "row_bytes"]

Sizes: TypeAlias = NDArray[np.int64]

_SCALAR: Final = 8
_DEEPEST: Final = 1000


def row_bytes(column: pa.Array) -> Sizes:
    """Return (n,) int64, about the bytes that each row needs. Field names of structs count in every row, as in JSON."""
    kind = column.type
    width = _value_width(kind)
    if width is not None:
        return np.full(len(column), width, np.int64)
    if isinstance(column, pa.ExtensionArray):
        return row_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        return _size_dictionary(row_bytes(column.dictionary), column.indices)
    if pa.types.is_run_end_encoded(kind):
        return _size_runs(column)
    if pa.types.is_struct(kind):
        return _sum_parts(column.flatten(), len(column)) + _name_bytes(kind)
    if pa.types.is_union(kind):
        return _size_union(column)
    if pa.types.is_fixed_size_list(kind):
        return _size_fixed_lists(column)
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        starts = _to_numbers(column.offsets)
        return _size_lists(column.values, starts, starts + _to_numbers(column.sizes))
    if kind.num_fields:  # all other list layouts, and maps
        offsets = _to_numbers(column.offsets)
        child = pa.StructArray.from_arrays([column.keys, column.items], ["", ""]) if pa.types.is_map(kind) else None
        return _size_lists(column.values if child is None else child, offsets[:-1], offsets[1:])
    return _lengths(column) + _SCALAR


def nesting_depth(kind: pa.DataType) -> int:
    """Return the nesting depth of a type: 0 for numbers and text."""
    depth, level = 0, [kind]
    while level := [_storage_type(part).field(i).type for part in level for i in range(_storage_type(part).num_fields)]:
        depth += 1
        if depth >= _DEEPEST:
            break
    return depth


def _storage_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storage_type(kind.value_type)
    return _storage_type(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def _value_width(kind: pa.DataType) -> int | None:
    """Return the size of every value of the type; None where sizes vary."""
    if pa.types.is_struct(kind):
        widths = [_value_width(kind.field(i).type) for i in range(kind.num_fields)]
        return None if None in widths else sum(w for w in widths if w is not None) + _name_bytes(kind)
    if pa.types.is_fixed_size_list(kind):
        width = _value_width(kind.value_type)
        return None if width is None else kind.list_size * width + _SCALAR
    if pa.types.is_fixed_size_binary(kind):
        return int(kind.byte_width) + _SCALAR
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return max(int(kind.bit_width) // 8, 1)
    return _SCALAR if pa.types.is_null(kind) else None


def _name_bytes(kind: pa.DataType) -> int:
    return sum(len(kind.field(i).name) + _SCALAR for i in range(kind.num_fields))


def _lengths(column: pa.Array) -> Sizes:
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        # The first four bytes of a view are its length, wherever its data are.
        views = np.frombuffer(column.buffers()[1], np.int32).reshape(-1, 4)
        lengths = views[column.offset : column.offset + len(column), 0].astype(np.int64)
        return np.where(_validity(column), lengths, 0)
    return _to_numbers(pc.binary_length(column))


def _to_numbers(column: pa.Array) -> Sizes:
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), np.int64)


def _validity(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _size_dictionary(sizes: Sizes, indices: pa.Array) -> Sizes:
    if not len(sizes):
        return np.zeros(len(indices), np.int64)
    return np.where(_validity(indices), sizes[_to_numbers(indices)], 0)


def _size_runs(column: pa.Array) -> Sizes:
    ends = np.asarray(column.run_ends.to_numpy(zero_copy_only=False), np.int64)
    rows = np.arange(column.offset, column.offset + len(column))
    sizes: Sizes = row_bytes(column.values)[np.searchsorted(ends, rows, side="right")]
    return sizes


def _sum_parts(parts: list[pa.Array], rows: int) -> Sizes:
    total = np.zeros(rows, np.int64)
    for part in parts:
        total += row_bytes(part)
    return total


def _size_lists(values: pa.Array, starts: Sizes, stops: Sizes) -> Sizes:
    width = _value_width(values.type)
    if width is not None:
        return (stops - starts) * width + _SCALAR
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(row_bytes(values))])
    sizes: Sizes = ends[stops] - ends[starts] + _SCALAR
    return sizes


def _size_fixed_lists(column: pa.Array) -> Sizes:
    size = column.type.list_size
    values = row_bytes(column.values)[column.offset * size : (column.offset + len(column)) * size]
    total: Sizes = values.reshape(len(column), size).sum(axis=1) + _SCALAR
    return total


def _size_union(column: pa.Array) -> Sizes:
    parts: list[Any] = [row_bytes(column.field(i)) for i in range(column.type.num_fields)]
    if column.type.mode == "sparse":
        return sum(parts, np.zeros(len(column), np.int64))
    codes, at = _to_numbers(column.type_codes), _to_numbers(column.offsets)
    sizes = np.zeros(len(column), np.int64)
    for code, part in zip(column.type.type_codes, parts, strict=True):
        sizes[codes == code] = part[at[codes == code]]
    return sizes

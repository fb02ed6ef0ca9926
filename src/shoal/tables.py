"""Converts Arrow columns to a few supported layouts."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["decode_dictionaries", "is_json", "is_text", "map_leaves", "to_plain", "to_plain_batch"]

_Table = TypeVar("_Table", pa.Table, pa.RecordBatch)
Leaf: TypeAlias = Callable[[pa.Array], pa.Array]
"""Converts a column without nested columns to another of the same length."""

_DIGITS: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_BYTES: Final = 16
_UUID_DASHES: Final = (8, 13, 18, 23)


def decode_dictionaries(table: _Table) -> _Table:
    """Decode dictionary-encoded columns. Call before converting rows to Python objects: Arrow would look up each value
    separately, thirty times as slow."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def to_plain_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Apply `to_plain` to every column. Columns of Arrow's JSON type are left alone so that their contents can still be
    parsed as JSON."""
    columns = [column if is_json(column.type) else to_plain(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def to_plain(column: pa.Array) -> pa.Array:
    """Convert a column to one of the supported layouts, at any depth.

    Text is `string` or `large_string`, bytes are `binary`, `large_binary` or of a fixed size, lists are `list`,
    `large_list` or of a fixed size. Dictionaries, run-end encodings and views are decoded, UUIDs become text, and other
    extension types are replaced by their storage. Returns the column itself if it needs no conversion.
    """
    return column if _is_plain(column.type) else map_leaves(column, _to_plain_leaf)


def is_text(kind: pa.DataType) -> bool:
    """Whether this is text in one of the layouts of `to_plain`."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_json(kind: pa.DataType) -> bool:
    """Whether this is Arrow's JSON type."""
    return isinstance(kind, pa.JsonType)


def map_leaves(column: pa.Array, leaf: Leaf) -> pa.Array:
    """Apply `leaf` to a column or, for lists, maps and structs, to the columns inside."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return leaf(_format_uuids(column.storage))
    if isinstance(kind, pa.Bool8Type):
        return leaf(pc.not_equal(column.storage, 0))
    if isinstance(kind, pa.BaseExtensionType):
        return map_leaves(column.storage, leaf)
    if pa.types.is_dictionary(kind):
        return map_leaves(column.dictionary_decode(), leaf)
    if pa.types.is_run_end_encoded(kind):
        return map_leaves(pc.run_end_decode(column), leaf)
    if pa.types.is_struct(kind):
        return _map_struct(column, leaf)
    if pa.types.is_map(kind):
        return _map_map(column, leaf)
    if pa.types.is_fixed_size_list(kind):
        return _map_fixed_lists(column, leaf)
    return _map_lists(column, leaf) if _is_list(kind) else leaf(column)


def _map_struct(column: pa.Array, leaf: Leaf) -> pa.Array:
    fields = [map_leaves(part, leaf) for part in column.flatten()]
    if not fields:
        return column
    names = [field.name for field in column.type]
    return pa.StructArray.from_arrays(fields, names, mask=column.is_null())


def _map_map(column: pa.Array, leaf: Leaf) -> pa.Array:
    starts = _starts(pc.list_value_length(column.cast(_entries(column.type))))
    entries = column.cast(_entries(column.type)).flatten()
    keys, items = (map_leaves(part, leaf) for part in entries.flatten())
    return pa.MapArray.from_arrays(starts, keys, items, mask=column.is_null())


def _entries(kind: pa.MapType) -> pa.DataType:
    return pa.list_(pa.struct([pa.field("key", kind.key_type, nullable=False), kind.item_field]))


def _map_fixed_lists(column: pa.Array, leaf: Leaf) -> pa.Array:
    # Not flatten(), which drops the values under nulls.
    size = column.type.list_size
    values = column.values.slice(column.offset * size, len(column) * size)
    if not size:  # from_arrays rejects a list size of 0
        starts = pa.array(np.zeros(len(column) + 1, np.int32))
        return pa.ListArray.from_arrays(starts, map_leaves(values, leaf), mask=column.is_null())
    return pa.FixedSizeListArray.from_arrays(map_leaves(values, leaf), size, mask=column.is_null())


def _map_lists(column: pa.Array, leaf: Leaf) -> pa.Array:
    # Not by a cast, which loses values of views whose lists are not contiguous.
    starts = _starts(pc.list_value_length(column))
    return pa.LargeListArray.from_arrays(starts, map_leaves(column.flatten(), leaf), mask=column.is_null())


def _starts(lengths: pa.Array) -> pa.Array:
    counts = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    whole = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return pa.array(whole, pa.int32() if pa.types.is_int32(lengths.type) and whole[-1] < 2**31 else pa.int64())


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_is_plain(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _is_plain(kind.key_type) and _is_plain(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    return not (
        isinstance(kind, pa.BaseExtensionType)
        or pa.types.is_dictionary(kind)
        or pa.types.is_run_end_encoded(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
        or _is_list(kind)
    )


def _to_plain_leaf(column: pa.Array) -> pa.Array:
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def _format_uuids(storage: pa.Array) -> pa.Array:
    """Text such as `123e4567-e89b-12d3-a456-426614174000` from 16 bytes each."""
    present = storage.drop_null()
    raw = b"".join(present.to_pylist()) if len(present) else b""
    octets = np.frombuffer(raw, np.uint8).reshape(-1, _UUID_BYTES)
    text = np.full((len(octets), 36), ord("-"), np.uint8)
    places = np.setdiff1d(np.arange(36), _UUID_DASHES)
    text[:, places[0::2]], text[:, places[1::2]] = _DIGITS[octets >> 4], _DIGITS[octets & 15]
    return _with_nulls(text.tobytes(), 36, storage)


def _with_nulls(data: bytes, width: int, like: pa.Array) -> pa.Array:
    there: NDArray[np.bool_] = np.asarray(like.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    ends = np.concatenate([[0], np.cumsum(there, dtype=np.int64)]) * width
    validity: Any = pa.array(there).buffers()[1]
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(like), buffers)

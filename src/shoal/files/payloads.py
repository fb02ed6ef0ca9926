"""The attributes of documents as JSON: every Arrow type gets a sensible form.

Times become ISO 8601 text (UTC with `Z` where a zone is known), durations seconds, decimals numbers where a double
holds them exactly and text otherwise, bytes base64; NaN and infinities null.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.errors import InvalidField
from shoal.records.document import MAX_PAYLOAD_BYTES, byo_payload, own_fields
from shoal.records.vectors import Place

__all__ = ["json_of_batch", "json_of_rows"]

_MAX_DEPTH: Final = 64


def json_of_batch(
    batch: pa.RecordBatch, place: Place, *, byo: bool, most: int | None = MAX_PAYLOAD_BYTES
) -> list[bytes]:
    """One JSON object a row, without reserved columns. `byo` rows have the shape of a BYODocument. Raises InvalidField
    for one of more than `most` bytes."""
    names = batch.schema.names
    columns = [_plain_column(column).to_pylist() for column in batch.columns]
    if not columns:
        return [b"{}"] * len(batch)
    rows: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    if byo:
        rows = map(byo_payload, rows)
    return _sized([orjson.dumps(row, _plain, orjson.OPT_NON_STR_KEYS) for row in rows], place, most)


def json_of_rows(
    rows: Sequence[Mapping[str, Any]], place: Place, *, byo: bool, most: int | None = MAX_PAYLOAD_BYTES
) -> list[bytes]:
    """The same for rows that came as JSON."""
    shape = byo_payload if byo else own_fields
    encoded = _sized([orjson.dumps(shape(row)) for row in rows], place, most)
    for i, row in enumerate(encoded):
        # Brackets inside text count too, so this only tells which rows need the real measure.
        if row.count(b"[") + row.count(b"{") > _MAX_DEPTH and _depth(orjson.loads(row)) > _MAX_DEPTH:
            raise InvalidField(place(i), f"is nested more than {_MAX_DEPTH} deep")
    return encoded


def _sized(encoded: list[bytes], place: Place, most: int | None) -> list[bytes]:
    if most is None:
        return encoded
    largest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if largest is not None and len(encoded[largest]) > most:
        problem = f"has {len(encoded[largest]):,} bytes of JSON, more than the {most:,} allowed"
        raise InvalidField(place(largest), problem, remedy="Leave large columns out.")
    return encoded


def _plain_column(column: pa.Array) -> pa.Array:
    """Times as text in one sweep; all other types are left to `_plain`."""
    if not pa.types.is_timestamp(column.type):
        return column
    zone = "Z" if column.type.tz else ""
    text = column.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    whole = pc.replace_substring_regex(pc.replace_substring(text, " ", "T"), r"\.0+$", "")
    return pc.binary_join_element_wise(whole, zone, "") if zone else whole


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode()
    return str(value)


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level := [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]:
        depth += 1
    return depth


def _children(item: dict[str, Any] | list[Any]) -> Sequence[Any]:
    return list(item.values()) if isinstance(item, dict) else item

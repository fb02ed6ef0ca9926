"""The attributes of documents as JSON, with a representation for every Arrow type.

Times become ISO 8601 text (UTC with `Z` where a zone is known), durations seconds, decimals numbers where a double
holds them exactly and text otherwise, maps objects, bytes base64, NaN null. Values without a JSON representation are
rejected before they are stored: infinities, and times outside of the years 1 to 9999 or of a day.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.errors import InvalidField
from shoal.files.faults import find_first_invalid
from shoal.records.documents.document import MAX_PAYLOAD_BYTES, TYPED_FIELDS, byo_payload, check_typed, own_fields
from shoal.records.documents.vectors import Place
from shoal.tables import is_json, map_leaves

__all__ = ["batch_to_json", "check_types", "dump_json", "format_times", "rows_to_json", "to_json_values"]

_TYPED_NAMES: Final = frozenset(TYPED_FIELDS)
_SECONDS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
_YEARS: Final = (-62_135_596_800, 253_402_300_800)
"""The range from year 1 to year 10000, in seconds since 1970."""


class _Unrepresentable(Exception):
    """A column holds a value without a JSON representation."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def batch_to_json(batch: pa.RecordBatch, place: Place, *, byo: bool, stored: bool = True) -> list[bytes]:
    """Return one JSON object per row, without reserved columns.

    Parameters
    ----------
    batch : RecordBatch
        Columns as `shoal.tables.to_plain` makes them.
    place : callable
        Names a row of the batch in errors.
    byo : bool
        Whether rows have the shape of a BYODocument.
    stored : bool, default True
        Whether the result goes to a store. If not, rows may be of any size, and unrepresentable values become null.

    Raises
    ------
    InvalidField
        For a row that is too large, or a value without a JSON representation; both are named.
    """
    names = batch.schema.names
    check_types(batch.schema, place)
    columns = [
        to_json_values(column, _column_place(place, name), stored=stored)
        for name, column in zip(names, batch.columns, strict=True)
    ]
    if not columns:
        return [b"{}"] * len(batch)
    rows: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    if byo:
        rows = map(byo_payload, rows)
    if stored and (byo or not _TYPED_NAMES.isdisjoint(names)):
        rows = _check_typed_rows(rows, place)
    return _check_sizes(list(map(dump_json, rows)), place, stored=stored)


def dump_json(value: object) -> bytes:
    """Serialize a value from Arrow or NumPy as JSON."""
    return orjson.dumps(value, _json_default, orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def format_times(column: pa.Array) -> pa.Array:
    """Convert a column of times to ISO 8601 text, of durations to seconds; values out of range become null."""
    return _convert_leaf(column, stored=False)


def check_types(schema: pa.Schema, place: Place) -> None:
    """Raise InvalidField, about the first row, for a column of structs with a duplicate field name."""
    for field in schema:
        duplicate = _find_duplicate_key(field.type)
        if duplicate is not None:
            problem = f"has two fields called {duplicate!r} in one struct"
            raise InvalidField(
                _column_place(place, field.name)(0), problem, remedy="Rename one, or leave the column out."
            )


def _find_duplicate_key(kind: pa.DataType) -> str | None:
    if isinstance(kind, pa.BaseExtensionType):
        return _find_duplicate_key(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _find_duplicate_key(kind.value_type)
    inside: list[pa.Field] = [kind.field(i) for i in range(kind.num_fields)]
    names = [field.name for field in inside] if pa.types.is_struct(kind) else []
    own = next((name for i, name in enumerate(names) if name in names[:i]), None)
    return (
        own
        if own is not None
        else next((name for f in inside if (name := _find_duplicate_key(f.type)) is not None), None)
    )


def rows_to_json(rows: Sequence[Mapping[str, Any]], place: Place, *, byo: bool, stored: bool = True) -> list[bytes]:
    """As `batch_to_json`, for rows read as JSON, nested no deeper than their reader allows."""
    shape = byo_payload if byo else own_fields
    shaped: Iterable[dict[str, Any]] = map(shape, rows)
    if stored:
        shaped = _check_typed_rows(shaped, place)
    return _check_sizes([orjson.dumps(row) for row in shaped], place, stored=stored)


def _check_typed_rows(rows: Iterable[dict[str, Any]], place: Place) -> Iterator[dict[str, Any]]:
    """Yield the rows. Raises InvalidField where a field that the official SDK reads with a type has another type."""
    for i, row in enumerate(rows):
        if not _TYPED_NAMES.isdisjoint(row):
            check_typed(row, f"{place(i)}, column ")
        yield row


def _check_sizes(encoded: list[bytes], place: Place, *, stored: bool) -> list[bytes]:
    largest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if stored and largest is not None and len(encoded[largest]) > MAX_PAYLOAD_BYTES:
        problem = f"has {len(encoded[largest]):,} bytes of JSON, more than the {MAX_PAYLOAD_BYTES:,} allowed"
        raise InvalidField(place(largest), problem, remedy="Leave large columns out.")
    return encoded


def _column_place(place: Place, name: str) -> Place:
    return lambda row: f"{place(row)}, column {name!r}"


def to_json_values(column: pa.Array, place: Place, *, stored: bool) -> list[Any]:
    """Return the values of a column as Python objects that serialize to JSON. Raises InvalidField at a place."""
    if is_json(column.type):
        return _parse_json(column.storage.to_pylist(), place)
    convert = partial(_convert_leaf, stored=stored)
    try:
        values: list[Any] = map_leaves(column, convert).to_pylist(maps_as_pydicts="strict")
    except (_Unrepresentable, KeyError) as error:
        row = find_first_invalid(column, partial(_is_representable, stored=stored))
        if isinstance(error, _Unrepresentable):
            raise InvalidField(place(row), error.problem, remedy=error.remedy) from None
        raise InvalidField(place(row), "has a map with the same key twice", remedy="Make its keys unique.") from None
    return values


def _is_representable(column: pa.Array, *, stored: bool) -> bool:
    try:
        map_leaves(column, partial(_convert_leaf, stored=stored)).to_pylist(maps_as_pydicts="strict")
    except (_Unrepresentable, KeyError):
        return False
    return True


def _parse_json(texts: Sequence[str | None], place: Place) -> list[Any]:
    values: list[Any] = []
    for row, text in enumerate(texts):
        try:
            values.append(None if text is None else orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise InvalidField(place(row), f"is not JSON ({error.msg})", remedy="Write it as JSON.") from None
    return values


def _convert_leaf(column: pa.Array, *, stored: bool) -> pa.Array:
    """Convert times to text and durations to seconds, a column at once; `_json_default` handles other types."""
    kind = column.type
    if pa.types.is_floating(kind):
        return _check_finite(column, stored=stored)
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), float(_SECONDS[kind.unit]))
    if pa.types.is_timestamp(kind):
        return _format_timestamps(_check_range(column, *_YEARS, _SECONDS[kind.unit], stored=stored))
    if pa.types.is_date64(kind):
        return _format_dates(_check_range(column, *_YEARS, _SECONDS["ms"], stored=stored))
    if pa.types.is_date32(kind):
        return _format_dates(_check_range(column, _YEARS[0] // _DAY, _YEARS[1] // _DAY, 1, stored=stored))
    if pa.types.is_time(kind):
        return _strip_fraction(_check_range(column, 0, _DAY, _SECONDS[kind.unit], stored=stored).cast(pa.string()))
    return column


def _check_finite(column: pa.Array, *, stored: bool) -> pa.Array:
    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    if stored and pc.any(pc.is_inf(wide)).as_py():
        raise _Unrepresentable("is infinite, which JSON cannot represent", "Leave it empty, or write a large number.")
    return wide


def _check_range(column: pa.Array, first: int, end: int, unit: int, *, stored: bool) -> pa.Array:
    """Check that `first <= value / unit < end` throughout; values out of range become null where nothing is stored."""
    bits = pa.int32() if column.type.bit_width == 32 else pa.int64()
    numbers = column.view(bits)
    fits = pc.and_(
        pc.greater_equal(numbers, pa.scalar(max(first * unit, _min_int(bits)), bits)),
        pc.less_equal(numbers, pa.scalar(min(end * unit - 1, -_min_int(bits) - 1), bits)),
    )
    if pc.all(fits).as_py() in (True, None):
        return column
    if stored:
        what = "a time of day" if pa.types.is_time(column.type) else "a date of the years 1 to 9999"
        raise _Unrepresentable(f"is not {what}", "Leave it empty, or send it as text.")
    return pc.if_else(fits, column, pa.scalar(None, column.type))


def _min_int(bits: pa.DataType) -> int:
    return int(np.iinfo(f"int{bits.bit_width}").min)


def _format_timestamps(column: pa.Array) -> pa.Array:
    zone = "Z" if column.type.tz else ""
    # Arrow appends an offset for a zone; the text of naive UTC can be completed here.
    text = column.cast(pa.timestamp("us", "UTC" if zone else None), safe=False).view(pa.timestamp("us"))
    whole = _strip_fraction(pc.replace_substring(text.cast(pa.string()), " ", "T"))
    return pc.binary_join_element_wise(whole, zone, "") if zone else whole


def _format_dates(column: pa.Array) -> pa.Array:
    return column.cast(pa.date32(), safe=False).cast(pa.string())


def _strip_fraction(text: pa.Array) -> pa.Array:
    """Remove a zero fraction of seconds, and zeros at the end of nanoseconds."""
    short = pc.replace_substring_regex(text, r"(\.\d{6})000$", r"\1")
    return pc.replace_substring_regex(short, r"\.0+$", "")


def _json_default(value: object) -> object:
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, pa.MonthDayNano):
        return f"P{value.months}M{value.days}DT{value.nanoseconds / 1e9:g}S"
    return str(value)

"""The attributes of documents as JSON: every Arrow type gets a sensible form.

Times become ISO 8601 text (UTC with `Z` where a zone is known), durations seconds, decimals numbers where a double
holds them exactly and text otherwise, maps objects, bytes base64, NaN null. What JSON has no form for is refused before
it is stored: infinities, and times outside of the years 1 to 9999 or of a day.
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
from shoal.files.faults import first_unfit
from shoal.records.document import MAX_PAYLOAD_BYTES, TYPED_FIELDS, byo_payload, check_typed, own_fields
from shoal.records.vectors import Place
from shoal.tables import is_json, map_leaves

__all__ = ["check_types", "json_of_batch", "json_of_rows", "json_text", "json_values", "times_as_text"]

_TYPED: Final = frozenset(TYPED_FIELDS)
_SECONDS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
_YEARS: Final = (-62_135_596_800, 253_402_300_800)
"""From the year 1 until the year 10000, in seconds since 1970."""


class _Unfit(Exception):
    """A column holds something that JSON has no form for."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def json_of_batch(batch: pa.RecordBatch, place: Place, *, byo: bool, stored: bool = True) -> list[bytes]:
    """One JSON object a row, without reserved columns.

    Parameters
    ----------
    batch : RecordBatch
        Columns as `shoal.tables.plain` makes them.
    place : callable
        Names a row of the batch in errors.
    byo : bool
        Whether rows have the shape of a BYODocument.
    stored : bool, default True
        Whether this is for a store. If not, rows may be of any size, and what JSON has no form for is null.

    Raises
    ------
    InvalidField
        For a row that is too large, or a value that JSON has no form for; both named.
    """
    names = batch.schema.names
    check_types(batch.schema, place)
    columns = [
        json_values(column, _in_column(place, name), stored=stored)
        for name, column in zip(names, batch.columns, strict=True)
    ]
    if not columns:
        return [b"{}"] * len(batch)
    rows: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    if byo:
        rows = map(byo_payload, rows)
    if stored and (byo or not _TYPED.isdisjoint(names)):
        rows = _typed(rows, place)
    return _sized(list(map(json_text, rows)), place, stored=stored)


def json_text(value: object) -> bytes:
    """A value of Arrow's, or NumPy's, as JSON."""
    return orjson.dumps(value, _plain, orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def times_as_text(column: pa.Array) -> pa.Array:
    """A column of times as ISO 8601 text, of durations as seconds; what is out of range is null."""
    return _leaf(column, stored=False)


def check_types(schema: pa.Schema, place: Place) -> None:
    """Raises InvalidField, about the first row, for a column whose values are no JSON objects: two of their keys are
    one."""
    for field in schema:
        twice = _key_twice(field.type)
        if twice is not None:
            problem = f"has two fields called {twice!r} in one struct"
            raise InvalidField(_in_column(place, field.name)(0), problem, remedy="Rename one, or leave the column out.")


def _key_twice(kind: pa.DataType) -> str | None:
    if isinstance(kind, pa.BaseExtensionType):
        return _key_twice(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _key_twice(kind.value_type)
    inside: list[pa.Field] = [kind.field(i) for i in range(kind.num_fields)]
    names = [field.name for field in inside] if pa.types.is_struct(kind) else []
    own = next((name for i, name in enumerate(names) if name in names[:i]), None)
    return own if own is not None else next((name for f in inside if (name := _key_twice(f.type)) is not None), None)


def json_of_rows(rows: Sequence[Mapping[str, Any]], place: Place, *, byo: bool, stored: bool = True) -> list[bytes]:
    """The same for rows that came as JSON, nested no deeper than their reader allows."""
    shape = byo_payload if byo else own_fields
    shaped: Iterable[dict[str, Any]] = map(shape, rows)
    if stored:
        shaped = _typed(shaped, place)
    return _sized([orjson.dumps(row) for row in shaped], place, stored=stored)


def _typed(rows: Iterable[dict[str, Any]], place: Place) -> Iterator[dict[str, Any]]:
    """The rows. Raises InvalidField where a field that the official SDK reads with a type of its own has another."""
    for i, row in enumerate(rows):
        if not _TYPED.isdisjoint(row):
            check_typed(row, f"{place(i)}, column ")
        yield row


def _sized(encoded: list[bytes], place: Place, *, stored: bool) -> list[bytes]:
    largest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if stored and largest is not None and len(encoded[largest]) > MAX_PAYLOAD_BYTES:
        problem = f"has {len(encoded[largest]):,} bytes of JSON, more than the {MAX_PAYLOAD_BYTES:,} allowed"
        raise InvalidField(place(largest), problem, remedy="Leave large columns out.")
    return encoded


def _in_column(place: Place, name: str) -> Place:
    return lambda row: f"{place(row)}, column {name!r}"


def json_values(column: pa.Array, place: Place, *, stored: bool) -> list[Any]:
    """The values of a column as Python objects that JSON has a form for. Raises InvalidField at a place."""
    if is_json(column.type):
        return _parsed(column.storage.to_pylist(), place)
    leaf = partial(_leaf, stored=stored)
    try:
        values: list[Any] = map_leaves(column, leaf).to_pylist(maps_as_pydicts="strict")
    except (_Unfit, KeyError) as error:
        row = first_unfit(column, partial(_fits, stored=stored))
        if isinstance(error, _Unfit):
            raise InvalidField(place(row), error.problem, remedy=error.remedy) from None
        raise InvalidField(place(row), "has a map with the same key twice", remedy="Make its keys unique.") from None
    return values


def _fits(column: pa.Array, *, stored: bool) -> bool:
    try:
        map_leaves(column, partial(_leaf, stored=stored)).to_pylist(maps_as_pydicts="strict")
    except (_Unfit, KeyError):
        return False
    return True


def _parsed(texts: Sequence[str | None], place: Place) -> list[Any]:
    values: list[Any] = []
    for row, text in enumerate(texts):
        try:
            values.append(None if text is None else orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise InvalidField(place(row), f"is not JSON ({error.msg})", remedy="Write it as JSON.") from None
    return values


def _leaf(column: pa.Array, *, stored: bool) -> pa.Array:
    """Times as text and durations as seconds, in one sweep; all other types are left to `_plain`."""
    kind = column.type
    if pa.types.is_floating(kind):
        return _finite(column, stored=stored)
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), float(_SECONDS[kind.unit]))
    if pa.types.is_timestamp(kind):
        return _moments(_within(column, *_YEARS, _SECONDS[kind.unit], stored=stored))
    if pa.types.is_date64(kind):
        return _days(_within(column, *_YEARS, _SECONDS["ms"], stored=stored))
    if pa.types.is_date32(kind):
        return _days(_within(column, _YEARS[0] // _DAY, _YEARS[1] // _DAY, 1, stored=stored))
    if pa.types.is_time(kind):
        return _unpadded(_within(column, 0, _DAY, _SECONDS[kind.unit], stored=stored).cast(pa.string()))
    return column


def _finite(column: pa.Array, *, stored: bool) -> pa.Array:
    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    if stored and pc.any(pc.is_inf(wide)).as_py():
        raise _Unfit("is infinite, which JSON has no form for", "Leave it empty, or write a large number.")
    return wide


def _within(column: pa.Array, first: int, end: int, unit: int, *, stored: bool) -> pa.Array:
    """The column if `first <= value / unit < end` everywhere; what is not becomes null where nothing is stored."""
    bits = pa.int32() if column.type.bit_width == 32 else pa.int64()
    numbers = column.view(bits)
    fits = pc.and_(
        pc.greater_equal(numbers, pa.scalar(max(first * unit, _least(bits)), bits)),
        pc.less_equal(numbers, pa.scalar(min(end * unit - 1, -_least(bits) - 1), bits)),
    )
    if pc.all(fits).as_py() in (True, None):
        return column
    if stored:
        what = "a time of day" if pa.types.is_time(column.type) else "a date of the years 1 to 9999"
        raise _Unfit(f"is not {what}", "Leave it empty, or send it as text.")
    return pc.if_else(fits, column, pa.scalar(None, column.type))


def _least(bits: pa.DataType) -> int:
    return int(np.iinfo(f"int{bits.bit_width}").min)


def _moments(column: pa.Array) -> pa.Array:
    zone = "Z" if column.type.tz else ""
    # Arrow writes an offset for a zone; as UTC without one the text can be finished here.
    text = column.cast(pa.timestamp("us", "UTC" if zone else None), safe=False).view(pa.timestamp("us"))
    whole = _unpadded(pc.replace_substring(text.cast(pa.string()), " ", "T"))
    return pc.binary_join_element_wise(whole, zone, "") if zone else whole


def _days(column: pa.Array) -> pa.Array:
    return column.cast(pa.date32(), safe=False).cast(pa.string())


def _unpadded(text: pa.Array) -> pa.Array:
    """Without a fraction of seconds that is nought, or zeros at the end of thousandths of a microsecond."""
    short = pc.replace_substring_regex(text, r"(\.\d{6})000$", r"\1")
    return pc.replace_substring_regex(short, r"\.0+$", "")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, pa.MonthDayNano):
        return f"P{value.months}M{value.days}DT{value.nanoseconds / 1e9:g}S"
    return str(value)

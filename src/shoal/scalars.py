"""Parses single values from Python programs and files: NumPy scalars, missing values, ids."""

import uuid
from decimal import Decimal
from typing import Any, Final

import numpy as np

from shoal.errors import InvalidField

__all__ = ["format_cell", "is_missing", "parse_bool", "parse_id", "parse_integer", "replace_surrogates"]
__all__ += ["unwrap"]

_EXACT: Final = 2**53
"""Up to here every integer has an exact float."""


def unwrap(value: object) -> object:
    """The Python value of a NumPy scalar or 0-dimensional array; other values unchanged."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        plain: object = value.item()
        return plain
    return value


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which Python permits and UTF-8 does not, by question marks."""
    return text.encode("utf-8", "replace").decode()


def parse_integer(field: str, value: object, least: int) -> int:
    """An integer of any type, at least `least`. Raises InvalidField."""
    number = unwrap(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidField(field, f"must be a whole number of at least {least}", value=value)
    return number


def parse_bool(field: str, value: object) -> bool:
    """A boolean of any type. Raises InvalidField."""
    plain = unwrap(value)
    if not isinstance(plain, bool):
        raise InvalidField(field, "must be true or false", value=value)
    return plain


def format_cell(value: object) -> str:
    """A value as text; integral floats are formatted as integers, which they were before a missing value made them
    floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT, pandas.NA or a masked element."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, (str, bytes, list, tuple, dict, np.ndarray)):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA is neither equal to itself nor not
        return True


def parse_id(value: object, path: str) -> str:
    """An id as text: from text, an integer of any type, a UUID, or UTF-8 bytes.

    Raises InvalidField at `path` for a missing id and for other types.
    """
    if is_missing(value):
        raise InvalidField(path, "has no id", remedy="Give every row one, or leave the ids out.")
    value = unwrap(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, uuid.UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    if isinstance(value, (float, Decimal)):
        return _format_whole(value, path)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidField(path, "is bytes that are no text", remedy="Write them as hexadecimal digits.") from None
    raise InvalidField(path, "must be text, a whole number or a UUID", value=_format_value(value))


def _format_whole(value: float | Decimal, path: str) -> str:
    if value % 1 != 0:
        raise InvalidField(
            path, "is not a whole number", value=_format_value(value), remedy="Ids are text or whole numbers."
        )
    if isinstance(value, float) and abs(value) > _EXACT:
        remedy = "Send such ids as text or as 64-bit integers."
        raise InvalidField(path, "is too large for a float to be exact", value=value, remedy=remedy)
    return str(int(value))


def _format_value(value: object) -> Any:
    return value if isinstance(value, (int, float)) else str(value)[:80]

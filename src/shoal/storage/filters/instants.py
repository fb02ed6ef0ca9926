"""Dates in text, as points in time.

JSON has no dates, so they are texts; `2024-01-01T01:00:00+01:00` and `2024-01-01T00:00:00.000Z` are the same instant.
"""

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

__all__ = ["days_around", "instant_of"]

_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[t ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?: ?(?:(z|utc)|([+-])(\d\d)(?::?(\d\d))?))?)?",
    re.ASCII | re.IGNORECASE,
)
_FIRST: Final = "0001-01-01T00:00:00.000000000"
_LAST: Final = "9999-12-31T23:59:59.999999999"


@lru_cache(maxsize=4096)
def instant_of(text: str) -> str | None:
    """Parse a date into a text of fixed length that sorts by time: UTC, to the nanosecond. None for any other text.

    A date is `YYYY-MM-DD`, alone (midnight) or with a time, up to nine digits of a second and an offset; without an
    offset it is UTC (RFC 3339, and the formats of pandas and databases). Instants outside the years 1 to 9999 in UTC
    are clamped to the first or the last one.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = match.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        timezone(offset)  # a day and more is no offset
    except ValueError:
        return None
    try:
        utc = local + offset if sign == "-" else local - offset
    except OverflowError:
        return _LAST if sign == "-" else _FIRST
    return f"{utc.isoformat()}.{(fraction or '').ljust(9, '0')}"


def days_around(text: str) -> tuple[str, str]:
    """Return (a, b) for a date: every text below `a` is earlier, every text from `b` on is later.

    This holds whether the texts are compared as dates or as texts. Offsets shift a date by less than a day, so three
    days are enough.
    """
    day = date.fromisoformat(text[:10]).toordinal()
    return (
        date.fromordinal(day - 2).isoformat() if day > 2 else "0",
        date.fromordinal(day + 3).isoformat() if day + 3 <= date.max.toordinal() else ":",
    )

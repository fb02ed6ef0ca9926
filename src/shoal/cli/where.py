"""`--where`: conditions on the command line, as a filter of the wire."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from shoal.cli.params import parse_value
from shoal.errors import InvalidField

__all__ = ["parse_where"]

_OPERATORS: Final = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "contains"}
# No two parts of a pattern in a row take blanks: each would be tried with each share of them.
_CONDITION: Final = re.compile(r"(?:(\"[^\"]+\"|'[^']+')\s*|([^=!<>~]+))(==|!=|>=|<=|=|>|<|~)(.*)", re.DOTALL)
_PART: Final = re.compile(
    r"\s*(?:\"((?:[^\"\\]|\\.)*)\"\s*|'((?:[^'\\]|\\.)*)'\s*|([^,\"'\s][^,]*)|)(?:,|\Z)", re.DOTALL
)
_QUOTES: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_SECOND: Final = re.compile(r"\s(?:and|or|&&?|\|\|?)\s+[\w.][\w. ]*(?:=|!=|<|>|~)", re.IGNORECASE)
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_WHOLE: Final = re.compile(r"-?[0-9]{1,1000}")
_DAY: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_OTHER_DATE: Final = re.compile(r"\d{1,4}[./]\d{1,2}[./]\d{1,4}")
_FLAGS: Final = {"true": True, "false": False}
_NEGATED: Final = {"eq": "ne", "in": "nin"}
_REMEDY: Final = 'Such as lang=en,de, name="a,b", year>=2020, created<2024-05-01, score!=null or title~refund.'

Json = dict[str, Any]


def parse_where(given: Sequence[str]) -> Json | None:
    """The filter of the wire that all the conditions make together.

    A condition is `field=value` with `=`, `!=`, `<`, `<=`, `>`, `>=` or `~` (contains), or a filter as JSON. Several
    values are parted by commas, of which one has to match; quotes make a value text as it stands. `null` is no value,
    and a date stands for its whole day. Raises InvalidField.
    """
    if not given:
        return None
    members = [_condition(text) for text in given]
    return members[0] if len(members) == 1 else {"AND": members}


def _condition(text: str) -> Json:
    if text.lstrip().startswith("{"):
        filter = parse_value(text)
        if isinstance(filter, dict):
            return filter
        raise InvalidField("--where", "is no valid JSON", value=text)
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise InvalidField("--where", "must be field=value or JSON", value=text, remedy=_REMEDY)
    written = match[4].strip()
    if _SECOND.search(_QUOTES.sub("", written)):
        remedy = "Give each condition a --where of its own: all of them must hold. For one of several: lang=en,de."
        raise InvalidField("--where", "holds two conditions", value=text, remedy=remedy)
    field, operator = (match[1] or match[2]).strip().strip("\"'"), _OPERATORS[match[3]]
    values = _values(written, text)
    if operator in ("eq", "ne"):
        return _equal(field, values, written, negated=operator == "ne")
    if operator == "contains":
        if any(value is None for value, _ in values):
            raise InvalidField("--where", "asks for a part of a text", value=text, remedy='Quote it: title~"null".')
        return _any([_test(field, "contains", raw) for _, raw in values])
    if len(values) > 1:
        remedy = "Only = and != take several values."
        if re.fullmatch(r"-?\d+,\d+", written):
            remedy = f"Write the number with a point: {written.replace(',', '.')}."
        raise InvalidField("--where", "compares with one value", value=text, remedy=remedy)
    return _ordered(field, operator, *values[0], text)


def _values(written: str, text: str) -> list[tuple[object, str]]:
    """Each value as it is meant, and as it is written. Raises InvalidField."""
    if written.startswith("[") and isinstance(listed := parse_value(written), list):
        return [(one, str(one)) for one in listed]
    found, at = list[tuple[object, str]](), 0
    while at <= len(written):
        part = _PART.match(written, at)
        if part is None:
            raise InvalidField("--where", "has a quote without an end", value=text, remedy=_REMEDY)
        quoted = part[1] if part[1] is not None else part[2]
        if quoted is not None:
            plain = re.sub(r"\\(.)", r"\1", quoted)
            found.append((plain, plain))
        elif part[3]:
            raw = part[3].strip()
            found.append((_meant(raw, text), raw))
        elif not found or part.end() < len(written):
            remedy = 'Write field=null for a missing value, field="" for an empty text.'
            raise InvalidField("--where", "has no value", value=text, remedy=remedy)
        at = part.end()
        if at == len(written):
            break
    return found


def _meant(raw: str, text: str) -> object:
    """A value without quotes: null, a flag, a number, or text. Raises InvalidField for a date of another writing."""
    if raw.lower() == "null":
        return None
    if raw.lower() in _FLAGS:
        return _FLAGS[raw.lower()]
    if _OTHER_DATE.fullmatch(raw) or (_DAY.fullmatch(raw) and _day(raw) is None):
        remedy = f'Write dates as 2024-05-01; for the text itself use quotes: "{raw}".'
        raise InvalidField("--where", f"has a date that is not read: {raw}", value=text, remedy=remedy)
    value = parse_value(raw)
    whole = _WHOLE.fullmatch(raw)
    if isinstance(value, (dict, list)) or (whole and not -(2**63) <= int(raw) < 2**63):
        return raw  # files hold such a number as text
    return value


def _equal(field: str, values: Sequence[tuple[object, str]], written: str, *, negated: bool) -> Json:
    """One of the values, or none of them."""
    missing = any(value is None for value, _ in values)
    held = [(value, raw) for value, raw in values if value is not None]
    days = [raw for value, raw in held if value == raw and _period(raw) is not None]
    plain = [(value, raw) for value, raw in held if raw not in days]
    if len(held) > 1 and written and '"' not in written and "'" not in written:
        plain.append((written, written))  # a text with commas in it
    tests = [_in(field, plain)] if plain else []
    tests += [_within(field, day) for day in days]
    if missing:
        tests.append(_test(field, "is_null", True))
    found = _any(tests)
    if not negated:
        return found
    if len(tests) == 1 and found.get("operator") in _NEGATED:
        return {**found, "operator": _NEGATED[found["operator"]]}
    return {"NOT": [found]}


def _in(field: str, values: Sequence[tuple[object, str]]) -> Json:
    """A shell cannot tell 2020 from "2020", so both are meant."""
    every = list(dict.fromkeys((type(one), one) for value, raw in values for one in (value, raw)))
    listed = [one for _, one in every]
    return _test(field, "eq", listed[0]) if len(listed) == 1 else _test(field, "in", listed)


def _ordered(field: str, operator: str, value: object, raw: str, text: str) -> Json:
    if value is None or isinstance(value, bool):
        raise InvalidField("--where", "compares with a number, a date or a text", value=text, remedy=_REMEDY)
    period = _period(raw) if value == raw else None
    if period is None:
        return _test(field, operator, value)
    edge = period[operator in ("lte", "gt")]  # all of the day is meant, not its midnight
    return _before(field, edge) if operator in ("lt", "lte") else _since(field, edge)


def _within(field: str, day: str) -> Json:
    """Any moment of a day or a month."""
    start, stop = _period(day) or (day, day)
    return {"AND": [_since(field, start), _before(field, stop)]}


def _since(field: str, edge: str) -> Json:
    """At the beginning of a day or a month, or later. A text that is the month itself is no moment, and sorts in front
    of the first day of it: so it is named."""
    if not _MONTH.fullmatch(edge):
        return _test(field, "gte", edge)
    return {"OR": [_test(field, "gte", f"{edge}-01"), _test(field, "eq", edge)]}


def _before(field: str, edge: str) -> Json:
    """Before the beginning of a day or a month."""
    if not _MONTH.fullmatch(edge):
        return _test(field, "lt", edge)
    return {"AND": [_test(field, "lt", f"{edge}-01"), _test(field, "ne", edge)]}


def _period(raw: str) -> tuple[str, str] | None:
    """A day and the day after it, or a month and the month after it; None for any other text."""
    month = _MONTH.fullmatch(raw)
    day = date(int(month[1]), int(month[2]), 1) if month and int(month[1]) else _day(raw)
    if day is None or day.year == date.max.year:
        return None
    if month:
        return raw, (day + timedelta(days=32)).isoformat()[: len(raw)]
    return day.isoformat(), (day + timedelta(days=1)).isoformat()


def _day(raw: str) -> date | None:
    if not _DAY.fullmatch(raw):
        return None
    try:
        return date.fromisoformat(raw)
    except ValueError:
        return None


def _any(tests: Sequence[Json]) -> Json:
    return tests[0] if len(tests) == 1 else {"OR": list(tests)}


def _test(field: str, operator: str, value: object) -> Json:
    return {"field": field, "operator": operator, "value": value}

"""`--where`: conditions on the command line, parsed to a filter of the wire."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from shoal.cli.params import parse_value
from shoal.errors import InvalidField

__all__ = ["parse_where"]

_OPERATORS: Final = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "contains"}
# No two adjacent parts of a pattern match blanks, which would backtrack over every split of them.
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


def parse_where(conditions: Sequence[str]) -> Json | None:
    """Return the filter that all conditions form together.

    A condition is `field=value` with `=`, `!=`, `<`, `<=`, `>`, `>=` or `~` (contains), or a filter as JSON. Several
    values are separated by commas, and one of them has to match; quotes make a value literal text. `null` is a missing
    value, and a date stands for its whole day. Raises InvalidField.
    """
    if not conditions:
        return None
    members = [_parse_condition(text) for text in conditions]
    return members[0] if len(members) == 1 else {"AND": members}


def _parse_condition(text: str) -> Json:
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
    values = _parse_values(written, text)
    if operator in ("eq", "ne"):
        return _build_equality(field, values, written, negated=operator == "ne")
    if operator == "contains":
        if any(value is None for value, _ in values):
            raise InvalidField("--where", "asks for a part of a text", value=text, remedy='Quote it: title~"null".')
        return _any_of([_build_test(field, "contains", raw) for _, raw in values])
    if len(values) > 1:
        remedy = "Only = and != take several values."
        if re.fullmatch(r"-?\d+,\d+", written):
            remedy = f"Write the number with a point: {written.replace(',', '.')}."
        raise InvalidField("--where", "compares with one value", value=text, remedy=remedy)
    return _build_comparison(field, operator, *values[0], text)


def _parse_values(written: str, text: str) -> list[tuple[object, str]]:
    """Return each value as parsed and as written. Raises InvalidField."""
    if written.startswith("[") and isinstance(listed := parse_value(written), list):
        return [(value, str(value)) for value in listed]
    values, at = list[tuple[object, str]](), 0
    while at <= len(written):
        part = _PART.match(written, at)
        if part is None:
            raise InvalidField("--where", "has a quote without an end", value=text, remedy=_REMEDY)
        quoted = part[1] if part[1] is not None else part[2]
        if quoted is not None:
            plain = re.sub(r"\\(.)", r"\1", quoted)
            values.append((plain, plain))
        elif part[3]:
            raw = part[3].strip()
            values.append((_parse_unquoted(raw, text), raw))
        elif not values or part.end() < len(written):
            remedy = 'Write field=null for a missing value, field="" for an empty text.'
            raise InvalidField("--where", "has no value", value=text, remedy=remedy)
        at = part.end()
        if at == len(written):
            break
    return values


def _parse_unquoted(raw: str, text: str) -> object:
    """Parse a value without quotes: null, a boolean, a number, or text. Raises InvalidField for a date in another
    notation."""
    if raw.lower() == "null":
        return None
    if raw.lower() in _FLAGS:
        return _FLAGS[raw.lower()]
    if _OTHER_DATE.fullmatch(raw) or (_DAY.fullmatch(raw) and _parse_day(raw) is None):
        remedy = f'Write dates as 2024-05-01; for the text itself use quotes: "{raw}".'
        raise InvalidField("--where", f"has a date that is not read: {raw}", value=text, remedy=remedy)
    value = parse_value(raw)
    whole = _WHOLE.fullmatch(raw)
    if isinstance(value, (dict, list)) or (whole and not -(2**63) <= int(raw) < 2**63):
        return raw  # files hold such numbers as text
    return value


def _build_equality(field: str, values: Sequence[tuple[object, str]], written: str, *, negated: bool) -> Json:
    """Match one of the values, or none of them where `negated`."""
    missing = any(value is None for value, _ in values)
    present = [(value, raw) for value, raw in values if value is not None]
    days = [raw for value, raw in present if value == raw and _parse_period(raw) is not None]
    plain = [(value, raw) for value, raw in present if raw not in days]
    if len(present) > 1 and written and '"' not in written and "'" not in written:
        plain.append((written, written))  # a single text that contains commas
    tests = [_build_membership(field, plain)] if plain else []
    tests += [_build_range(field, day) for day in days]
    if missing:
        tests.append(_build_test(field, "is_null", True))
    condition = _any_of(tests)
    if not negated:
        return condition
    if len(tests) == 1 and condition.get("operator") in _NEGATED:
        return {**condition, "operator": _NEGATED[condition["operator"]]}
    return {"NOT": [condition]}


def _build_membership(field: str, values: Sequence[tuple[object, str]]) -> Json:
    """Match text and number alike, since a shell cannot distinguish 2020 from "2020"."""
    distinct = list(dict.fromkeys((type(operand), operand) for value, raw in values for operand in (value, raw)))
    operands = [operand for _, operand in distinct]
    return _build_test(field, "eq", operands[0]) if len(operands) == 1 else _build_test(field, "in", operands)


def _build_comparison(field: str, operator: str, value: object, raw: str, text: str) -> Json:
    if value is None or isinstance(value, bool):
        raise InvalidField("--where", "compares with a number, a date or a text", value=text, remedy=_REMEDY)
    period = _parse_period(raw) if value == raw else None
    if period is None:
        return _build_test(field, operator, value)
    edge = period[operator in ("lte", "gt")]  # the whole day, not its midnight
    return _build_before(field, edge) if operator in ("lt", "lte") else _build_since(field, edge)


def _build_range(field: str, day: str) -> Json:
    """Match any time in a day or a month."""
    start, stop = _parse_period(day) or (day, day)
    return {"AND": [_build_since(field, start), _build_before(field, stop)]}


def _build_since(field: str, edge: str) -> Json:
    """Match from the start of a day or a month on.

    A text that is the month itself is not a time, and sorts before its first day: so it is matched explicitly.
    """
    if not _MONTH.fullmatch(edge):
        return _build_test(field, "gte", edge)
    return {"OR": [_build_test(field, "gte", f"{edge}-01"), _build_test(field, "eq", edge)]}


def _build_before(field: str, edge: str) -> Json:
    """Match before the start of a day or a month."""
    if not _MONTH.fullmatch(edge):
        return _build_test(field, "lt", edge)
    return {"AND": [_build_test(field, "lt", f"{edge}-01"), _build_test(field, "ne", edge)]}


def _parse_period(raw: str) -> tuple[str, str] | None:
    """Return a day and the next day, or a month and the next month; None for any other text."""
    month = _MONTH.fullmatch(raw)
    day = date(int(month[1]), int(month[2]), 1) if month and int(month[1]) else _parse_day(raw)
    if day is None or day.year == date.max.year:
        return None
    if month:
        return raw, (day + timedelta(days=32)).isoformat()[: len(raw)]
    return day.isoformat(), (day + timedelta(days=1)).isoformat()


def _parse_day(raw: str) -> date | None:
    if not _DAY.fullmatch(raw):
        return None
    try:
        return date.fromisoformat(raw)
    except ValueError:
        return None


def _any_of(tests: Sequence[Json]) -> Json:
    return tests[0] if len(tests) == 1 else {"OR": list(tests)}


def _build_test(field: str, operator: str, value: object) -> Json:
    return {"field": field, "operator": operator, "value": value}

"""`--where`: conditions on the command line, as a filter of the wire."""

import re
from typing import Any, Final

from shoal.cli.params import parse_value
from shoal.errors import InvalidField

__all__ = ["parse_where"]

_OPERATORS: Final = {"=": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_WHOLE: Final = re.compile(r"-?[0-9]{1,1000}")
_FLAGS: Final = {"true": True, "false": False}
_CONDITION: Final = re.compile(r"([^=!<>]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)


def parse_where(given: list[str]) -> dict[str, Any] | None:
    """The filter of the wire that all the conditions make together. Raises InvalidField."""
    if not given:
        return None
    members = [_condition(text) for text in given]
    return members[0] if len(members) == 1 else {"AND": members}


def _condition(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        filter = parse_value(text)
        if isinstance(filter, dict):
            return filter
        raise InvalidField("--where", "is no valid JSON", value=text)
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidField("--where", "must be field=value or JSON", value=text, remedy="Such as --where lang=en.")
    field, operator, raw = match[1].strip(), _OPERATORS[match[2]], match[3].strip()
    value = parse_value(raw)
    if isinstance(value, (dict, list)):
        value = raw
    if operator in ("eq", "ne"):
        value = _FLAGS.get(raw.lower(), value)
        if _WHOLE.fullmatch(raw) and not -(2**63) <= int(raw) < 2**63:
            value = raw  # files hold such a number as text
        if not isinstance(value, str):
            # A shell cannot tell 2020 from "2020", so both are meant.
            return {"field": field, "operator": "in" if operator == "eq" else "nin", "value": [value, raw]}
    return {"field": field, "operator": operator, "value": value}

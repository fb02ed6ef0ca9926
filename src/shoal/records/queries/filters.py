"""The filter language (contract.md#filters), parsed once to a closed tree.

Each store compiles the tree (`storage/filters/`); the in-memory mask there is the oracle for all others.

Semantics:
- A field is a dotted path. `category` also finds `metadata.category` and `metadata.category` also finds `category`,
  the path as written first.
- `eq`, `in`, `contains`, `starts_with`, `ends_with`, `regex` compare text without regard to case unless
  `case_sensitive`; numbers compare as numbers (1 equals 1.0), booleans only with booleans; values of different kinds
  are unequal and never ordered.
- A list-valued field matches a condition when one of its elements does.
- `ne` and `nin` are the exact negations of `eq` and `in`, so they match documents without the field.
- `exists` takes true or false; `is_null` takes true or false and matches a missing field or JSON null. Without a value
  both mean true.
- Texts that are dates (`2024-01-01`, alone or with a time, up to nine digits of a second and an offset; UTC without
  one) are ordered and equal as moments, whatever their offsets. With `case_sensitive` equality is that of the texts.
- `text`: the value occurs in the field, anywhere; `words`: each of its words occurs as a word, in any form with the
  same English stem; `phrase`: the words occur as they are, next to each other in this order. In scripts without spaces
  between words (Chinese, Japanese, Thai, …) a word is found wherever its characters stand next to each other.
- The times of a document are found as `created_at` and `updated_at` where it has no fields of these names, and always
  as they are shown, `_internal.created_at`.
- `regex` is RE2, unanchored, at most 1,024 characters and some 1,300 steps once repetitions are written out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias, cast, get_args

import re2

from shoal.errors import InvalidField

__all__ = ["MATCH_ALL", "And", "Condition", "Filter", "Not", "Operator", "Or", "parse_filter"]

Operator = Literal[
    "eq", "ne", "gt", "lt", "gte", "lte", "in", "nin", "contains", "starts_with", "ends_with",
    "regex", "exists", "is_null", "text", "phrase", "words",
]  # fmt: skip
Scalar: TypeAlias = str | int | float | bool | None

_OPERATORS: Final = frozenset(get_args(Operator))
_GEO: Final = frozenset({"geo_radius", "geo_bounding_box", "geo_polygon"})
_OF_CONDITION: Final = ("field", "operator", "value", "case_sensitive")
_LISTS: Final = frozenset({"in", "nin"})
_TEXTS: Final = frozenset({"contains", "starts_with", "ends_with", "regex", "text", "phrase", "words"})
_ORDERED: Final = frozenset({"gt", "lt", "gte", "lte"})
_FLAGS: Final = frozenset({"exists", "is_null"})
_MAX_DEPTH: Final = 16
_MAX_CONDITIONS: Final = 100
_MAX_REGEX: Final = 1024
_MAX_REGEX_BYTES: Final = 24 * 1024
"""What a compiled pattern may take, some 1,300 steps: each may be taken for each character of a text."""
_WIDE: Final = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)|\\[SWD]|(?P<kept>\\.)|(?P<negated>\[\^)|\.", re.DOTALL)
"""What stands for many characters, and for many steps of which one is taken at a time."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One test on one field. `value` is a tuple for `in` and `nin`, a bool for `exists` and `is_null`."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All members match; an empty And matches everything."""

    members: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one member matches."""

    members: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """None of the members matches."""

    members: tuple["Filter", ...]


Filter: TypeAlias = And | Or | Not | Condition
MATCH_ALL: Final = And(())
_GROUPS: Final[Mapping[str, type[And] | type[Or] | type[Not]]] = {"AND": And, "OR": Or, "NOT": Not}


class _Budget:
    """Counts conditions and nested groups, to bound the size of a filter."""

    def __init__(self) -> None:
        self.conditions = 0

    def spend(self, path: str) -> None:
        self.conditions += 1
        if self.conditions > _MAX_CONDITIONS:
            raise InvalidField(path, f"has more than {_MAX_CONDITIONS} conditions and groups")


def parse_filter(raw: object, path: str = "filters") -> Filter:
    """Parse a wire filter; None and `{}` match everything. Raises InvalidField with the path of the error."""
    if raw is None:
        return MATCH_ALL
    return _operator(raw, path, False, 0, _Budget())


def _operator(raw: object, path: str, inherited: bool, depth: int, budget: _Budget) -> Filter:
    if depth > _MAX_DEPTH:
        raise InvalidField(path, f"is nested more than {_MAX_DEPTH} deep")
    if not isinstance(raw, Mapping):
        raise InvalidField(path, "must be an object", value=raw)
    case = raw.get("case_sensitive", inherited)
    if case is None:
        case = inherited
    if not isinstance(case, bool):
        raise InvalidField(f"{path}.case_sensitive", "must be true or false", value=case)
    # The SDK sends conditions inside what looks like an operator (contract.md#filters).
    if "field" in raw and ("value" in raw or "operator" in raw):
        return _condition(raw, path, case, budget)
    members: list[Filter] = []
    for key, value in raw.items():
        if key == "case_sensitive":
            continue
        if key in ("AND", "OR", "NOT"):
            if value is None:
                continue
            members.append(_group(str(key), value, f"{path}.{key}", case, depth, budget))
        else:
            members.append(_shorthand(str(key), value, path, case, budget))
    return members[0] if len(members) == 1 else And(tuple(members))


def _group(key: str, raw: object, path: str, case: bool, depth: int, budget: _Budget) -> Filter:
    listed = [raw] if isinstance(raw, Mapping) else raw
    if not isinstance(listed, list):
        raise InvalidField(path, "must be a list of conditions", value=raw)
    if depth:
        budget.spend(path)
    members: list[Filter] = []
    for i, item in enumerate(listed):
        members.append(_operator(item, f"{path}[{i}]", case, depth + 1, budget))
        if members[-1] == MATCH_ALL:  # it contains no condition that would count
            budget.spend(f"{path}[{i}]")
    return _GROUPS[key](tuple(members))


def _shorthand(field: str, value: object, path: str, case: bool, budget: _Budget) -> Filter:
    if isinstance(value, Mapping):
        raise InvalidField(
            f"{path}.{field}",
            "a field is compared with a value, not with an object",
            value=value,
            remedy='Write {"field": ..., "operator": ..., "value": ...}.',
        )
    operator: Operator = "in" if isinstance(value, list) else "eq"
    return _check_condition(field, operator, value, case, f"{path}.{field}", budget)


def _condition(raw: Mapping[object, object], path: str, case: bool, budget: _Budget) -> Condition:
    for name in raw:
        if name not in _OF_CONDITION and not (name in _GROUPS and raw[name] is None):
            near = get_close_matches(str(name), _OF_CONDITION, n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else f"A condition has {', '.join(_OF_CONDITION)}."
            raise InvalidField(f"{path}.{name}", "is not known", value=raw[name], remedy=remedy)
    field = raw["field"]
    if not isinstance(field, str) or not field:
        raise InvalidField(f"{path}.field", "must be the name of a field", value=field)
    operator = raw.get("operator")
    if operator is None:
        operator = "eq"
    if isinstance(operator, str) and operator in _GEO:
        raise InvalidField(f"{path}.operator", "geographic operators are not supported", value=operator)
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise InvalidField(
            f"{path}.operator", "is unknown", value=operator, remedy="Use one of " + ", ".join(sorted(_OPERATORS)) + "."
        )
    if "value" not in raw and operator not in _FLAGS:
        raise InvalidField(f"{path}.value", f"is required: what '{operator}' compares the field with")
    return _check_condition(field, cast("Operator", operator), raw.get("value"), case, f"{path}.value", budget)


def _check_condition(
    field: str, operator: Operator, value: object, case: bool, path: str, budget: _Budget
) -> Condition:
    budget.spend(path)
    if len(field) > 512 or any(not part for part in field.split(".")):
        raise InvalidField(path, "the field must be a dotted path without empty parts", value=field)
    if operator in _LISTS:
        if not isinstance(value, list):
            raise InvalidField(path, f"'{operator}' takes a list", value=value)
        return Condition(field, operator, tuple(_scalar(v, path) for v in value), case)
    if operator in _FLAGS:
        if value is not None and not isinstance(value, bool):
            raise InvalidField(path, f"'{operator}' takes true or false", value=value)
        return Condition(field, operator, value is not False, case)
    searches_a_list = operator == "contains" and not isinstance(value, (list, dict))
    if operator in _TEXTS and not isinstance(value, str) and not searches_a_list:
        raise InvalidField(path, f"'{operator}' takes text", value=value)
    if operator in _ORDERED and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
        raise InvalidField(path, f"'{operator}' takes a number or text", value=value)
    if operator == "regex":
        _check_regex(cast("str", value), path)
    return Condition(field, operator, _scalar(value, path), case)


def _scalar(value: object, path: str) -> Scalar:
    if isinstance(value, Mapping) and value.get("type") == "dynamic":
        raise InvalidField(path, "dynamic values are only available in retrievers", value=dict(value))
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidField(path, "is an integer beyond 64 bits", value=value)
        return value
    raise InvalidField(path, "must be text, a number, true, false or null", value=value)


def _check_regex(pattern: str, path: str) -> None:
    if len(pattern) > _MAX_REGEX:
        raise InvalidField(path, f"is a pattern of more than {_MAX_REGEX} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidField(path, f"is not a valid RE2 pattern ({error})", value=pattern) from None
    options.max_mem = _MAX_REGEX_BYTES
    try:
        re2.compile(_WIDE.sub(lambda wide: wide["kept"] or (wide["negated"] and "[") or "x", pattern), options)
    except re2.error:
        remedy = "Repeat fewer characters, or use several patterns."
        raise InvalidField(path, "is a pattern with too many states", value=pattern, remedy=remedy) from None

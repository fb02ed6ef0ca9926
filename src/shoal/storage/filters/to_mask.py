"""Filters over plain dicts: the semantics of `records/filters.py` in their simplest form.

Every other compiler is tested against this one. Documents are what `orjson.loads` gives, so an integer beyond 64 bits
is already a float.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, cast

import numpy as np
import re2
from numpy.typing import NDArray

from shoal.records.filters import And, Condition, Filter, Operator, Or

__all__ = [
    "alternate_field",
    "element_matches",
    "find_field",
    "found",
    "kind_of",
    "mask",
    "matches",
    "words_of",
]

Kind = Literal["text", "number", "boolean", "null", "other"]

_WORD: Final = re.compile(r"\w+")
_METADATA: Final = "metadata."


def mask(filter: Filter, documents: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """(n,) bool: which of the documents match."""
    return np.fromiter((matches(filter, document) for document in documents), dtype=np.bool_, count=len(documents))


def matches(filter: Filter, document: dict[str, Any]) -> bool:
    """Whether one document matches."""
    if isinstance(filter, Condition):
        return _condition_matches(filter, document)
    answers = (matches(member, document) for member in filter.members)
    if isinstance(filter, And):
        return all(answers)
    return any(answers) if isinstance(filter, Or) else not any(answers)


def found(text: str, fields: Sequence[str], document: dict[str, Any]) -> bool:
    """Whether one of the fields, or any text of the document where none is named, holds `text` in any case."""
    if fields:
        return any(matches(Condition(field, "contains", text), document) for field in fields)
    needle = text.casefold()
    return any(needle in leaf.casefold() for leaf in _texts(document))


def find_field(document: dict[str, Any], field: str) -> tuple[bool, Any]:
    """(is it there, its value): the path as written, else with or without the leading `metadata.`."""
    written, other = _paths(field)
    there, value = _descend(document, written)
    return (there, value) if there else _descend(document, other)


@lru_cache(maxsize=1024)
def _paths(field: str) -> tuple[Sequence[str], Sequence[str]]:
    return field.split("."), alternate_field(field).split(".")


def alternate_field(field: str) -> str:
    """The second place to look for a field: `metadata.x` for `x`, and the reverse."""
    return field.removeprefix(_METADATA) if field.startswith(_METADATA) else _METADATA + field


def element_matches(condition: Condition, element: object) -> bool:
    """Whether one scalar, or one element of a list, passes a condition that looks at values."""
    return _TESTS[condition.operator](element, condition)


def kind_of(value: object) -> Kind:
    """What a JSON value counts as: values of different kinds are unequal and never ordered."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def words_of(text: str) -> list[str]:
    """The words of a text without regard to case: runs of letters, digits and underscores."""
    return _WORD.findall(text.casefold())


def _descend(document: dict[str, Any], keys: Sequence[str]) -> tuple[bool, Any]:
    value: Any = document
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        members: Iterable[object] = value.values() if isinstance(value, dict) else value
        for member in members:
            yield from _texts(member)


def _condition_matches(condition: Condition, document: dict[str, Any]) -> bool:
    there, value = find_field(document, condition.field)
    if condition.operator == "exists":
        return there is condition.value
    if condition.operator == "is_null":
        return (value is None) is condition.value
    if condition.operator in _NEGATIONS:
        return not _any_element(condition, _NEGATIONS[condition.operator], there, value)
    return _any_element(condition, condition.operator, there, value)


def _any_element(condition: Condition, operator: Operator, there: bool, value: object) -> bool:
    elements = value if isinstance(value, list) else [value] if there else []
    return any(_TESTS[operator](element, condition) for element in elements)


def _equal(element: object, operand: object, case_sensitive: bool) -> bool:
    kind = kind_of(element)
    if kind == "other" or kind != kind_of(operand):
        return False
    if kind == "text" and not case_sensitive:
        return cast("str", element).casefold() == cast("str", operand).casefold()
    return element == operand


def _is_equal(element: object, condition: Condition) -> bool:
    return _equal(element, condition.value, condition.case_sensitive)


def _is_in(element: object, condition: Condition) -> bool:
    operands = cast("tuple[object, ...]", condition.value)
    return any(_equal(element, operand, condition.case_sensitive) for operand in operands)


def _ordered(compare: Callable[[Any, Any], bool]) -> "Test":
    def test(element: object, condition: Condition) -> bool:
        kind = kind_of(element)
        return kind in ("text", "number") and kind == kind_of(condition.value) and compare(element, condition.value)

    return test


def _text(holds: Callable[[str, str], bool]) -> "Test":
    """A test on two texts that are folded first, unless case matters."""

    def test(element: object, condition: Condition) -> bool:
        operand = condition.value
        if not isinstance(element, str) or not isinstance(operand, str):
            return False
        if condition.case_sensitive:
            return holds(element, operand)
        return holds(element.casefold(), operand.casefold())

    return test


def _contains(element: object, condition: Condition) -> bool:
    # A list is searched for an element, a text for a part; what is no text can only be an element.
    if isinstance(condition.value, str):
        return _text(operator.contains)(element, condition)
    return _is_equal(element, condition)


def _regex(element: object, condition: Condition) -> bool:
    if not isinstance(element, str):
        return False
    return _pattern(cast("str", condition.value), condition.case_sensitive).search(element) is not None


@lru_cache(maxsize=256)
def _pattern(pattern: str, case_sensitive: bool) -> Any:
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.log_errors = False
    return re2.compile(pattern, options)


def _words(holds: Callable[[list[str], list[str]], bool]) -> "Test":
    def test(element: object, condition: Condition) -> bool:
        return isinstance(element, str) and holds(words_of(element), words_of(cast("str", condition.value)))

    return test


def _every_word(words: list[str], wanted: list[str]) -> bool:
    return set(wanted) <= set(words)


def _any_word(words: list[str], wanted: list[str]) -> bool:
    return not set(wanted).isdisjoint(words)


def _in_a_row(words: list[str], wanted: list[str]) -> bool:
    return any(words[start : start + len(wanted)] == wanted for start in range(len(words) - len(wanted) + 1))


Test = Callable[[object, Condition], bool]

_NEGATIONS: Final[Mapping[Operator, Operator]] = {"ne": "eq", "nin": "in"}
_TESTS: Final[Mapping[Operator, Test]] = {
    "eq": _is_equal,
    "in": _is_in,
    "gt": _ordered(operator.gt),
    "lt": _ordered(operator.lt),
    "gte": _ordered(operator.ge),
    "lte": _ordered(operator.le),
    "contains": _contains,
    "starts_with": _text(str.startswith),
    "ends_with": _text(str.endswith),
    "regex": _regex,
    "text": _words(_every_word),
    "phrase": _words(_in_a_row),
    "words": _words(_any_word),
}

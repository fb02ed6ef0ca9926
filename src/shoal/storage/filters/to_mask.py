"""Filters over plain dicts: the reference implementation of `records/queries/filters.py`.

Every other compiler is tested against this one. Documents are the output of `orjson.loads`, so an integer beyond 64
bits is already a float.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, cast

import numpy as np
import re2
from numpy.typing import NDArray

from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import And, Condition, Filter, Operator, Or
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.words import holds_phrase, holds_words, parse_words, phrase_of, tokens_of

__all__ = [
    "contains_text",
    "element_matches",
    "kind_of",
    "mask",
    "matches",
]

Kind = Literal["text", "number", "boolean", "null", "other"]


def mask(filter: Filter, documents: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return an (n,) boolean mask of the documents that match."""
    return np.fromiter((matches(filter, document) for document in documents), dtype=np.bool_, count=len(documents))


def matches(filter: Filter, document: dict[str, Any]) -> bool:
    """Whether one document matches."""
    if isinstance(filter, Condition):
        return _condition_matches(filter, document)
    answers = (matches(member, document) for member in filter.members)
    if isinstance(filter, And):
        return all(answers)
    return any(answers) if isinstance(filter, Or) else not any(answers)


def contains_text(text: str, fields: Sequence[str], document: dict[str, Any]) -> bool:
    """Whether one of the fields contains `text`, ignoring case.

    Without fields, any text of the document counts, except below `_internal`.
    """
    if fields:
        return any(matches(Condition(field, "contains", text), document) for field in fields)
    needle = text.casefold()
    return any(needle in leaf.casefold() for leaf in _texts({k: v for k, v in document.items() if k != "_internal"}))


def element_matches(condition: Condition, element: object) -> bool:
    """Whether a scalar, or an element of a list, passes a condition on values."""
    return _TESTS[condition.operator](element, condition)


def kind_of(value: object) -> Kind:
    """Return the kind of a JSON value: values of different kinds are unequal and not ordered."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


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
        return _alike(cast("str", element), cast("str", operand))
    return element == operand


def _alike(element: str, other: str) -> bool:
    if element.casefold() == other.casefold():
        return True
    instant = instant_of(other)
    return instant is not None and instant == instant_of(element)


def _is_equal(element: object, condition: Condition) -> bool:
    return _equal(element, condition.value, condition.case_sensitive)


def _is_in(element: object, condition: Condition) -> bool:
    operands = cast("tuple[object, ...]", condition.value)
    return any(_equal(element, operand, condition.case_sensitive) for operand in operands)


def _comparison(compare: Callable[[Any, Any], bool]) -> "Test":
    def test(element: object, condition: Condition) -> bool:
        operand = condition.value
        if isinstance(element, str) and isinstance(operand, str):
            moments = instant_of(operand), instant_of(element)
            return compare(element, operand) if None in moments else compare(moments[1], moments[0])
        return kind_of(element) == "number" == kind_of(operand) and compare(element, operand)

    return test


def _text_test(holds: Callable[[str, str], bool]) -> "Test":
    """Return a test of two texts, case-folded unless case matters."""

    def test(element: object, condition: Condition) -> bool:
        operand = condition.value
        if not isinstance(element, str) or not isinstance(operand, str):
            return False
        if condition.case_sensitive:
            return holds(element, operand)
        return holds(element.casefold(), operand.casefold())

    return test


def _contains(element: object, condition: Condition) -> bool:
    # A list is searched for an element, a text for a substring; an operand that is not text can only be an element.
    if isinstance(condition.value, str):
        return _text_test(operator.contains)(element, condition)
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


def _words(element: object, condition: Condition) -> bool:
    return isinstance(element, str) and holds_words(element, parse_words(cast("str", condition.value)))


def _phrase(element: object, condition: Condition) -> bool:
    return isinstance(element, str) and holds_phrase(tokens_of(element), phrase_of(cast("str", condition.value)))


Test = Callable[[object, Condition], bool]

_NEGATIONS: Final[Mapping[Operator, Operator]] = {"ne": "eq", "nin": "in"}
_TESTS: Final[Mapping[Operator, Test]] = {
    "eq": _is_equal,
    "in": _is_in,
    "gt": _comparison(operator.gt),
    "lt": _comparison(operator.lt),
    "gte": _comparison(operator.ge),
    "lte": _comparison(operator.le),
    "contains": _contains,
    "starts_with": _text_test(str.startswith),
    "ends_with": _text_test(str.endswith),
    "regex": _regex,
    "text": _text_test(operator.contains),
    "phrase": _phrase,
    "words": _words,
}

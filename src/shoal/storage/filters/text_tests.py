"""Conditions on a text value as SQL. See `to_sql` for what is left to Python, and why."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from shoal.records.queries.filters import Condition, Operator
from shoal.storage.filters.expressions import FALSE, TRUE, Sql, fold, fold_words_sql, join, one_of, sql
from shoal.storage.filters.instants import days_around, instant_of
from shoal.storage.filters.words import parse_words, phrase_of

__all__ = ["COMPARISONS", "DAY", "read_condition", "text_membership", "text_test", "write_condition"]

COMPARISONS: Final[Mapping[Operator, str]] = {"eq": "=", "gt": ">", "lt": "<", "gte": ">=", "lte": "<="}
DAY: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
"""The beginning of every date, as a GLOB pattern."""
_MOST_PREFILTER_WORDS: Final = 16
_MOST_FOLDED: Final = 18
"""Most characters that folding makes of one: U+FDFA becomes four Arabic words."""


def text_test(condition: Condition, value: Sql) -> Sql:
    """Test a text against any condition except `in`."""
    operand = cast("str", condition.value)
    if condition.operator == "regex":
        return _call_python(condition, value)
    if condition.operator in ("phrase", "words"):
        return _and_then(_may_hold_words(condition, value), _call_python(condition, value))
    text = fold(value, condition.case_sensitive)
    operand_text = operand if condition.case_sensitive else operand.casefold()
    if condition.operator in ("contains", "text"):
        return sql("instr({}, {}) > 0", text, operand_text)
    if condition.operator == "starts_with":
        return sql("substr({}, 1, {}) = {}", text, len(operand_text), operand_text)
    if condition.operator == "ends_with":
        return sql("substr({}, {}) = {}", text, -len(operand_text), operand_text) if operand_text else TRUE
    if condition.operator == "eq":
        return _match_date(condition, value) or sql("{} = {}", text, operand_text)
    return _compare_date(condition, value) or sql(f"{{}} {COMPARISONS[condition.operator]} {{}}", value, operand)


def _call_python(condition: Condition, value: Sql) -> Sql:
    return sql("shoal_element({}, {})", write_condition(condition), value)


def _and_then(cheap: Sql, expensive: Sql) -> Sql:
    """Short-circuit AND: as a value, SQLite evaluates both sides of AND."""
    return sql("(CASE WHEN {} THEN {} ELSE 0 END)", cheap, expensive)


def _match_date(condition: Condition, value: Sql) -> Sql | None:
    """Test equality with a date; None if the operand is not a date, or if case matters, so that texts must be equal."""
    operand = cast("str", condition.value)
    if condition.case_sensitive or instant_of(operand) is None:
        return None
    start, stop = days_around(operand)
    near = sql("({} >= {} AND {} < {})", value, start, value, stop)
    return _and_then(near, _call_python(condition, value))


def _compare_date(condition: Condition, value: Sql) -> Sql | None:
    """Compare with a date; None if the operand is not a date."""
    operand = cast("str", condition.value)
    if instant_of(operand) is None:
        return None
    start, stop = days_around(operand)
    before, after = ("1", "0") if condition.operator in ("lt", "lte") else ("0", "1")
    return sql(
        f"(CASE WHEN {{}} < {{}} THEN {before} WHEN {{}} >= {{}} THEN {after} ELSE {{}} END)",
        *(value, start, value, stop, _call_python(condition, value)),
    )


def _may_hold_words(condition: Condition, value: Sql) -> Sql:
    """Return a cheap necessary condition, so that few rows are passed to Python."""
    operand = cast("str", condition.value)
    if condition.operator == "phrase":
        parts = phrase_of(operand)
        least = sum(map(len, parts))
    else:
        query = parse_words(operand)
        # A word begins with its stem, but for the last two letters of it ("happi" of "happy", "abl" of "ability").
        parts = [*query.runs, *(stem[: max(1, len(stem) - 2)] for stem in sorted(query.stems))]
        least = max(map(len, parts), default=0)
    text = fold_words_sql(value)
    holds = [sql("instr({}, {}) > 0", text, part) for part in list(dict.fromkeys(parts))[:_MOST_PREFILTER_WORDS]]
    if not holds:
        return FALSE
    return join(" AND ", [sql(f"length({{}}) * {_MOST_FOLDED} >= {{}}", value, least), *holds], FALSE)


def text_membership(condition: Condition, value: Sql) -> Sql:
    """Test whether a text is one of the operands of `in`."""
    operands = [operand for operand in cast("tuple[object, ...]", condition.value) if isinstance(operand, str)]
    texts = [operand if condition.case_sensitive else operand.casefold() for operand in operands]
    # SQLite's JSON parser would cut a text at U+0000; rows with that go to Python anyway.
    test = one_of(fold(value, condition.case_sensitive), [text for text in texts if "\0" not in text])
    moments = [] if condition.case_sensitive else [m for m in map(instant_of, operands) if m is not None]
    if not moments:
        return test
    dated = sql("coalesce({}, 0)", one_of(sql("shoal_instant({})", value), moments))
    return sql("(CASE WHEN {} THEN 1 ELSE {} END)", test, _and_then(sql(f"{{}} GLOB '{DAY}*'", value), dated))


def write_condition(condition: Condition) -> str:
    """Serialise a condition as a parameter of the functions that SQLite calls."""
    # Not orjson, which has no infinity.
    return json.dumps([condition.field, condition.operator, condition.value, condition.case_sensitive])


@lru_cache(maxsize=1024)
def read_condition(text: str) -> Condition:
    """Parse the output of `write_condition`."""
    field, operator, value, case_sensitive = json.loads(text)
    return Condition(field, operator, tuple(value) if isinstance(value, list) else value, case_sensitive)

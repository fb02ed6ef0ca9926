"""Tests of a text value as SQL. See `to_sql` for what is left to Python, and why."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from shoal.records.queries.filters import Condition, Operator
from shoal.storage.filters.expressions import FALSE, TRUE, Sql, folded, folded_words, joined, one_of, sql
from shoal.storage.filters.instants import days_around, instant_of
from shoal.storage.filters.words import phrase_of, wanted_words

__all__ = ["COMPARISONS", "DAY", "read_condition", "text_membership", "text_test", "write_condition"]

COMPARISONS: Final[Mapping[Operator, str]] = {"eq": "=", "gt": ">", "lt": "<", "gte": ">=", "lte": "<="}
DAY: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
"""What every date begins with, for GLOB."""
_MOST_PREFILTER_WORDS: Final = 16
_MOST_FOLDED: Final = 18
"""Characters that one may become when it is folded as a part of words: U+FDFA is four Arabic words."""


def text_test(condition: Condition, value: Sql) -> Sql:
    """Whether a text passes any condition but `in`."""
    operand = cast("str", condition.value)
    if condition.operator == "regex":
        return _ask_about(condition, value)
    if condition.operator in ("phrase", "words"):
        return _both(_may_hold_words(condition, value), _ask_about(condition, value))
    text = folded(value, condition.case_sensitive)
    wanted = operand if condition.case_sensitive else operand.casefold()
    if condition.operator in ("contains", "text"):
        return sql("instr({}, {}) > 0", text, wanted)
    if condition.operator == "starts_with":
        return sql("substr({}, 1, {}) = {}", text, len(wanted), wanted)
    if condition.operator == "ends_with":
        return sql("substr({}, {}) = {}", text, -len(wanted), wanted) if wanted else TRUE
    if condition.operator == "eq":
        return _equal_date(condition, value) or sql("{} = {}", text, wanted)
    return _ordered_date(condition, value) or sql(f"{{}} {COMPARISONS[condition.operator]} {{}}", value, operand)


def _ask_about(condition: Condition, value: Sql) -> Sql:
    return sql("shoal_element({}, {})", write_condition(condition), value)


def _both(cheap: Sql, dear: Sql) -> Sql:
    """Both, where the second is only asked for when the first is so: as a value, SQLite works out both sides of AND."""
    return sql("(CASE WHEN {} THEN {} ELSE 0 END)", cheap, dear)


def _equal_date(condition: Condition, value: Sql) -> Sql | None:
    """None where no date is asked for. A text as it is written has to be equal where case matters."""
    operand = cast("str", condition.value)
    if condition.case_sensitive or instant_of(operand) is None:
        return None
    start, stop = days_around(operand)
    near = sql("({} >= {} AND {} < {})", value, start, value, stop)
    return _both(near, _ask_about(condition, value))


def _ordered_date(condition: Condition, value: Sql) -> Sql | None:
    """None where no date is asked for."""
    operand = cast("str", condition.value)
    if instant_of(operand) is None:
        return None
    start, stop = days_around(operand)
    before, after = ("1", "0") if condition.operator in ("lt", "lte") else ("0", "1")
    return sql(
        f"(CASE WHEN {{}} < {{}} THEN {before} WHEN {{}} >= {{}} THEN {after} ELSE {{}} END)",
        *(value, start, value, stop, _ask_about(condition, value)),
    )


def _may_hold_words(condition: Condition, value: Sql) -> Sql:
    """A cheap necessary condition, so that Python sees few rows."""
    operand = cast("str", condition.value)
    if condition.operator == "phrase":
        parts = phrase_of(operand)
        least = sum(map(len, parts))
    else:
        wanted = wanted_words(operand)
        # A word begins with its stem, but for the last two letters of it ("happi" of "happy", "abl" of "ability").
        parts = [*wanted.runs, *(stem[: max(1, len(stem) - 2)] for stem in sorted(wanted.stems))]
        least = max(map(len, parts), default=0)
    text = folded_words(value)
    holds = [sql("instr({}, {}) > 0", text, part) for part in list(dict.fromkeys(parts))[:_MOST_PREFILTER_WORDS]]
    if not holds:
        return FALSE
    return joined(" AND ", [sql(f"length({{}}) * {_MOST_FOLDED} >= {{}}", value, least), *holds], FALSE)


def text_membership(condition: Condition, value: Sql) -> Sql:
    """Whether a text is one of those that `in` names."""
    operands = [operand for operand in cast("tuple[object, ...]", condition.value) if isinstance(operand, str)]
    texts = [operand if condition.case_sensitive else operand.casefold() for operand in operands]
    # SQLite's JSON reader would cut a text at U+0000; rows with that go to Python anyway.
    test = one_of(folded(value, condition.case_sensitive), [text for text in texts if "\0" not in text])
    moments = [] if condition.case_sensitive else [m for m in map(instant_of, operands) if m is not None]
    if not moments:
        return test
    dated = sql("coalesce({}, 0)", one_of(sql("shoal_instant({})", value), moments))
    return sql("(CASE WHEN {} THEN 1 ELSE {} END)", test, _both(sql(f"{{}} GLOB '{DAY}*'", value), dated))


def write_condition(condition: Condition) -> str:
    """A condition as a parameter of the functions that SQLite calls."""
    # Not orjson, which has no infinity.
    return json.dumps([condition.field, condition.operator, condition.value, condition.case_sensitive])


@lru_cache(maxsize=1024)
def read_condition(text: str) -> Condition:
    """The reverse of `write_condition`."""
    field, operator, value, case_sensitive = json.loads(text)
    return Condition(field, operator, tuple(value) if isinstance(value, list) else value, case_sensitive)

"""Filters as SQL over a JSON text column of SQLite.

What SQLite can decide is decided there, without a callback into Python: a callback takes the interpreter's lock for
each row, which may cost a thread switch in a busy server. Python (the reference implementation, `to_mask`) is called
only for what SQLite cannot do: case folding of text beyond ASCII, RE2, words, dates within three days of the operand,
and the few rows that SQLite reads wrongly:

- text with U+0000, which SQLite cuts there;
- numbers within rounding error of the operand (integers beyond 64 bits are rounded on reading);
- paths whose keys need an escape in JSON, which SQLite before 3.45 compares in their escaped form.

Values and paths are always parameters. Every boolean expression is 0 or 1, never NULL.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import orjson

from shoal import deadline
from shoal.records.ids import encode_text
from shoal.records.queries.fields import KeyPath, find_field, key_paths
from shoal.records.queries.filters import And, Condition, Filter, Operator, Or
from shoal.storage.filters.expressions import FALSE, TRUE, Sql, fold, join, one_of, sql
from shoal.storage.filters.instants import instant_of
from shoal.storage.filters.text_tests import (
    COMPARISONS,
    DAY,
    read_condition,
    text_membership,
    text_test,
    write_condition,
)
from shoal.storage.filters.to_mask import contains_text, element_matches, kind_of, matches
from shoal.storage.filters.words import fold_words

__all__ = ["compile_filter", "compile_search", "field_sql", "order_sql", "register_functions"]


Cases = dict[str, Sql]
"""For each JSON type that can pass a condition, the test of a value of that type."""

_NO_COLUMNS: Final[Mapping[str, str]] = MappingProxyType({})
_NUL: Final = r"\u0000"
_NEGATIONS: Final[Mapping[Operator, Operator]] = {"ne": "eq", "nin": "in"}
_ROUNDING: Final = 1e-12
_WRITTEN_BY_SHOAL: Final = f"{DAY}T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z"


def compile_filter(filter: Filter, body_column: str, columns: Mapping[str, str] = _NO_COLUMNS) -> Sql:
    """Compile a filter to a boolean SQL expression that is 1 for the rows that match.

    Parameters
    ----------
    filter
        The filter.
    body_column
        The SQL name of a TEXT column with a JSON object in canonical form (as `orjson` writes it).
    columns
        Fields outside the body, as SQL expressions that yield text and never NULL.

    Returns
    -------
    An expression for a connection with `register_functions`.

    Raises
    ------
    InvalidField
        A text is not valid Unicode.
    """
    if isinstance(filter, Condition):
        return _Place(body_column, columns).condition(filter)
    members = [compile_filter(member, body_column, columns) for member in filter.members]
    if isinstance(filter, And):
        return join(" AND ", members, TRUE)
    either = join(" OR ", members, FALSE)
    return either if isinstance(filter, Or) else sql("NOT {}", either)


def compile_search(text: str, fields: Sequence[str], body_column: str, columns: Mapping[str, str] = _NO_COLUMNS) -> Sql:
    """Compile a search, as in `to_mask.contains_text`, to a boolean SQL expression."""
    encode_text("search", text)
    if fields:
        return compile_filter(Or(tuple(Condition(f, "contains", text) for f in fields)), body_column, columns)
    body = Sql(body_column, ())
    leaves = sql(
        "EXISTS (SELECT 1 FROM json_tree(json_remove({}, '$._internal')) AS leaf "
        "WHERE leaf.type = 'text' AND instr({}, {}) > 0)",
        body,
        fold(Sql("leaf.value", ()), False),
        text.casefold(),
    )
    return _unless_cut(body, sql("shoal_found({}, {})", text, body), leaves)


def field_sql(field: str, body_column: str, columns: Mapping[str, str] = _NO_COLUMNS) -> Sql:
    """Compile the value of a field for ORDER BY: NULL if absent or null, 0 and 1 for booleans, JSON text for lists and
    objects; numbers sort before text."""
    return _Place(body_column, columns).value(field)


def order_sql(field: str, body_column: str, columns: Mapping[str, str] = _NO_COLUMNS) -> Sql:
    """Compile the sort key of a field: its value, or the instant of a text that is a date."""
    value = field_sql(field, body_column, columns)
    return sql(
        f"(SELECT CASE WHEN value GLOB '{_WRITTEN_BY_SHOAL}' THEN substr(value, 1, 23) || '000000' "
        f"WHEN value GLOB '{DAY}*' THEN coalesce(shoal_instant(value), value) ELSE value END "
        "FROM (SELECT {} AS value))",
        value,
    )


def register_functions(connection: sqlite3.Connection) -> None:
    """Register the functions that compiled filters call."""
    for name, arguments, function in _FUNCTIONS:
        connection.create_function(name, arguments, function, deterministic=True)


def _element(condition: str, element: str) -> bool:
    deadline.check()
    return element_matches(read_condition(condition), element)


def _matches(condition: str, body: str) -> bool:
    deadline.check()
    return matches(read_condition(condition), orjson.loads(body))


def _found(text: str, body: str) -> bool:
    deadline.check()
    return contains_text(text, (), orjson.loads(body))


def _field(field: str, body: str) -> str | float | None:
    deadline.check()
    value: Any = find_field(orjson.loads(body), field)[1]
    if isinstance(value, (list, dict)):
        return orjson.dumps(value).decode()
    # SQLite's integers have 64 bits with a sign.
    return value if not isinstance(value, int) or -(2**63) <= value < 2**63 else float(value)


_FUNCTIONS: Final[Sequence[tuple[str, int, Callable[..., str | float | None]]]] = (
    ("shoal_casefold", 1, str.casefold),
    ("shoal_fold_words", 1, fold_words),
    ("shoal_element", 2, _element),
    ("shoal_matches", 2, _matches),
    ("shoal_field", 2, _field),
    ("shoal_found", 2, _found),
    ("shoal_instant", 1, instant_of),
)


class _Place(NamedTuple):
    """The place where fields are looked up."""

    body_column: str
    columns: Mapping[str, str]

    @property
    def body(self) -> Sql:
        return Sql(self.body_column, ())

    def condition(self, condition: Condition) -> Sql:
        _check_unicode(condition)
        if condition.operator in _NEGATIONS:
            positive = Condition(
                condition.field, _NEGATIONS[condition.operator], condition.value, condition.case_sensitive
            )
            return sql("NOT {}", self.condition(positive))
        places = self._places(condition.field)
        if not all(self._column(place) or _addressable(place) for place in places):
            return _ask_python(condition, self.body)
        if condition.operator in ("exists", "is_null"):
            return self._presence(condition, places)
        return self._first([(self._type(place), self._test(condition, place)) for place in places])

    def _places(self, field: str) -> list[KeyPath]:
        """Return the paths where a field may be; a column ends the list, because it always exists."""
        places: list[KeyPath] = []
        for place in key_paths(field):
            places.append(place)
            if self._column(place):
                break
        return places

    def _column(self, place: KeyPath) -> str | None:
        return self.columns.get(".".join(place))

    def _first(self, contains_text: Sequence[tuple[Sql, Sql]]) -> Sql:
        """Return the answer of the first pair (type, answer) whose type is not NULL, else of the last one."""
        *before, (_, answer) = contains_text
        for there, earlier in reversed(before):
            answer = sql("(CASE WHEN {} IS NULL THEN {} ELSE {} END)", there, answer, earlier)
        return answer

    def value(self, field: str) -> Sql:
        encode_text("field", field)
        if field in self.columns:
            return Sql(self.columns[field], ())
        ask = sql("shoal_field({}, {})", field, self.body)
        places = self._places(field)
        if not all(self._column(place) or _addressable(place) for place in places):
            return ask
        look = self._first([(self._type(place), self._at(place)) for place in places])
        if self._column(places[-1]):  # which Python does not see
            ask = self._first([*((self._type(place), ask) for place in places[:-1]), (TRUE, self._at(places[-1]))])
        return _unless_cut(self.body, ask, look)

    def _at(self, place: KeyPath) -> Sql:
        column = self._column(place)
        return sql("json_extract({}, {})", self.body, _json_path(place)) if column is None else Sql(column, ())

    def _type(self, place: KeyPath) -> Sql:
        """Compile the JSON type at exactly this path; NULL if there is nothing."""
        if self._column(place):
            return Sql("'text'", ())
        return sql("json_type({}, {})", self.body, _json_path(place))

    def _presence(self, condition: Condition, places: Sequence[KeyPath]) -> Sql:
        kind = Sql("'absent'", ())
        for place in reversed(places):
            kind = sql("coalesce({}, {})", self._type(place), kind)
        operator, opposite = ("<>", "=") if condition.operator == "exists" else ("IN", "NOT IN")
        absent = "'absent'" if condition.operator == "exists" else "('absent', 'null')"
        return sql(f"({{}} {operator if condition.value else opposite} {absent})", kind)

    def _test(self, condition: Condition, place: KeyPath) -> Sql:
        """Compile a test of the value at exactly this path, or of its elements."""
        column = self._column(place)
        if column is not None:
            return _cases(condition, Sql(column, ()), None).get("text", FALSE)
        path = _json_path(place)
        cases = _cases(condition, sql("json_extract({}, {})", self.body, path), self.body)
        element = _case_of(Sql("element.type", ()), _cases(condition, Sql("element.value", ()), self.body))
        each = sql("EXISTS (SELECT 1 FROM json_each({}, {}) AS element WHERE {})", self.body, path, element)
        return _case_of(self._type(place), cases | {"array": each})


def _cases(condition: Condition, value: Sql, body: Sql | None) -> Cases:
    """Compile the tests of a value read from `body`; None for a column, which contains only text."""
    if condition.operator == "in":
        return _membership(condition, value, body)
    kind = kind_of(condition.value)
    if kind == "text":
        test = text_test(condition, value)
        return {"text": test if body is None else _unless_cut(body, _ask_python(condition, body), test)}
    if body is None:
        return {}
    if kind == "number":
        return _number_cases(condition, value, body)
    return {{None: "null", True: "true", False: "false"}[cast("bool | None", condition.value)]: TRUE}


def _number_cases(condition: Condition, value: Sql, body: Sql) -> Cases:
    operand = cast("float", condition.value)
    if math.isnan(operand):
        return {}
    compare = COMPARISONS["eq" if condition.operator == "contains" else condition.operator]
    test = sql(
        f"CASE WHEN typeof({{}}) = 'real' AND abs({{}} - {{}}) <= {{}} THEN {{}} ELSE {{}} {compare} {{}} END",
        *(
            value,
            value,
            operand,
            _ROUNDING * abs(float(operand)) + 1e-300,
            _ask_python(condition, body),
            value,
            operand,
        ),
    )
    return {"integer": test, "real": test}


def _membership(condition: Condition, value: Sql, body: Sql | None) -> Cases:
    operands = cast("tuple[object, ...]", condition.value)
    cases: Cases = {}
    if any(isinstance(operand, str) for operand in operands):
        test = text_membership(condition, value)
        cases["text"] = test if body is None else _unless_cut(body, _ask_python(condition, body), test)
    if body is None:
        return cases
    numbers = [cast("float", operand) for operand in operands if kind_of(operand) == "number"]
    if numbers:
        ask = _ask_python(condition, body)
        whole = one_of(value, _as_integers(numbers))
        cases["integer"] = sql("CASE WHEN typeof({}) = 'real' THEN {} ELSE {} END", value, ask, whole)
        cases["real"] = ask
    literals = {None: "null", True: "true", False: "false"}
    return cases | {literals[cast("bool | None", o)]: TRUE for o in operands if kind_of(o) in ("null", "boolean")}


def _as_integers(numbers: Iterable[float]) -> list[int]:
    """Return the numbers that a 64-bit integer can equal."""
    whole = (int(number) for number in numbers if math.isfinite(number) and number == int(number))
    return [number for number in whole if -(2**63) <= number < 2**63]


def _ask_python(condition: Condition, body: Sql) -> Sql:
    return sql("shoal_matches({}, {})", write_condition(condition), body)


def _unless_cut(body: Sql, ask: Sql, test: Sql) -> Sql:
    return sql(f"(CASE WHEN instr({{}}, '{_NUL}') THEN {{}} ELSE {{}} END)", body, ask, test)


def _case_of(kind: Sql, cases: Cases) -> Sql:
    """Select a test by type. CASE takes its ELSE for NULL, which keeps NULL out of the answers."""
    whens = [sql(f"WHEN '{name}' THEN {{}}", test) for name, test in cases.items()]
    return sql("(CASE {} {} ELSE 0 END)", kind, join(" ", whens, FALSE)) if whens else FALSE


def _addressable(place: KeyPath) -> bool:
    """Whether SQLite can find the path by comparing bytes: no key is empty or needs an escape in JSON."""
    return all(place) and not any(c in '"\\' or c < " " for key in place for c in key)


def _json_path(place: KeyPath) -> str:
    return "$" + "".join(f'."{key}"' for key in place)


def _check_unicode(condition: Condition) -> None:
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    for text in (condition.field, *values):
        if isinstance(text, str):
            encode_text(condition.field, text)

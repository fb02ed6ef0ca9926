"""The filter language: the oracle is tested against the contract, SQL against the oracle."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shoal.errors import InvalidField
from shoal.records.queries.filters import MATCH_ALL, And, Condition, Filter, Not, Operator, Or, parse_filter
from shoal.storage.filters.to_mask import contains_text, mask, matches
from shoal.storage.filters.to_sql import compile_filter, compile_search, field_sql, order_sql, register_functions

# Keys with characters that could break a path, words in several scripts, and text whose folding changes its length.
KEYS = [
    "a",
    "b",
    "a.b",
    "b.a",
    "metadata.a",
    "metadata",
    "é",
    "it's",
    'q"',
    "back\\slash",
    "$x",
    "[0]",
    "a b",
    "日本",
    "tab\t",
    "0",
    "' OR 1 --",
]
WORDS = [
    "red",
    "Red",
    "RED",
    "straße",
    "STRASSE",
    "İ",
    "ſ",
    "ﬁne",
    "fine",
    "日本",
    "",
    "a.c",
    "abc",
    "nul\0nul",
    "nul",
    "%_",
]
NUMBERS: list[int | float] = [
    0, 1, -1, 1.0, 0.1, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63), 2**63, 2**63 + 1, 2**64 - 1, float(2**63),
    1e300, 5e-324, -0.0, 9223372036854775807.0,
]  # fmt: skip
DATES = [
    "2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2023-12-31T19:00:00.000-05:00",
    "2024-01-01 00:00:00", "2024-01-01T00:00:00.000000001Z", "2024-01-01T00:00:00.5Z", "2024-01-02",
    "2023-12-30T23:59-2359", "2024-01-02T00:00+23:59", "2024-13-01",
    "2024-01-01x", "0001-01-01T00:00+01:00", "9999-12-31T23:59:59-01:00",
    "2024-01-01 00:00:00 utc", "1999-12-31", "2026-01-01",
]  # fmt: skip
SPOKEN = [
    "drinking", "drinks", "drink", "Drank", "happy", "happiness", "skies", "sky", "dying", "die", "ability", "able",
    "rationalization", "relational", "running, runs", "退款", "我想退款", "退。款", "有料配信イベント", "配信", "คืนเงิน",
    "ฉันต้องการคืนเงิน", "iPhone手机", "iphone", "हिन्दी", "हिन", "カタカナー", "x_1", "résumés", "!",
]  # fmt: skip
COLUMNS = {"document_id": "id", "_internal.created_at": "made"}

keys = st.sampled_from([*KEYS, "created_at"])
texts = st.one_of(
    st.sampled_from(DATES),
    st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(WORDS),
    st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(texts, numbers, st.booleans(), st.none())
# Two explicit levels: st.recursive takes ten times as long to draw from.
lists = st.lists(scalars | st.lists(scalars, max_size=2), max_size=3)
inner = st.dictionaries(keys, st.one_of(scalars, lists, st.dictionaries(keys, scalars, max_size=2)), max_size=2)
values = st.one_of(scalars, scalars, lists, inner)
documents = st.dictionaries(keys, values, max_size=4)
fields = st.lists(keys, min_size=1, max_size=3).map(".".join) | st.sampled_from(
    [*COLUMNS, "created_at", "updated_at", "metadata.created_at", "metadata.a"]
)
operands = st.one_of(
    texts,
    st.sampled_from([n for n in NUMBERS if n < 2**63]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.none(),
)
patterns = st.sampled_from(["^r", "red$", "stra(ss|ß)e", ".", "", "a.c", r"a\.c", "日+", r"\x00", "[A-Z]+"])
ORDERED: list[Operator] = ["gt", "lt", "gte", "lte"]
TEXTS: list[Operator] = ["starts_with", "ends_with", "text", "phrase", "words", "contains"]


def condition(operator: st.SearchStrategy[Operator], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Condition]:
    return st.builds(Condition, fields, operator, value, st.booleans())


conditions = st.one_of(
    condition(st.sampled_from(["eq", "ne", "contains"]), operands),
    condition(st.sampled_from(ORDERED), texts | operands.filter(lambda v: not isinstance(v, bool) and v is not None)),
    condition(st.sampled_from(["in", "nin"]), st.lists(operands, max_size=4).map(tuple)),
    condition(st.sampled_from(TEXTS), texts),
    condition(st.just("regex"), patterns),
    condition(st.sampled_from(["exists", "is_null"]), st.booleans()),
)


def groups(members: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    listed = st.lists(members, max_size=3).map(tuple)
    return st.one_of(listed.map(And), listed.map(Or), listed.map(Not))


filters: st.SearchStrategy[Filter] = st.recursive(conditions, groups, max_leaves=4)


@st.composite
def aimed(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Filter]:
    """Documents, and a filter that often uses a value of one of them, so that both results occur."""
    chosen = draw(st.lists(documents, min_size=1, max_size=3))
    if draw(st.booleans()):
        return chosen, draw(filters)
    leaves = [leaf for document in chosen for leaf in _leaves(document, "") if _can_be_operand(leaf[1])]
    if not leaves:
        return chosen, draw(filters)
    field, value = draw(st.sampled_from(leaves))
    if isinstance(value, str):
        operators: list[Operator] = ["eq", "ne", *TEXTS, *ORDERED, *ORDERED]
        value = draw(st.sampled_from([value, value.upper(), value.casefold(), value[1:], value[:-1]]))
    else:
        operators = ["eq", "ne", "contains"] if value is None or isinstance(value, bool) else ["eq", "ne", *ORDERED]
    other = draw(st.sampled_from([field, field.removeprefix("metadata."), f"metadata.{field}"]))
    return chosen, Condition(other, draw(st.sampled_from(operators)), value, draw(st.booleans()))


def _can_be_operand(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _leaves(value: object, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, path)
    else:
        yield path, value


def table(bodies: list[dict[str, Any]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    register_functions(connection)
    connection.execute(
        "CREATE TABLE d (n INTEGER PRIMARY KEY, id TEXT NOT NULL, made TEXT NOT NULL, body TEXT NOT NULL)"
    )
    rows = ((n, f"Doc_{n}", "2026-01-01T00:00:00.000Z", orjson.dumps(body).decode()) for n, body in enumerate(bodies))
    connection.executemany("INSERT INTO d VALUES (?, ?, ?, ?)", rows)
    return connection


def as_stored(n: int, body: dict[str, Any]) -> dict[str, Any]:
    """A document as returned by a store, with its columns."""
    read: dict[str, Any] = orjson.loads(orjson.dumps(body))
    return read | {"document_id": f"Doc_{n}", "_internal": {"created_at": "2026-01-01T00:00:00.000Z"}}


def answers(connection: sqlite3.Connection, text: str, params: tuple[object, ...]) -> list[object]:
    return [row[0] for row in connection.execute(f"SELECT {text} FROM d ORDER BY n", params)]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(aimed())
@example(([{"a": "x\0y"}, {"a": "x"}], Condition("a", "eq", "x")))
@example(([{"a": 2**63 + 1}], Condition("a", "eq", float(2**63))))
@example(([{"a": 2**53 + 1}], Condition("a", "eq", float(2**53))))
@example(([{"a": [1, "X"]}], Condition("a", "in", ("x", float("inf"), float("nan")))))
@example(([{'q"': {"back\\slash": 1}}], Condition('q".back\\slash', "eq", 1)))
@example(([{"a": None, "metadata": {"a": 1}}], Condition("a", "eq", 1)))
@example(([{"a": True}, {"a": 1}], Condition("a", "in", (1,))))
@example(([{"created_at": "nul\0"}, {}, {"b": "\0"}], Condition("created_at", "lte", "2026-01-01")))
@example(([{"a": text} for text in DATES], Condition("a", "in", (DATES[2], "2024-01-02"))))
def test_sql_and_the_oracle_give_the_same_answer(case: tuple[list[dict[str, Any]], Filter]) -> None:
    bodies, filter = case
    connection = table(bodies)

    given_by_sql = answers(connection, *compile_filter(filter, "body", COLUMNS))

    expected = mask(filter, [as_stored(n, body) for n, body in enumerate(bodies)]).tolist()
    connection.close()
    assert [type(answer) for answer in given_by_sql] == [int] * len(bodies), "an answer is never NULL"
    assert [answer == 1 for answer in given_by_sql] == expected


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, min_size=1, max_size=3), texts, st.lists(fields, max_size=2))
def test_sql_and_the_oracle_find_the_same_text(bodies: list[dict[str, Any]], text: str, searched: list[str]) -> None:
    connection = table(bodies)

    given_by_sql = answers(connection, *compile_search(text, searched, "body", COLUMNS))

    stored = [as_stored(n, body) if searched else body for n, body in enumerate(bodies)]
    connection.close()
    assert [answer == 1 for answer in given_by_sql] == [contains_text(text, searched, document) for document in stored]


BODY: dict[str, Any] = {
    "title": "The quick brown Fox",
    "price": 3,
    "ratio": 1.0,
    "sold": True,
    "nothing": None,
    "tags": ["Red", "blue", 7],
    "empty": [],
    "metadata": {"category": "Straße", "price": 99},
}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, True),
        ({"title": "the QUICK brown fox"}, True),
        ({"title": "the QUICK brown fox", "case_sensitive": True}, False),
        ({"category": "STRASSE"}, True),
        ({"metadata.title": "The quick brown Fox"}, True),
        ({"price": 3}, True),
        ({"metadata.price": 3}, False),
        ({"ratio": 1}, True),
        ({"sold": 1}, False),
        ({"sold": True}, True),
        ({"price": "3"}, False),
        ({"tags": "red"}, True),
        ({"tags": ["green", 7]}, True),
        ({"field": "tags", "operator": "contains", "value": 7}, True),
        ({"field": "tags", "operator": "contains", "value": "lu"}, True),
        ({"field": "tags", "operator": "gt", "value": 6}, True),
        ({"field": "title", "operator": "gt", "value": 6}, False),
        ({"field": "absent", "operator": "ne", "value": 6}, True),
        ({"field": "absent", "operator": "nin", "value": [6]}, True),
        ({"field": "absent", "operator": "eq", "value": None}, False),
        ({"field": "nothing", "operator": "eq", "value": None}, True),
        ({"field": "absent", "operator": "is_null", "value": True}, True),
        ({"field": "nothing", "operator": "is_null", "value": True}, True),
        ({"field": "price", "operator": "is_null", "value": False}, True),
        ({"field": "nothing", "operator": "exists", "value": True}, True),
        ({"field": "empty", "operator": "exists", "value": True}, True),
        ({"field": "empty", "operator": "eq", "value": 1}, False),
        ({"field": "absent", "operator": "exists", "value": False}, True),
        ({"field": "title", "operator": "regex", "value": "^THE .*fox$"}, True),
        ({"field": "title", "operator": "regex", "value": "^THE", "case_sensitive": True}, False),
        ({"field": "title", "operator": "starts_with", "value": "the q"}, True),
        ({"field": "title", "operator": "ends_with", "value": "FOX"}, True),
        ({"field": "title", "operator": "text", "value": "fox quick"}, False),
        ({"field": "title", "operator": "text", "value": "BROWN f"}, True),
        ({"field": "title", "operator": "text", "value": "ui"}, True),
        ({"field": "title", "operator": "text", "value": "BROWN f", "case_sensitive": True}, False),
        ({"field": "absent", "operator": "is_null"}, True),
        ({"field": "price", "operator": "is_null"}, False),
        ({"field": "price", "operator": "exists"}, True),
        ({"field": "absent", "operator": "exists"}, False),
        ({"field": "absent", "operator": "exists", "value": None}, False),
        ({"field": "title", "operator": "phrase", "value": "Quick, brown"}, True),
        ({"field": "title", "operator": "phrase", "value": "brown quick"}, False),
        ({"field": "title", "operator": "words", "value": "slow fox"}, False),
        ({"field": "title", "operator": "words", "value": "foxes QUICK"}, True),
        ({"field": "title", "operator": "words", "value": "qui"}, False),
        ({"field": "title", "operator": "words", "value": "?!"}, False),
        ({"field": "title", "operator": "phrase", "value": "?!"}, False),
        ({"NOT": {"price": 3}}, False),
        ({"OR": [{"price": 4}, {"sold": True}]}, True),
        ({"OR": []}, False),
        ({"AND": [{"price": 3}, {"field": "price", "operator": "lte", "value": 3.0}]}, True),
    ],
)
def test_a_wire_filter_has_the_meaning_defined_in_the_contract(raw: object, expected: bool) -> None:
    filter = parse_filter(raw)
    connection = table([BODY])

    assert matches(filter, BODY) is expected
    assert answers(connection, *compile_filter(filter, "body")) == [int(expected)]
    connection.close()


MIDNIGHT = "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "operator", "operand", "expected"),
    [
        ("2024-01-01T01:00:00+01:00", "gte", MIDNIGHT, True),
        ("2024-01-01T00:30:00+01:00", "gte", MIDNIGHT, False),
        ("2023-12-31T20:00:00-05:00", "gt", MIDNIGHT, True),
        ("2024-01-01", "gte", MIDNIGHT, True),
        ("2024-01-01", "lt", MIDNIGHT, False),
        (MIDNIGHT, "lte", "2024-01-01", True),
        ("2024-01-01T00:00:00.5Z", "gt", MIDNIGHT, True),
        ("2024-01-01T00:00:00.000000001Z", "gt", "2024-01-01T00:00:00.000Z", True),
        ("2024-01-01 00:00:00+00", "lte", MIDNIGHT, True),
        ("2024-01-01T02:00:00+02:00", "eq", MIDNIGHT, True),
        ("2024-01-01T02:00:00+02:00", "ne", MIDNIGHT, False),
        ("2024-01-01T02:00:00+02:00", "in", [MIDNIGHT, "x"], True),
        ("2024-01-01T02:00:00+02:00", "nin", [MIDNIGHT], False),
        ("2024-02-30", "gte", "2024-02-29", True),  # not a date: compared as text
        ("next week", "gte", MIDNIGHT, True),
        ("20240101", "lt", MIDNIGHT, False),
    ],
)
def test_dates_compare_as_instants(text: str, operator: str, operand: object, expected: bool) -> None:
    body = {"when": text}
    connection = table([body])
    filter = parse_filter({"field": "when", "operator": operator, "value": operand})

    assert matches(filter, body) is expected
    assert answers(connection, *compile_filter(filter, "body")) == [int(expected)]
    connection.close()


def test_case_sensitive_equality_compares_the_texts_exactly() -> None:
    one, other = "2024-01-01T02:00:00+02:00", MIDNIGHT
    filter = parse_filter({"field": "when", "operator": "eq", "value": other, "case_sensitive": True})
    connection = table([{"when": one}, {"when": other}])

    assert answers(connection, *compile_filter(filter, "body")) == [0, 1]
    connection.close()


def assert_finds(operator: str, word: str, text: str) -> None:
    """In SQL and in memory alike, without matching any other text."""
    filter = parse_filter({"field": "a", "operator": operator, "value": word})
    connection = table([{"a": text}, {"a": "nothing 何も"}])

    assert answers(connection, *compile_filter(filter, "body")) == [1, 0]
    assert mask(filter, [{"a": text}, {"a": "nothing 何も"}]).tolist() == [True, False]
    connection.close()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("caf\u00e9", "im Cafe\u0301 nebenan"),
        ("cafe\u0301", "im Caf\u00e9 nebenan"),
        ("refund", "\uff32\uff45\uff46\uff55\uff4e\uff44 please"),
        ("カード", "\uff76\uff70\uff84\uff9eが使えない"),
        ("softhyphen", "a soft\u00adhyphen"),
        ("widthless", "it is width\u200bless"),
        ("환불", "\u1112\u116a\u11ab\u1107\u116e\u11af 요청"),
    ],
)
@pytest.mark.parametrize("operator", ["words", "phrase"])
def test_words_are_found_whatever_their_unicode_normalization(operator: str, word: str, text: str) -> None:
    assert_finds(operator, word, text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("退款", "我想退款"),
        ("配信", "無観客有料配信イベント"),
        ("คืนเงิน", "ฉันต้องการคืนเงิน"),
        ("ເງິນ", "ຂ້ອຍຕ້ອງການເງິນຄືນ"),
        ("手机", "新iPhone手机"),
        ("iphone", "新iPhone手机"),
        ("हिन्दी", "मुझे हिन्दी आती है"),
        ("환불", "환불 요청"),
        ("refund", "I want a refund"),
    ],
)
@pytest.mark.parametrize("operator", ["text", "words", "phrase", "contains"])
def test_words_are_found_in_every_script(operator: str, word: str, text: str) -> None:
    assert_finds(operator, word, text)


@pytest.mark.parametrize("asked", ["drinking", "drinks water", "WATER drink"])
def test_words_match_whole_words_by_their_english_stem(asked: str) -> None:
    filter = parse_filter({"field": "a", "operator": "words", "value": asked})
    bodies = [{"a": "She drinks much water."}, {"a": "drinkable waterfalls"}, {"a": "a drink of waters"}]

    assert mask(filter, bodies).tolist() == [True, False, True]


def test_a_condition_without_a_value_is_rejected_unless_it_needs_none() -> None:
    with pytest.raises(InvalidField, match="required"):
        parse_filter({"AND": [{"field": "a", "operator": "eq"}]})
    with pytest.raises(InvalidField, match="unknown"):
        parse_filter({"field": "a", "operator": "exist"})


def test_dates_sort_as_instants_among_other_values() -> None:
    times = [
        "2024-01-01T01:00:00.000Z",
        "2024-01-01T01:30:00+01:00",
        "2024-01-01",
        "2023-12-31T23:59:59.9999Z",
        "zebra",
    ]
    connection = table([{"when": text} for text in times])

    order, params = order_sql("when", "body")

    rows = connection.execute(f"SELECT n FROM d ORDER BY {order}", params).fetchall()
    assert [n for (n,) in rows] == [3, 2, 1, 0, 4]
    connection.close()


def test_a_payload_field_takes_precedence_over_the_timestamp_of_that_name() -> None:
    own = "1999-01-01"
    connection = table([{"created_at": own}, {"metadata": {"created_at": own}}, {}])
    old = parse_filter({"field": "created_at", "operator": "lt", "value": "2000-01-01"})
    shown = parse_filter({"field": "_internal.created_at", "operator": "gte", "value": "2026-01-01"})

    assert answers(connection, *compile_filter(old, "body", COLUMNS)) == [1, 1, 0]
    assert answers(connection, *compile_filter(shown, "body", COLUMNS)) == [1, 1, 1]
    assert answers(connection, *field_sql("created_at", "body", COLUMNS)) == [own, own, "2026-01-01T00:00:00.000Z"]
    connection.close()


def test_no_filter_matches_everything() -> None:
    assert compile_filter(MATCH_ALL, "body") == ("1", ())


def test_caller_text_never_reaches_the_sql_statement() -> None:
    hostile = "x') OR 1=1; DROP TABLE d; --"
    text, params = compile_filter(Or((Condition(hostile, "eq", hostile), Condition("a", "in", (hostile,)))), "body")
    sort, _ = field_sql(hostile, "body")

    assert "DROP" not in text + sort
    assert any(hostile in str(param) for param in params)


def test_text_that_is_not_valid_unicode_is_rejected_with_its_field() -> None:
    with pytest.raises(InvalidField, match="surrogate"):
        compile_filter(Condition("title", "eq", "\ud800"), "body")


def test_ascii_rows_are_evaluated_without_calling_python() -> None:
    connection = table([BODY] * 3)
    calls: list[object] = []
    connection.create_function("shoal_casefold", 1, calls.append)
    connection.create_function("shoal_matches", 2, lambda *_: calls.append("matches"))

    plain = parse_filter({"title": "the quick brown fox", "tags": ["red"], "price": 3, "ratio": 0.5})
    answers(connection, *compile_filter(plain, "body"))

    assert calls == []
    connection.close()


def test_sorting_uses_the_same_lookup_rule() -> None:
    bodies: list[dict[str, Any]] = [
        {"price": 2}, {"metadata": {"price": 1}}, {"title": "none"}, {"price": None, "metadata": {"price": 0}},
        {"price": 2**63}, {"price": "text"}, {"price": [1, 2]},
    ]  # fmt: skip
    connection = table(bodies)

    assert answers(connection, *field_sql("price", "body")) == [2, 1, None, None, float(2**63), "text", "[1,2]"]
    assert answers(connection, *field_sql("metadata.price", "body")) == [2, 1, None, 0, float(2**63), "text", "[1,2]"]
    assert answers(connection, *field_sql("document_id", "body", COLUMNS)) == [f"Doc_{n}" for n in range(7)]
    connection.close()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KEYS), scalars)
def test_sorting_by_a_field_keeps_its_value(key: str, value: Any) -> None:
    connection = table([{key: value}])
    beyond_64_bits = isinstance(value, int) and value >= 2**63

    assert answers(connection, *field_sql(key, "body")) == [float(value) if beyond_64_bits else value]
    connection.close()


def test_a_dotted_key_is_found_like_nested_keys_which_take_precedence() -> None:
    bodies: list[dict[str, Any]] = [
        {"info.note": "flat"},
        {"info": {"note": "nested"}, "info.note": "flat"},
        {"metadata": {"info.note": "flat"}},
        {"metadata.info.note": "flat"},
        {"info": {"other": 1}},
    ]
    flat, nested = Condition("info.note", "eq", "flat"), Condition("metadata.info.note", "eq", "nested")
    assert mask(flat, bodies).tolist() == [True, False, True, False, False]
    assert mask(nested, bodies).tolist() == [False, True, False, False, False]
    connection = table(bodies)
    for filter in (
        flat,
        nested,
        Condition("info.note", "exists", True),
        Condition("metadata.info.note", "is_null", True),
    ):
        assert answers(connection, *compile_filter(filter, "body", COLUMNS)) == mask(filter, bodies).tolist()
    assert answers(connection, *field_sql("info.note", "body")) == ["flat", "nested", "flat", None, None]

"""Large JSON bodies: parsed in pieces with the same result as in full, and counted before they are parsed."""

import random
from typing import Any

import orjson
import pytest

from shoal.api.guards import json_text
from shoal.api.guards.body_quota import SMALL_QUOTA, BodyQuota
from shoal.api.guards.json_text import parse_json
from shoal.errors import InvalidRequest, ShoalError, TooLarge

MIB = 2**20
WIDE = BodyQuota(64, 10**9, 10**9)
TEXTS = ["", "plain", "},{", '"', "\\", '\\"},{"', "],[", "é},{", "[[[", "a,b:c"]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse bodies of a few kilobytes like large ones."""
    monkeypatch.setattr(json_text, "_CHUNK_BYTES", 200)
    monkeypatch.setattr(json_text, "_MAX_CHUNK_BYTES", 1600)


def a_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(7 if depth < 4 else 4)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind < 4:
        return rng.choice([1, -2.5, None, True, 1e30])
    if kind == 4:
        return [a_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS) + str(n): a_value(rng, depth + 1) for n in range(rng.randrange(4))}


def a_body(rng: random.Random) -> bytes:
    """An object with a list of objects and other members, including whitespace and duplicate keys."""
    before = "".join(f'"k{n}": {orjson.dumps(a_value(rng, 2)).decode()},' for n in range(rng.randrange(3)))
    after = "".join(
        f',"{rng.choice("kl")}{n}":{orjson.dumps(a_value(rng, 2)).decode()}' for n in range(rng.randrange(3))
    )
    between = rng.choice([",", " ,\n ", ",\t"])
    items = [orjson.dumps({"id": n, "more": a_value(rng, 1)}).decode() for n in range(rng.randrange(120, 200))]
    return f'{{{before}"documents" : [{between.join(items)}]{after}}}'.encode()


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("seed", range(60))
def test_parsing_a_large_body_in_pieces_equals_parsing_it_in_full(seed: int) -> None:
    body = a_body(random.Random(seed))
    assert len(body) > 1600

    assert parse_json(body, WIDE) == orjson.loads(body)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_large_body_is_never_parsed_as_something_else(seed: int) -> None:
    rng = random.Random(seed)
    body = bytearray(a_body(rng))
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(body))
        body[place : place + rng.randrange(3)] = rng.choice([b"", b'"', b"]", b"}", b",", b"[", b"{", b"\\", b"},{"])
    try:
        whole = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        with pytest.raises(ShoalError):
            parse_json(bytes(body), WIDE)
        return
    try:
        read = parse_json(bytes(body), WIDE)
    except (TooLarge, InvalidRequest):  # it may have become a different kind of body
        return
    assert read == whole


@pytest.mark.usefixtures("small_pieces")
def test_the_position_of_an_error_refers_to_the_whole_body() -> None:
    items = [b'{"id": %d, "text": "some words"}' % n for n in range(300)]
    items[250] = b'{"id": 250, "text": some}'
    body = b'{"documents": [\n' + b",\n".join(items) + b"\n]}"

    with pytest.raises(InvalidRequest) as refused:
        parse_json(body, WIDE)

    assert refused.value.details["line"] == 252
    assert refused.value.details["column"] == body.split(b"\n")[251].index(b"some") + 1


@pytest.mark.parametrize("body", [b"[" + b"{}," * 4 * MIB + b"1]", b'{"a":"' + b"x" * 9 * MIB + b'"}'])
def test_a_large_body_without_a_list_of_objects_is_rejected_with_an_explanation(body: bytes) -> None:
    with pytest.raises((TooLarge, InvalidRequest), match="one long list of objects"):
        parse_json(body, WIDE)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 30_000 + b"1]",
        b"[" + b"{}," * 30_000 + b"1]",
        b"[" + b"1," * 200_000 + b"1]",
        b"{" + b",".join(b'"%d":1' % n for n in range(60_000)) + b"}",
        b"{" + b'"a":1,' * 60_000 + b'"b":2}',
    ],
    ids=["lists", "objects", "numbers", "keys", "one key"],
)
def test_a_body_with_too_many_values_is_rejected_before_they_are_created(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(text: bytes) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("shoal.api.guards.json_text.orjson.loads", never)
    with pytest.raises(TooLarge, match="100,000 JSON values or 20,000 lists"):
        parse_json(body)


@pytest.mark.parametrize("text", ["[]," * 60_000, '\\"[,' * 40_000, "\\\\" * 50_000 + "[],", '"},{"' * 30_000])
def test_punctuation_within_a_string_is_not_counted_as_values(text: str) -> None:
    body = orjson.dumps({"a": text, "b": [text[:10], "\\", '"']})

    assert parse_json(body, SMALL_QUOTA) == orjson.loads(body)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("blank", [0, 10, 300, 900, 1500])
@pytest.mark.parametrize("end", [",%s]}", ",%s]", ",%s", ",%s,%s]}", ",%s,%s" + '{"id": 1}]}'])
def test_a_trailing_comma_is_rejected_whatever_white_space_follows(end: str, blank: int) -> None:
    items = ", ".join(f'{{"id": {n}, "text": "some words"}}' for n in range(100))
    body = f'{{"documents": [{items}{end.replace("%s", " " * blank)}'.encode()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)

    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parse_json(body, WIDE)


def test_a_trailing_comma_before_a_mebibyte_of_white_space_is_rejected() -> None:
    items = b",".join(b'{"id": %d, "text": "%s"}' % (n, b"x" * 1000) for n in range(9000))

    with pytest.raises(InvalidRequest, match="trailing comma"):
        parse_json(b'{"documents": [' + items + b"," + b" " * (MIB + MIB // 2) + b"]}", WIDE)
    assert len(parse_json(b'{"documents": [' + items + b" " * (MIB + MIB // 2) + b"]}", WIDE)["documents"]) == 9000

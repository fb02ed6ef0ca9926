"""The text of a document: its parts, with no phrase across them."""

import numpy as np
import pytest

from shoal.labeling import document_text, name_clusters, trim_payload
from shoal.labeling.words.tokens import tokenize


def test_values_are_joined_to_one_text_and_anything_else_is_skipped() -> None:
    assert (
        document_text([" Title ", ["red", " blue "], None, 3, {"a": "b"}, [1.0], "", "Body"])
        == "Title\n\nred\n\nblue\n\nBody"
    )
    assert document_text([]) == ""


def segments(text: str) -> list[str]:
    """The segments of words in which phrases are searched for."""
    table = tokenize([text])
    result: dict[int, list[str]] = {}
    for word, segment in zip(table.words.tolist(), table.segments.tolist(), strict=True):
        result.setdefault(segment, []).append(table.vocabulary.words[word])
    return [" ".join(words) for words in result.values()]


@pytest.mark.parametrize(
    "values",
    [
        ["Sweet Short title", "alpha beta"],
        [["Sweet Short title", "alpha beta"]],
        ["Sweet Short title, a long one that goes on for more than forty characters title", "alpha beta"],
        ["Sweet Short title\nalpha beta"],
        ["Sweet Short title\r\nalpha beta"],
        ["Sweet Short title\ralpha beta"],
        ["Sweet Short title\talpha beta"],
        ["Sweet Short title\u2029alpha beta"],
        ["Sweet Short title\x0balpha beta"],
        ["Sweet Short title. alpha beta"],
        ["Sweet Short title! alpha beta"],
        ["Sweet Short title? alpha beta"],
        ["Sweet Short title… alpha beta"],
        ["Sweet Short title... alpha beta"],
        ["Sweet Short title; alpha beta"],
        ["Sweet Short title: alpha beta"],
        ["Sweet Short title, alpha beta"],
        ["Sweet Short title | alpha beta"],
        ["Sweet Short title / alpha beta"],
        ["Sweet Short title — alpha beta"],
        ["Sweet Short title – alpha beta"],
        ["Sweet Short title - alpha beta"],
        ["Sweet Short title -- alpha beta"],
        ["Sweet Short title--alpha beta"],
        ["Sweet Short title • alpha beta"],
        ["- Sweet Short title\n- alpha beta"],
        ["* Sweet Short title\n* alpha beta"],
        ["1. Sweet Short title\n2. alpha beta"],
        ["1) Sweet Short title 2) alpha beta"],
        ["# Sweet Short title\nalpha beta"],
        ["#Sweet #Short title #alpha beta"],
        ["Sweet Short title 😀 alpha beta"],
        ["Sweet Short title 👩‍💻alpha beta"],
        ["Sweet Short title\u3002alpha beta"],
        ["Sweet Short title\u061f alpha beta"],
        ["Sweet Short title (alpha beta)"],
        ['Sweet Short title "alpha beta"'],
        ["<p>Sweet Short title</p><p>alpha beta</p>"],
        ["Sweet Short title<br/>alpha beta"],
        ["<li>Sweet Short title<li>alpha beta"],
        ["Sweet Short title https://example.org alpha beta"],
        ["[Sweet Short title](https://example.org) alpha beta"],
    ],
)
def test_no_phrase_spans_fields_items_lines_sentences_or_marks(values: list[object]) -> None:
    result = segments(document_text(values))

    assert not any("title" in segment and "alpha" in segment for segment in result)
    assert any("title" in segment for segment in result)
    assert "alpha beta" in result[-1]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("my U.S. bank account", "U.S bank account"),
        ("fruit, e.g. green apples", "e.g green apples"),
        ("a jack of 3.5 mm here", "3.5mm here"),
        ("ein Kabel mit 3.5 mm für Köpfe", "3.5mm für Köpfe"),
        ("ask Dr. Smith again", "ask Dr Smith again"),
        ("das ist z.B. eine Karte", "das ist z.B eine Karte"),
        ("Karte bzw. Konto gesperrt", "Karte bzw Konto gesperrt"),
        ("node.js server crashes", "node.js server crashes"),
        ("<b>credit</b> <i>card</i> lost", "credit card lost"),
        ("**credit** _card_ `lost`", "credit card lost"),
        ("a long line of prose that was wrapped by a program\nat eighty columns", "program at eighty columns"),
        ("AT&T phone and C++ code", "AT&T phone and C++ code"),
    ],
)
def test_abbreviations_decimals_emphasis_and_wrapped_lines_do_not_split_a_phrase(text: str, whole: str) -> None:
    assert any(whole in segment for segment in segments(text))


def test_names_contain_words_of_only_one_field() -> None:
    texts = [document_text([title, body]) for title, body in [("Sweet short title", "alpha things are here")] * 3]
    texts = [f"{text} {number}" for number, text in enumerate(texts)]

    (name,) = name_clusters(texts, np.zeros(3, np.int32), 1)

    assert not any("title" in word.lower() and "alpha" in word.lower() for word in (name.label, *name.keywords))


def test_a_trimmed_payload_gives_the_same_text() -> None:
    payload = {"title": " A ", "tags": ["x", " y "], "vector": [1.0], "nested": {"list": ["p", "q"], "n": 1}}

    short = trim_payload(payload)

    assert document_text([short["title"], short["tags"]]) == document_text([payload["title"], payload["tags"]])
    assert short["vector"] == []

"""Examples of documents, as shown to users next to a cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.labeling.examples import LONGEST_SHOWN, abridge, capitalize


def test_an_example_is_one_line() -> None:
    assert abridge("  Rain\r\n\tin   the\u2028morning ") == "Rain in the morning"


def test_an_example_omits_control_characters_but_keeps_joined_emoji() -> None:
    assert abridge("a\x1b[31mred\u202egib \ufeff\x00b") == "aredgib b"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert abridge(family) == family


def test_a_long_text_is_truncated_between_words_with_a_mark() -> None:
    cut = abridge("word " * 100)
    assert cut.endswith("word…")
    assert LONGEST_SHOWN * 3 // 4 <= len(cut) <= LONGEST_SHOWN


def test_a_text_without_spaces_is_truncated_as_well() -> None:
    assert abridge("字" * 500) == "字" * (LONGEST_SHOWN - 1) + "…"


def test_a_text_of_exactly_the_maximum_length_is_not_truncated() -> None:
    assert abridge("x" * LONGEST_SHOWN) == "x" * LONGEST_SHOWN


@given(st.text(max_size=1000))
def test_any_text_yields_a_short_line(text: str) -> None:
    line = abridge(text)
    assert len(line) <= LONGEST_SHOWN
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "capitalized"),
    [
        ("card fee", "Card fee"),
        ("iPhone 15", "iPhone 15"),
        ("eBay", "eBay"),
        ("PTO", "PTO"),
        ("éclair", "Éclair"),
        ("", ""),
    ],
)
def test_a_label_begins_with_a_capital_unless_its_first_word_has_its_own(text: str, capitalized: str) -> None:
    assert capitalize(text) == capitalized

"""Cleaning, tokenisation, languages and stems."""

import unicodedata

import pytest

from shoal.labeling.text import LONGEST_TEXT, clean
from shoal.labeling.words.tokens import Role, TokenTable, tokenize


def words(*texts: str) -> list[str]:
    table = tokenize(texts)
    return [table.vocabulary.words[i] for i in table.words]


def stem(table: TokenTable, word: str) -> int:
    return int(table.vocabulary.stems[list(table.vocabulary.words).index(word)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Visit https://example.org/a?b=c now", ["Visit", "now"]),
        ("mail me@example.org or www.example.org today", ["mail", "or", "today"]),
        ("<p class='x'>garden&nbsp;chairs &amp; tables</p>", ["garden", "chairs", "tables"]),
        ("before <script>alert('evil')</script> after", ["before", "after"]),
        ("order a1b2c3d4 of 2024 for 12.50", ["order", "of", "for"]),
        ("flight ab1234 and 401k and w2 and covid-19", ["flight", "and", "401k", "and", "w2", "and", "covid", "-19"]),
        ("see /usr/lib/python3/os.py or C:\\Windows\\x.dll and/or/not this", ["see", "or", "and", "or", "not", "this"]),
        ("c++ and c# and node.js and U.S.A", ["c++", "and", "c#", "and", "node.js", "and", "U.S.A"]),
        ("the card isn’t here", ["the", "card", "isn't", "here"]),
        ("l'argent de l’ami", ["l'", "argent", "de", "l'", "ami"]),
        ("e-mail and top-up", ["e-mail", "and", "top", "-up"]),
        ("\x1b[31mred\x1b[0m \u202eevil\u202c z\u200bero", ["red", "evil", "zero"]),
        ("🎉🎉 party", ["party"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("كلمة المرور", ["كلمة", "المرور"]),
        ("x" * 41 + " word", ["word"]),
        ("snake_case_name", ["snake", "case", "name"]),
    ],
)
def test_a_text_is_split_into_its_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_punctuation_and_removed_text_end_a_segment() -> None:
    table = tokenize(["one two, three https://a.b/c four 77 five"])

    segments = table.segments.tolist()

    assert [segments.count(s) for s in sorted(set(segments))] == [2, 1, 1, 1]


@pytest.mark.parametrize("place", [0, 5_000, 10_000])
def test_a_long_text_is_read_at_its_start_middle_and_end(place: int) -> None:
    many = ["word"] * 10_001
    many[place] = "needle"

    tokens = words(" ".join(many))

    assert "needle" in tokens
    assert len(tokens) <= LONGEST_TEXT
    assert set(tokens) == {"word", "needle"}, "no word is cut in two"


def test_only_a_small_part_of_a_long_text_is_kept() -> None:
    assert len(clean("<b>" * 100_000)) < 10_000


def test_numerals_are_words_only_on_request() -> None:
    table = tokenize(["form 1099 of 2024"], numerals=frozenset({"1099"}))

    assert [table.vocabulary.words[i] for i in table.words] == ["form", "1099", "of"]


def test_unclosed_markup_is_read_in_linear_time() -> None:
    """Would take minutes with a pattern that backtracks."""
    assert words("<script " * 50_000 + "<!-- " * 50_000 + "a" + "." * 100_000) is not None
    assert len(clean("<" * 20_000)) <= 20_000
    assert clean("a-" * 100_000) != ""


def test_forms_of_a_word_share_a_stem_and_negations_are_one_word() -> None:
    text = "Cards card. isn't doesn't not cannot can't never. Cards card isn't doesn't not cannot can't never"

    table = tokenize([text])

    assert stem(table, "Cards") == stem(table, "card")
    assert len({stem(table, w) for w in ("isn't", "doesn't", "not", "cannot", "can't")}) == 1
    assert stem(table, "never") != stem(table, "not")


def test_each_word_is_stemmed_in_the_language_of_its_texts() -> None:
    german = ["die Karten sind nicht da", "meine Karten und die Zahlungen", "eine Zahlung mit der Karte"]
    english = ["the running of the cards is not for me", "he runs with a card and I run"]

    table = tokenize([*german, *english])

    assert stem(table, "Zahlungen") != stem(table, "cards")
    assert stem(table, "Karten") == stem(table, "Karte")
    assert stem(table, "cards") == stem(table, "card")


def test_the_most_frequent_casing_is_shown() -> None:
    table = tokenize(["paypal PayPal PayPal PAYPAL"])

    assert table.phrase(0, 1) == "PayPal"


def test_texts_all_in_capitals_do_not_decide_how_a_word_is_written() -> None:
    table = tokenize(["PAYMENT DOES NOT ARRIVE ON MY IPHONE", "an iPhone of GmbH", "THE PTO POLICY", "ask for PTO"])

    shown = {table.phrase(i, 1) for i in range(len(table))}

    assert {"payment", "arrive", "iPhone", "GmbH", "PTO", "policy"} <= shown


def test_a_capital_at_the_start_of_a_sentence_is_weak_evidence_of_casing() -> None:
    table = tokenize(["Refund asked", "Refund please", "a refund", "Paris is far", "Paris again"])

    assert {"refund", "Paris"} <= {table.phrase(i, 1) for i in range(len(table))}


def test_a_noun_has_a_capital_in_german_and_not_in_a_language_beside_it() -> None:
    table = tokenize([*["Wo ist mein Account und wie ist der Router"] * 9, *["where is my account and the router"] * 4])

    shown = {table.phrase(i, 1) for i in range(len(table)) if table.documents[i] >= 9}

    assert {"account", "router"} <= shown
    assert "Account" in {table.phrase(i, 1) for i in range(len(table)) if table.documents[i] < 9}


@pytest.mark.parametrize("word", ["น้ำ", "จำนวน", "ນ້ຳ"])
def test_a_vowel_of_thai_and_lao_stays_as_it_is_written(word: str) -> None:
    decomposed = unicodedata.normalize("NFKD", word)

    assert decomposed != word
    assert clean(decomposed) == clean(word) == word


def test_words_keep_their_spaces_and_hyphens() -> None:
    table = tokenize(["auto top-up", "パスワード変更"])

    assert table.phrase(0, 3) == "auto top-up"
    assert table.phrase(3, len(table) - 3) == "パスワード変更"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("verify my identity", "verify identity"),
        ("open an account", "open account"),
        ("planet of the apes", "planet of the apes"),
        ("Kill the Messenger", "Kill the Messenger"),
        ("bills this month", "bills this month"),
    ],
)
def test_a_title_omits_articles_and_possessives_unless_a_name_or_preposition_needs_them(text: str, title: str) -> None:
    table = tokenize([text])

    assert table.title(0, len(table)) == title


def test_an_acronym_is_not_a_function_word_unless_the_whole_text_is_in_capitals() -> None:
    quiet = tokenize(["ask the IT support about it, it helps us in the US office"])
    loud = tokenize(["ASK THE IT SUPPORT ABOUT IT"])

    assert stem(quiet, "IT") != stem(quiet, "it")
    assert not quiet.vocabulary.roles[quiet.vocabulary.words.index("US")] & Role.FUNCTION
    assert loud.vocabulary.roles[loud.vocabulary.words.index("it")] & Role.FUNCTION


def test_function_words_are_lower_case() -> None:
    table = tokenize(["How Long do transfers take", "How Long do transfers take"])

    assert table.phrase(0, 4) == "how Long do transfers"


@pytest.mark.parametrize("texts", [[], [""], ["  \n", "12 34", "🎉", "!!!"]])
def test_texts_without_words_yield_an_empty_table(texts: list[str]) -> None:
    assert len(tokenize(texts)) == 0

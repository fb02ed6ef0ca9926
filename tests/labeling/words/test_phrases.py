"""Which phrases are found, and that none says the opposite of its text."""

import numpy as np
import pytest

from shoal.labeling.words.common_words import common_words
from shoal.labeling.words.phrases import Phrases, count_phrases
from shoal.labeling.words.tokens import TokenTable, tokenize


def found(*texts: str) -> set[str]:
    """All forms of all phrases of one cluster of these texts."""
    table, phrases = counted(list(texts), [0] * len(texts), 1)
    spans = phrases.spans
    return {table.phrase(int(s), int(n)) for s, n in zip(spans.starts, spans.lengths, strict=True)}


def counted(texts: list[str], labels: list[int], clusters: int) -> tuple[TokenTable, Phrases]:
    table = tokenize(texts)
    return table, count_phrases(table, np.array(labels, np.int32), clusters)


def documents(table: TokenTable, phrases: Phrases, text: str) -> list[int]:
    """Documents of each cluster with the phrase that has this form."""
    for span in range(len(phrases.spans.starts)):
        if table.phrase(int(phrases.spans.starts[span]), int(phrases.spans.lengths[span])) == text:
            return [int(n) for n in phrases.counts[:, phrases.phrase_of[span]].toarray().ravel()]
    raise AssertionError(f"no phrase {text!r}")


def test_a_term_neither_starts_nor_ends_with_a_function_word() -> None:
    assert found("the source of my funds") == {"source", "funds", "source of my funds"}


def test_no_phrase_spans_punctuation_or_a_clause_boundary() -> None:
    phrases = found("blue house, red garden because green roof")

    assert {"blue house", "red garden", "green roof"} <= phrases
    assert not any("house red" in p or "garden because" in p for p in phrases)


@pytest.mark.parametrize(
    ("text", "kept", "never"),
    [
        ("my card isn't working", "card isn't working", {"card working", "working"}),
        ("my card is not working", "card is not working", {"working"}),
        ("isn't my new debit card working", "isn't my new debit card working", {"debit card working", "card working"}),
        ("why isn't my card working", "why isn't my card working", {"card working", "working", "my card working"}),
        ("the card doesn't always work", "card doesn't always work", {"work", "always work"}),
        ("transfer without fee", "without fee", {"fee"}),
        ("Meine Karte funktioniert nicht", "Karte funktioniert nicht", {"Karte funktioniert", "funktioniert"}),
        ("Ich kann mich nicht anmelden", "nicht anmelden", {"anmelden"}),
        ("La carte ne fonctionne pas", "carte ne fonctionne pas", {"carte ne fonctionne", "fonctionne"}),
        ("La tarjeta no funciona", "tarjeta no funciona", {"tarjeta funciona", "funciona"}),
        ("De kaart werkt niet", "kaart werkt niet", {"kaart werkt", "werkt"}),
        ("Карта не работает", "Карта не работает", {"работает"}),
    ],
)
def test_a_negation_is_never_separated_from_what_it_negates(text: str, kept: str, never: set[str]) -> None:
    phrases = found(text, text + " ")

    assert kept in phrases
    assert not phrases & never


def test_a_question_word_keeps_its_measure() -> None:
    phrases = found("how long do transfers take", "how many vacation days")

    assert "how long do transfers take" in phrases
    assert "how many vacation days" in phrases
    assert not any(p.startswith(("long ", "many ")) or p in ("long", "many", "how") for p in phrases)


def test_a_short_question_is_kept_whole() -> None:
    assert "how old are you" in found("so how old are you")
    assert "who are you" in found("who are you")


@pytest.mark.parametrize("removed", ["4.2", "1234", "AB-1234567", "https://example.org/x"])
def test_no_phrase_ends_in_a_gap(removed: str) -> None:
    texts = [f"is the {removed} ready", f"when does my order {removed} come", f"where is {removed} now"]

    assert found(*texts, *(f"{text} " for text in texts)) == {"ready", "order"}


def test_a_question_keeps_its_question_word() -> None:
    phrases = found(*["where is my parcel", "how do I reset it", "what time is my flight", "wie setze ich es"] * 2)

    assert {"where is my parcel", "what time is my flight", "how do I reset it"} <= phrases
    assert not any(phrase.startswith(("is ", "do ", "time is")) or phrase == "wie setze" for phrase in phrases)


@pytest.mark.parametrize(
    ("text", "kept", "never"),
    [
        ("El enlace para restablecer la cuenta no funciona", "cuenta no funciona", "restablecer la cuenta no funciona"),
        ("Die Mail zum Zurücksetzen kommt nicht", "kommt nicht", "Zurücksetzen kommt nicht"),
        ("Je n'arrive pas à me connecter", "n'arrive pas", "pas à me connecter"),
        ("Por qué está mi tarjeta bloqueada", "por qué está mi tarjeta bloqueada", "qué está mi tarjeta bloqueada"),
    ],
)
def test_a_phrase_is_not_cut_off_its_subject_or_its_preposition(text: str, kept: str, never: str) -> None:
    phrases = found(text, f"{text} ")

    assert kept in phrases
    assert never not in phrases


def test_the_same_words_in_another_order_or_form_are_one_phrase() -> None:
    table, phrases = counted(["lost my luggage", "luggage lost", "the lost luggages", "sold"], [0, 0, 1, 1], 2)

    assert documents(table, phrases, "luggage lost") == [2, 1]


def test_a_document_counts_once_for_a_phrase_it_repeats() -> None:
    table, phrases = counted(["red fox. red fox. red fox", "red fox"], [0, 1], 2)

    assert documents(table, phrases, "red fox") == [1, 1]


def test_characters_of_scripts_without_spaces_form_a_phrase_only_in_their_order() -> None:
    table, phrases = counted(["上海很大", "上海", "海上", "海上风"], [0, 0, 1, 1], 2)

    assert documents(table, phrases, "上海") == [2, 0]
    assert documents(table, phrases, "海上") == [0, 2]


def test_words_frequent_and_evenly_spread_over_clusters_are_function_words_in_any_language() -> None:
    """Stem 0 is in every document, stem c+1 only in those of cluster c."""
    clusters = np.repeat(np.arange(8), 10).astype(np.int32)
    stems = np.stack([np.zeros(80, np.int64), clusters + 1], axis=1).ravel()

    common = common_words(stems, np.repeat(clusters, 2), np.full(8, 10.0))

    assert common[stems == 0].all()
    assert not common[stems > 0].any()


def test_with_few_clusters_no_word_is_considered_common() -> None:
    assert not common_words(np.zeros(4, np.int64), np.array([0, 1, 2, 3], np.int32), np.ones(4)).any()

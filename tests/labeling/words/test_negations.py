"""No name says the opposite of its documents, in any tense, spelling or language."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from labeling.negation_pairs import Pair, english_pairs, pairs_of_other_languages
from shoal.labeling import Name, name_clusters
from shoal.labeling.words import unspaced

PAIRS = [*english_pairs(), *pairs_of_other_languages()]


def named(clusters: Sequence[Sequence[str]]) -> list[Name]:
    texts = [text for own in clusters for text in own]
    labels = np.repeat(np.arange(len(clusters)), [len(own) for own in clusters]).astype(np.int32)
    return name_clusters(texts, labels, len(clusters))


def reversed_pairs(pairs: Sequence[Pair], names: Sequence[Name]) -> list[str]:
    """Return the pairs of which a label or a keyword says the opposite."""
    wrong = []
    for pair, negated, plain in zip(pairs, names[::2], names[1::2], strict=True):
        if any(pair.is_reversed(phrase, plain.label) for phrase in (negated.label, *negated.keywords)):
            wrong.append(f"{pair.name}: {negated}, {plain}")
    return wrong


def test_there_are_at_least_200_pairs_in_30_languages() -> None:
    assert len(PAIRS) >= 200
    assert len({pair.name.partition(":")[0] for pair in pairs_of_other_languages()}) >= 29


def test_a_label_is_recognised_as_reversed() -> None:
    pair = PAIRS[0]

    assert pair.is_reversed("Card working", "Card working")
    assert pair.is_reversed("Card not working", "Card isn't working")
    assert not pair.is_reversed("Card isn't working", "Card working")


@pytest.mark.parametrize("dictionary", [True, False])
def test_no_name_of_a_pair_alone_is_reversed(dictionary: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dictionary:
        monkeypatch.setattr(unspaced, "_icu", lambda: None)
    names = [name for pair in PAIRS for name in named([pair.negated, pair.plain])]

    assert reversed_pairs(PAIRS, names) == []
    assert sum(name.is_number for name in names) <= len(PAIRS) // 20, "a pair does not lose its name either"


@pytest.mark.parametrize("dictionary", [True, False])
def test_no_name_of_all_pairs_together_is_reversed(dictionary: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dictionary:
        monkeypatch.setattr(unspaced, "_icu", lambda: None)

    assert reversed_pairs(PAIRS, named([own for pair in PAIRS for own in (pair.negated, pair.plain)])) == []


@pytest.mark.parametrize("topic", ["work", "arrive", "load", "show", "start"])
def test_no_name_is_reversed_where_each_document_negates_in_its_own_way(topic: str) -> None:
    pairs = [pair for pair in english_pairs() if topic in pair.topic]
    shuffled = random.Random(0)
    negated = shuffled.sample([text for pair in pairs for text in pair.negated], 60)
    plain = shuffled.sample([text for pair in pairs for text in pair.plain], 60)
    whole = Pair(topic, tuple(negated), tuple(plain), pairs[0].topic, pairs[0].markers)

    assert reversed_pairs([whole], named([negated, plain])) == []


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["the card isnt working", "my card isnt working"], "Card isn't working"),
        (["the card isn t working", "my card isn t working"], "Card isn't working"),
        (["the card isn?t working", "my card isn?t working"], "Card isn't working"),
        (["the card isn\ufffdt working", "my card isn\ufffdt working"], "Card isn't working"),
        (["the card isn\u00e2\u20ac\u2122t working", "my card isn\u00e2\u20ac\u2122t working"], "Card isn't working"),
        (["the card isn\x92t working", "my card isn\x92t working"], "Card isn't working"),
        (["the card isn\\'t working", "my card isn\\'t working"], "Card isn't working"),
        (["the card isn&#39;t working", "my card isn&rsquo;t working"], "Card isn't working"),
        (["the card isn\u2032t working", "my card isn\u02bct working"], "Card isn't working"),
        (["the card isnot working", "my card isnot working"], "Card isnot working"),
        (["the card is n't working", "my card is n't working"], "Card is n't working"),
        (["o cartão nao funciona", "o meu cartão nao funciona"], "Cartão nao funciona"),
        (["don text and drive", "never text and drive", "please don text and drive"], "Don text and drive"),
        (["unable to log in today", "I am unable to log in", "unable to log in"], "Unable to log in"),
    ],
)
def test_a_negation_that_lost_its_apostrophe_is_kept(texts: list[str], label: str) -> None:
    assert named([texts, ["a red fox", "red fox"]])[0].label == label


@pytest.mark.parametrize(
    "frame",
    ["{} not yet working", "{} is not properly working", "{} isn't currently working", "{} is no longer working"],
)
def test_an_adverb_does_not_separate_a_negation_from_what_it_negates(frame: str) -> None:
    names = named([[frame.format(noun) for noun in ("card", "app", "page", "login", "PIN")], ["red fox", "a red fox"]])

    assert not names[0].label.casefold().startswith("working")
    assert "working" not in names[0].keywords


def test_a_german_negation_at_the_end_of_the_sentence_reaches_its_verb() -> None:
    texts = [f"{noun} funktioniert leider immer noch nicht" for noun in ("Meine Karte", "Die App", "Der Zugang")]

    name = named([texts, ["ein neues Konto", "das neue Konto"]])[0]

    for phrase in (name.label, *name.keywords):
        assert "funktioniert" not in phrase or "nicht" in phrase

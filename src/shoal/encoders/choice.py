"""Which encoder suits some texts."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from stopwordsiso import stopwords

from shoal.encoders.table import load_bundled_table
from shoal.encoders.words import split_words

__all__ = ["Choice", "choose_encoder"]

SAMPLE: Final = 1_000
CHARACTERS: Final = 1_000
READ: Final = 20_000
"""Characters of a text in which those that are encoded are looked for."""
KNOWN: Final = 0.6
"""Of the words of English texts, the least share that the table knows whole."""
OTHERS: Final = (
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "sv",
    "da",
    "no",
    "fi",
    "pl",
    "cs",
    "ro",
    "hu",
    "tr",
    "id",
    "vi",
    "ca",
)
"""Languages in Latin script that share words with English."""


class Choice(NamedTuple):
    """An encoder, and a sentence for people if it isn't the usual one."""

    uri: str
    reason: str | None = None


def choose_encoder(texts: Sequence[str], read: Callable[[str], str] | None = None) -> Choice:
    """The bundled encoder for English, the corpus' own for every other language and script.

    Parameters
    ----------
    texts : sequence of str
        A sample of 1,000 decides, the same in any order of rows.
    read : callable, optional
        What is encoded of a text; only the sample is read.

    Returns
    -------
    Choice
    """
    words = count_texts_by_word(sample(texts, read))
    if not words or looks_english(words):
        return Choice("static")
    return Choice(
        "corpus",
        "Most texts do not look English, so their vectors were learned from these texts alone (encoder corpus). "
        "A model for their language groups them better: choose one by encoder, such as sentence-transformers:MODEL.",
    )


def sample(texts: Sequence[str], read: Callable[[str], str] | None = None) -> list[str]:
    """The beginnings of the texts whose beginnings have the lowest checksums."""

    def key(text: str) -> tuple[int, str]:
        return zlib.crc32(text[:CHARACTERS].encode("utf-8", "replace")), text

    chosen = sorted(texts, key=key)[:SAMPLE]
    return [(text if read is None else read(text[:READ]))[:CHARACTERS] for text in chosen]


def count_texts_by_word(texts: Sequence[str]) -> Counter[str]:
    """Count for each word with a letter the texts that have it; digits are of no language."""
    words = split_words(texts)
    rows = np.repeat(np.arange(len(texts)), np.diff(words.bounds))
    places = np.unique(np.stack([rows, words.places]), axis=1)[1]
    counts = np.bincount(places, minlength=len(words.distinct)).tolist()
    counted = zip(words.distinct, counts, strict=True)
    return Counter({word: count for word, count in counted if count and not word.isdigit()})


def looks_english(words: Counter[str]) -> bool:
    """Whether most words are in the table, and no other language has more of its commonest words here."""
    count = sum(number for word, number in words.items() if word in load_bundled_table().vocabulary)
    if count < KNOWN * words.total():
        return False
    english = count_common(words, "en")
    return all(count_common(words, language) <= english for language in OTHERS)


def count_common(words: Counter[str], language: str) -> int:
    return sum(words[word] for word in common_words(language))


@cache
def common_words(language: str) -> frozenset[str]:
    return frozenset(stopwords(language))

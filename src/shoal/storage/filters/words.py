"""Word search in filters.

Most scripts separate words with spaces. Chinese, Japanese, Thai and some others do not, and splitting them takes a
dictionary; there a word matches wherever its characters occur next to each other.
"""

import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2
import snowballstemmer

__all__ = ["WordQuery", "fold_words", "holds_phrase", "holds_words", "parse_words", "phrase_of", "tokens_of"]

_UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Tham}\p{New_Tai_Lue}\p{Javanese}\p{Balinese}"
    "ー"  # of no script by itself
)
_ASCII_RUN: Final = re.compile(r"\w+", re.ASCII)
_RUN: Final[Any] = re2.compile(r"[\p{L}\p{M}\p{N}_]+")
_PART: Final[Any] = re2.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_GLUED: Final[Any] = re2.compile(f"[{_UNSPACED}]")
_STEMMER: Final = snowballstemmer.stemmer("english")
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_STEMMER_LOCK: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class WordQuery:
    """The words to search for: stems, and runs of a script without spaces."""

    stems: frozenset[str]
    runs: tuple[str, ...]


def fold_words(text: str) -> str:
    """Normalise case, composition and width of characters (Unicode NFKC), and remove soft hyphens and zero-width
    spaces."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()


@lru_cache(maxsize=256)
def parse_words(text: str) -> WordQuery:
    """Parse the words of a query."""
    parts = _parts(fold_words(text))
    glued = tuple(part for part in parts if _is_glued(part))
    return WordQuery(frozenset(_stem(part) for part in parts if not _is_glued(part)), glued)


def holds_words(text: str, query: WordQuery) -> bool:
    """Whether every word of the query occurs in the text, in any form with the same English stem.

    False without words.
    """
    if not query.stems and not query.runs:
        return False
    folded = fold_words(text)
    if not all(run in folded for run in query.runs):
        return False
    return not query.stems or query.stems <= {_stem(part) for part in _parts(folded)}


def tokens_of(text: str) -> list[str]:
    """Return the folded words of a text in order; in scripts without spaces each character counts as one."""
    tokens: list[str] = []
    for part in _parts(fold_words(text)):
        if _is_glued(part):
            tokens += part
        else:
            tokens.append(part)
    return tokens


@lru_cache(maxsize=256)
def phrase_of(text: str) -> Sequence[str]:
    """Return the words of a phrase; cached, since a phrase is searched for in many texts."""
    return tuple(tokens_of(text))


def holds_phrase(tokens: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the words of the phrase occur consecutively in the text. False for an empty phrase."""
    size = len(phrase)
    starts = range(len(tokens) - size + 1) if size else range(0)
    words = list(phrase)
    return any(tokens[start] == words[0] and tokens[start : start + size] == words for start in starts)


def _parts(folded: str) -> list[str]:
    """Split into runs of letters, marks, digits and underscores, and where a script without spaces begins or ends."""
    if folded.isascii():
        return _ASCII_RUN.findall(folded)
    runs: list[str] = _RUN.findall(folded)
    return [part for run in runs for part in ([run] if run.isascii() else _PART.findall(run))]


def _is_glued(part: str) -> bool:
    return not part.isascii() and _GLUED.match(part) is not None


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    if not word.isalpha():
        return word
    with _STEMMER_LOCK:  # a stemmer is stateful
        stem: str = _STEMMER.stemWord(word)
    return stem

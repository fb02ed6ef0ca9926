"""The words of a text, as filters see them.

Most scripts put spaces between words. Chinese, Japanese, Thai and some others do not, and where their words end takes a
dictionary; there a word is found wherever its characters stand next to each other.
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

__all__ = ["Wanted", "fold_words", "holds_phrase", "holds_words", "phrase_of", "tokens_of", "wanted_words"]

_UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Tham}\p{New_Tai_Lue}\p{Javanese}\p{Balinese}"
    "ー"  # of no script by itself
)
_ASCII_RUN: Final = re.compile(r"\w+", re.ASCII)
_RUN: Final[Any] = re2.compile(r"[\p{L}\p{M}\p{N}_]+")
_PART: Final[Any] = re2.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_GLUED: Final[Any] = re2.compile(f"[{_UNSPACED}]")
_STEMMER: Final = snowballstemmer.stemmer("english")
_UNSEEN: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a text has to hold: words by their stems, and runs of a script without spaces as they are."""

    stems: frozenset[str]
    runs: tuple[str, ...]


def fold_words(text: str) -> str:
    """Without regard to case, to how marks are put together and to the width of characters (Unicode NFKC), and without
    soft hyphens and spaces of no width."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFKC", text).translate(_UNSEEN).casefold()


@lru_cache(maxsize=256)
def wanted_words(text: str) -> Wanted:
    """The words to look for, without regard to case."""
    parts = _parts(fold_words(text))
    glued = tuple(part for part in parts if _is_glued(part))
    return Wanted(frozenset(_stem(part) for part in parts if not _is_glued(part)), glued)


def holds_words(text: str, wanted: Wanted) -> bool:
    """Whether every word occurs in the text as a word, in any form that has its English stem. No words: False."""
    if not wanted.stems and not wanted.runs:
        return False
    folded = fold_words(text)
    if not all(run in folded for run in wanted.runs):
        return False
    return not wanted.stems or wanted.stems <= {_stem(part) for part in _parts(folded)}


def tokens_of(text: str) -> list[str]:
    """The words in their order, without regard to case; of scripts without spaces each character is one."""
    tokens: list[str] = []
    for part in _parts(fold_words(text)):
        if _is_glued(part):
            tokens += part
        else:
            tokens.append(part)
    return tokens


@lru_cache(maxsize=256)
def phrase_of(text: str) -> Sequence[str]:
    """The words of a phrase, which is looked for in many texts."""
    return tuple(tokens_of(text))


def holds_phrase(tokens: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the words of the phrase follow each other in the text. An empty phrase: False."""
    size = len(phrase)
    starts = range(len(tokens) - size + 1) if size else range(0)
    wanted = list(phrase)
    return any(tokens[start] == wanted[0] and tokens[start : start + size] == wanted for start in starts)


def _parts(folded: str) -> list[str]:
    """Runs of letters, marks, digits and underscores, cut where a script without spaces begins or ends."""
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
    with _ONE_AT_A_TIME:  # a stemmer keeps the word it works on
        stem: str = _STEMMER.stemWord(word)
    return stem

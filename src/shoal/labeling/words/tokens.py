"""Tokenisation: clean and split texts, and describe their words.

The result is flat: one number for each word, so that all further steps work on arrays, not strings.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.labeling.text import GAP, LONGEST_TEXT, clean
from shoal.labeling.words.unspaced import learn_splitter
from shoal.labeling.words.vocabulary import Role, Vocabulary, build_vocabulary
from shoal.scripts import ALONE, KATAKANA, MARK

__all__ = ["Role", "TokenTable", "Vocabulary", "tokenize"]

LONGEST_WORD = 40
"""Characters; longer tokens are data, not words."""
_REPORT_EVERY = 8192
_STOP, _LEFT_OUT = -1, -2
"""Numbers of what is no word: punctuation, and what is left out of a sentence."""

# Plain integers: arithmetic on enum members is slow.
_FILLER, _FUNCTION, _JOINED, _GLUED_ROLE = (int(r) for r in (Role.FILLER, Role.FUNCTION, Role.JOINED, Role.GLUED))


@dataclass(frozen=True, slots=True)
class TokenTable:
    """All words of n texts in order; aligned (t,) arrays."""

    words: NDArray[np.int64]
    """Positions in the vocabulary."""
    segments: NDArray[np.int64]
    """Ascending; punctuation begins a new segment, and no phrase crosses one."""
    documents: NDArray[np.int64]
    """Ascending, 0..texts-1."""
    after_gap: NDArray[np.bool_]
    before_gap: NDArray[np.bool_]
    """Where a number, an identifier or an address beside the word was left out: its sentence goes on there."""
    vocabulary: Vocabulary
    texts: int

    def __len__(self) -> int:
        return len(self.words)

    def phrase(self, start: int, length: int) -> str:
        """Return the `length` words from `start` on as readable text."""
        return self._written(range(start, start + length))

    def title(self, start: int, length: int) -> str:
        """Return a phrase without the fillers that a title can omit."""
        roles = self.vocabulary.roles[self.words[start : start + length]].tolist()
        positions = [start]
        for i in range(1, length):
            spare = roles[i] & _FILLER and not roles[i - 1] & _FUNCTION
            if not spare or (i + 1 < length and self._capital(start + i - 1) and self._capital(start + i + 1)):
                positions.append(start + i)
        return self._written(positions)

    def are_fillers(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which words, none the first of its phrase, a title can omit, unless names stand around them."""
        roles = self.vocabulary.roles[self.words]
        return np.asarray((roles[positions] & _FILLER > 0) & (roles[positions - 1] & _FUNCTION == 0))

    def _capital(self, position: int) -> bool:
        return self._word(position)[:1].isupper()

    def _word(self, position: int) -> str:
        vocabulary = self.vocabulary
        writer = vocabulary.writers[self.documents[position]]
        return vocabulary.words[int(vocabulary.shown[writer, self.words[position]])].lstrip("-")

    def _written(self, positions: Sequence[int]) -> str:
        text, glued = "", False
        for position in positions:
            roles = int(self.vocabulary.roles[self.words[position]])
            joint = "-" if roles & _JOINED else "" if glued and roles & _GLUED_ROLE else " "
            word = self._word(position)
            joint = "" if text.endswith("'") else joint
            text += (joint if text else "") + (word.lower() if roles & _FUNCTION and word != "I" else word)
            glued = bool(roles & _GLUED_ROLE)
        return text


# ── cutting ─────────────────────────────────────────────────────────────────────────────────────────────

_LETTER = rf"[^\W_{ALONE}{KATAKANA}{MARK}]"
_UNSPACED = re.compile(rf"[{ALONE}{KATAKANA}]")
_ELIDED = r"\b(?:[LDJMTSCNldjmtscn]|[Qq]u|[Dd]ell|[Aa]ll|[Nn]ell|[Ss]ull|[Dd]all|[Uu]n)'(?=[^\W\d_]{2})"
"""An article or pronoun before a vowel: l'argent, dell'acqua."""
_CUT_ASCII = re.compile(
    rf"({GAP}|{_ELIDED}|[A-Za-z](?:\.[A-Za-z])+\b|[A-Za-z]-[A-Za-z]{{2,}}|(?:(?<=[A-Za-z0-9])-)?[A-Za-z0-9]+(?:['&+][A-Za-z0-9]+|\.[a-z0-9]+)*[+#]*)"
    rf"|([^\sA-Za-z0-9'&+#_{GAP}-]+|\s-+\s)"
)
_CUT = re.compile(
    rf"({GAP}|{_ELIDED}|[A-Za-z](?:\.[A-Za-z])+\b|[A-Za-z]-[A-Za-z]{{2,}}|[0-9]+(?:\.[0-9]+)+[^\W\d_]*|(?:(?<=\w)-)?{_LETTER}(?:[{MARK}]|{_LETTER})*(?:['’&+]{_LETTER}(?:[{MARK}]|{_LETTER})*)*[+#]*"
    rf"|[{ALONE}{KATAKANA}][{ALONE}{KATAKANA}{MARK}]*)"
    rf"|([^\s\w'’&+#\-{MARK}{GAP}]+|\s-+\s)"
)


class _WordNumbers(dict[str, int]):
    """Numbers words in order of appearance. Punctuation gets `_STOP`; what is too long, and numerals other than
    `numerals`, get `_LEFT_OUT`. Both end a segment."""

    def __init__(self, numerals: frozenset[str]) -> None:
        self.words: list[str] = []
        self._numerals = numerals

    def __missing__(self, word: str) -> int:
        numeral = word[:1].isdigit() and word.replace(".", "").isdigit() and word not in self._numerals
        data = numeral or word == GAP or len(word) > LONGEST_WORD
        self[word] = _STOP if not word else _LEFT_OUT if data else len(self.words)
        if self[word] >= 0:
            self.words.append(word)
        return self[word]


def tokenize(
    texts: Sequence[str],
    progress: Callable[[float], None] | None = None,
    numerals: frozenset[str] = frozenset(),
    stop_words: frozenset[str] = frozenset(),
    most: int = LONGEST_TEXT,
) -> TokenTable:
    """Split `texts` into words, at most `most` of each. `progress` receives the fraction done, and may raise to stop.

    Numerals are not words and end a segment, nor are identifiers, except those in `numerals` (case-folded). No name
    contains a word of `stop_words` (case-folded), except negations.
    """
    numbers = _WordNumbers(numerals)
    split = learn_splitter(texts)
    flat: list[int] = []
    sizes = np.zeros(len(texts), np.int64)
    for i, text in enumerate(texts):
        if progress is not None and i % _REPORT_EVERY == 0:
            progress(i / len(texts))
        before, text = len(flat), clean(text, most, numerals)
        if text.isascii():
            cut = [numbers[word] for word, _ in _CUT_ASCII.findall(text)]
        else:
            cut = [numbers[word] for word in _cut(text, split)]
        flat.extend(_shorten(cut, most))
        flat.append(_STOP)
        sizes[i] = len(flat) - before
    documents = np.repeat(np.arange(len(texts)), sizes)
    return _table(numbers.words, np.array(flat, np.int64), documents, len(texts), stop_words)


def _cut(text: str, split: Callable[[str], list[str]]) -> list[str]:
    """Return the words of a text in any script, "" for punctuation."""
    words = [word for word, _ in _CUT.findall(text)]
    if not _UNSPACED.search(text):
        return words
    return [part for word in words for part in (split(word) if _UNSPACED.match(word) else (word,))]


def _shorten(words: list[int], most: int) -> list[int]:
    """Keep at most this many words, a third each from the head, the middle and the tail."""
    if len(words) <= most:
        return words
    third = most // 3
    middle = (len(words) - third) // 2
    return [*words[:third], _STOP, *words[middle : middle + third], _STOP, *words[-third:]]


def _table(
    words: list[str], flat: NDArray[np.int64], documents: NDArray[np.int64], texts: int, stop_words: frozenset[str]
) -> TokenTable:
    inside, gap = flat >= 0, flat == _LEFT_OUT
    segments: NDArray[np.int64] = np.cumsum(~inside, dtype=np.int64)[inside]
    tokens, documents = flat[inside], documents[inside]
    vocabulary = build_vocabulary(words, tokens, segments, documents, texts, stop_words)
    after_gap, before_gap = np.roll(gap, 1)[inside], np.roll(gap, -1)[inside]
    return TokenTable(tokens, segments, documents, after_gap, before_gap, vocabulary, texts)

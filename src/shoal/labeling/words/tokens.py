"""Tokenisation: clean, split, detect the language, fold, stem.

The result is flat: one number for each word, so that all further steps work on arrays, not strings.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from itertools import groupby

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

from shoal.labeling.languages import ACRONYMS, LANGUAGES, Language
from shoal.labeling.text import LONGEST_TEXT, clean

__all__ = ["Role", "TokenTable", "Vocabulary", "tokenize"]

LONGEST_WORD = 40
"""Characters; longer tokens are data, not words."""
_REPORT_EVERY = 8192
_SHOUTED = 0.2
"""Share of words in capitals from which capitals have no meaning."""
_STEM_ALL = 50_000
"""Up to this many distinct words all are stemmed, beyond it only repeated ones: stemming is slow."""


class Role(IntFlag):
    """The roles of a word in a phrase; see `Language` for their meaning."""

    FUNCTION = 1
    BARRIER = 2
    OPENER = 4
    DEGREE = 8
    NEGATION = 16
    TRAILING_NEGATION = 32
    PARTICLE = 64
    FILLER = 128
    PREPOSITION = 256
    GLUED = 512
    """Of a script written without spaces."""
    JOINED = 1024
    """Joined to the word before it by a hyphen."""
    LIGHT = 2048
    MODIFIER = 4096
    CONTRACTED = 8192
    """A negation with its verb: "isn't"."""
    DETERMINER = 16384
    MEASURE = 32768
    UNSPACED_WORD = 65536
    """A whole word of a script without spaces: a run of katakana."""


# Plain integers: arithmetic on enum members is slow.
_FILLER, _FUNCTION, _JOINED, _GLUED_ROLE = (int(r) for r in (Role.FILLER, Role.FUNCTION, Role.JOINED, Role.GLUED))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The distinct words (v of them), case-sensitive."""

    words: Sequence[str]
    folded: NDArray[np.int64]
    """(v,) equal for words that differ only in case."""
    stems: NDArray[np.int64]
    """(v,) equal for forms of one word; 0..stem_count-1."""
    roles: NDArray[np.int32]
    """(v,) Role bits."""
    shown: NDArray[np.int64]
    """(v,) the word to display for this one: its most frequent casing."""
    stem_count: int


@dataclass(frozen=True, slots=True)
class TokenTable:
    """All words of n texts in order; three aligned (t,) int64 arrays."""

    words: NDArray[np.int64]
    """Positions in the vocabulary."""
    segments: NDArray[np.int64]
    """Ascending; punctuation begins a new segment, and no phrase crosses one."""
    documents: NDArray[np.int64]
    """Ascending, 0..texts-1."""
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

    def _capital(self, position: int) -> bool:
        return self._word(position)[:1].isupper()

    def _word(self, position: int) -> str:
        return self.vocabulary.words[int(self.vocabulary.shown[self.words[position]])].lstrip("-")

    def _written(self, positions: Sequence[int]) -> str:
        text, glued = "", False
        for position in positions:
            roles = int(self.vocabulary.roles[self.words[position]])
            joint = "-" if roles & _JOINED else "" if glued and roles & _GLUED_ROLE else " "
            word = self._word(position)
            text += (joint if text else "") + (word.lower() if roles & _FUNCTION and word != "I" else word)
            glued = bool(roles & _GLUED_ROLE)
        return text


# ── cutting ─────────────────────────────────────────────────────────────────────────────────────────────


def _ranges(characters: Sequence[int]) -> str:
    """Format ascending code points as the inside of a character class."""
    runs = [[c for _, c in run] for _, run in groupby(enumerate(characters), lambda pair: pair[1] - pair[0])]
    return "".join(f"\\U{run[0]:08x}-\\U{run[-1]:08x}" for run in runs)


# The stdlib's \w excludes combining marks, and thus the vowel signs of Hindi, Thai and Tamil.
_MARK = _ranges([c for c in range(0x300, 0xFFFF) if unicodedata.category(chr(c))[0] == "M"]) + "\u200c\u200d"
_ALONE = (
    "\u3005\u3007\u3041-\u309f\u0e00-\u0e4f\u0e80-\u0ecf\u1000-\u103f\u1050-\u109f\u1780-\u17b3"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff"
_LETTER = rf"[^\W_{_ALONE}{_KATAKANA}{_MARK}]"
_GLUED, _KATAKANA_WORD = re.compile(rf"[{_ALONE}{_KATAKANA}]"), re.compile(rf"[{_KATAKANA}]+")


_CUT_ASCII = re.compile(
    r"([A-Za-z](?:\.[A-Za-z])+\b|[A-Za-z]-[A-Za-z]{2,}|(?:(?<=[A-Za-z0-9])-)?[A-Za-z0-9]+(?:['&+][A-Za-z0-9]+|\.[a-z0-9]+)*[+#]*)"
    r"|([^\sA-Za-z0-9'&+#_-]+|\s-+\s)"
)
_CUT = re.compile(
    rf"([A-Za-z](?:\.[A-Za-z])+\b|[A-Za-z]-[A-Za-z]{{2,}}|[0-9]+(?:\.[0-9]+)+[^\W\d_]*|(?:(?<=\w)-)?{_LETTER}(?:[{_MARK}]|{_LETTER})*(?:['’&+]{_LETTER}(?:[{_MARK}]|{_LETTER})*)*[+#]*"
    rf"|[{_KATAKANA}]+|[{_ALONE}][{_MARK}]*)"
    rf"|([^\s\w'’&+#\-{_MARK}]+|\s-+\s)"
)


class _WordNumbers(dict[str, int]):
    """Numbers words in order of appearance. Tokens that are too long, and numerals other than `numerals`, get -1, which
    ends a segment."""

    def __init__(self, numerals: frozenset[str]) -> None:
        self.words: list[str] = []
        self._numerals = numerals

    def __missing__(self, word: str) -> int:
        numeral = word[:1].isdigit() and word.replace(".", "").isdigit() and word not in self._numerals
        data = not word or numeral or len(word) > LONGEST_WORD
        self[word] = -1 if data else len(self.words)
        if not data:
            self.words.append(word)
        return self[word]


def tokenize(
    texts: Sequence[str],
    progress: Callable[[float], None] | None = None,
    numerals: frozenset[str] = frozenset(),
) -> TokenTable:
    """Split `texts` into words. `progress` receives the fraction done, and may raise to stop.

    Numerals are not words and end a segment, except those in `numerals`.
    """
    numbers = _WordNumbers(numerals)
    flat: list[int] = []
    sizes = np.zeros(len(texts), np.int64)
    for i, text in enumerate(texts):
        if progress is not None and i % _REPORT_EVERY == 0:
            progress(i / len(texts))
        before, text = len(flat), clean(text)
        pattern = _CUT_ASCII if text.isascii() else _CUT
        flat.extend(_shorten([numbers[word] for word, _ in pattern.findall(text)]))
        flat.append(-1)
        sizes[i] = len(flat) - before
    return _table(numbers.words, np.array(flat, np.int64), np.repeat(np.arange(len(texts)), sizes), len(texts))


def _shorten(words: list[int]) -> list[int]:
    """Keep at most LONGEST_TEXT words, a third each from the head, the middle and the tail."""
    if len(words) <= LONGEST_TEXT:
        return words
    third = LONGEST_TEXT // 3
    middle = (len(words) - third) // 2
    return [*words[:third], -1, *words[middle : middle + third], -1, *words[-third:]]


def _table(words: list[str], flat: NDArray[np.int64], documents: NDArray[np.int64], texts: int) -> TokenTable:
    inside = flat >= 0
    segments: NDArray[np.int64] = np.cumsum(~inside, dtype=np.int64)[inside]
    tokens, documents = flat[inside], documents[inside]
    return TokenTable(tokens, segments, documents, _vocabulary(words, tokens, documents, texts), texts)


# ── what the words are ───────────────────────────────────────────────────────────────────────────────────────────────


def _vocabulary(words: list[str], tokens: NDArray[np.int64], documents: NDArray[np.int64], texts: int) -> Vocabulary:
    numbers: dict[str, int] = {}
    capitals = np.array([len(word) > 1 and word.isupper() for word in words], np.bool_)
    shouted = bool(len(tokens)) and capitals[tokens].mean() > _SHOUTED
    folded = np.array([numbers.setdefault(_fold(word, shouted), len(numbers)) for word in words], np.int64)
    forms = list(numbers)
    language = _languages(forms, folded[tokens], documents, texts)
    frequent = (np.bincount(folded[tokens], minlength=len(forms)) > 1) | (len(forms) <= _STEM_ALL)
    stems = _stems(forms, language, frequent)
    roles = np.array([_role(form, LANGUAGES[i]) for form, i in zip(forms, language, strict=True)], np.int32)
    roles = roles[folded] if len(words) else np.zeros(0, np.int32)
    roles |= np.array([Role.JOINED if word[0] == "-" else 0 for word in words], np.int32)
    return Vocabulary(words, folded, stems[folded], roles, _casing(folded, tokens), int(stems.max(initial=-1)) + 1)


def _fold(word: str, shouted: bool) -> str:
    """Fold the case of a word; "IT support" is not "it", unless everything is in capitals."""
    return word if word in ACRONYMS and not shouted else word.casefold().lstrip("-")


def _casing(folded: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each word the most frequent word of the same folded form, the first one of ties."""
    counts = np.bincount(tokens, minlength=len(folded))
    order = np.lexsort((-np.arange(len(folded)), counts, folded))
    best = np.zeros(int(folded.max(initial=-1)) + 1, np.int64)
    best[folded[order]] = order
    return best[folded]


def _languages(
    forms: list[str], tokens: NDArray[np.int64], documents: NDArray[np.int64], texts: int
) -> NDArray[np.int64]:
    """Return for each form the language of most texts that contain it; that of a text follows from its function words.

    Texts and words without evidence get the language of the whole set.
    """
    votes = np.zeros((texts, len(LANGUAGES)))
    for i, language in enumerate(LANGUAGES):
        words_of = language.function | language.negations | language.trailing_negations
        member = np.array([form in words_of for form in forms], float)
        votes[:, i] = np.bincount(documents, weights=member[tokens], minlength=texts)
    spoken = votes.argmax(1)
    spoken[votes.max(1, initial=0) == 0] = votes.sum(0).argmax()
    uses = np.stack([np.bincount(tokens[spoken[documents] == i], minlength=len(forms)) for i in range(len(LANGUAGES))])
    return np.asarray(uses.argmax(0), np.int64)


def _stems(forms: list[str], language: NDArray[np.int64], frequent: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (forms,) stem numbers. A form that is not frequent is its own stem."""
    stemmers = [snowballstemmer.stemmer(each.stemmer) if each.stemmer else None for each in LANGUAGES]
    numbers: dict[str, int] = {}
    out = np.zeros(len(forms), np.int64)
    for i, form in enumerate(forms):
        stemmer = stemmers[language[i]]
        spelled = "not" if _is_not(form, LANGUAGES[language[i]]) else form
        stem = stemmer.stemWord(spelled) if stemmer is not None and frequent[i] else spelled
        out[i] = numbers.setdefault(stem, len(numbers))
    return out


def _is_not(form: str, language: Language) -> bool:
    """Whether a form means "not": "isn't working", "doesn't work" and "not working" are one phrase."""
    contracted = form.endswith("n't") or (form in language.negations and form.endswith("nt"))
    return contracted or form == "cannot" or form in language.trailing_negations


def _role(form: str, language: Language) -> int:
    base = form.partition("'")[0]
    glued = Role.GLUED if _GLUED.match(form) else Role(0)
    if glued and len(form) > 1 and _KATAKANA_WORD.fullmatch(form):
        return glued | Role.UNSPACED_WORD
    if form.endswith("n't") or (form.endswith("nt") and form in language.negations):
        return Role.NEGATION | Role.CONTRACTED
    if form in language.negations:
        return Role.NEGATION | glued
    if form in language.trailing_negations:
        return Role.TRAILING_NEGATION | glued
    role = Role(0)
    if form in language.function or ("'" in form and base in language.function) or (len(form) < 2 and not glued):
        role |= Role.FUNCTION
    for words, flag in (
        (language.barriers, Role.BARRIER),
        (language.openers, Role.OPENER),
        (language.degrees, Role.DEGREE),
        (language.particles, Role.PARTICLE),
        (language.fillers, Role.FILLER),
        (language.prepositions, Role.PREPOSITION),
        (language.light, Role.LIGHT),
        (language.determiners, Role.DETERMINER),
        (language.measures, Role.MEASURE),
        (language.modifiers, Role.MODIFIER),
    ):
        role |= flag if form in words or (flag is Role.BARRIER and "'" in form and base in words) else Role(0)
    return role | glued

"""The distinct words of a set of texts: their stems, their roles, and how they are written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from hashlib import blake2b

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

from shoal.labeling.languages import ACRONYMS, LANGUAGES, LOST_APOSTROPHES, Language
from shoal.labeling.words.detection import detect_languages
from shoal.labeling.words.korean import find_nouns
from shoal.scripts import ALONE, KATAKANA

__all__ = ["Role", "Vocabulary", "build_vocabulary"]

_SHOUTED = 0.2
"""Share of words in capitals from which capitals have no meaning in the whole set."""
_SHOUTED_TEXT, _SHOUTED_WORDS = 0.7, 3
"""Share and number of words in capitals from which a text is all in capitals."""
_AT_START, _IN_CAPITALS = 0.25, 1e-3
_DIGITS = 6
"""Weights as evidence of its casing of a word that begins a sentence, and of one in a text all in capitals."""
_SPOKEN, _OF_OTHERS = 0.02, 1e-2
"""Share of all words from which a language has casings of its own, and weight of those of other languages."""
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
    """A word of several characters of a script without spaces."""
    ADVERB = 131072
    """May stand between a negation and what it reverses."""
    PHRASAL = 262144
    TIED = 524288
    STOPPED = 1048576
    """A stop word of the user: no phrase contains it."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The distinct words (v of them), case-sensitive."""

    words: Sequence[str]
    """As they are displayed: words that only texts in capitals contain are in lower case."""
    folded: NDArray[np.int64]
    """(v,) equal for words that differ only in case."""
    stems: NDArray[np.int64]
    """(v,) equal for forms of one word; 0..stem_count-1."""
    roles: NDArray[np.int32]
    """(v,) Role bits."""
    shown: NDArray[np.int64]
    """(w, v) the word to display for this one: its most frequent casing, in each of w languages."""
    writers: NDArray[np.int64]
    """(texts,) the row of `shown` for the language of each text."""
    stem_count: int

    def hash_words(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return two (v,) arrays of numbers above 0, equal for equal forms, and for equal stems. They depend on the
        words alone, not on the order in which texts bring them."""
        digests = (blake2b(word.casefold().encode("utf-8", "replace"), digest_size=8).digest() for word in self.words)
        of_words = np.array([int.from_bytes(digest, "little") | 1 for digest in digests], np.uint64)
        forms = np.full(int(self.folded.max(initial=-1)) + 1, np.iinfo(np.uint64).max)
        np.minimum.at(forms, self.folded, of_words)
        stems = np.full(self.stem_count, np.iinfo(np.uint64).max)
        np.minimum.at(stems, self.stems, forms[self.folded])
        return forms[self.folded], stems[self.stems]


def build_vocabulary(
    words: list[str],
    tokens: NDArray[np.int64],
    segments: NDArray[np.int64],
    documents: NDArray[np.int64],
    texts: int,
    stop_words: frozenset[str] = frozenset(),
) -> Vocabulary:
    """Describe the distinct `words` of texts.

    Parameters
    ----------
    words : list of str, length v
        In order of appearance.
    tokens, segments, documents : int64 arrays of shape (t,)
        All words of the texts as positions in `words`, and their segments and texts, both ascending.
    texts : int
        How many texts there are.
    stop_words : frozenset of str
        Case-folded words that no name contains, besides the function words of each language.
    """
    capitals = np.array([len(word) > 1 and word.isupper() for word in words], np.bool_)
    shouted = bool(len(tokens)) and capitals[tokens].mean() > _SHOUTED
    numbers: dict[str, int] = {}
    folded = np.array([numbers.setdefault(_fold(word, shouted), len(numbers)) for word in words], np.int64)
    forms = list(numbers)
    nouns = find_nouns(forms)
    language, spoken = detect_languages(forms, folded[tokens], documents, texts)
    frequent = (np.bincount(folded[tokens], minlength=len(forms)) > 1) | (len(forms) <= _STEM_ALL)
    stems = _stems([nouns.get(form, form) for form in forms], language, frequent)
    trailing = frozenset[str]().union(*(LANGUAGES[i].trailing_negations for i in set(language.tolist())))
    roles = np.array(
        [_role(form, LANGUAGES[i], stop_words, trailing) for form, i in zip(forms, language, strict=True)], np.int32
    )
    roles = roles[folded] if len(words) else np.zeros(0, np.int32)
    roles |= np.array([Role.JOINED if word[0] == "-" else 0 for word in words], np.int32)
    loud = _loud(capitals, tokens, documents, texts)
    shown, writers = _casings(words, folded, tokens, _weigh(words, tokens, segments, loud), spoken[documents])
    only_loud = np.bincount(folded[tokens[~loud]], minlength=len(forms))[folded] == 0
    displayed = [
        nouns.get(word) or _display(word, _fold(word, shouted), LANGUAGES[language[form]].code, quiet)
        for word, form, quiet in zip(words, folded.tolist(), (capitals & only_loud).tolist(), strict=True)
    ]
    return Vocabulary(displayed, folded, stems[folded], roles, shown, writers[spoken], int(stems.max(initial=-1)) + 1)


# ── how words are written ────────────────────────────────────────────────────────────────────────────────────────────


def _fold(word: str, shouted: bool) -> str:
    """Fold the case of a word; "IT support" is not "it", unless everything is in capitals."""
    return word if word in ACRONYMS and not shouted else word.casefold().lstrip("-")


def _loud(
    capitals: NDArray[np.bool_], tokens: NDArray[np.int64], documents: NDArray[np.int64], texts: int
) -> NDArray[np.bool_]:
    """Return (t,) words of texts that are all in capitals, where these have no meaning."""
    if not capitals.any():
        return np.zeros(len(tokens), np.bool_)
    length = np.bincount(documents, minlength=texts)
    upper = np.bincount(documents, weights=capitals[tokens], minlength=texts)
    return np.asarray(((upper >= _SHOUTED_TEXT * length) & (upper >= _SHOUTED_WORDS))[documents])


def _weigh(
    words: Sequence[str], tokens: NDArray[np.int64], segments: NDArray[np.int64], loud: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return (t,) how much each word says about its casing: less where its writer had no choice."""
    title = np.array([word[:1].isupper() and word[1:].islower() for word in words], np.bool_)
    begins = np.ones(len(tokens), np.bool_)
    begins[1:] = segments[1:] != segments[:-1]
    return np.where(begins & title[tokens], _AT_START, 1.0) * np.where(loud, _IN_CAPITALS, 1.0)


def _casings(
    words: Sequence[str],
    folded: NDArray[np.int64],
    tokens: NDArray[np.int64],
    weights: NDArray[np.float64],
    spoken: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (w, v) the best attested casing of each word in each language, and (languages,) the row of each.

    The nouns of German have capitals, those of a text in another language beside it have not. `spoken` (t,) is the
    language of the text of each token. A language that few write has the casing of all.
    """
    every = np.bincount(tokens, weights=weights, minlength=len(words)).astype(np.float64)
    shown = [_casing(words, folded, every)]
    rows = np.zeros(len(LANGUAGES), np.int64)
    held = np.bincount(spoken, minlength=len(LANGUAGES))
    several = np.flatnonzero(held >= _SPOKEN * max(len(tokens), 1)).tolist()
    for language in several if len(several) > 1 else []:
        own = spoken == language
        evidence = np.bincount(tokens[own], weights=weights[own], minlength=len(words))
        rows[language] = len(shown)
        shown.append(_casing(words, folded, evidence + _OF_OTHERS * every))
    return np.stack(shown), rows


def _casing(words: Sequence[str], folded: NDArray[np.int64], evidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each word the best attested one of the same folded form, of ties the first one by spelling."""
    spelling = np.empty(len(words), np.int64)
    spelling[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    order = np.lexsort((-spelling, np.round(evidence, _DIGITS), folded))
    best = np.zeros(int(folded.max(initial=-1)) + 1, np.int64)
    best[folded[order]] = order
    return best[folded]


def _display(word: str, form: str, language: str, lower: bool) -> str:
    """Return a word in lower case if only texts in capitals contain it, and with an apostrophe that it lost."""
    if language == "en" and form in LOST_APOSTROPHES:
        return LOST_APOSTROPHES[form] if lower or word.islower() else f"{word[:-1]}'{word[-1]}"
    return word.lower() if lower else word


# ── what words are ───────────────────────────────────────────────────────────────────────────────────────────────────

_GLUED, _KATAKANA_WORD = re.compile(rf"[{ALONE}{KATAKANA}]"), re.compile(rf"[{KATAKANA}]+")


def _stems(forms: list[str], language: NDArray[np.int64], frequent: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (forms,) stem numbers. A form that is not frequent is its own stem."""
    used = set(language.tolist())
    stemmers = {i: snowballstemmer.stemmer(LANGUAGES[i].stemmer) for i in used if LANGUAGES[i].stemmer}
    numbers: dict[str, int] = {}
    out = np.zeros(len(forms), np.int64)
    for i, form in enumerate(forms):
        stemmer = stemmers.get(int(language[i]))
        spelled = "not" if _is_not(form, LANGUAGES[language[i]]) else form
        stem = stemmer.stemWord(spelled) if stemmer is not None and frequent[i] else spelled
        out[i] = numbers.setdefault(stem, len(numbers))
    return out


def _is_not(form: str, language: Language) -> bool:
    """Whether a form means "not": "isn't working", "doesn't work" and "not working" are one phrase."""
    contracted = form.endswith("n't") or (language.code == "en" and form in LOST_APOSTROPHES)
    return contracted or form == "cannot" or form in language.trailing_negations


def _role(form: str, language: Language, stop_words: frozenset[str], trailing: frozenset[str]) -> int:
    base = form.partition("'")[0]
    glued = Role.GLUED if _GLUED.match(form) else Role(0)
    if glued and len(form) > 1:
        glued |= Role.UNSPACED_WORD
    negation = _negation(form, base, language)
    if negation:
        # In a language beside this one it may stand behind what it reverses: "nie" is Polish and German.
        return (Role.TRAILING_NEGATION if form in trailing else negation) | glued
    if glued and _KATAKANA_WORD.fullmatch(form) and len(form) > 1 and form not in stop_words:
        return glued
    role = _adverb(form, language)
    function = form in language.function or ("'" in form and (base in language.function or form.endswith("'")))
    if function or (len(form) < 2 and not glued):
        role |= Role.FUNCTION
    if form in stop_words:
        role |= Role.FUNCTION | Role.STOPPED
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
        (language.phrasal, Role.PHRASAL),
        (language.tied, Role.TIED),
    ):
        role |= flag if form in words or (flag is Role.BARRIER and "'" in form and base in words) else Role(0)
    return role | glued


def _negation(form: str, base: str, language: Language) -> Role:
    if form.endswith("n't") or (language.code == "en" and form in LOST_APOSTROPHES):
        return Role.NEGATION | Role.CONTRACTED
    if form in language.trailing_negations or (language.negation_starts and form.startswith(language.negation_starts)):
        return Role.TRAILING_NEGATION
    if form in language.negations or ("'" in form and base in language.negations):
        return Role.NEGATION
    return Role(0)


def _adverb(form: str, language: Language) -> Role:
    ending = language.adverb_ending
    derived = bool(ending) and len(form) > len(ending) + 2 and form.endswith(ending)
    return Role.ADVERB if derived or form in language.adverbs else Role(0)

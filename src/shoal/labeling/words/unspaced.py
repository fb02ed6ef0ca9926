"""Words of scripts that are written without spaces: Japanese, Chinese, Thai, Lao, Khmer, Burmese.

With the package icu4py (`pip install "shoal[languages]"`) they come from the dictionaries of ICU. Without it they are
function words of these languages, and strings that recur in the texts as a whole: inside a word one character follows
the other more often than by chance, while what follows the word varies. What is neither stays single characters.
"""

import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from shoal.labeling.languages import LANGUAGES
from shoal.scripts import ALONE, KATAKANA, MARK

__all__ = ["describe_missing_dictionary", "learn_splitter"]

Splitter = Callable[[str], list[str]]


_RUN = re.compile(rf"[{ALONE}{KATAKANA}][{ALONE}{KATAKANA}{MARK}]*")
_BURMESE = "\u1000-\u1021"
_UNIT = re.compile(
    rf"[{KATAKANA}]+"
    rf"|[\u0e40-\u0e44]?[\u0e01-\u0e2e][{MARK}]*[\u0e30\u0e32\u0e33\u0e45]*"
    rf"|[\u0ec0-\u0ec4]?[\u0e81-\u0eae\u0edc\u0edd][{MARK}]*[\u0eb0\u0eb2\u0eb3\u0ebd]*"
    rf"|[\u1780-\u17b3](?:\u17d2[\u1780-\u17b3]|[{MARK}])*"
    rf"|[{_BURMESE}](?:\u1039[{_BURMESE}]|[{MARK}])*(?:[{_BURMESE}]\u1037?\u103a[\u1037\u1038]?)*"
    rf"|[{ALONE}][{MARK}]*"
)
"""What no word begins or ends within: a consonant of Thai, Lao, Khmer or Burmese with its vowels, tones and finals."""
_PARTICLE = re.compile("[のはがをにへとでも]")
_LEARNED_FROM = 300_000
"""Characters that words are learned from."""
_LONGEST_WORD = 8
"""Characters, without vowel signs."""
_FEWEST = 3
_ONE_NEIGHBOUR = 0.6
"""The share of one neighbouring character from which a string is a part of a longer word."""
_COHESION = 4.0
"""How much more often than by chance the two parts of a word follow each other, wherever it is cut."""


_LOOKED_AT, _CHARACTERS = 1_000, 300
"""Texts, and characters of each, by which their script is judged."""
_SHARE = 0.1


def describe_missing_dictionary(texts: Sequence[str] | None) -> list[str]:
    """Return a sentence for people where words of these texts are guessed because ICU is not installed."""
    shown = [text[:_CHARACTERS] for text in texts[:: len(texts) // _LOOKED_AT + 1]] if texts else []
    unspaced = sum(_RUN.search(text) is not None for text in shown)
    if unspaced <= _SHARE * len(shown) or _icu() is not None:
        return []
    return [
        "The texts are in a script without spaces between words, and no dictionary is installed that finds the words, "
        'so names may be cut: pip install "shoal[languages]".'
    ]


def learn_splitter(texts: Sequence[str]) -> Splitter:
    """Return the function that splits a run of such a script into words, joined they are the run."""
    breaker = _icu()
    if breaker is not None:
        return lambda run: _with_icu(breaker, run)
    lexicon = _function_words() | _learn_words(_sample_runs(texts))
    return lambda run: _split(run, lexicon)


@cache
def _icu() -> Any:
    """Return the word breaker of ICU, None if it is not installed."""
    if importlib.util.find_spec("icu4py") is None:
        return None
    return importlib.import_module("icu4py.breakers").WordBreaker


def _with_icu(breaker: Any, run: str) -> list[str]:
    return _join_negations([word for word in breaker(run, "ja" if _PARTICLE.search(run) else "zh") if word])


def _join_negations(words: list[str]) -> list[str]:
    """Join the parts of a negation that ICU cuts: "ま" + "せん"."""
    negations, out = _negations(), list[str]()
    for word in words:
        if out and out[-1] + word in negations:
            out[-1] += word
        else:
            out.append(word)
    return out


@cache
def _negations() -> frozenset[str]:
    every = (word for language in LANGUAGES for word in language.negations | language.trailing_negations)
    return frozenset(word for word in every if _RUN.fullmatch(word))


@cache
def _function_words() -> frozenset[str]:
    return _negations() | {
        word for language in LANGUAGES for word in language.function if len(word) > 1 and _RUN.fullmatch(word)
    }


# ── without a dictionary ─────────────────────────────────────────────────────────────────────────────────────────────


def _sample_runs(texts: Sequence[str]) -> list[str]:
    """Return runs from texts that are spread evenly over all, as many as words are learned from."""
    unspaced = [text for text in texts if not text.isascii() and _RUN.search(text[:_LEARNED_FROM])]
    most = max(_LEARNED_FROM // max(len(unspaced), 1), 50)
    every = max(len(unspaced) * most // _LEARNED_FROM, 1)
    return [run for text in unspaced[::every] for run in _RUN.findall(text[:most])]


def _learn_words(runs: Iterable[str]) -> frozenset[str]:
    """Find strings that are words by their use: cohesive inside, and followed and preceded by varying characters."""
    counts, before, after = Counter[str](), dict[str, Counter[str]](), dict[str, Counter[str]]()
    for number, run in enumerate(runs):
        edge = str(number)  # each end of a run is a neighbour of its own
        for piece in _PARTICLE.split(run):
            units = [edge, *_UNIT.findall(piece), edge]
            for start in range(1, len(units) - 1):
                for end in range(start + 1, min(start + _LONGEST_WORD, len(units) - 1) + 1):
                    word = "".join(units[start:end])
                    counts[word] += 1
                    before.setdefault(word, Counter())[units[start - 1]] += 1
                    after.setdefault(word, Counter())[units[end]] += 1
    total = sum(held for word, held in counts.items() if len(_UNIT.findall(word)) == 1)
    return frozenset(
        word
        for word, held in counts.items()
        if held >= _FEWEST and len(word) > 1 and max(before[word].values()) < _ONE_NEIGHBOUR * held
        and max(after[word].values()) < _ONE_NEIGHBOUR * held and _is_cohesive(word, counts, total)
    )  # fmt: skip


def _is_cohesive(word: str, counts: Counter[str], total: int) -> bool:
    units = _UNIT.findall(word)
    parts = (("".join(units[:cut]), "".join(units[cut:])) for cut in range(1, len(units)))
    return all(counts[word] * total >= _COHESION * counts[left] * counts[right] for left, right in parts)


def _split(run: str, lexicon: frozenset[str]) -> list[str]:
    """Split a run into the longest words of the lexicon, from left to right."""
    units, out, start = _UNIT.findall(run), list[str](), 0
    while start < len(units):
        longest = min(start + _LONGEST_WORD, len(units))
        ends = (end for end in range(longest, start + 1, -1) if "".join(units[start:end]) in lexicon)
        end = next(ends, start + 1)
        out.append("".join(units[start:end]))
        start = end
    return out

"""Names from a field of few short values (kinds of products, domains): what most documents of a cluster have.

Such texts repeat, so that documents are counted, not phrases: the value of most names the cluster, also where it names
another one already, since what is left over after that is a minority's.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from shoal.columns import Labels
from shoal.labeling.examples import visible
from shoal.labeling.languages import LANGUAGES
from shoal.labeling.words.candidates import LONGEST_KEYWORD, MOST_KEYWORDS

__all__ = ["NamedByValue", "Values", "find_values", "name_by_values"]

_LONGEST_VALUE, _MOST_WORDS = 60, 9
_MOST_VALUES = 200
_REPEATS = 4
"""Documents a value, on average, from which texts are values and not sentences that come twice."""

_MOST_JOINED = 3
_MINORITY = 0.1
"""The share of the documents of a cluster below which a value has no place in its name."""
_SENTENCE_WORDS = 4
"""From so many words on, an article, pronoun or preposition among them makes a value a sentence."""
_LARGE_SECOND, _ENOUGH = 1 / 3, 2 / 3
"""The share from which a value stands beside that of a majority, and that from which a name needs no other value."""
_KEYWORD_SHARE = 0.02
_LONGEST_LABEL = 80
_FUNCTION = frozenset(word for language in LANGUAGES for word in language.function)
_PARTS = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Values:
    """The values of documents, as pairs of a row and a value."""

    written: Sequence[str]
    """Each as most documents write it."""
    rows: Labels
    """(pairs,) int32"""
    numbers: Labels
    """(pairs,) int32, positions in `written`."""

    def counted(self, labels: Labels, clusters: int) -> list[list[tuple[int, int]]]:
        """For each cluster its values, most frequent first, with their documents; and of equals the first by name."""
        own = labels[self.rows]
        width = len(self.written)
        pairs, counts = np.unique(own[own >= 0].astype(np.int64) * width + self.numbers[own >= 0], return_counts=True)
        found: list[list[tuple[int, int]]] = [[] for _ in range(clusters)]
        for pair, held in zip(pairs.tolist(), counts.tolist(), strict=True):
            found[pair // width].append((pair % width, held))
        return [sorted(each, key=lambda one: (-one[1], one[0])) for each in found]

    def described(self, labels: Labels, clusters: int) -> list[int]:
        """For each cluster the documents that have a value at all."""
        rows = np.unique(self.rows)
        own = labels[rows]
        described: list[int] = np.bincount(own[own >= 0], minlength=clusters).tolist()
        return described


@dataclass(frozen=True, slots=True)
class NamedByValue:
    """A label and keywords; both empty where no document of the cluster has a value."""

    label: str
    keywords: tuple[str, ...]


def find_values(texts: Sequence[str]) -> Values | None:
    """The values that `texts` are made of, None where they are sentences: at most 200 short ones that come four times
    each on average, and most of them again. Letter case, underscores and a mark at the end do not tell values apart."""
    spellings: dict[str, Counter[str]] = {}
    known: dict[str, list[str] | None] = {}
    pairs: list[tuple[int, str]] = []
    for row, text in enumerate(texts):
        if text not in known:
            known[text] = _parts(text)
            if len(known) > _MOST_VALUES * _REPEATS:
                return None
        parts = known[text]
        if parts is None:
            return None
        own = dict.fromkeys(part.casefold() for part in parts)
        pairs += ((row, key) for key in own)
        for part in parts:
            spellings.setdefault(part.casefold(), Counter())[part] += 1
        if len(spellings) > _MOST_VALUES:
            return None
    again = sum(spelled.total() > 1 for spelled in spellings.values())
    if not pairs or len(pairs) < _REPEATS * len(spellings) or 2 * again < len(spellings):
        return None
    if 3 * sum(map(_is_sentence, spellings)) > len(spellings):
        return None
    keys = sorted(spellings)
    number = {key: position for position, key in enumerate(keys)}
    written = [min(spellings[key].items(), key=lambda one: (-one[1], one[0]))[0] for key in keys]
    rows = np.array([row for row, _ in pairs], np.int32)
    return Values(written, rows, np.array([number[key] for _, key in pairs], np.int32))


def _is_sentence(value: str) -> bool:
    words = value.split()
    return len(words) >= _SENTENCE_WORDS and not _FUNCTION.isdisjoint(words)


def _parts(text: str) -> list[str] | None:
    """The values of one document, None where it is longer text."""
    if len(text) > _MOST_JOINED * _MOST_VALUES:
        return None
    parts = [" ".join(visible(part).replace("_", " ").split()).rstrip("?!.:;, ") for part in _PARTS.split(text)]
    parts = [part for part in parts if any(map(str.isalnum, part))]
    short = all(len(part) <= _LONGEST_VALUE and part.count(" ") < _MOST_WORDS for part in parts)
    return parts if short else None


def name_by_values(
    values: Values, labels: Labels, clusters: int, same: dict[int, NamedByValue] | None = None
) -> list[NamedByValue]:
    """Name each cluster by the value of most of its documents; else by the two or three that most have together, or by
    the words that the values of most share.

    Where several have the same, the one with most documents of it has the plain name, and the others add the value that
    comes next, or a number. Clusters of `same` have their name already.
    """
    found, described = values.counted(labels, clusters), values.described(labels, clusters)
    heads = [_head(values, own, of) for own, of in zip(found, described, strict=True)]
    names = dict(same or {})
    used = {name.label.casefold() for name in names.values() if name.label}
    waiting = []
    for cluster in sorted(range(clusters), key=lambda cluster: (-heads[cluster].documents, cluster)):
        label = heads[cluster].text
        if cluster in names:
            continue
        if label.casefold() in used:
            waiting.append(cluster)
            continue
        names[cluster] = NamedByValue(label, _keywords(values, found[cluster], described[cluster]))
        used |= {label.casefold()} - {""}
    for cluster in waiting:
        forms = _distinct(values, heads[cluster], found[cluster], described[cluster])
        label = next(form for form in forms if form.casefold() not in used)
        names[cluster] = NamedByValue(label, _keywords(values, found[cluster], described[cluster]))
        used.add(label.casefold())
    return [names[cluster] for cluster in range(clusters)]


@dataclass(frozen=True, slots=True)
class _Head:
    """What most documents of a cluster are: the values of the name, or the words that values share."""

    text: str
    documents: int
    values: Sequence[int] = ()


def _head(values: Values, found: Sequence[tuple[int, int]], described: int) -> _Head:
    chosen, covered = list[int](), 0
    for value, held in found[:_MOST_JOINED]:
        least = _LARGE_SECOND if 2 * covered > described else _MINORITY
        if chosen and (covered >= _ENOUGH * described or held < least * described):
            break
        chosen.append(value)
        covered += held
    if 2 * covered <= described:
        shared = _shared(values, found, described)
        if shared is not None and shared.documents > covered:
            return shared
    return _Head(_joined([values.written[value] for value in chosen]), covered, chosen)


def _shared(values: Values, found: Sequence[tuple[int, int]], described: int) -> _Head | None:
    """The longest run of words that the values of more than half of the documents hold, of equals the most frequent."""
    held: Counter[tuple[str, ...]] = Counter()
    for value, documents in found:
        words = values.written[value].casefold().split()
        runs = {tuple(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
        for run in runs:
            if not {run[0], run[-1]} & _FUNCTION:
                held[run] += documents
    most = [run for run, documents in held.items() if 2 * documents > described]
    if not most:
        return None
    best = min(most, key=lambda run: (-len(run), -held[run], run))
    return _Head(_joined([" ".join(best)]), held[best])


def _distinct(values: Values, head: _Head, found: Sequence[tuple[int, int]], described: int) -> Iterator[str]:
    """Longer and longer names that all begin with what most of the documents are."""
    for value, held in found:
        if value not in head.values and held >= _MINORITY * described and len(head.values) < _MOST_JOINED:
            yield _joined([head.text, values.written[value]])
    yield from (f"{head.text[: _LONGEST_LABEL - 8]} {number}" for number in count(2))


def _joined(parts: Sequence[str]) -> str:
    """Those that fit into a label, with a capital."""
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        text = longer if len(longer) <= _LONGEST_LABEL else text
    return text[:1].upper() + text[1:]


def _keywords(values: Values, found: Sequence[tuple[int, int]], described: int) -> tuple[str, ...]:
    """The values of the cluster, without those that hardly a document has; long ones end at a word."""
    often = [value for value, held in found if held >= _KEYWORD_SHARE * described][:MOST_KEYWORDS]
    return tuple(dict.fromkeys(_shortened(values.written[value]) for value in often))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_KEYWORD else text[: LONGEST_KEYWORD + 1].rsplit(" ", 1)[0][:LONGEST_KEYWORD]

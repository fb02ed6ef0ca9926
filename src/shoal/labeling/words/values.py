"""Names from a field with few short values (product types, domains): the most frequent value in a cluster.

Such texts repeat, so documents are counted, not phrases: the most frequent value names the cluster, even if it already
names another one, since any other value is that of a minority.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from shoal.columns import Labels
from shoal.labeling.examples import capitalize, visible
from shoal.labeling.languages import LANGUAGES
from shoal.labeling.words.candidates import LONGEST_KEYWORD, MOST_KEYWORDS

__all__ = ["NamedByValue", "Values", "find_values", "name_by_values"]

_LONGEST_VALUE, _MOST_WORDS = 60, 9
_MOST_VALUES = 200
_REPEATS = 4
"""Average number of documents for each value from which texts are values, not repeated sentences."""

_MOST_JOINED = 3
_MINORITY = 0.1
"""The share of documents of a cluster below which a value is left out of its name."""
_SENTENCE_WORDS = 4
"""Number of words from which an article, pronoun or preposition makes a value a sentence."""
_LARGE_SECOND, _ENOUGH = 1 / 3, 2 / 3
"""The share from which a value is added to that of a majority, and the one from which a name needs no other value."""
_KEYWORD_SHARE = 0.02
_LONGEST_LABEL = 80
_FUNCTION = frozenset(word for language in LANGUAGES for word in language.function)
_PARTS = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Values:
    """The values of documents, as pairs of a row and a value."""

    written: Sequence[str]
    """Each in its most frequent spelling."""
    rows: Labels
    """(pairs,) int32"""
    numbers: Labels
    """(pairs,) int32, positions in `written`."""

    def count_values(self, labels: Labels, clusters: int) -> list[list[tuple[int, int]]]:
        """Return for each cluster its values with their number of documents, most frequent first, then by name."""
        own = labels[self.rows]
        width = len(self.written)
        pairs, counts = np.unique(own[own >= 0].astype(np.int64) * width + self.numbers[own >= 0], return_counts=True)
        values_of: list[list[tuple[int, int]]] = [[] for _ in range(clusters)]
        for pair, held in zip(pairs.tolist(), counts.tolist(), strict=True):
            values_of[pair // width].append((pair % width, held))
        return [sorted(each, key=lambda pair: (-pair[1], pair[0])) for each in values_of]

    def count_documents(self, labels: Labels, clusters: int) -> list[int]:
        """Count the documents of each cluster that have a value."""
        rows = np.unique(self.rows)
        own = labels[rows]
        count_documents: list[int] = np.bincount(own[own >= 0], minlength=clusters).tolist()
        return count_documents


@dataclass(frozen=True, slots=True)
class NamedByValue:
    """A label and keywords; both are empty if no document of the cluster has a value."""

    label: str
    keywords: tuple[str, ...]


def find_values(texts: Sequence[str]) -> Values | None:
    """Return the values in `texts`; None if these are sentences.

    There are at most 200 short values, with four documents each on average, and most of them occur more than once.
    Letter case, underscores and final punctuation are ignored in comparisons.
    """
    spellings: dict[str, Counter[str]] = {}
    parts_of: dict[str, list[str] | None] = {}
    pairs: list[tuple[int, str]] = []
    for row, text in enumerate(texts):
        if text not in parts_of:
            parts_of[text] = _parts(text)
            if len(parts_of) > _MOST_VALUES * _REPEATS:
                return None
        parts = parts_of[text]
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
    written = [min(spellings[key].items(), key=lambda pair: (-pair[1], pair[0]))[0] for key in keys]
    rows = np.array([row for row, _ in pairs], np.int32)
    return Values(written, rows, np.array([number[key] for _, key in pairs], np.int32))


def _is_sentence(value: str) -> bool:
    words = value.split()
    return len(words) >= _SENTENCE_WORDS and not _FUNCTION.isdisjoint(words)


def _parts(text: str) -> list[str] | None:
    """Return the values of a document; None if it is longer text."""
    if len(text) > _MOST_JOINED * _MOST_VALUES:
        return None
    parts = [" ".join(visible(part).replace("_", " ").split()).rstrip("?!.:;, ") for part in _PARTS.split(text)]
    parts = [part for part in parts if any(map(str.isalnum, part))]
    short = all(len(part) <= _LONGEST_VALUE and part.count(" ") < _MOST_WORDS for part in parts)
    return parts if short else None


def name_by_values(
    values: Values, labels: Labels, clusters: int, same: dict[int, NamedByValue] | None = None
) -> list[NamedByValue]:
    """Name each cluster by its majority value; else by the two or three most frequent values, or by words that the
    values of a majority share.

    If several clusters have the same name, the one with most documents keeps it, and the others add the next value, or
    a number. Clusters in `same` already have names.
    """
    counts, count_documents = values.count_values(labels, clusters), values.count_documents(labels, clusters)
    heads = [_head(values, own, of) for own, of in zip(counts, count_documents, strict=True)]
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
        names[cluster] = NamedByValue(label, _keywords(values, counts[cluster], count_documents[cluster]))
        used |= {label.casefold()} - {""}
    for cluster in waiting:
        forms = _distinct(values, heads[cluster], counts[cluster], count_documents[cluster])
        label = next(form for form in forms if form.casefold() not in used)
        names[cluster] = NamedByValue(label, _keywords(values, counts[cluster], count_documents[cluster]))
        used.add(label.casefold())
    return [names[cluster] for cluster in range(clusters)]


@dataclass(frozen=True, slots=True)
class _Head:
    """The beginning of the name of a cluster: its most frequent values, or the words that values share."""

    text: str
    documents: int
    values: Sequence[int] = ()


def _head(values: Values, counts: Sequence[tuple[int, int]], count_documents: int) -> _Head:
    chosen, covered = list[int](), 0
    for value, held in counts[:_MOST_JOINED]:
        least = _LARGE_SECOND if 2 * covered > count_documents else _MINORITY
        if chosen and (covered >= _ENOUGH * count_documents or held < least * count_documents):
            break
        chosen.append(value)
        covered += held
    if 2 * covered <= count_documents:
        shared = _find_shared_words(values, counts, count_documents)
        if shared is not None and shared.documents > covered:
            return shared
    return _Head(_join_values([values.written[value] for value in chosen]), covered, chosen)


def _find_shared_words(values: Values, counts: Sequence[tuple[int, int]], count_documents: int) -> _Head | None:
    """Find the longest run of words in the values of more than half of the documents, the most frequent of ties."""
    held: Counter[tuple[str, ...]] = Counter()
    for value, documents in counts:
        words = values.written[value].casefold().split()
        runs = {tuple(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
        for run in runs:
            if not {run[0], run[-1]} & _FUNCTION:
                held[run] += documents
    most = [run for run, documents in held.items() if 2 * documents > count_documents]
    if not most:
        return None
    best = min(most, key=lambda run: (-len(run), -held[run], run))
    return _Head(_join_values([" ".join(best)]), held[best])


def _distinct(values: Values, head: _Head, counts: Sequence[tuple[int, int]], count_documents: int) -> Iterator[str]:
    """Yield longer and longer names that begin with the head."""
    for value, held in counts:
        if value not in head.values and held >= _MINORITY * count_documents and len(head.values) < _MOST_JOINED:
            yield _join_values([head.text, values.written[value]])
    yield from (f"{head.text[: _LONGEST_LABEL - 8]} {number}" for number in count(2))


def _join_values(parts: Sequence[str]) -> str:
    """Join the values that fit into a label, and capitalise it."""
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        text = longer if len(longer) <= _LONGEST_LABEL else text
    return capitalize(text)


def _keywords(values: Values, counts: Sequence[tuple[int, int]], count_documents: int) -> tuple[str, ...]:
    """Return the values of the cluster without rare ones; long ones are cut between words."""
    often = [value for value, held in counts if held >= _KEYWORD_SHARE * count_documents][:MOST_KEYWORDS]
    return tuple(dict.fromkeys(_shorten(values.written[value]) for value in often))


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_KEYWORD else text[: LONGEST_KEYWORD + 1].rsplit(" ", 1)[0][:LONGEST_KEYWORD]

"""Removal of boilerplate: notices, signatures, navigation, and whatever else documents of many clusters repeat.

A sentence, or a line, is boilerplate if documents of many clusters contain it; in longer texts so is every run of a few
words, which finds notices that vary in a name or a date, and those without punctuation. Of a cluster nothing can be
said that most others say too, so nothing is lost that could name it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.text import SENTENCE, strip_markup
from shoal.scripts import ALONE

__all__ = ["LONG_TEXT", "drop_boilerplate"]

_BREAK = re.compile(r"[.!?]\s|[\n。！？]")
LONG_TEXT = 300
"""Characters from which runs of words are compared, not only sentences."""
_RUN, _RUN_OF_CHARACTERS = 5, 10
"""Words in a run, and characters in scripts without spaces."""
_LARGEST_GAP = 4
"""Words that vary within a sentence of boilerplate: a name, a date, a company."""
_SAMPLE = 1_000_000
"""Units that are counted."""
_FEWEST, _SHARE_OF_DOCUMENTS = 3, 0.01
_SHARE_OF_CLUSTER, _BEYOND_ITS_SIZE = 0.6, 0.1
_MANY_CLUSTERS = 10

_PIECE = re.compile(rf"[{ALONE}]|[^\s{ALONE}]+")
_DIGITS, _EDGES = re.compile(r"\d+"), " \t.,;:!?()[]{}<>\"'|*-_"

Units = NDArray[np.uint64]


def drop_boilerplate(texts: Sequence[str], labels: Labels) -> list[str]:
    """Remove what documents of many clusters repeat, and repeated sentences within a text.

    At least three, and 1 %, of the texts must contain a sentence or run, in at least half of the clusters (10 are
    enough), with at most 60 % of the texts in one cluster. A text of nothing but boilerplate is unchanged, and so is a
    text of one short sentence.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document; longer ones than naming reads are condensed first.
    labels : int32 array of shape (n,)
        The cluster of each document; no noise.
    """
    out = list(texts)
    several = [row for row, text in enumerate(texts) if _BREAK.search(text) or len(text) > LONG_TEXT]
    for row in several:
        if len(texts[row]) > LONG_TEXT:
            out[row] = strip_markup(texts[row])
    _drop(several, out, labels, _Sentences())
    _drop([row for row in several if len(out[row]) > LONG_TEXT], out, labels, _Runs())
    return [text if text.strip() else texts[row] for row, text in enumerate(out)]


def _drop(rows: Sequence[int], texts: list[str], labels: Labels, reader: "_Sentences | _Runs") -> None:
    """Remove the shared units of `texts[rows]` in place."""
    if not rows:
        return
    total = sum(len(texts[row]) for row in rows[:: max(len(rows) // 100, 1)]) * max(len(rows) // 100, 1)
    step = max(total // (reader.characters * _SAMPLE), 1)
    sample = rows[::step]
    shared = _find_shared([np.unique(reader.units(texts[row])) for row in sample], labels[np.array(sample)])
    for row in rows:
        kept = reader.drop(texts[row], shared)
        if kept.strip():
            texts[row] = kept


def _find_shared(units: Sequence[Units], labels: Labels) -> Units:
    """Return the units that documents of many clusters contain, ascending; `units` has each document's once."""
    every = np.concatenate(units)
    clusters = np.repeat(labels, [len(own) for own in units])
    order = np.lexsort((clusters, every))
    every, clusters = every[order], clusters[order]
    if not len(every):
        return every
    starts = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
    pairs = np.flatnonzero(np.concatenate([[True], (every[1:] != every[:-1]) | (clusters[1:] != clusters[:-1])]))
    totals, first = np.diff(np.append(starts, len(every))), np.searchsorted(pairs, starts)
    in_clusters = np.diff(np.append(pairs, len(every)))
    spread = np.diff(np.append(first, len(pairs)))
    sizes = np.bincount(labels).astype(np.float64)
    most = np.maximum(_SHARE_OF_CLUSTER, sizes / sizes.sum() + _BEYOND_ITS_SIZE)[clusters[pairs]]
    beyond = np.maximum.reduceat(in_clusters / np.repeat(totals, spread) - most, first)
    many = max(2, min((np.count_nonzero(sizes) + 1) // 2, _MANY_CLUSTERS))
    fewest = max(_FEWEST, _SHARE_OF_DOCUMENTS * len(units))
    return every[starts[(totals >= fewest) & (spread >= many) & (beyond <= 0)]]


def _contains(shared: Units, units: Units) -> NDArray[np.bool_]:
    if not len(shared):
        return np.zeros(len(units), np.bool_)
    return np.asarray(shared[np.minimum(np.searchsorted(shared, units), len(shared) - 1)] == units)


@dataclass(slots=True)
class _Numbers:
    """Random 64-bit numbers of words; letter case, digits and punctuation at the ends make no difference."""

    numbers: dict[str, int] = field(default_factory=dict)
    of_key: dict[str, int] = field(default_factory=dict)

    def look_up(self, words: Sequence[str]) -> Units:
        return _scatter(np.array([self._number(word) for word in words], np.uint64))

    def _number(self, word: str) -> int:
        number = self.numbers.get(word)
        if number is None:
            key = _DIGITS.sub("0", word.casefold()).strip(_EDGES)
            number = self.numbers[word] = self.of_key.setdefault(key, len(self.of_key) + 1)
        return number


def _scatter(numbers: Units) -> Units:
    """Spread consecutive numbers over 64 bits (splitmix64)."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


class _Sentences:
    """Sentences and lines as units."""

    characters = 40

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def units(self, text: str) -> Units:
        return self._numbers.look_up(SENTENCE.findall(text))

    def drop(self, text: str, shared: Units) -> str:
        """Remove shared sentences, and all but the first of equal ones."""
        sentences = SENTENCE.findall(text)
        numbers = self._numbers.look_up(sentences)
        keep = ~_contains(shared, numbers)
        first = np.zeros(len(numbers), np.bool_)
        first[np.unique(numbers, return_index=True)[1]] = True
        return "".join(sentence for sentence, kept in zip(sentences, (keep & first).tolist(), strict=True) if kept)


class _Runs:
    """Runs of words as units, or of characters in scripts without spaces."""

    characters = 6

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def units(self, text: str) -> Units:
        return self._runs(_PIECE.findall(text))[0]

    def drop(self, text: str, shared: Units) -> str:
        """Remove the words of shared runs, and a few words within a sentence of them."""
        pieces = [(match.start(), match.end()) for match in _PIECE.finditer(text)]
        runs, length = self._runs([text[start:end] for start, end in pieces])
        hits = np.flatnonzero(_contains(shared, runs))
        if not len(hits):
            return text
        change = np.zeros(len(pieces) + 1, np.int64)
        np.add.at(change, hits, 1)
        np.add.at(change, hits + length, -1)
        return _without(text, pieces, np.cumsum(change)[:-1] > 0)

    def _runs(self, pieces: Sequence[str]) -> tuple[Units, int]:
        """Return the number of each run of words, and how many words it has."""
        single = sum(len(piece) == 1 for piece in pieces)
        length = _RUN_OF_CHARACTERS if 2 * single > len(pieces) else _RUN
        if len(pieces) < length:
            return np.zeros(0, np.uint64), length
        numbers, runs = self._numbers.look_up(pieces), np.zeros(len(pieces) - length + 1, np.uint64)
        for position in range(length):
            runs = runs * np.uint64(1_000_003) + numbers[position : position + len(runs)]
        return runs, length


def _without(text: str, pieces: Sequence[tuple[int, int]], covered: NDArray[np.bool_]) -> str:
    """Return a text without the covered pieces, and without a few others between two of one sentence."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~covered, [False]]).astype(np.int8)))
    kept = list[str]()
    for first, last in pairwise(edges.tolist()):
        if covered[first]:
            continue
        start, end = pieces[first][0], pieces[last - 1][1]
        inside = first > 0 and last < len(pieces) and last - first <= _LARGEST_GAP
        if not (inside and not _BREAK.search(f"{text[pieces[first - 1][1] - 1 : end - 1]} ")):
            kept.append(text[start:end])
    return "\n".join(kept)

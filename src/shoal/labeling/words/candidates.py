"""Candidate labels of a cluster, best first, in the form in which its documents write them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.examples import capitalize
from shoal.labeling.words.phrases import Phrases
from shoal.labeling.words.scores import fitness
from shoal.labeling.words.tokens import TokenTable

__all__ = ["Candidate", "find_candidates", "keywords"]

LONGEST_KEYWORD = 40
MOST_KEYWORDS = 8

_CANDIDATES = 30
_OWN_WORDS = 0.5
_ABSORBED = 0.7
_LONE_CHARACTER = 0.5
_WORTH_TELLING = 0.03
_INNER_FUNCTION_WORD = 0.25
_TITLE_FACTOR = np.uint64(1_000_003)


@dataclass(slots=True)
class Candidate:
    phrase: int
    score: float
    """Relative to the best candidate of the cluster."""
    stems: frozenset[int]
    weight: float
    documents: float
    telling: float
    """Share of all documents with the phrase that are in this cluster."""
    coverage: float
    """Share of the documents of this cluster that contain the phrase."""
    label: str = ""
    keyword: str = ""

    @property
    def words(self) -> float:
        """Content words; function words in a whole question do not count."""
        return min(self.weight, float(len(self.stems)))


def find_candidates(
    phrases: Phrases, scores: NDArray[np.float64], table: TokenTable, labels: Labels
) -> list[list[Candidate]]:
    """Find the best phrases of each cluster, best first, in its own spelling.

    `scores` are aligned with `phrases.counts`, `labels` (n,) with the documents of the table; -1 is noise.
    """
    candidates = _candidates(phrases, scores, table)
    _write(candidates, phrases, table, labels)
    return candidates


def _candidates(phrases: Phrases, scores: NDArray[np.float64], table: TokenTable) -> list[list[Candidate]]:
    """Score the phrases of each cluster; return the best ones, best first."""
    form = fitness(phrases)
    total = np.bincount(phrases.counts.indices, weights=phrases.counts.data, minlength=phrases.counts.shape[1])
    stems: dict[int, frozenset[int]] = {}
    out = []
    for cluster in range(len(phrases.sizes)):
        entries = slice(phrases.counts.indptr[cluster], phrases.counts.indptr[cluster + 1])
        columns, values = phrases.counts.indices[entries], scores[entries]
        documents = phrases.counts.data[entries]
        best = np.argsort(-values * form[columns], kind="stable")[: 4 * _CANDIDATES]
        best = best[values[best] > 0]
        own = dict(zip(columns.tolist(), values.tolist(), strict=True))
        own_candidates = []
        for phrase, held in zip(columns[best].tolist(), documents[best].tolist(), strict=True):
            if phrase not in stems:
                stems[phrase] = phrases.stems(phrase, table)
            score = (own[phrase] + _OWN_WORDS * _mean_of_words(phrase, stems[phrase], own, phrases)) * form[phrase]
            weight = float(phrases.weights[phrase])
            coverage = held / max(float(phrases.sizes[cluster]), 1.0)
            own_candidates.append(Candidate(phrase, score, stems[phrase], weight, held, held / total[phrase], coverage))
        out.append(_strongest(own_candidates))
    return out


def _mean_of_words(phrase: int, stems: Iterable[int], own: dict[int, float], phrases: Phrases) -> float:
    if phrases.spans.remarks[phrases.first[phrase]]:
        return own[phrase]
    words = [own.get(int(phrases.word_phrase[stem]), 0.0) for stem in stems]
    return sum(words) / max(len(words), 1)


def _strongest(candidates: list[Candidate]) -> list[Candidate]:
    """Sort by score, scale scores to the best, and drop phrases if a longer one occurs in nearly the same documents."""
    candidates.sort(key=lambda each: (-each.score, each.phrase))
    whole = [each for each in candidates if each.weight != _LONE_CHARACTER] or candidates
    strongest: list[Candidate] = []
    for each in whole:
        if len(strongest) == _CANDIDATES:
            break
        size, held = len(each.stems), _ABSORBED * each.documents
        longer = (other.stems for other in candidates if len(other.stems) > size and other.documents >= held)
        if not any(each.stems < stems for stems in longer):
            strongest.append(each)
    strongest = [each for each in strongest if each.score >= _WORTH_TELLING * strongest[0].score]
    for each in reversed(strongest):
        each.score /= strongest[0].score
    return strongest


# ── how they are written ─────────────────────────────────────────────────────────────────────────────────────────────


def _write(candidates: list[list[Candidate]], phrases: Phrases, table: TokenTable, labels: Labels) -> None:
    """Set the most frequent spelling of each candidate in its cluster."""
    width = phrases.counts.shape[1]
    places = [cluster * width + each.phrase for cluster, own in enumerate(candidates) for each in own]
    spans = phrases.spans
    named = np.zeros(width, np.bool_)
    named[np.array(places, np.int64) % max(width, 1)] = True
    here = np.flatnonzero(named[phrases.phrase_of])
    place = labels[table.documents[spans.starts[here]]].astype(np.int64) * width + phrases.phrase_of[here]
    there = np.isin(place, np.array(places, np.int64))
    forms = _favourite_forms(place[there], here[there], phrases, table)
    for cluster, own in enumerate(candidates):
        for each in own:
            span = forms[cluster * width + each.phrase]
            start, length = int(spans.starts[span]), int(spans.lengths[span])
            each.keyword = table.phrase(start, length) if bool(spans.remarks[span]) else table.title(start, length)
            each.label = capitalize(each.keyword)


def _favourite_forms(
    place: NDArray[np.int64], spans: NDArray[np.int64], phrases: Phrases, table: TokenTable
) -> dict[int, int]:
    """Return for each place the span with its most frequent form; forms without inner function words are preferred.

    Forms with the same title are one: "book a flight" counts for "book flight".
    """
    titles, function_words = _titles(spans, phrases, table)
    inner = function_words & ~phrases.spans.remarks[spans]
    code = place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ titles
    # The first of equal codes stands for its title, whatever the order of rows: it has the smallest form.
    order = np.lexsort((phrases.spans.forms[spans], code))
    _, first, counts = np.unique(code[order], return_index=True, return_counts=True)
    first = order[first]
    value = counts * np.where(inner[first], _INNER_FUNCTION_WORD, 1.0) - 1e-3 * phrases.spans.lengths[spans[first]]
    order = np.lexsort((~titles[first], value, place[first]))
    return dict(zip(place[first[order]].tolist(), spans[first[order]].tolist(), strict=True))


def _titles(
    spans: NDArray[np.int64], phrases: Phrases, table: TokenTable
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return numbers that are equal for equal titles, and which titles have function words inside."""
    forms, _ = table.vocabulary.hash_words()
    starts, lengths = phrases.spans.starts[spans], phrases.spans.lengths[spans]
    titles, inner = np.zeros(len(spans), np.uint64), np.zeros(len(spans), np.bool_)
    for i in range(int(lengths.max(initial=0))):
        at = np.minimum(starts + i, len(table) - 1)
        shown = i < lengths
        if i:
            spare = ~phrases.spans.remarks[spans] & table.are_fillers(at)
            shown &= ~spare
        titles = np.where(shown, titles * _TITLE_FACTOR + forms[table.words[at]], titles)
        inner |= shown & ~phrases.content[at]
    return titles, inner


def keywords(candidates: list[Candidate]) -> tuple[str, ...]:
    """Return the best candidates that each add a word."""
    chosen: list[str] = []
    stems: set[int] = set()
    for each in candidates:
        fits = each.stems - stems and len(each.keyword) <= LONGEST_KEYWORD and each.keyword not in chosen
        if fits and len(chosen) < MOST_KEYWORDS:
            chosen.append(each.keyword)
            stems |= each.stems
    return tuple(chosen)

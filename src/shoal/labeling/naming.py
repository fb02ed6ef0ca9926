"""From scores to names: the best phrases of each cluster, as people write them, no two clusters called the same."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points
from shoal.labeling.boilerplate import drop_boilerplate
from shoal.labeling.numerals import topical_numerals
from shoal.labeling.phrases import Phrases, count_phrases
from shoal.labeling.scoring import fitness, nearest_clusters, score_phrases
from shoal.labeling.tokens import LONGEST_EXCERPT, LONGEST_TEXT, TokenTable, tokenize

__all__ = ["Name", "name_clusters"]

LONGEST_LABEL = 80
LONGEST_KEYWORD = 40
MOST_KEYWORDS = 8
DOCUMENTS_PER_CLUSTER = 2_000
TOKEN_BUDGET = 6_000_000
"""Words read of all documents together: bounds the memory at about 1 GB whatever the size of the set."""
FEWEST_DOCUMENTS = 30
"""Read of each cluster even where the budget is spent."""

_CANDIDATES = 30
_OWN_WORDS = 0.5
_ABSORBED = 0.7
_RIVAL = 0.35
_TELLING = 0.5
_SHARE_OF_TELLING, _SHARE_OF_VAGUE = 0.2, 0.08
_CLOSE = 0.3
_NEARLY_AS_GOOD = 0.8
_LONE_CHARACTER = 0.5
_WORTH_TELLING = 0.03
_INNER_FUNCTION_WORD = 0.25

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Name:
    """What to call a cluster."""

    label: str
    """1..80 characters, unlike that of any other cluster of the run; plain text, to be escaped where it is shown."""
    keywords: tuple[str, ...]
    """Up to 8 phrases of at most 40 characters, most telling first; empty where there was nothing to read."""


@dataclass(slots=True)
class _Candidate:
    phrase: int
    score: float
    """Relative to the best candidate of the cluster."""
    stems: frozenset[int]
    weight: float
    documents: float
    telling: float
    """Share of all documents with the phrase that are in this cluster."""
    label: str = ""
    keyword: str = ""


def name_clusters(
    texts: Sequence[str],
    labels: Labels,
    clusters: int,
    *,
    centroids: Points | None = None,
    progress: Progress | None = None,
) -> list[Name]:
    """Name each of the `clusters` from the words of its own documents.

    `texts` (n) and `labels` (n,) are aligned; -1 is noise and not read. `centroids` (k, d) tell which clusters are
    neighbours, whose phrases a name should avoid; without them shared words tell it. Equal texts count once for a
    cluster, and of large clusters an even sample is read. A cluster without a readable word is called "Cluster N".
    `progress` hears the fraction that is done and may raise to stop. The same input gives the same names.
    """
    report = progress or _silent
    rows = _rows_to_read(texts, labels, clusters)
    read = drop_boilerplate([texts[row] for row in rows], labels[rows], LONGEST_EXCERPT)
    numerals = topical_numerals(read, labels[rows], clusters)
    table = tokenize(read, lambda fraction: report(0.6 * fraction), numerals)
    report(0.6)
    candidates: list[list[_Candidate]] = [[] for _ in range(clusters)]
    if len(table):
        phrases = count_phrases(table, labels[rows], clusters)
        report(0.8)
        scores = score_phrases(phrases, nearest_clusters(phrases, centroids))
        candidates = _candidates(phrases, scores, table)
        _write(candidates, phrases, table, labels[rows])
        report(0.95)
    ranked = [_ranked(found) for found in candidates]
    report(1.0)
    return [Name(label, _keywords(found)) for label, found in zip(_distinct_labels(ranked), ranked, strict=True)]


def _silent(fraction: float) -> None:
    """The progress of somebody who does not want to know."""


# ── which documents to read ──────────────────────────────────────────────────────────────────────────────────────────


def _rows_to_read(texts: Sequence[str], labels: Labels, clusters: int) -> NDArray[np.int64]:
    """Ascending rows: no noise, no blank or repeated text within a cluster, an even sample of what is left."""
    seen: set[tuple[int, bytes]] = set()
    rows: list[int] = []
    for row in np.flatnonzero((labels >= 0) & (labels < clusters)).tolist():
        text = texts[row].strip().casefold()
        mark = (int(labels[row]), blake2b(text.encode("utf-8", "replace"), digest_size=12).digest())
        if text and mark not in seen:
            seen.add(mark)
            rows.append(row)
    kept = np.array(rows, np.int64)
    return _even_sample(kept, labels[kept], _documents_allowed(texts, kept, labels[kept], clusters))


def _documents_allowed(texts: Sequence[str], rows: NDArray[np.int64], labels: Labels, clusters: int) -> int:
    """Documents of one cluster that may be read within the budget of words."""
    if not len(rows):
        return DOCUMENTS_PER_CLUSTER
    probe = rows[:: max(len(rows) // 1000, 1)]
    words = float(np.mean([min(len(texts[row]) / 5 + 1, LONGEST_TEXT) for row in probe.tolist()]))
    sizes = np.bincount(labels, minlength=clusters)
    allowed = DOCUMENTS_PER_CLUSTER
    while allowed > FEWEST_DOCUMENTS and np.minimum(sizes, allowed).sum() * words > TOKEN_BUDGET:
        allowed = max(int(allowed * 0.8), FEWEST_DOCUMENTS)
    return allowed


def _even_sample(rows: NDArray[np.int64], labels: Labels, most: int) -> NDArray[np.int64]:
    order = np.argsort(labels, kind="stable")
    chosen = [
        group[np.linspace(0, len(group) - 1, most).astype(np.int64)] if len(group) > most else group
        for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    ]
    return rows[np.sort(np.concatenate(chosen))] if len(rows) else rows


# ── candidates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _candidates(phrases: Phrases, scores: NDArray[np.float64], table: TokenTable) -> list[list[_Candidate]]:
    """For each cluster its best phrases, best first."""
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
        found = []
        for phrase, held in zip(columns[best].tolist(), documents[best].tolist(), strict=True):
            if phrase not in stems:
                stems[phrase] = phrases.stems(phrase, table)
            score = (own[phrase] + _OWN_WORDS * _mean_of_words(phrase, stems[phrase], own, phrases)) * form[phrase]
            weight = float(phrases.weights[phrase])
            found.append(_Candidate(phrase, score, stems[phrase], weight, held, held / total[phrase]))
        out.append(_strongest(found))
    return out


def _mean_of_words(phrase: int, stems: Iterable[int], own: dict[int, float], phrases: Phrases) -> float:
    if phrases.spans.remarks[phrases.first[phrase]]:
        return own[phrase]
    words = [own.get(int(phrases.word_phrase[stem]), 0.0) for stem in stems]
    return sum(words) / max(len(words), 1)


def _strongest(found: list[_Candidate]) -> list[_Candidate]:
    """Best first, scores relative to the best; a phrase goes where a longer one stands in nearly the same documents."""
    found.sort(key=lambda each: (-each.score, each.phrase))
    whole = [each for each in found if each.weight != _LONE_CHARACTER] or found
    kept: list[_Candidate] = []
    for each in whole:
        if len(kept) == _CANDIDATES:
            break
        size, held = len(each.stems), _ABSORBED * each.documents
        longer = (other.stems for other in found if len(other.stems) > size and other.documents >= held)
        if not any(each.stems < stems for stems in longer):
            kept.append(each)
    kept = [each for each in kept if each.score >= _WORTH_TELLING * kept[0].score]
    for each in reversed(kept):
        each.score /= kept[0].score
    return kept


# ── how they are written ─────────────────────────────────────────────────────────────────────────────────────────────


def _write(candidates: list[list[_Candidate]], phrases: Phrases, table: TokenTable, labels: Labels) -> None:
    """Give each candidate the form in which its cluster writes it most."""
    width = phrases.counts.shape[1]
    wanted = [cluster * width + each.phrase for cluster, found in enumerate(candidates) for each in found]
    spans = phrases.spans
    place = labels[table.documents[spans.starts]].astype(np.int64) * width + phrases.phrase_of
    here = np.flatnonzero(np.isin(place, np.array(wanted, np.int64)))
    forms = _favourite_forms(place[here], here, phrases)
    for cluster, found in enumerate(candidates):
        for each in found:
            span = forms[cluster * width + each.phrase]
            start, length = int(spans.starts[span]), int(spans.lengths[span])
            each.keyword = table.phrase(start, length) if bool(spans.remarks[span]) else table.title(start, length)
            each.label = each.keyword[:1].upper() + each.keyword[1:]


def _favourite_forms(place: NDArray[np.int64], spans: NDArray[np.int64], phrases: Phrases) -> dict[int, int]:
    """For each place the span whose form is most frequent there; forms without function words inside are preferred."""
    all_spans = phrases.spans
    words = np.concatenate([[0], np.cumsum(~phrases.content)])
    starts, lengths = all_spans.starts[spans], all_spans.lengths[spans]
    inner = (words[starts + lengths] > words[starts]) & ~all_spans.remarks[spans]
    code = place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ all_spans.forms[spans]
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    value = counts * np.where(inner[first], _INNER_FUNCTION_WORD, 1.0) - 1e-3 * lengths[first]
    order = np.lexsort((-first, value, place[first]))
    return dict(zip(place[first[order]].tolist(), spans[first[order]].tolist(), strict=True))


def _keywords(found: list[_Candidate]) -> tuple[str, ...]:
    """The best candidates that add a word each."""
    chosen: list[str] = []
    known: set[int] = set()
    for each in found:
        fits = each.stems - known and len(each.keyword) <= LONGEST_KEYWORD and each.keyword not in chosen
        if fits and len(chosen) < MOST_KEYWORDS:
            chosen.append(each.keyword)
            known |= each.stems
    return tuple(chosen)


# ── which of them becomes the name ───────────────────────────────────────────────────────────────────────────────────


def _distinct_labels(ranked: list[list[_Candidate]]) -> list[str]:
    """One label a cluster. Of two that claim the same words the stronger claim wins; the other takes its next best."""
    labels: list[str | None] = [None] * len(ranked)
    words_used: set[frozenset[int]] = set()
    labels_used: set[str] = set()
    claims = [(each.score, -i, -cluster) for cluster, found in enumerate(ranked) for i, each in enumerate(found)]
    for score, i, c in sorted(claims, reverse=True):
        each, best = ranked[-c][-i], ranked[-c][0]
        free = each.stems not in words_used and each.label.casefold() not in labels_used
        if labels[-c] is None and free and score >= best.score - _RIVAL:
            labels[-c] = each.label
            words_used.add(each.stems)
            labels_used.add(each.label.casefold())
    for cluster, found in enumerate(ranked):
        if labels[cluster] is None:
            labels[cluster] = _told_apart(found, labels_used) or f"Cluster {cluster}"
            labels_used.add(str(labels[cluster]).casefold())
    return [str(label) for label in labels]


def _ranked(found: list[_Candidate]) -> list[_Candidate]:
    """Candidates short enough for a label; before a single word a phrase with it that says more, where there is one."""
    found = [each for each in found if 0 < len(each.label) <= LONGEST_LABEL]
    if not found or found[0].weight > 1:
        return found
    head = found[0]
    share = _SHARE_OF_TELLING if head.telling > _TELLING else _SHARE_OF_VAGUE
    for each in found[1:]:
        enough = max(share * head.documents, min(2, head.documents))
        longer = each.stems > head.stems and each.score >= _CLOSE and each.documents >= enough
        if longer or (each.weight > 1 and each.score >= _NEARLY_AS_GOOD):
            return [replace(each, score=head.score), *(other for other in found if other is not each)]
    return found


def _told_apart(found: list[_Candidate], used: set[str]) -> str | None:
    """What is left for a cluster whose names are taken: a longer form of its best one, or that with a keyword."""
    if not found:
        return None
    head = found[0]
    longer = [each.label for each in found if each.stems > head.stems]
    extended = [f"{head.label} ({each.keyword})" for each in found if not each.stems & head.stems]
    for label in longer + extended:
        if len(label) <= LONGEST_LABEL and label.casefold() not in used:
            return label
    return None

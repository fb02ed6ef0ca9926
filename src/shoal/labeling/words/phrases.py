"""Extraction of candidate phrases, and the number of documents of each cluster that contain them.

There are two kinds. A *term* is a run of 1 to 5 words that neither begins nor ends with a function word. Its key is the
sum of random 64-bit numbers of its content stems, so that "lost my luggage" and "luggage lost" are one phrase; the
forms are only distinguished for display. A *remark* is a short segment of text as a whole ("how old are you").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.words.common_words import evenly_used
from shoal.labeling.words.negation import after, before, find_reversed, find_trailing_negations, find_unfinished
from shoal.labeling.words.tokens import Role, TokenTable

__all__ = ["Phrases", "count_phrases"]

LONGEST_TERM = 5
LONGEST_GLUED = 8
"""In scripts without spaces a token is one character."""
LONGEST_REMARK = 6
FEW_DOCUMENTS = 6
"""In a smaller cluster a phrase may occur in one document only."""

_REMARK_KEY = np.uint64(0x9E3779B97F4A7C15)
_FORM_FACTOR = np.uint64(1_000_003)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Occurrences (s of them), aligned (s,) arrays."""

    keys: Keys
    """Equal for occurrences of one phrase."""
    starts: Ints
    """Positions in the token table."""
    lengths: Ints
    """Words, including function words."""
    forms: Keys
    """Equal for occurrences of the same words in the same order."""
    remarks: Bools

    def keep(self, chosen: Bools | Ints) -> "Spans":
        return Spans(
            self.keys[chosen], self.starts[chosen], self.lengths[chosen], self.forms[chosen], self.remarks[chosen]
        )

    @staticmethod
    def join(parts: "list[Spans]") -> "Spans":
        return Spans(
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.forms for part in parts]),
            np.concatenate([part.remarks for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases (p of them) of k clusters."""

    counts: sp.csr_matrix[np.float32]
    """(k, p) documents of the cluster that contain the phrase."""
    sizes: NDArray[np.float64]
    """(k,) documents."""
    spans: Spans
    phrase_of: Ints
    """(s,) the phrase of each occurrence."""
    held: tuple[Ints, Ints]
    """Two aligned arrays: each phrase of each document once, and that document."""
    first: Ints
    """(p,) one occurrence of each phrase."""
    weights: NDArray[np.float64]
    """(p,) content words; a character of a script without spaces counts half, a run of katakana one."""
    finished: NDArray[np.float64]
    """(p,) share of occurrences that no content word follows: low for truncated phrases."""
    content: Bools
    """(t,) which words of the table are content words."""
    word_phrase: Ints
    """(stem_count,) the phrase that consists of this stem alone, or -1."""

    def stems(self, phrase: int, table: TokenTable) -> frozenset[int]:
        """Return the content stems of a phrase; all stems of a remark without content words."""
        start = self.spans.starts[self.first[phrase]]
        window = slice(start, start + self.spans.lengths[self.first[phrase]])
        stems = table.vocabulary.stems[table.words[window]]
        content = self.content[window]
        return frozenset((stems[content] if content.any() else stems).tolist())

    def recount(self, labels: Labels, clusters: int) -> "Phrases":
        """Count the same phrases in another clustering of the documents; `labels` (n,) may have noise (-1)."""
        sizes = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.float64)
        return replace(self, counts=_counts(self.held, labels, (clusters, len(self.first))), sizes=sizes)


@dataclass(frozen=True, slots=True)
class _Words:
    """The roles of the t words of the table, and their places in segments."""

    stems: Ints
    roles: NDArray[np.int32]
    segments: Ints
    content: Bools
    begins: Bools
    ends: Bools
    barrier: Bools
    joined: Bools
    opener: Bools
    strong: Bools
    """A content word that is neither a negation nor a particle."""
    reversed: Bools
    """Negated by a word before it."""
    negated_at: Ints
    """The place of the word after it that negates it, else its own."""
    segment_begins: Bools
    segment_ends: Bools
    sentence_begins: Bools
    """The first word of a segment, unless something before it was left out."""
    sentence_ends: Bools
    asks: Bools
    """A whole question may begin here: "where", "por qué", or "is" that no other question word is before."""
    governed: Bools
    """Behind a preposition, and so no subject of what follows."""
    dependent: Bools
    """A negation between its verb and a function word: "pas" in "n'arrive pas à"."""
    questioned: Bools
    """Belongs to the question word before it: "what time"."""

    def has(self, role: Role) -> Bools:
        return (self.roles & int(role)) > 0


def count_phrases(table: TokenTable, labels: Labels, clusters: int, others: Sequence[Labels] = ()) -> Phrases:
    """Find the candidates in all documents of `table` and count them; those labelled -1 only occur in
    `Phrases.held`. `others` are further
    clusterings of the same documents (n,), where -1 is noise, in which they will be counted too (`Phrases.recount`)."""
    sizes = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.float64)
    words = _words(table, evenly_used(table, [labels, *others]))
    spans, finished = _spans(table, words, _smallest_clusters([labels, *others]))
    _, first, phrase_of = np.unique(spans.keys, return_index=True, return_inverse=True)
    held = _held(table, spans, phrase_of)
    total = np.maximum(np.bincount(phrase_of, minlength=len(first)), 1)
    word_phrase = np.full(table.vocabulary.stem_count, -1, np.int64)
    single = np.flatnonzero((spans.lengths[first] == 1) & ~spans.remarks[first])
    word_phrase[words.stems[spans.starts[first[single]]]] = single
    return Phrases(
        counts=_counts(held, labels, (clusters, len(first))),
        sizes=sizes,
        spans=spans,
        phrase_of=phrase_of,
        held=held,
        first=first,
        weights=_weights(words, spans.keep(first)),
        finished=np.bincount(phrase_of, weights=finished, minlength=len(first)) / total,
        content=words.content,
        word_phrase=word_phrase,
    )


# ── what each word may do ────────────────────────────────────────────────────────────────────────────────────────────


def _words(table: TokenTable, common: Bools) -> _Words:
    vocabulary, segments = table.vocabulary, table.segments
    stems, roles = vocabulary.stems[table.words], vocabulary.roles[table.words]

    def has(role: Role) -> Bools:
        return (roles & int(role)) > 0

    opens = np.ones(len(table), np.bool_)
    opens[1:] = segments[1:] != segments[:-1]
    closes = np.roll(opens, -1)
    negation = has(Role.NEGATION) | has(Role.TRAILING_NEGATION)
    measured = before(has(Role.MEASURE), opens)
    degree = has(Role.DEGREE) & measured
    tied = has(Role.TIED) & before(has(Role.PHRASAL), opens)
    content = (~has(Role.FUNCTION) & ~(common & ~negation)) | negation | degree | tied
    joined, particle, modifier = has(Role.JOINED), has(Role.PARTICLE) | tied, has(Role.MODIFIER)
    inner_joint = np.roll(joined & ~opens, -1)
    tags = has(Role.CONTRACTED) & after(has(Role.DETERMINER | Role.BARRIER), closes)
    # "how bad is" begins with its question word, but "wie setze ich" is the rest of a longer question.
    measures = content & measured & (degree | ~after(has(Role.BARRIER), closes))
    opener, governed = has(Role.OPENER), before(has(Role.PREPOSITION), opens)
    leads = has(Role.PREPOSITION) & after(opener & has(Role.BARRIER), closes) & opens
    return _Words(
        stems=stems,
        roles=roles,
        segments=segments,
        content=content,
        begins=(content & ~particle & ~joined & ~measured & ~tags) | after(measures, closes),
        ends=content & ~inner_joint & ~has(Role.NEGATION) & ~modifier & ~find_unfinished(roles, content, opens, closes),
        barrier=has(Role.BARRIER) & ~before(has(Role.NEGATION), opens),
        joined=joined,
        opener=opener,
        strong=content & ~negation & ~particle & ~degree & ~modifier,
        reversed=find_reversed(roles, content, opens, closes),
        negated_at=find_trailing_negations(roles, content, closes),
        segment_begins=opens,
        segment_ends=closes,
        sentence_begins=opens & ~table.after_gap,
        sentence_ends=closes & ~table.before_gap,
        asks=(opener & (has(Role.BARRIER) | _are_first(opener, opens)) & ~governed) | leads,
        governed=governed,
        dependent=has(Role.TRAILING_NEGATION) & before(content, opens) & after(~content, closes),
        questioned=before(opener, opens),
    )


def _are_first(mask: Bools, opens: Bools) -> Bools:
    """Return which words of the mask are the first such of their segment."""
    earlier: Ints = np.cumsum(mask) - mask
    start = np.maximum.accumulate(np.where(opens, np.arange(len(mask)), 0))
    return np.asarray(mask & (earlier == earlier[start]))


def _smallest_clusters(partitions: Sequence[Labels]) -> NDArray[np.float64]:
    """Return (n,) the size of the smallest cluster of each document."""
    smallest = np.full(len(partitions[0]), np.inf)
    for labels in partitions:
        sizes = np.bincount(labels[labels >= 0], minlength=1).astype(np.float64)
        smallest = np.minimum(smallest, np.where(labels >= 0, sizes[np.maximum(labels, 0)], np.inf))
    return smallest


# ── occurrences ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _spans(table: TokenTable, words: _Words, sizes: NDArray[np.float64]) -> tuple[Spans, Bools]:
    """Return all occurrences of sufficiently frequent phrases, and which of them are complete.

    `sizes` (n,) are those of the clusters of the documents.
    """
    stem_count = table.vocabulary.stem_count
    forms_of_words, stems_of_words = table.vocabulary.hash_words()
    hashes, forms = stems_of_words[table.words], forms_of_words[table.words]
    glued = words.has(Role.GLUED)
    # A fragment of a script without spaces counts as a word only if it recurs.
    tiny = np.where(glued, sizes[table.documents] < 2, sizes[table.documents] < FEW_DOCUMENTS)
    rare = (np.bincount(words.stems, minlength=stem_count) < 2)[words.stems] & words.content & ~tiny
    sums = _Sums(words, rare, glued)
    longest = LONGEST_GLUED if glued.any() else LONGEST_REMARK
    content = np.where(words.content, hashes, np.uint64(0))
    parts: list[Spans] = []
    for length in range(1, longest + 1):
        terms = _make_spans(sums.terms(length), length, content, forms, glued)
        remarks = _make_spans(sums.remarks(length), length, hashes, forms, glued)
        remarks = replace(remarks, keys=remarks.keys ^ _REMARK_KEY, remarks=~remarks.remarks)
        parts += [_drop_single(terms, tiny), _drop_single(remarks, tiny)]
    spans = Spans.join(parts)
    last = spans.starts + spans.lengths - 1
    follows = words.content | words.has(Role.LIGHT | Role.DETERMINER)
    return spans, ~after(follows, words.segment_ends)[last]


class _Sums:
    """Prefix sums over the words, to count the words of a kind in any span."""

    def __init__(self, words: _Words, rare: Bools, glued: Bools) -> None:
        self.words = words
        self.rare, self.stopped, self.barriers, self.strong, self.content, self.alone, self.openers, self.negations = (
            np.concatenate([[0], np.cumsum(mask)])
            for mask in (
                rare,
                words.has(Role.STOPPED),
                words.barrier,
                words.strong,
                words.content,
                ~glued,
                words.opener,
                words.has(Role.NEGATION | Role.TRAILING_NEGATION),
            )
        )

    def terms(self, length: int) -> Ints:
        """Return the starts of terms with this many words."""
        words, n = self.words, len(self.words.stems)
        if length > n:
            return np.zeros(0, np.int64)
        start = np.flatnonzero(words.begins[: n - length + 1])
        last = start + length - 1
        good = words.ends[last] & (words.segments[start] == words.segments[last]) & ~words.reversed[start]
        start, last = start[good], last[good]
        good = (self.rare[last + 1] == self.rare[start]) & (self.stopped[last + 1] == self.stopped[start])
        good &= self.strong[last + 1] > self.strong[start]
        good &= self.barriers[last] <= self.barriers[np.minimum(start + 1, last)]
        good &= (words.negated_at[start] <= last) & (words.negated_at[last] <= last)
        denies = self.negations[last + 1] > self.negations[start + 1]
        good &= ~words.dependent[start] & ~(words.governed[start] & denies)
        good &= ~words.questioned[start] | (self.openers[last + 1] == self.openers[start])
        if length > LONGEST_TERM:
            good &= self.alone[last + 1] == self.alone[start]
        return np.asarray(start[good])

    def remarks(self, length: int) -> Ints:
        """Return the starts of remarks with this many words: whole sentences, or whole questions at the end of one."""
        words, n = self.words, len(self.words.stems)
        if length > min(n, LONGEST_REMARK):
            return np.zeros(0, np.int64)
        start = np.flatnonzero((words.sentence_begins | words.asks)[: n - length + 1])
        last = start + length - 1
        good = words.sentence_ends[last] & (words.segments[start] == words.segments[last]) & ~words.reversed[start]
        good &= (words.negated_at[start] <= last) & (words.negated_at[last] <= last)
        good &= ~(words.begins[start] & words.ends[last]) & (self.rare[last + 1] == self.rare[start])
        good &= self.stopped[last + 1] == self.stopped[start]
        # "Is my card here?" is a question, "is wrong" is not.
        verb = words.opener & ~words.has(Role.BARRIER)
        good &= ~(verb & after(words.content, words.segment_ends))[start]
        has_content = self.content[last + 1] > self.content[start]
        dangling = words.has(Role.DETERMINER | Role.PREPOSITION | Role.MODIFIER)
        if length == 1:
            return np.asarray(start[good & ~(dangling | words.opener)[start]])
        good &= (
            (has_content | (length > 2))
            & (words.asks | words.opener | (words.content & ~dangling))[start]
            & ~dangling[last]
        )
        return np.asarray(start[good])


def _make_spans(starts: Ints, length: int, hashes: Keys, forms: Keys, glued: Bools) -> Spans:
    """Build occurrences with their keys, as terms.

    A run with a repeated word is not a phrase ("card to card"). For characters of a script without spaces order
    matters, and repetition is allowed.
    """
    keys, order = np.zeros(len(starts), np.uint64), np.zeros(len(starts), np.uint64)
    twice = np.zeros(len(starts), np.bool_)
    for i in range(length):
        own = hashes[starts + i]
        for j in range(i):
            twice |= (hashes[starts + j] == own) & (own > 0) & ~glued[starts + i]
        keys += own
        order = order * _FORM_FACTOR + forms[starts + i]
    keys = np.where(glued[starts] & (length > 1), order, keys)
    return Spans(keys, starts, np.full(len(starts), length, np.int64), order, np.zeros(len(starts), np.bool_)).keep(
        ~twice
    )


def _drop_single(spans: Spans, tiny: Bools) -> Spans:
    """Drop phrases that occur once, except in tiny clusters: they cannot name anything."""
    if not len(spans.keys):
        return spans
    _, inverse, counts = np.unique(spans.keys, return_inverse=True, return_counts=True)
    return spans.keep((counts[inverse] > 1) | tiny[spans.starts])


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _held(table: TokenTable, spans: Spans, phrase_of: Ints) -> tuple[Ints, Ints]:
    """Return each phrase of each document once, and the document."""
    texts = max(table.texts, 1)
    phrases, documents = np.divmod(np.unique(phrase_of * np.int64(texts) + table.documents[spans.starts]), texts)
    return phrases, documents


def _counts(held: tuple[Ints, Ints], labels: Labels, shape: tuple[int, int]) -> "sp.csr_matrix[np.float32]":
    """Count (k, p) documents: each counts once for each of its phrases; noise does not count."""
    phrases, documents = held
    clusters = labels[documents]
    if (labels < 0).any():
        phrases, clusters = phrases[clusters >= 0], clusters[clusters >= 0]
    counts = sp.csr_matrix((np.ones(len(phrases), np.float32), (clusters, phrases)), shape=shape)
    counts.sum_duplicates()
    return counts


def _weights(words: _Words, phrases: Spans) -> NDArray[np.float64]:
    character = words.has(Role.GLUED) & ~words.has(Role.UNSPACED_WORD)
    weight = np.where(words.content, np.where(character, 0.5, 1.0), 0.0)
    total = np.concatenate([[0.0], np.cumsum(weight)])
    inside = total[phrases.starts + phrases.lengths] - total[phrases.starts]
    return np.where(phrases.remarks, phrases.lengths.astype(np.float64), inside)

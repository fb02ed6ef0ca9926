"""Choice of the label among candidates: labels are unique in a layer, and differ between a cluster and its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from shoal.labeling.examples import capitalize
from shoal.labeling.words.candidates import Candidate

__all__ = ["Kin", "Label", "choose_labels", "prefer_own", "rank_candidates"]

LONGEST_LABEL = 80

_RIVAL = 0.35
_SPEAKS_FOR = 0.35
"""Minimum share of the documents of a cluster with several parts that contain a phrase that represents it."""
_LONGER = 0.05
"""Minimum share of the documents of a word that contain the longer phrase which replaces it as a label."""
_CLOSE = 0.3
_NEARLY_AS_GOOD = 0.8
_MOST_JOINED, _JOINED_SHARE = 3, 0.6
_RARE, _SECOND = 0.03, 0.06
"""Shares of the documents of a cluster below which a phrase does not name it if another can, and below which it needs a
second phrase."""
_GAIN = 1.5
_FAIR = 0.2
"""The relative score from which a more frequent phrase replaces a rare one."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label, the stems of its words (none if it combines other labels), and its first phrase as written in texts."""

    text: str
    stems: frozenset[int] = frozenset()
    phrase: str = ""
    coverage: float = 0.0
    """Upper bound of the share of documents of the cluster that contain one of its phrases."""
    more: frozenset[int] = frozenset()
    """The stems of further phrases in the text."""

    @property
    def words(self) -> frozenset[int]:
        """The stems of all words."""
        return self.stems | self.more


@dataclass(frozen=True, slots=True)
class Kin:
    """Constraints from the labels of other layers: for each cluster the labels of its parts (`below`) or of its parent
    (`above`), and the labels of clusters with the same members there (`same`)."""

    below: Sequence[Sequence[tuple[int, Label]]] = ()
    """With the number of documents of each, largest first."""
    deeper: Sequence[set[frozenset[int]]] = ()
    """With `below`: the words of the labels of everything below each cluster."""
    above: Sequence[Sequence[Label]] = ()
    same: Mapping[int, Label] | None = None

    def allows(self, cluster: int, candidate: Candidate) -> bool:
        """Whether a candidate is broader than the labels below, and narrower than those above."""
        if candidate.label.casefold() in self.texts(cluster):
            return False
        if self.above and any(candidate.stems <= label.stems for label in self.above[cluster]):
            return False
        if not self.below:
            return True
        size = sum(size for size, _ in self.below[cluster])
        if candidate.stems in self.deeper[cluster]:
            return False
        broader = not any(candidate.stems >= label.stems > set() for _, label in self.below[cluster])
        return broader and candidate.documents >= _SPEAKS_FOR * size

    def texts(self, cluster: int) -> set[str]:
        """Return the labels of the parent and the parts of a cluster, case-folded."""
        above, below = self.above[cluster] if self.above else (), self.below[cluster] if self.below else ()
        return {label.text.casefold() for label in (*above, *(label for _, label in below))}


def choose_labels(candidates: Sequence[list[Candidate]], kin: Kin = Kin()) -> list[Label]:
    """Choose one label for each cluster. Of two with the same words the higher score wins; the other takes its next
    best."""
    order = [
        rank_candidates(_held([each for each in options if kin.allows(c, each)]))
        for c, options in enumerate(candidates)
    ]
    labels = dict(kin.same or {})
    words_used = {label.stems for label in labels.values()}
    texts_used = {label.text.casefold() for label in labels.values()}
    claims = [(each.score, -i, -cluster) for cluster, options in enumerate(order) for i, each in enumerate(options)]
    for score, i, c in sorted(claims, reverse=True):
        each = order[-c][-i]
        # If the best phrase is the label of a part, the labels of the parts together say more than the next best.
        best = candidates[-c][0] if kin.below else order[-c][0]
        free = each.stems not in words_used and each.label.casefold() not in texts_used
        if -c not in labels and free and score >= best.score - _RIVAL:
            labels[-c] = _support_label(each, order[-c], candidates[-c], texts_used)
            words_used.add(each.stems)
            texts_used |= {each.label.casefold(), labels[-c].text.casefold()}
    for cluster, options in enumerate(candidates):
        if cluster not in labels:
            below = kin.below[cluster] if kin.below else ()
            taken = texts_used | kin.texts(cluster)
            above = kin.above[cluster] if kin.above else ()
            label = (
                _join_parts(below, taken)
                or _extend_label(rank_candidates(options), taken)
                or _number_label(above, taken)
            )
            labels[cluster] = label or Label(f"Cluster {cluster}")
            texts_used.add(labels[cluster].text.casefold())
    return [labels[cluster] for cluster in range(len(candidates))]


def _held(candidates: list[Candidate]) -> list[Candidate]:
    """Drop candidates that hardly any document of the cluster contains, if others are good enough."""
    often = [each for each in candidates if each.coverage >= _RARE]
    return often if often and often[0].score >= _FAIR else candidates


def _support_label(head: Candidate, options: Sequence[Candidate], every: Sequence[Candidate], used: set[str]) -> Label:
    """Build the label of a phrase; if few documents contain it, add the next phrase with other words."""
    label = Label(head.label, head.stems, head.keyword, head.coverage)
    if head.coverage >= _SECOND:
        return label
    longer = [each for each in every if each.stems > head.stems and 2 * each.documents >= head.documents]
    base = longer[0].label if longer else head.label
    for each in options:
        text, both = f"{base}, {each.keyword}", head.stems | each.stems
        apart = not each.stems & head.stems and not any(other.stems >= both for other in every)
        if apart and each.score >= _FAIR and len(text) <= LONGEST_LABEL and text.casefold() not in used:
            coverage = min(head.coverage + each.coverage, 1.0)
            return replace(label, text=text, coverage=coverage, more=each.stems)
    return label


def prefer_own(own: Sequence[Label], shared: Sequence[Label]) -> list[Label]:
    """Choose for broad clusters their `own` label if it represents them, else the one from their parts if more
    documents contain it; labels stay unique."""
    chosen = [
        label
        if not other.phrase or label.coverage >= _SPEAKS_FOR or _GAIN * label.coverage >= other.coverage
        else other
        for label, other in zip(own, shared, strict=True)
    ]
    texts = [label.text.casefold() for label in chosen]
    return chosen if len(set(texts)) == len(texts) else list(own)


def _join_parts(parts: Sequence[tuple[int, Label]], used: set[str]) -> Label | None:
    """Join the labels of the two or three largest parts, if no phrase represents all parts."""
    named = [(size, label) for size, label in parts if label.phrase]
    total, held, phrases = sum(size for size, _ in parts), 0, list[str]()
    for size, label in named:
        if len(phrases) >= 2 and (held >= _JOINED_SHARE * total or len(phrases) == _MOST_JOINED):
            break
        if label.phrase not in phrases:
            phrases.append(label.phrase)
        held += size
    while len(phrases) > 2 and len(", ".join(phrases)) > LONGEST_LABEL:
        phrases.pop()
    text = ", ".join(phrases)
    text = capitalize(text)
    if len(phrases) < 2 or len(text) > LONGEST_LABEL or text.casefold() in used:
        return None
    covered = sum(size * label.coverage for size, label in named if label.phrase in phrases)
    words = frozenset[int]().union(*(label.words for _, label in named if label.phrase in phrases))
    return Label(text, frozenset(), phrases[0], covered / max(total, 1), words)


def _number_label(above: Sequence[Label], used: set[str]) -> Label | None:
    """Number the label of the parent, if its parts have the same words."""
    for label in above:
        if label.phrase:
            texts = (f"{label.text[: LONGEST_LABEL - 8]} {number}" for number in count(1))
            text = next(text for text in texts if text.casefold() not in used)
            return Label(text, frozenset(), label.phrase, more=label.words)
    return None


def rank_candidates(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates that are short enough for a label, with a longer phrase before a single word that it
    contains."""
    candidates = [each for each in candidates if 0 < len(each.label) <= LONGEST_LABEL]
    candidates = [
        each for each in candidates if any(map(str.isalpha, each.label))
    ] or candidates  # "1099" says less than "tax form"
    if not candidates or candidates[0].weight > 1:
        return candidates
    head = candidates[0]
    enough = max(_LONGER * head.documents, min(2, head.documents))
    longer = [
        each for each in candidates if each.stems > head.stems and each.score >= _CLOSE and each.documents >= enough
    ]
    better = [each for each in candidates[1:] if each.words > 1 and each.score >= _NEARLY_AS_GOOD]
    if not longer and not better:
        return candidates
    best = max(longer, key=lambda each: each.documents * each.score) if longer else better[0]
    return [replace(best, score=head.score), *(other for other in candidates if other is not best)]


def _extend_label(candidates: list[Candidate], used: set[str]) -> Label | None:
    """Extend the best candidate of a cluster whose labels are taken: to a longer phrase, or by a keyword."""
    if not candidates:
        return None
    head = candidates[0]
    longer = [(each.label, each) for each in candidates if each.stems > head.stems]
    extended = [(f"{head.label} ({each.keyword})", each) for each in candidates if not each.stems & head.stems]
    for label, each in longer + extended:
        if len(label) <= LONGEST_LABEL and label.casefold() not in used:
            return Label(label, frozenset(), head.keyword, more=head.stems | each.stems)
    return None

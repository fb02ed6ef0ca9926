"""Which candidate becomes the name: no two clusters of a layer are called the same, and a cluster and what it divides
into are not either."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from shoal.labeling.words.candidates import Candidate

__all__ = ["Kin", "Label", "choose_labels", "ranked", "spoken_for"]

LONGEST_LABEL = 80

_RIVAL = 0.35
_SPEAKS_FOR = 0.35
"""Of its documents, what a phrase has to be in to speak for a cluster of several parts."""
_TELLING = 0.5
_SHARE_OF_TELLING, _SHARE_OF_VAGUE = 0.2, 0.08
_CLOSE = 0.3
_NEARLY_AS_GOOD = 0.8
_MOST_JOINED, _JOINED_SHARE = 3, 0.6
_RARE, _SECOND = 0.03, 0.06
"""Of the documents of a cluster, what holds a phrase that cannot name it where another can, and one that needs a
second phrase beside it."""
_GAIN = 1.5
_FAIR = 0.2
"""The score, of the best, from which a phrase that more documents hold stands for one that is rare."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name, the stems of its words, none where it is put together of others, and the phrase that it begins with as
    texts write it, empty where there is none."""

    text: str
    stems: frozenset[int] = frozenset()
    phrase: str = ""
    coverage: float = 0.0
    """Share of the documents of the cluster that hold one of its phrases, at most."""


@dataclass(frozen=True, slots=True)
class Kin:
    """What the names of other layers ask of a layer: for each cluster the names of what it divides into (`below`) or of
    what it is a part of (`above`), and the names of clusters that are the same one there (`same`)."""

    below: Sequence[Sequence[tuple[int, Label]]] = ()
    """With the documents of each, largest first."""
    deeper: Sequence[set[frozenset[int]]] = ()
    """With `below`: the words of the names of everything below each cluster."""
    above: Sequence[Sequence[Label]] = ()
    same: Mapping[int, Label] | None = None

    def allows(self, cluster: int, candidate: Candidate) -> bool:
        """Whether it is broader than the names below, and narrower than those above."""
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
        """The names next to a cluster, case-folded."""
        above, below = self.above[cluster] if self.above else (), self.below[cluster] if self.below else ()
        return {label.text.casefold() for label in (*above, *(label for _, label in below))}


def choose_labels(candidates: Sequence[list[Candidate]], kin: Kin = Kin()) -> list[Label]:
    """One label a cluster. Of two that claim the same words the stronger claim wins; the other takes its next best."""
    order = [ranked(_held([each for each in found if kin.allows(c, each)])) for c, found in enumerate(candidates)]
    labels = dict(kin.same or {})
    words_used = {label.stems for label in labels.values()}
    texts_used = {label.text.casefold() for label in labels.values()}
    claims = [(each.score, -i, -cluster) for cluster, found in enumerate(order) for i, each in enumerate(found)]
    for score, i, c in sorted(claims, reverse=True):
        each = order[-c][-i]
        # Where the best phrase is the name of a part, the names of the parts together say more than the next best.
        best = candidates[-c][0] if kin.below else order[-c][0]
        free = each.stems not in words_used and each.label.casefold() not in texts_used
        if -c not in labels and free and score >= best.score - _RIVAL:
            labels[-c] = _supported(each, order[-c], candidates[-c], texts_used)
            words_used.add(each.stems)
            texts_used |= {each.label.casefold(), labels[-c].text.casefold()}
    for cluster, found in enumerate(candidates):
        if cluster not in labels:
            below = kin.below[cluster] if kin.below else ()
            taken = texts_used | kin.texts(cluster)
            above = kin.above[cluster] if kin.above else ()
            label = _joined(below, taken) or _told_apart(ranked(found), taken) or _counted(above, taken)
            labels[cluster] = label or Label(f"Cluster {cluster}")
            texts_used.add(labels[cluster].text.casefold())
    return [labels[cluster] for cluster in range(len(candidates))]


def _held(found: list[Candidate]) -> list[Candidate]:
    """Without what hardly a document of the cluster holds, where there is something else that is fair."""
    often = [each for each in found if each.coverage >= _RARE]
    return often if often and often[0].score >= _FAIR else found


def _supported(head: Candidate, found: Sequence[Candidate], every: Sequence[Candidate], used: set[str]) -> Label:
    """The label of a phrase; where few documents hold it, its longer form with the next phrase of other words."""
    label = Label(head.label, head.stems, head.keyword, head.coverage)
    if head.coverage >= _SECOND:
        return label
    longer = [each for each in every if each.stems > head.stems and 2 * each.documents >= head.documents]
    said = longer[0].label if longer else head.label
    for each in found:
        text, both = f"{said}, {each.keyword}", head.stems | each.stems
        apart = not each.stems & head.stems and not any(other.stems >= both for other in every)
        if apart and each.score >= _FAIR and len(text) <= LONGEST_LABEL and text.casefold() not in used:
            return replace(label, text=text, coverage=min(head.coverage + each.coverage, 1.0))
    return label


def spoken_for(own: Sequence[Label], shared: Sequence[Label]) -> list[Label]:
    """For each of some broad clusters its `own` label where that speaks for it, else the one made from its parts where
    more documents hold this; no two alike."""
    chosen = [
        one if not other.phrase or one.coverage >= _SPEAKS_FOR or _GAIN * one.coverage >= other.coverage else other
        for one, other in zip(own, shared, strict=True)
    ]
    texts = [label.text.casefold() for label in chosen]
    return chosen if len(set(texts)) == len(texts) else list(own)


def _joined(parts: Sequence[tuple[int, Label]], used: set[str]) -> Label | None:
    """The names of the largest parts, where no phrase speaks for all of them: two or three that hold most documents."""
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
    text = text[:1].upper() + text[1:]
    if len(phrases) < 2 or len(text) > LONGEST_LABEL or text.casefold() in used:
        return None
    covered = sum(size * label.coverage for size, label in named if label.phrase in phrases)
    return Label(text, frozenset(), phrases[0], covered / max(total, 1))


def _counted(above: Sequence[Label], used: set[str]) -> Label | None:
    """The name of the whole with a number, where its parts say the same."""
    for label in above:
        if label.phrase:
            texts = (f"{label.text[: LONGEST_LABEL - 8]} {number}" for number in count(1))
            return Label(next(text for text in texts if text.casefold() not in used), frozenset(), label.phrase)
    return None


def ranked(found: list[Candidate]) -> list[Candidate]:
    """Candidates short enough for a label; before a single word a phrase with it that says more, where there is one."""
    found = [each for each in found if 0 < len(each.label) <= LONGEST_LABEL]
    found = [each for each in found if any(map(str.isalpha, each.label))] or found  # "1099" says less than "tax form"
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


def _told_apart(found: list[Candidate], used: set[str]) -> Label | None:
    """What is left for a cluster whose names are taken: a longer form of its best one, or that with a keyword."""
    if not found:
        return None
    head = found[0]
    longer = [each.label for each in found if each.stems > head.stems]
    extended = [f"{head.label} ({each.keyword})" for each in found if not each.stems & head.stems]
    for label in longer + extended:
        if len(label) <= LONGEST_LABEL and label.casefold() not in used:
            return Label(label, frozenset(), head.keyword)
    return None

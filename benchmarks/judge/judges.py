"""Judges of cluster names: can the cluster be picked among its nearest by its name and a few documents of each?"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import snowballstemmer
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from judge.minilm import Array, MiniLM

__all__ = ["Clusters", "Scores", "Subject"]

_OPTIONS: Final = 5
_DOCUMENTS: Final = 5
_DRAWS: Final = 10
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_CONTENT = frozenset(
    ["not", "no", "cannot", "without", "bill", "fire", "cry", "computer", "interest", "find", "name", "call"]
)
_CONTENT |= {"detail", "show", "system", "top", "bottom", "full", "empty", "amount", "move", "made", "mill"}
"""In scikit-learn's list of stop words, but not stop words of names."""
_STOP: Final = ENGLISH_STOP_WORDS - _CONTENT
_stem = snowballstemmer.stemmer("english").stemWord


@dataclass(frozen=True)
class Subject:
    """What one recipe made for k clusters: labels, and each with its keywords."""

    recipe: str
    labels: Sequence[str]
    with_keywords: Sequence[str]


@dataclass(frozen=True)
class Scores:
    """The row of a recipe, each 0 to 1 except `words`."""

    pick: float
    lexical: float
    both_pick: float
    both_lexical: float
    class_cosine: float
    class_recall: float
    well_formed: float
    distinct: float
    words: float


@dataclass
class Clusters:
    """Clusters with their documents that no namer has read.

    Attributes
    ----------
    texts, vectors
        All n documents, and their MiniLM vectors (n, 384).
    labels : (n,) int
        Clusters 0..k-1.
    held_out : (n,) bool
        The documents for the judges.
    classes : sequence of str, length k
        The true name of the majority class of a cluster, "" where none is large enough.
    """

    texts: Sequence[str]
    vectors: Array
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    classes: Sequence[str]
    model: MiniLM

    @cached_property
    def count(self) -> int:
        return int(self.labels.max()) + 1

    @cached_property
    def draws(self) -> list[list[NDArray[np.int64]]]:
        """For each cluster ten times five of its documents that were held out."""
        random = np.random.default_rng(0)
        out = []
        for cluster in range(self.count):
            own = np.flatnonzero(self.held_out & (self.labels == cluster))
            out.append([random.choice(own, min(_DOCUMENTS, len(own)), replace=False) for _ in range(_DRAWS)])
        return out

    @cached_property
    def options(self) -> NDArray[np.int64]:
        """(k, 5) each cluster and the four nearest."""
        centroids = np.stack([self.vectors[self.labels == cluster].mean(0) for cluster in range(self.count)])
        centroids = centroids - self.vectors.mean(0)
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
        near = centroids @ centroids.T
        np.fill_diagonal(near, 9)
        return np.argsort(-near, axis=1)[:, :_OPTIONS]

    @cached_property
    def stems(self) -> list[frozenset[str]]:
        return [frozenset(map(_stem, _words(text))) for text in self.texts]

    @cached_property
    def idf(self) -> dict[str, float]:
        counts = Counter(stem for stems in self.stems for stem in stems)
        return {stem: float(np.log(len(self.texts) / count)) for stem, count in counts.items()}

    def score(self, subject: Subject) -> Scores:
        """Judge the names of one recipe."""
        labels = [label.replace("_", " ") for label in subject.labels]
        both = [text.replace("_", " ") for text in subject.with_keywords]
        return Scores(
            self._pick(labels),
            self._lexical(labels),
            self._pick(both),
            self._lexical(both),
            *self._classes(labels),
            float(np.mean([_is_well_formed(label) for label in labels])),
            len({label.casefold() for label in labels}) / len(labels),
            float(np.mean([len(label.split()) for label in labels])),
        )

    def _pick(self, names: Sequence[str]) -> float:
        """By the cosine of the name and the mean of the documents."""
        names_at = self.model.encode(names)
        right = []
        for cluster in range(self.count):
            for draw in range(_DRAWS):
                shown = np.stack([self.vectors[self.draws[c][draw]].mean(0) for c in self.options[cluster]])
                shown /= np.linalg.norm(shown, axis=1, keepdims=True)
                right.append(int(np.argmax(shown @ names_at[cluster]) == 0))
        return float(np.mean(right))

    def _lexical(self, names: Sequence[str]) -> float:
        """By the stems of the name in the documents, weighted by their rarity; ties are shared."""
        right = []
        for cluster in range(self.count):
            stems = {_stem(word) for word in _words(names[cluster])}
            for draw in range(_DRAWS):
                scores = np.array(
                    [
                        sum(
                            self.idf.get(stem, 0.0)
                            for row in self.draws[c][draw]
                            for stem in sorted(stems & self.stems[row])
                        )
                        for c in self.options[cluster]
                    ]
                )
                best = np.flatnonzero(scores >= scores.max() - 1e-9)
                right.append(1 / len(best) if 0 in best else 0.0)
        return float(np.mean(right))

    def _classes(self, labels: Sequence[str]) -> tuple[float, float]:
        """How near labels are to the names of the true classes: cosine, and share of the class's stems."""
        judged = [cluster for cluster in range(self.count) if self.classes[cluster]]
        true = self.model.encode([self.classes[cluster] for cluster in judged])
        ours = self.model.encode([labels[cluster] for cluster in judged])
        recall = []
        for cluster in judged:
            wanted = {_stem(word) for word in _words(self.classes[cluster])}
            recall.append(len(wanted & {_stem(word) for word in _words(labels[cluster])}) / max(len(wanted), 1))
        return float((true * ours).sum(1).mean()), float(np.mean(recall))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _is_well_formed(label: str) -> bool:
    """Two to five words, no stop word at the ends, no repeated stem."""
    words = label.casefold().split()
    stems = [_stem(word) for word in words]
    ends = words[0] in _STOP or words[-1] in _STOP if words else True
    return 2 <= len(words) <= 5 and not ends and len(set(stems)) == len(stems)

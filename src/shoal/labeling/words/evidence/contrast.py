"""The order of the candidates of a cluster by what they say there and in the nearest clusters.

A name should share words with its own documents, and lie near them, more than with those of the nearest clusters. The
constants were chosen on two of the labelled sets and checked on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.words.candidates import Candidate
from shoal.labeling.words.evidence.meaning import Space, find_directions
from shoal.labeling.words.evidence.overlap import Overlap
from shoal.labeling.words.phrases import Phrases

__all__ = ["Evidence"]

_BY_COUNTS = 0.25
"""The weight of the relative score by counts."""
_BEST_LENGTH, _LENGTH = 2.5, 0.06
_SHARED = 0.5
"""The weight of the words that documents share with a phrase."""
_AWAY = 0.8
"""The weight of the nearest other cluster, relative to its own."""
_RARE, _RARE_SHARE = 0.1, 0.06
"""The greatest loss of a phrase in few documents, and the share of documents from which there is none."""
_AMBIGUOUS = 0.25
"""The loss of a phrase that fits a near cluster as well as its own."""
_PARTIAL = 0.1
"""The loss of a phrase that shares less than half of its words with the documents of its cluster."""
_DIGITS = 6
"""Sums of floats differ in their last bits between processors."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a phrase as a name in one layer of k clusters.

    Parameters
    ----------
    overlap : Overlap
        The words of the r documents that were read.
    spaces : sequence of Space
        Their vectors, and those of phrases; none without vectors.
    counted : (r,) int32
        The clusters of the documents; -1 for those that are held out to measure names, and rank none.
    nearest : (k, up to 4) int64
        The nearest clusters of each.
    """

    overlap: Overlap
    spaces: Sequence[Space]
    counted: Labels
    nearest: NDArray[np.int64]

    def rank(self, candidates: Sequence[list[Candidate]], phrases: Phrases) -> None:
        """Sort the candidates of each cluster, best first, with new scores: 1 for the best, less the loss of others."""
        flat = [each for own in candidates for each in own]
        if not flat:
            return
        owner = np.repeat(np.arange(len(candidates)), [len(own) for own in candidates])
        values = np.round(
            _form(flat) + self._weigh_shared_words(flat, owner) + self._compare_directions(flat, owner, phrases),
            _DIGITS,
        )
        for each, value in zip(flat, values.tolist(), strict=True):
            each.score = value
        for own in candidates:
            own.sort(key=lambda each: (-each.score, each.keyword))
            best = own[0].score if own else 0.0
            for each in own:
                each.score = max(round(1.0 - best + each.score, _DIGITS), 0.0)

    def _weigh_shared_words(self, flat: Sequence[Candidate], owner: NDArray[np.int64]) -> Values:
        k = len(self.nearest)
        weights = self.overlap.weights([each.stems for each in flat])
        own, near = self.overlap.contrast(weights, owner, self.overlap.rates(self.counted, k), self.nearest)
        values = _SHARED * (own - near)
        own, near = np.round(own, _DIGITS), np.round(near, _DIGITS)
        return np.asarray(values - _AMBIGUOUS * (own <= near) - _PARTIAL * (own < 0.5))

    def _compare_directions(self, flat: Sequence[Candidate], owner: NDArray[np.int64], phrases: Phrases) -> Values:
        """The weighted sum over the spaces."""
        values = np.zeros(len(flat))
        for space in self.spaces:
            values += space.weight * self._compare_in(space, flat, owner, phrases)
        return values

    def _compare_in(
        self, space: Space, flat: Sequence[Candidate], owner: NDArray[np.int64], phrases: Phrases
    ) -> Values:
        vectors = space.phrases(flat, phrases)
        means = find_directions(space.documents, self.counted, len(self.nearest))
        own = np.einsum("ij,ij->i", vectors, means[owner])
        if not self.nearest.shape[1]:
            return np.asarray(own)
        near = np.max([np.einsum("ij,ij->i", vectors, means[other[owner]]) for other in self.nearest.T], axis=0)
        return np.asarray(own - _AWAY * near - _AMBIGUOUS * (np.round(own - near, _DIGITS) <= 0))


def _form(flat: Sequence[Candidate]) -> Values:
    scores, weights, coverage = (
        np.array(column) for column in zip(*((each.score, each.words, each.coverage) for each in flat), strict=True)
    )
    rare = np.maximum(1.0 - coverage / _RARE_SHARE, 0.0)
    return np.asarray(_BY_COUNTS * scores - _LENGTH * np.abs(weights - _BEST_LENGTH) - _RARE * rare)

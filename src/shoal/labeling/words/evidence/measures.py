"""Measures of labels on documents: do they fit their own cluster, and do they tell it from the nearest ones?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.words.evidence.meaning import Space
from shoal.labeling.words.evidence.overlap import Overlap

__all__ = ["Measured", "measure_labels"]

_HALF = 0.5
_NINE_OF_TEN = 0.9
_FEWEST = 5
"""Held-out documents from which they measure a label; of smaller clusters all documents do."""
_MOST = 50
_CITED = 3
_DIGITS = 6

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a label is worth."""

    score: float
    """Share of the documents that are more like this label than like that of any of the nearest clusters."""
    coverage: float
    """Share of the documents that the label fits: they have half of its words, by their rarity, or are nearer to it
    than nine of ten documents of the nearest clusters."""
    evidence: tuple[int, ...]
    """The most similar of these documents, as positions among those that were read."""


def measure_labels(
    texts: Sequence[str],
    stems: Sequence[frozenset[int]],
    overlap: Overlap,
    spaces: Sequence[Space],
    held_out: Labels,
    counted: Labels,
    nearest: NDArray[np.int64],
) -> list[Measured | None]:
    """Measure the label of each cluster; None for a label without words, and for a cluster without documents.

    Parameters
    ----------
    texts : sequence of str, length k
        The labels.
    stems : sequence of frozenset, length k
        The words of each.
    overlap, spaces
        The words and the vectors of the r documents that were read.
    held_out, counted : (r,) int32
        The clusters of the documents that were held out of naming, and of the others; -1 for the rest.
    nearest : (k, up to 4) int64
        The nearest clusters of each.
    """
    k = len(texts)
    members = _documents(held_out, counted, k)
    weights = overlap.weights(stems)
    vectors = [space.labels(texts, _holders(overlap, weights, counted)) for space in spaces]
    measured: list[Measured | None] = []
    for cluster in range(k):
        rivals = [cluster, *nearest[cluster].tolist()]
        if not stems[cluster] or not len(members[cluster]):
            measured.append(None)
            continue
        rows = np.concatenate([members[rival] for rival in rivals])
        shared = sp.csr_matrix(overlap.holds[rows] @ weights[rivals].T).toarray()
        likeness = [space.documents[rows] @ own[rivals].T for space, own in zip(spaces, vectors, strict=True)]
        measured.append(_measure(members[cluster], shared, _mean_cosine(likeness, spaces, rows)))
    return measured


def _measure(own: NDArray[np.int64], shared: Matrix, near: Matrix | None) -> Measured:
    """`shared` and `near` are (rows, rivals); both begin with the cluster and its documents."""
    fits = shared[:, 0] >= _HALF
    total = shared if near is None else shared + near
    if near is not None and len(near) > len(own):
        fits |= near[:, 0] > np.quantile(near[len(own) :, 0], _NINE_OF_TEN)
    total, fits = np.round(total[: len(own)], _DIGITS), fits[: len(own)]
    wins = total[:, 0] > total[:, 1:].max(1, initial=0.0)
    cited = np.lexsort((own, -total[:, 0]))[:_CITED]
    return Measured(float(wins.mean()), float(fits.mean()), tuple(own[cited[total[cited, 0] > 0]].tolist()))


def _mean_cosine(likeness: Sequence[Matrix], spaces: Sequence[Space], rows: NDArray[np.int64]) -> Matrix | None:
    if not likeness:
        return None
    cosines = [
        products / np.maximum(np.linalg.norm(space.documents[rows], axis=1, keepdims=True), 1e-9)
        for products, space in zip(likeness, spaces, strict=True)
    ]
    return np.asarray(np.mean(cosines, axis=0), np.float64)


def _documents(held_out: Labels, counted: Labels, clusters: int) -> list[NDArray[np.int64]]:
    """Return for each cluster at most fifty documents to measure by, those held out if there are enough."""
    kept, others = _groups(held_out, clusters), _groups(counted, clusters)
    return [
        (own if len(own) >= _FEWEST else np.concatenate([own, rest]))[:_MOST]
        for own, rest in zip(kept, others, strict=True)
    ]


def _groups(labels: Labels, clusters: int) -> list[NDArray[np.int64]]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(clusters + 1)))[1:-1]


def _holders(overlap: Overlap, weights: "sp.csr_matrix[np.float64]", counted: Labels) -> Sequence[NDArray[np.int64]]:
    """Return for each label the counted documents that have half of its words."""
    rows = np.flatnonzero(counted >= 0)
    shared = sp.csc_matrix(overlap.holds[rows] @ weights.T)
    shared.data[shared.data < _HALF] = 0
    shared.eliminate_zeros()
    return [rows[shared.indices[start:end]] for start, end in zip(shared.indptr[:-1], shared.indptr[1:], strict=True)]

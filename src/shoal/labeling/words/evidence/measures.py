"""Measures of labels on documents: do they fit their own cluster, and do they tell it from the nearest ones?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
"""Documents held out of a cluster from which they measure its label."""
_MOST = 50
"""Documents of a cluster that measure its label, of those held out."""
_CITED = 3
_DIGITS = 6

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a label is worth."""

    score: float | None
    """Share of the held-out documents that are more like this label than like that of any of the nearest clusters;
    None if fewer than five were held out."""
    coverage: float | None
    """Share of these documents that the label fits: they have half of its words, by their rarity, or are nearer to it
    than nine of ten documents of the nearest clusters."""
    evidence: tuple[int, ...]
    """The most similar of these documents, or of all of a cluster without them, as positions among those read."""


def measure_labels(
    texts: Sequence[str],
    stems: Sequence[frozenset[int]],
    overlap: Overlap,
    spaces: Sequence[Space],
    held_out: Labels,
    counted: Labels,
    cells: Labels,
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
    cells : (r,) int32
        The strata of the documents: fifty documents of a cluster have their shares of them.
    nearest : (k, up to 4) int64
        The nearest clusters of each.
    """
    k = len(texts)
    members, sealed = _documents(held_out, counted, cells, k)
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
        measure = _measure(members[cluster], shared, _mean_cosine(likeness, spaces, rows))
        measured.append(measure if sealed[cluster] else replace(measure, score=None, coverage=None))
    return measured


def _measure(own: NDArray[np.int64], shared: Matrix, near: Matrix | None) -> Measured:
    """`shared` and `near` are (rows, rivals); both begin with the cluster and its documents."""
    shared = np.round(shared, _DIGITS)
    near = None if near is None else np.round(near, _DIGITS)
    fits = shared[:, 0] >= _HALF
    total = shared if near is None else shared + near
    if near is not None and len(near) > len(own):
        fits |= near[:, 0] > np.quantile(near[len(own) :, 0], _NINE_OF_TEN, method="higher")
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


def _documents(
    held_out: Labels, counted: Labels, cells: Labels, clusters: int
) -> tuple[list[NDArray[np.int64]], list[bool]]:
    """Return for each cluster at most fifty documents, and whether these are documents that were held out."""
    sealed, others = _groups(held_out, clusters), _groups(counted, clusters)
    enough = [len(own) >= _FEWEST for own in sealed]
    rows = [own if apart else rest for own, rest, apart in zip(sealed, others, enough, strict=True)]
    return [_take_of_cells(own, cells) for own in rows], enough


def _take_of_cells(rows: NDArray[np.int64], cells: Labels) -> NDArray[np.int64]:
    """Return at most fifty rows, of each cell its share, in the order of the rows, which is that of their digests."""
    if len(rows) <= _MOST:
        return rows
    order = np.argsort(cells[rows], kind="stable")
    _, starts, sizes = np.unique(cells[rows][order], return_index=True, return_counts=True)
    share = np.empty(len(rows))
    share[order] = (np.arange(len(rows)) - np.repeat(starts, sizes) + 0.5) / np.repeat(sizes, sizes)
    return rows[np.sort(np.argsort(share, kind="stable")[:_MOST])]


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

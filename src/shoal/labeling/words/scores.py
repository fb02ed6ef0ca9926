"""Scores of phrases: how well a phrase distinguishes its cluster from the others.

A good phrase occurs in many documents of the cluster, and in few elsewhere, above all in the nearest clusters:
coverage^0.8 x (0.65 log(rate / rate elsewhere) + 0.35 log(rate / rate in the 4 nearest clusters)), rates smoothed.
The constants were tuned on only two of the labelled sets and checked on the others.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.elementary import log
from shoal.labeling.words.phrases import FEW_DOCUMENTS, Phrases

__all__ = ["breadth", "fitness", "nearest_clusters", "score_phrases"]

NEIGHBOURS = 4
_COVERAGE, _SIBLINGS = 0.8, 0.35
_BY_WEIGHT = np.array([0.0, 0.72, 1.0, 1.03, 0.95, 0.85])
"""The weight of a phrase with 1 to 5 content words as a name."""
_REMARK, _LONE_CHARACTER = 0.9, 0.3
_LEAST_LIFT = 0.01
"""The lift of a phrase that distinguishes nothing: a last resort, for clusters with the same words."""
_BLOCK = 1024


def nearest_clusters(phrases: Phrases, centroids: Points | None) -> NDArray[np.int64]:
    """Return (k, up to 4) the nearest clusters of each, nearest first.

    By the cosine of the centred centroids (k, d); without them by shared phrases.
    """
    k = len(phrases.sizes)
    neighbours = min(NEIGHBOURS, k - 1)
    if neighbours < 1:
        return np.zeros((k, 0), np.int64)
    features = _phrase_features(phrases) if centroids is None else _directions(centroids)
    blocks = []
    for start in range(0, k, _BLOCK):
        likeness = features[start : start + _BLOCK] @ features.T
        dense = np.asarray(likeness.todense() if sp.issparse(likeness) else likeness)
        dense[np.arange(len(dense)), start + np.arange(len(dense))] = -np.inf
        blocks.append(np.argsort(-dense, axis=1, kind="stable")[:, :neighbours])
    return np.concatenate(blocks)


def _phrase_features(phrases: Phrases) -> "sp.csr_matrix[np.float64]":
    """(k, shared phrases) unit rows of log counts."""
    holders = np.bincount(phrases.counts.indices, minlength=phrases.counts.shape[1])
    features = phrases.counts[:, np.flatnonzero(holders > 1)].astype(np.float64)
    features.data = log(1.0 + features.data)
    norms = np.sqrt(np.asarray(features.multiply(features).sum(1)).ravel())
    return sp.csr_matrix(sp.diags_array(1.0 / np.maximum(norms, 1e-9)) @ features)


def _directions(centroids: Points) -> NDArray[np.float64]:
    centred = centroids.astype(np.float64) - centroids.mean(0, dtype=np.float64)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))


def score_phrases(phrases: Phrases, nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    """The score of each entry of `phrases.counts`, aligned with its `data`; 0 for what cannot name the cluster."""
    counts, sizes = phrases.counts, phrases.sizes
    rows = np.repeat(np.arange(len(sizes)), np.diff(counts.indptr))
    own = counts.data.astype(np.float64)
    everywhere = np.bincount(counts.indices, weights=own, minlength=counts.shape[1])
    rate = _rate(own - 0.25, sizes[rows])
    lift = log(rate / _rate(everywhere[counts.indices] - own, sizes.sum() - sizes[rows]))
    if nearest.shape[1]:
        near, near_size = _in_neighbours(counts, nearest), sizes[nearest].sum(1)
        lift = (1 - _SIBLINGS) * lift + _SIBLINGS * log(rate / _rate(near, near_size[rows]))
    coverage = own / np.maximum(sizes[rows], 1)
    enough = own >= np.where(sizes[rows] < FEW_DOCUMENTS, 1, 2)
    return np.where(enough, coverage**_COVERAGE * np.maximum(lift, _LEAST_LIFT), 0.0)


def _rate(count: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    return (count + 0.5) / (total + 1)


def _in_neighbours(counts: "sp.csr_matrix[np.float32]", nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each entry of `counts` the documents of the nearest clusters that contain its phrase."""
    k, width = nearest.shape
    links = sp.csr_matrix((np.ones(k * width), (np.repeat(np.arange(k), width), nearest.ravel())), shape=(k, k))
    return _align_values((links @ counts).tocsr(), counts)


def _align_values(values: "sp.csr_matrix[np.float64]", counts: "sp.csr_matrix[np.float32]") -> NDArray[np.float64]:
    """Return for each entry of `counts` the value at its place, 0 for none."""
    pattern = counts.copy()
    pattern.data = np.ones_like(pattern.data)
    # The pattern is added so that entries without a value stay in the matrix, in the order of `counts`.
    aligned = (values.multiply(pattern) + pattern).tocsr()
    aligned.sort_indices()
    return np.asarray(aligned.data - 1.0, np.float64)


def breadth(phrases: Phrases, parts: Phrases, parents: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return for each entry of `phrases.counts` how evenly the phrase occurs in the parts of its cluster.

    1 for equal rates in all parts; the square root of a part's share of the documents if only that part has the phrase.
    `parts` are the same phrases counted in the layer below, whose clusters have these `parents`.
    """
    k, width = phrases.counts.shape
    entries = parts.counts.tocoo()
    own = parents[entries.row]
    inside = own >= 0
    sizes = np.maximum(parts.sizes, 1)[entries.row[inside]]
    held = entries.data[inside].astype(np.float64)
    place = (own[inside], entries.col[inside])
    # With weights w and rates r of the parts: (sum of w r)² / sum of w r². Documents in none are a part of their own.
    first = sp.csr_matrix((held, place), shape=(k, width))
    second = sp.csr_matrix((held * held / sizes, place), shape=(k, width))
    whole = np.bincount(parents[parents >= 0], parts.sizes[parents >= 0], minlength=k)
    rows = np.repeat(np.arange(k), np.diff(phrases.counts.indptr))
    total = phrases.counts.data.astype(np.float64)
    left = np.maximum(total - _align_values(first, phrases.counts), 0.0)
    left_size = np.maximum(phrases.sizes - whole, 1.0)[rows]
    squares = np.maximum(_align_values(second, phrases.counts) + left**2 / left_size, 1e-12)
    return np.asarray(np.sqrt(np.clip(total**2 / squares / np.maximum(phrases.sizes, 1.0)[rows], 0.0, 1.0)))


def fitness(phrases: Phrases) -> NDArray[np.float64]:
    """Return (p,) the weight of each phrase as a name by its form alone: its length, and whether it is truncated."""
    weights = np.ceil(phrases.weights).astype(np.int64).clip(1, len(_BY_WEIGHT) - 1)
    remark = phrases.spans.remarks[phrases.first]
    alone = (phrases.weights == 0.5) & ~remark
    finished = 0.55 + 0.45 * np.minimum(phrases.finished / 0.4, 1)
    form = np.where(remark, _REMARK, 1) * np.where(alone, _LONE_CHARACTER, 1)
    return np.asarray(_BY_WEIGHT[weights] * form * finished)

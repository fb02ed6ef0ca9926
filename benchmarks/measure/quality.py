"""What answers are worth, computed alike for all contenders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

from measure.contenders import Points

__all__ = ["agreement", "coverage", "grouping", "inertia", "recall", "trustworthiness"]

Labels = NDArray[np.int64]
_BLOCK = 4096


def grouping(labels: Labels, truth: Labels) -> dict[str, float]:
    """Clusters, share of noise, and ARI and NMI against the labels of the set: over all rows (noise as one label) and
    over the rows that are no noise. Scores of clustered rows are missing if there are none."""
    inside = labels >= 0
    scores = {"k": float(len(np.unique(labels[inside]))), "noise": 1.0 - float(inside.mean())}
    scores |= {"ari": agreement(labels, truth), "nmi": float(normalized_mutual_info_score(truth, labels))}
    if inside.any():
        scores["ari_clustered"] = agreement(labels[inside], truth[inside])
        scores["nmi_clustered"] = float(normalized_mutual_info_score(truth[inside], labels[inside]))
    return scores


def agreement(labels: Labels, others: Labels) -> float:
    """ARI over all rows, noise as one label."""
    return float(adjusted_rand_score(others, labels))


def inertia(points: Points, centers: NDArray[Any]) -> float:
    """The sum of squared distances of the rows to their nearest of `centers` (k, d), in float64."""
    centers = np.ascontiguousarray(centers, np.float64)
    lengths = np.einsum("ij,ij->i", centers, centers)
    total = 0.0
    for start in range(0, len(points), _BLOCK):
        rows = points[start : start + _BLOCK].astype(np.float64)
        nearest = np.argmin(lengths - 2.0 * (rows @ centers.T), axis=1)
        total += float(((rows - centers[nearest]) ** 2).sum())
    return total


def recall(points: Points, neighbors: NDArray[Any], count: int, sample: int = 1000) -> float:
    """The share of the `count` nearest other rows that is among `neighbors`, over a sample of the rows.

    In float64. A row counts as found where it is no farther than the true one at place `count`, so equal distances do
    no harm. `neighbors` may hold the row itself, which is passed over, and -1 for nothing found.
    """
    rows_ = np.sort(np.random.default_rng(0).choice(len(points), min(sample, len(points)), replace=False))
    hits = 0
    for row in rows_:
        squares = _squares_to(points, row)
        others = np.unique(neighbors[row][(neighbors[row] != row) & (neighbors[row] >= 0)])
        nearest = np.sort(squares[others])[:count]
        squares[row] = np.inf
        farthest = np.partition(squares, count - 1)[count - 1]
        hits += int((nearest <= farthest * (1 + 1e-9)).sum())
    return hits / (len(rows_) * count)


def _squares_to(points: Points, row: int) -> NDArray[np.float64]:
    squares = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        difference = points[start : start + _BLOCK].astype(np.float64) - points[row]
        squares[start : start + _BLOCK] = np.einsum("ij,ij->i", difference, difference)
    return squares


def coverage(labels: Labels, truth: Labels) -> dict[str, float]:
    """For methods that leave rows out. The score is ARI of the clustered rows to the power 2/3 times their share to the
    power 1/3; AMI counts noise as one cluster. Both over the rows that belong somewhere; `out` is the share of the
    others (truth -1) that is left out."""
    scope = truth >= 0
    inside = scope & (labels >= 0)
    share = float(inside.sum() / max(scope.sum(), 1))
    rand = max(agreement(labels[inside], truth[inside]), 0.0) if inside.any() else 0.0
    scores = {
        "score": rand ** (2 / 3) * share ** (1 / 3),
        "ami": float(adjusted_mutual_info_score(truth[scope], labels[scope])),
        "k": float(len(np.unique(labels[labels >= 0]))),
        "noise": 1.0 - share,
    }
    return scores if scope.all() else {**scores, "out": float((labels[~scope] < 0).mean())}


def trustworthiness(points: Points, places: NDArray[Any], count: int = 15, sample: int = 2000) -> float:
    """How few of the `count` nearest rows on a map are not near in truth, 0..1 (Venna and Kaski 2001), over a sample of
    the rows, each ranked against all."""
    total = len(points)
    rows_ = np.sort(np.random.default_rng(7).choice(total, min(sample, total), replace=False))
    penalty = 0
    for row in rows_:
        squares = _squares_to(points, row)
        squares[row] = -np.inf
        away = ((places.astype(np.float64) - places[row]) ** 2).sum(axis=1)
        away[row] = np.inf
        near = np.argpartition(away, count)[:count]
        ranks = np.searchsorted(np.sort(squares), squares[near])
        penalty += int(np.maximum(ranks - count, 0).sum())
    return 1.0 - 2.0 * penalty / (len(rows_) * count * (2 * total - 3 * count - 1))

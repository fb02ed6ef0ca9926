"""What answers are worth, computed alike for all contenders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from measure.contenders import Points

__all__ = ["agreement", "grouping", "inertia", "recall"]

Labels = NDArray[np.int64]
_BLOCK = 4096


def grouping(labels: Labels, truth: Labels) -> dict[str, float]:
    """Clusters, share of noise, and ARI and NMI against the labels of the set: over all rows (noise as one label) and
    over the rows that are no noise. Nothing is told of clustered rows where there are none."""
    inside = labels >= 0
    told = {"k": float(len(np.unique(labels[inside]))), "noise": 1.0 - float(inside.mean())}
    told |= {"ari": agreement(labels, truth), "nmi": float(normalized_mutual_info_score(truth, labels))}
    if inside.any():
        told["ari_clustered"] = agreement(labels[inside], truth[inside])
        told["nmi_clustered"] = float(normalized_mutual_info_score(truth[inside], labels[inside]))
    return told


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
    asked = np.sort(np.random.default_rng(0).choice(len(points), min(sample, len(points)), replace=False))
    found = 0
    for row in asked:
        squares = _squares_to(points, row)
        others = np.unique(neighbors[row][(neighbors[row] != row) & (neighbors[row] >= 0)])
        nearest = np.sort(squares[others])[:count]
        squares[row] = np.inf
        farthest = np.partition(squares, count - 1)[count - 1]
        found += int((nearest <= farthest * (1 + 1e-9)).sum())
    return found / (len(asked) * count)


def _squares_to(points: Points, row: int) -> NDArray[np.float64]:
    squares = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        difference = points[start : start + _BLOCK].astype(np.float64) - points[row]
        squares[start : start + _BLOCK] = np.einsum("ij,ij->i", difference, difference)
    return squares

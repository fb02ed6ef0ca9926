"""What stands for a cluster: its mean, median or medoid; and how far its members are from it.

Throughout `labels` is (n,) with 0..k-1 and -1 for noise, and every cluster has a member.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Labels, Points, Rows
from shoal.engine.parallel import spans
from shoal.engine.plan import CentroidMethod, DistanceMetric

__all__ = [
    "Memberships",
    "centroids",
    "cluster_means",
    "distances_to",
    "find_medoids",
    "member_rows",
    "nearest_members",
]

_BLOCK: Final = 8192
_HEARD: Final = 2000
"""Members of a cluster to which the mean distance of a medoid is taken, at most."""
_REPRESENTATIVES: Final = 5


def member_rows(labels: Labels, clusters: int) -> list[Rows]:
    """For each cluster its rows, ascending."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(clusters + 1))
    return [order[starts[number] : starts[number + 1]].astype(np.int64) for number in range(clusters)]


def cluster_means(points: Points, labels: Labels, clusters: int) -> NDArray[np.float64]:
    """(k, d) means of the members, summed in float64 block by block."""
    sums = np.zeros((clusters, points.shape[1]))
    for block in spans(len(points), _BLOCK):
        inside = np.flatnonzero(labels[block] >= 0)
        cells = (np.ones(len(inside)), (labels[block][inside], inside))
        belongs = csr_array(cells, shape=(clusters, block.stop - block.start))
        sums += belongs @ points[block]
    sizes = np.bincount(labels[labels >= 0], minlength=clusters)
    return np.asarray(sums / np.maximum(sizes, 1)[:, None], np.float64)


def find_medoids(
    points: Points, members: Sequence[Rows], means: NDArray[np.float64], metric: DistanceMetric, seed: int
) -> Rows:
    """(k,) for each cluster the member with the smallest mean distance to the members, ties by row.

    On unit rows and cosine distance that is the member nearest in direction to the mean. Euclidean distances are taken
    to at most 2,000 members, a seeded sample.
    """
    if metric == "cosine":
        found = [rows[np.argmax(points[rows] @ mean)] for rows, mean in zip(members, means, strict=True)]
    else:
        found = [_central(points, rows, np.random.default_rng([seed, number])) for number, rows in enumerate(members)]
    return np.array(found, np.int64)


def _central(points: Points, rows: Rows, rng: np.random.Generator) -> int:
    heard = rows if len(rows) <= _HEARD else np.sort(rng.choice(rows, _HEARD, replace=False))
    center = points[heard].mean(axis=0, dtype=np.float64)
    others = points[heard] - center
    lengths = np.einsum("ij,ij->i", others, others)
    total = np.empty(len(rows))
    for block in spans(len(rows), 1024):
        own = points[rows[block]] - center
        squares = np.einsum("ij,ij->i", own, own)[:, None] + lengths - 2 * (own @ others.T)
        total[block] = np.sqrt(np.maximum(squares, 0)).sum(axis=1)
    return int(rows[np.argmin(total)])


def centroids(
    points: Points, members: Sequence[Rows], means: NDArray[np.float64], medoids: Rows, method: CentroidMethod
) -> Points:
    """(k, d) float32: the mean of the members, the median of each column, or the medoid itself."""
    if method == "mean":
        return means.astype(np.float32)
    if method == "medoid":
        return points[medoids]
    middle = [np.median(points[rows], axis=0) for rows in members]
    return np.array(middle, np.float32).reshape(len(members), points.shape[1])


@dataclass(frozen=True, slots=True)
class Memberships:
    """How each row lies to the centroid of its cluster; NaN for noise. Both (n,): `distance` in the metric asked for,
    `cosine` in -1..1, 0 where a row or the centroid has no direction."""

    distance: NDArray[np.float64]
    cosine: NDArray[np.float64]

    def cohesion(self, members: Sequence[Rows]) -> list[tuple[float, float]]:
        """For each cluster the mean and the smallest cosine of a member to the centroid."""
        return [(float(self.cosine[rows].mean()), float(self.cosine[rows].min())) for rows in members]


def distances_to(
    points: Points,
    labels: Labels,
    targets: Points,
    metric: DistanceMetric,
    origin: NDArray[np.float64] | None = None,
) -> Memberships:
    """Distance and cosine of each row to its own centroid; `origin` (d,) is added to both before cosines are taken."""
    distance, cosine = np.full(len(points), np.nan), np.full(len(points), np.nan)
    exact = targets.astype(np.float64)
    for block in spans(len(points), 4096):
        inside = block.start + np.flatnonzero(labels[block] >= 0)
        rows, own = points[inside].astype(np.float64), exact[labels[inside]]
        away = rows - own
        if origin is not None:
            rows, own = rows + origin, own + origin
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own, axis=1)
        dots = np.einsum("ij,ij->i", rows, own)
        cosine[inside] = np.clip(np.where(lengths > 0, dots / np.where(lengths > 0, lengths, 1.0), 0.0), -1.0, 1.0)
        distance[inside] = 1.0 - cosine[inside] if metric == "cosine" else np.linalg.norm(away, axis=1)
    return Memberships(distance, cosine)


def nearest_members(distance: NDArray[np.float64], members: Sequence[Rows]) -> list[Rows]:
    """For each cluster its up to five members of smallest distance, nearest first, ties by row."""
    return [rows[np.argsort(distance[rows], kind="stable")[:_REPRESENTATIVES]] for rows in members]

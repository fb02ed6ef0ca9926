"""Cluster representatives (mean, median, medoid) and the distances of members to them.

Throughout `labels` is (n,) with 0..k-1 and -1 for noise, and every cluster has a member.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Labels, Points, Rows
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import CentroidMethod, DistanceMetric, Progress, ignore_progress

__all__ = [
    "Memberships",
    "cluster_means",
    "compute_centroids",
    "find_medoids",
    "measure_memberships",
    "member_rows",
    "nearest_members",
    "weighted_means",
]

_BLOCK: Final = 8192
_MAX_COMPARED: Final = 2000
"""Members of a cluster that the mean distance of a medoid is computed over, at most."""
_MEDOID_ROWS: Final = 512
"""Members whose distances to the others are computed at a time."""
_REPRESENTATIVES: Final = 5


def member_rows(labels: Labels, clusters: int) -> list[Rows]:
    """For each cluster its rows, ascending."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(clusters + 1))
    return [order[starts[number] : starts[number + 1]].astype(np.int64) for number in range(clusters)]


def cluster_means(
    points: Points, labels: Labels, clusters: int, progress: Progress = ignore_progress
) -> NDArray[np.float64]:
    """(k, d) means of the members, summed in float64 block by block. Reports to `progress` as "describe"."""
    sums = np.zeros((clusters, points.shape[1]))
    for block in spans(len(points), _BLOCK):
        inside = np.flatnonzero(labels[block] >= 0)
        cells = (np.ones(len(inside)), (labels[block][inside], inside))
        belongs = csr_array(cells, shape=(clusters, block.stop - block.start))
        sums += belongs @ points[block]
        progress("describe", block.stop / len(points))
    sizes = np.bincount(labels[labels >= 0], minlength=clusters)
    return np.asarray(sums / np.maximum(sizes, 1)[:, None], np.float64)


def find_medoids(
    points: Points,
    members: Sequence[Rows],
    means: NDArray[np.float64],
    metric: DistanceMetric,
    seed: int,
    threads: int = 1,
    progress: Progress = ignore_progress,
) -> Rows:
    """(k,) for each cluster the member with the smallest mean distance to the members, ties by row.

    For unit rows and cosine distance that is the member nearest in direction to the mean. Euclidean distances use a
    seeded sample of at most 2,000 members. Reports to `progress` as "describe".
    """
    parts = [(number, part) for number, rows in enumerate(members) for part in spans(len(rows), _MEDOID_ROWS)]

    def costs(numbers: slice) -> list[NDArray[np.floating]]:
        batch_costs: list[NDArray[np.floating]] = []
        for number, part in parts[numbers]:
            own = points[members[number][part]]
            if metric == "cosine":
                batch_costs.append(-(own @ means[number]))
            else:
                batch_costs.append(_mean_distances(points, members[number], own, np.random.default_rng([seed, number])))
        return batch_costs

    best, medoid_rows = np.full(len(members), np.inf), np.zeros(len(members), np.int64)
    batches = _batch_parts(parts, _MEDOID_ROWS)
    for numbers, batch_costs in zip(batches, map_in_order(costs, batches, threads), strict=True):
        for (number, part), cost in zip(parts[numbers], batch_costs, strict=True):
            place = int(np.argmin(cost))
            if cost[place] < best[number]:
                best[number], medoid_rows[number] = cost[place], members[number][part][place]
        progress("describe", numbers.stop / len(parts))
    return medoid_rows


def _batch_parts(parts: Sequence[tuple[int, slice]], rows: int) -> list[slice]:
    """Consecutive parts grouped into batches of about `rows` rows."""
    batches, first, size = list[slice](), 0, 0
    for number, (_, part) in enumerate(parts):
        size += part.stop - part.start
        if size >= rows:
            batches.append(slice(first, number + 1))
            first, size = number + 1, 0
    return [*batches, slice(first, len(parts))] if first < len(parts) else batches


def _mean_distances(points: Points, rows: Rows, own: Points, rng: np.random.Generator) -> NDArray[np.floating]:
    """(b,) the mean distance of `own` (b, d) to the members `rows`, or to a sample of them."""
    compared = rows if len(rows) <= _MAX_COMPARED else np.sort(rng.choice(rows, _MAX_COMPARED, replace=False))
    center = points[compared].mean(axis=0, dtype=np.float64)
    others, near = points[compared] - center, own - center
    squares = np.einsum("ij,ij->i", near, near)[:, None] + np.einsum("ij,ij->i", others, others)
    squares -= 2 * (near @ others.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)).mean(axis=1), np.float64)


def compute_centroids(
    points: Points, members: Sequence[Rows], means: NDArray[np.float64], medoids: Rows, method: CentroidMethod
) -> Points:
    """(k, d) float32: the mean of the members, the median of each column, or the medoid."""
    if method == "mean":
        return means.astype(np.float32)
    if method == "medoid":
        return points[medoids]
    medians = [np.median(points[rows], axis=0) for rows in members]
    return np.array(medians, np.float32).reshape(len(members), points.shape[1])


@dataclass(frozen=True, slots=True)
class Memberships:
    """Position of each row relative to the centroid of its cluster; NaN for noise. Both (n,): `distance` in the
    requested metric, `cosine` in -1..1, 0 if the row or the centroid is zero."""

    distance: NDArray[np.float64]
    cosine: NDArray[np.float64]

    def cohesion(self, members: Sequence[Rows]) -> list[tuple[float, float]]:
        """For each cluster the mean and the minimum cosine of its members to the centroid."""
        return [(float(self.cosine[rows].mean()), float(self.cosine[rows].min())) for rows in members]


def measure_memberships(
    points: Points,
    labels: Labels,
    targets: Points,
    metric: DistanceMetric,
    origin: NDArray[np.float64] | None = None,
    *,
    threads: int = 1,
    progress: Progress = ignore_progress,
) -> Memberships:
    """Distance and cosine of each row to its own centroid; `origin` (d,) is added to both before cosines are computed.
    Reports to `progress` as "describe"."""
    distance, cosine = np.full(len(points), np.nan), np.full(len(points), np.nan)
    exact = targets.astype(np.float64)

    def measure_block(block: slice) -> None:
        inside = block.start + np.flatnonzero(labels[block] >= 0)
        rows, own = points[inside].astype(np.float64), exact[labels[inside]]
        away = np.linalg.norm(rows - own, axis=1)
        if origin is not None:
            rows, own = rows + origin, own + origin
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own, axis=1)
        dots = np.einsum("ij,ij->i", rows, own)
        cosine[inside] = np.clip(np.where(lengths > 0, dots / np.where(lengths > 0, lengths, 1.0), 0.0), -1.0, 1.0)
        distance[inside] = 1.0 - cosine[inside] if metric == "cosine" else away

    blocks = spans(len(points), 1024)
    for block, _ in zip(blocks, map_in_order(measure_block, blocks, threads), strict=True):
        progress("describe", block.stop / len(points))
    return Memberships(distance, cosine)


def nearest_members(distance: NDArray[np.float64], members: Sequence[Rows]) -> list[Rows]:
    """For each cluster its up to five members nearest to the centroid, nearest first, ties by row."""
    return [rows[np.argsort(distance[rows], kind="stable")[:_REPRESENTATIVES]] for rows in members]


def weighted_means(rows: NDArray[np.floating], sizes: Rows, parts: Sequence[Sequence[int]]) -> Points:
    """(p, d) float32: for each part the mean of its rows of (k, d), each counting as its size (k,)."""
    means = [np.average(rows[list(part)], axis=0, weights=np.maximum(sizes[list(part)], 1e-9)) for part in parts]
    return np.array(means, np.float32).reshape(len(parts), rows.shape[1])

"""Micro-clusters: replace the rows for methods that cannot handle them all."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.algorithms import kmeans
from shoal.engine.plan import Progress
from shoal.engine.rows.row_keys import Distinct

__all__ = ["MicroClusters", "build_micro_clusters"]

_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class MicroClusters:
    """`centers` (m, d), each representing `weights` (m,) rows, and the center of each of the n rows, `back` (n,).
    `warning` is set if centers are means of several distinct rows, else None."""

    centers: Points
    weights: Rows
    back: NDArray[np.int64]
    warning: str | None


def build_micro_clusters(
    points: Points, values: Distinct, most: int, few: int, *, seed: int, threads: int, progress: Progress
) -> MicroClusters:
    """The distinct rows themselves if there are at most `most`; else `few` k-means centers of them."""
    if len(values.rows) <= most:
        return MicroClusters(points[values.rows], values.copies, values.back, None)
    rows = points[values.rows]
    params = kmeans.KMeansParams(n_clusters=few, n_init=1, max_iter=_STEPS)
    labels = kmeans.fit(rows, params, seed=seed, threads=threads, progress=progress).assignments.labels
    weights = np.bincount(labels, values.copies).astype(np.int64)
    sums = np.zeros((len(weights), points.shape[1]))
    np.add.at(sums, labels, rows * values.copies[:, None])
    centers = (sums / weights[:, None]).astype(np.float32)
    limit = f"{len(values.rows):,} distinct rows exceed the limit of {most:,}"
    warning = f"{limit}: {len(weights):,} micro-clusters replaced them."
    return MicroClusters(centers, weights, labels[values.back], warning)

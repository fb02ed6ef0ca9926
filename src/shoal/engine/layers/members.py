"""Describes the clusters of layers: their means and the rows nearest to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Labels, Points, Rows
from shoal.engine.clusters.centroids import Memberships, measure_memberships, member_rows, nearest_members
from shoal.engine.parallel import spans
from shoal.engine.plan import DistanceMetric
from shoal.engine.rows.geometry import unit_rows

__all__ = ["LayerMembers", "describe_layers"]

_BLOCK: Final = 8192


@dataclass(frozen=True, slots=True)
class LayerMembers:
    """For k clusters: `sizes` (k,) and `means` (k, d), up to five rows of each nearest to its mean, nearest first, and
    the mean and the minimum cosine of its members to it."""

    sizes: Rows
    means: Points
    representatives: Sequence[Rows]
    cohesion: Sequence[tuple[float, float]]


def describe_layers(
    points: Points,
    layers: Sequence[Labels],
    *,
    normalize: bool,
    origin: NDArray[np.float64] | None = None,
    threads: int = 1,
) -> list[LayerMembers]:
    """Describe the clusters of each layer, in two passes over the rows for all layers.

    Parameters
    ----------
    points
        (n, d) float32, unscaled; scaled to unit length block by block if `normalize`.
    layers
        int32 labels (n,) of each layer, every cluster with a member; -1 is noise.
    origin
        (d,) offset subtracted from the points; added back before cosines are computed.
    """
    counts = [int(labels.max(initial=-1)) + 1 for labels in layers]
    sums = [np.zeros((count, points.shape[1])) for count in counts]
    for block in spans(len(points), _BLOCK):
        rows = unit_rows(points[block], threads) if normalize else points[block]
        for labels, total in zip(layers, sums, strict=True):
            inside = np.flatnonzero(labels[block] >= 0)
            cells = (np.ones(len(inside)), (labels[block][inside], inside))
            total += csr_array(cells, shape=(len(total), len(rows))) @ rows
    means = [
        (total / np.maximum(np.bincount(labels[labels >= 0], minlength=len(total)), 1)[:, None]).astype(np.float32)
        for labels, total in zip(layers, sums, strict=True)
    ]
    metric: DistanceMetric = "cosine" if normalize else "euclidean"
    memberships = [Memberships(np.full(len(points), np.nan), np.full(len(points), np.nan)) for _ in layers]
    for block in spans(len(points), _BLOCK):
        rows = unit_rows(points[block], threads) if normalize else points[block]
        for labels, own, membership in zip(layers, means, memberships, strict=True):
            here = measure_memberships(rows, labels[block], own, metric, origin, threads=threads)
            membership.distance[block], membership.cosine[block] = here.distance, here.cosine
    return [
        _describe(labels, own, membership) for labels, own, membership in zip(layers, means, memberships, strict=True)
    ]


def _describe(labels: Labels, means: Points, membership: Memberships) -> LayerMembers:
    members = member_rows(labels, len(means))
    sizes = np.array([len(rows) for rows in members], np.int64)
    return LayerMembers(sizes, means, nearest_members(membership.distance, members), membership.cohesion(members))

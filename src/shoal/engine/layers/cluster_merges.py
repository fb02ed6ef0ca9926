"""Which clusters belong together: Ward's hierarchy over the means of clusters.

Communities of the whole graph at a low resolution collapse into one: fine clusters are connected by a few edges each,
and nothing shows which of these matter. The means do (on clinc150 ten groups agree with its ten domains at an adjusted
Rand index of .44 where communities reach .20).
"""

from dataclasses import dataclass
from math import frexp, ldexp
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Points, Rows
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.kmeans.lloyd import prepare_lloyd
from shoal.engine.kmeans.starts import Sample, kmeans_plusplus
from shoal.engine.layers.weighted_linkage import link_distances
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import are_directions, squared_lengths, unit_rows
from shoal.engine.rows.row_keys import row_keys

__all__ = ["MAX_CLUSTERS", "Merges", "merge_clusters", "pairwise_distances", "score_separation", "weighted_means"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

MAX_CLUSTERS: Final = 3000
"""Clusters merged at a time: all their distances are stored, several times 72 MB."""
_BITS: Final = 20
"""Bits per coordinate of a mean, so that sums of products are exact and the same on every processor."""


@dataclass(frozen=True, slots=True)
class Merges:
    """Over k clusters: merge t joins the groups that contain the clusters `pairs[t]`, (t, 2), at `heights` (t,),
    ascending."""

    clusters: int
    pairs: Rows
    heights: Floats

    @property
    def fewest(self) -> int:
        """Groups left after all merges."""
        return self.clusters - len(self.pairs)

    def cut(self, groups: int) -> Places:
        """(k,) the group of each cluster when `groups` are left."""
        merged = self.pairs[: max(self.clusters - groups, 0)]
        ones = np.ones(len(merged), np.int8)
        graph = coo_array((ones, (merged[:, 0], merged[:, 1])), shape=(self.clusters, self.clusters))
        return connected_components(graph, directed=False)[1].astype(np.int32)


def weighted_means(points: Points, labels: Places, copies: Rows) -> tuple[Points, Rows]:
    """The mean (k, d) of the rows of each cluster of `labels` (m,), -1 for none, and how many `copies` (m,) it
    contains, (k,); means of unit rows are scaled to unit length too."""
    clusters = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    sizes = np.bincount(labels[inside], copies[inside], clusters).astype(np.int64)
    means = cluster_means(points, labels, clusters).astype(np.float32)
    if len(means) and are_directions(points) and np.all(squared_lengths(means) > 0):
        means = unit_rows(means)
    return means, sizes


def merge_clusters(means: Points, sizes: Rows, inside: Places | None = None) -> Merges:
    """All merges of clusters with these `means` (k, d) and `sizes` (k,) by least increase in variance; with `inside`
    (k,) only within the same group."""
    pairs, heights = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    if inside is None and len(means) > MAX_CLUSTERS:
        inside = _group_near_means(means)
        within = merge_clusters(means, sizes, inside)
        above = _ward_merges(*_merge_means(means, sizes, inside))
        first = np.unique(inside, return_index=True)[1]
        pairs, heights = [within.pairs, first[above[0]]], [within.heights, _raise_above(above[1], within.heights)]
        return Merges(len(means), np.concatenate(pairs), np.concatenate(heights))
    groups = np.zeros(len(means), np.int32) if inside is None else inside
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(np.bincount(groups)) if len(groups) else np.zeros(0, np.int64)
    for own in np.split(order, ends[:-1]) if len(ends) else []:
        if len(own) > 1:
            joined_pairs, height = _ward_merges(means[own], sizes[own])
            pairs.append(own[joined_pairs])
            heights.append(height)
    all_pairs, height = np.concatenate(pairs), np.concatenate(heights)
    sequence = np.lexsort((np.arange(len(height)), height))
    return Merges(len(means), all_pairs[sequence], height[sequence])


def score_separation(away: Floats, groups: Places) -> float:
    """How far groups (k,) of clusters are apart: the mean silhouette (Rousseeuw 1987) of the clusters, each counting as
    one, by the distances `away` (k, k) of their means. A cluster that is a group of its own scores 0."""
    own = np.arange(len(groups))
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    means = np.add.reduceat(away[:, order], np.cumsum(sizes) - sizes, axis=1)
    inner = means[own, groups] / np.maximum(sizes[groups] - 1, 1)
    means /= sizes
    means[own, groups] = np.inf
    outer = means.min(axis=1)
    score = (outer - inner) / np.maximum(np.maximum(inner, outer), 1e-12)
    return float(np.where(sizes[groups] > 1, score, 0.0).mean())


def _ward_merges(means: Points, sizes: Rows) -> tuple[Rows, Floats]:
    """(k - 1, 2) pairs of clusters whose groups are merged, and the heights, ascending."""
    if len(means) < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    merges = link_distances(pairwise_distances(means), np.maximum(sizes, 1), "ward")
    any_cluster = np.arange(2 * len(means) - 1)
    for number, first in enumerate(merges[:, 0].astype(np.int64).tolist()):
        any_cluster[len(means) + number] = any_cluster[first]
    return any_cluster[merges[:, :2].astype(np.int64)], merges[:, 2].copy()


def pairwise_distances(means: Points) -> Floats:
    """(k, k) Euclidean, of coordinates rounded so that the order of summation does not matter."""
    centered = means.astype(np.float64)
    centered -= centered.mean(axis=0)
    quantum = ldexp(1.0, frexp(float(np.abs(centered).max(initial=1e-30)))[1] - _BITS)
    rows: Floats = np.rint(centered / quantum)
    squares = (rows**2).sum(axis=1)
    away: Floats = squares[:, None] + squares - 2 * (rows @ rows.T)
    distances: Floats = np.sqrt(np.maximum(away, 0.0)) * quantum
    return distances


def _group_near_means(means: Points) -> Places:
    """(k,) several hundred groups of near means."""
    count = MAX_CLUSTERS // 4
    lloyd = prepare_lloyd(means, row_keys(means, 1), count, 1)
    starts = kmeans_plusplus(Sample(means, lloyd.rows, 1), count, np.random.default_rng(0), ignore_progress)
    labels = lloyd.run(means[starts], 20, 0.0, ignore_progress).nearest.labels
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _merge_means(means: Points, sizes: Rows, inside: Places) -> tuple[Points, Rows]:
    group_sizes = np.bincount(inside, sizes)
    sums = np.zeros((len(group_sizes), means.shape[1]))
    np.add.at(sums, inside, means * sizes[:, None].astype(np.float64))
    return (sums / group_sizes[:, None]).astype(np.float32), group_sizes.astype(np.int64)


def _raise_above(heights: Floats, others: Floats) -> Floats:
    """The heights, raised to at least the maximum of the others."""
    raised: Floats = np.maximum(heights, others.max(initial=0.0))
    return raised

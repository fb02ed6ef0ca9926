"""Levels above the clusters."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Labels, Points, Rows
from shoal.engine.layers.layers import Layers
from shoal.engine.layers.weighted_linkage import weighted_linkage

__all__ = ["MAX_CLUSTERS", "build_levels", "levels_from_layers"]

Numbers = NDArray[np.int32]

MAX_CLUSTERS: Final = 8000
"""Maximum number of clusters for a hierarchy: all their distances are stored, 512 MB."""


def build_levels(centroids: Points, sizes: Rows, depth: int) -> list[Numbers]:
    """For each level above the clusters, nearest first, the group (k,) of every cluster; at most `depth` - 1 levels.

    Ward's hierarchy of the centroids (k, d), weighted by the `sizes` (k,) of their clusters, cut so that the number of
    groups falls by the same factor from level to level, down to the `depth`-th root of k.
    """
    clusters = len(centroids)
    if clusters < 3 or depth < 2 or clusters > MAX_CLUSTERS:
        return []
    merges = weighted_linkage(centroids, sizes, "ward", lambda away: away)
    any_cluster = np.arange(2 * clusters - 1)
    for number, first in enumerate(merges[:, 0].astype(np.int64).tolist()):
        any_cluster[clusters + number] = any_cluster[first]
    ends = any_cluster[merges[:, :2].astype(np.int64)]
    levels, last = list[Numbers](), clusters
    for level in range(depth - 1, 0, -1):
        groups = round(clusters ** (level / depth))
        if not 2 <= groups < last:
            continue
        merged = ends[: clusters - groups]
        graph = coo_array((np.ones(len(merged), np.int8), (merged[:, 0], merged[:, 1])), shape=(clusters, clusters))
        levels.append(connected_components(graph, directed=False)[1].astype(np.int32))
        last = groups
    return levels


def levels_from_layers(layers: Layers, labels: Labels, depth: int) -> list[Numbers]:
    """As `build_levels`, from coarser layers: each cluster of `labels` (n,) joins the group most of its members are
    in."""
    clusters = int(labels.max(initial=-1)) + 1
    levels, last = list[Numbers](), clusters
    for layer in reversed(layers.layers[: layers.chosen]):
        if len(levels) == depth - 1:
            break
        both = (labels >= 0) & (layer.labels >= 0)
        table = coo_array(
            (np.ones(int(both.sum())), (labels[both], layer.labels[both])), shape=(clusters, layer.clusters)
        )
        group = np.unique(np.asarray(table.toarray().argmax(axis=1)), return_inverse=True)[1].astype(np.int32)
        if 2 <= int(group.max(initial=0)) + 1 < last:
            levels.append(group)
            last = int(group.max()) + 1
    return levels

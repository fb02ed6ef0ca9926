"""From single linkage to clusters: condense, weigh, select, label (Campello et al. 2013; McInnes and Healy 2017).

This is the plain statement of the method; it gives the labels of scikit-learn's HDBSCAN. A density is lambda = 1 /
height. Rows at distance 0 of each other are never split, whatever their number.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Rows
from shoal.engine.linkage import Linkage

__all__ = ["CondensedTree", "Selection", "condense", "label_rows", "select_clusters"]

Floats = NDArray[np.float64]
ROOT = 0


@dataclass(frozen=True, slots=True)
class CondensedTree:
    """Clusters of at least `min_cluster_size` rows and when rows fall out of them. Cluster 0 is the root; a child has
    a larger number than its parent.

    `parent` (c,) int64, -1 for the root; `birth` (c,) lambda at which the cluster parts from its parent; `size` (c,).
    `cluster` (n,) the cluster each row falls out of and `leaving` (n,) lambda at which it does, infinite for rows that
    never part.
    """

    parent: Rows
    birth: Floats
    size: Rows
    cluster: Rows
    leaving: Floats

    @property
    def children(self) -> list[list[int]]:
        """Of each cluster the clusters it splits into: none or two."""
        found: list[list[int]] = [[] for _ in self.parent]
        for child, parent in enumerate(self.parent.tolist()):
            if parent >= 0:
                found[parent].append(child)
        return found

    def stability(self) -> Floats:
        """(c,) excess of mass: how long rows stay in a cluster, summed over its rows."""
        total = np.zeros(len(self.parent))
        np.add.at(total, self.cluster, self.leaving - self.birth[self.cluster])
        below = np.flatnonzero(self.parent >= 0)
        above = self.parent[below]
        np.add.at(total, above, (self.birth[below] - self.birth[above]) * self.size[below])
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How clusters are chosen from the tree."""

    method: Literal["eom", "leaf"] = "eom"
    epsilon: float = 0.0
    """Clusters born at a smaller distance than this are merged upwards."""
    max_size: int | None = None
    """A larger cluster is not chosen ("eom" only)."""
    allow_single: bool = False
    """The root may be a cluster."""


def condense(linkage: Linkage, min_cluster_size: int) -> CondensedTree:
    """Walk the merges from the top; a side of fewer than `min_cluster_size` rows falls out of its cluster."""
    count = len(linkage.left) + 1
    size = np.concatenate([np.ones(count, np.int64), linkage.size]).tolist()
    with np.errstate(divide="ignore", over="ignore"):
        densities = (1.0 / linkage.height).tolist()
    # Of each node the cluster it is in and, once it has fallen out, when: else None.
    cluster, fallen = [ROOT] * (2 * count - 1), [-1.0] * (2 * count - 1)
    parent, birth, sizes = [-1], [0.0], [count]
    left, right = linkage.left.tolist(), linkage.right.tolist()
    for merge in range(count - 2, -1, -1):
        node, sides, density = count + merge, (left[merge], right[merge]), densities[merge]
        large = [size[side] >= min_cluster_size for side in sides]
        splits = all(large) and density < np.inf
        for side, is_large in zip(sides, large, strict=True):
            cluster[side] = cluster[node]
            if fallen[node] >= 0:
                fallen[side] = fallen[node]
            elif splits:
                cluster[side] = len(parent)
                parent.append(cluster[node])
                birth.append(density)
                sizes.append(size[side])
            elif not is_large or density == np.inf:
                fallen[side] = density
    return CondensedTree(
        np.array(parent, np.int64),
        np.array(birth),
        np.array(sizes, np.int64),
        np.array(cluster[:count], np.int64),
        np.array(fallen[:count]),
    )


def select_clusters(tree: CondensedTree, how: Selection) -> list[int]:
    """The numbers of the clusters chosen, ascending."""
    chosen = _leaves(tree) if how.method == "leaf" else _most_stable(tree, how)
    if how.epsilon > 0 and len(tree.parent) > 1 and chosen != {ROOT}:
        chosen = {_grown(tree, cluster, how) for cluster in chosen}
    return sorted(chosen)


def _leaves(tree: CondensedTree) -> set[int]:
    """Clusters that split no further, the root not counted."""
    return set(range(1, len(tree.parent))) - set(tree.parent.tolist())


def _most_stable(tree: CondensedTree, how: Selection) -> set[int]:
    """The clusters that together keep the most mass ("excess of mass"): each, or those below it."""
    stability, children = tree.stability().tolist(), tree.children
    sizes = tree.size.tolist()
    sizes[ROOT] = sum(sizes[child] for child in children[ROOT])  # as scikit-learn counts the root
    chosen: set[int] = set()
    limit = np.inf if how.max_size is None else how.max_size
    for cluster in range(len(sizes) - 1, -1 if how.allow_single else 0, -1):
        below = sum(stability[child] for child in children[cluster])
        if below > stability[cluster] or sizes[cluster] > limit:
            stability[cluster] = below
        else:
            chosen.add(cluster)
    return _topmost(tree, chosen)


def _topmost(tree: CondensedTree, chosen: set[int]) -> set[int]:
    """Those with no chosen cluster above them."""
    covered: set[int] = set()
    kept: set[int] = set()
    for cluster, parent in enumerate(tree.parent.tolist()):
        if parent in covered:
            covered.add(cluster)
        elif cluster in chosen:
            covered.add(cluster)
            kept.add(cluster)
    return kept


def _grown(tree: CondensedTree, cluster: int, how: Selection) -> int:
    """The cluster itself if it was born at `epsilon` or more, else the lowest one above it that was (Malzer and Baum
    2020); below the root where the root may not be a cluster."""
    while tree.birth[cluster] * how.epsilon > 1:
        parent = int(tree.parent[cluster])
        if parent == ROOT:
            return ROOT if how.allow_single else cluster
        cluster = parent
    return cluster


def label_rows(tree: CondensedTree, chosen: list[int], how: Selection, *, at_birth: bool = True) -> Rows:
    """(n,) position in `chosen` of the chosen cluster each row is in, -1 for noise.

    Where the root is chosen it holds only its densest rows, or those within `epsilon`. Without `at_birth` rows that
    fall out of a cluster the moment it is born are noise.
    """
    place = {cluster: position for position, cluster in enumerate(chosen)}
    of_cluster: list[int] = []
    for cluster, parent in enumerate(tree.parent.tolist()):
        of_cluster.append(place.get(cluster, of_cluster[parent] if parent >= 0 else NOISE))
    labels = np.array(of_cluster, np.int64)[tree.cluster]
    if chosen == [ROOT]:
        labels[(tree.cluster == ROOT) & (tree.leaving < _root_threshold(tree, how))] = NOISE
    if not at_birth and chosen != [ROOT]:
        born = tree.birth[np.array(chosen, np.int64)] if chosen else np.zeros(0)
        inside = np.flatnonzero(labels >= 0)
        labels[inside[tree.leaving[inside] <= born[labels[inside]]]] = NOISE
    return labels


def _root_threshold(tree: CondensedTree, how: Selection) -> float:
    if how.epsilon > 0:
        return 1 / how.epsilon
    direct = tree.leaving[tree.cluster == ROOT].max(initial=0.0)
    return float(max(direct, tree.birth[tree.parent == ROOT].max(initial=0.0)))

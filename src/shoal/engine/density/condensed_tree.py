"""From single linkage to clusters: condense, weigh, select, label (Campello et al. 2013; McInnes and Healy 2017).

A density is lambda = 1 / height. Rows at distance 0 of each other are never split, whatever their number. The Python
here is the plain statement of the method and gives the labels of scikit-learn's HDBSCAN; the loops run natively where
they can, with the same answers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Rows
from shoal.engine import kernels
from shoal.engine.density.linkage import Linkage

__all__ = ["CondensedTree", "Selection", "condense", "label_rows", "select_clusters"]

Floats = NDArray[np.float64]
ROOT = 0


@dataclass(frozen=True, slots=True)
class CondensedTree:
    """Clusters of at least `min_cluster_size` rows and when rows fall out of them. Cluster 0 is the root; a child has
    a larger number than its parent.

    `parent` (c,) int64, -1 for the root; `birth` (c,) lambda at which the cluster parts from its parent; `size` (c,);
    `stability` (c,) excess of mass: how long rows stay in a cluster, summed over its rows. The sum is taken from the
    top of the tree downwards, so that it does not depend on the order of rows.
    `cluster` (n,) the cluster each row falls out of and `leaving` (n,) lambda at which it does, infinite for rows that
    never part.
    """

    parent: Rows
    birth: Floats
    size: Rows
    stability: Floats
    cluster: Rows
    leaving: Floats


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


def condense(
    linkage: Linkage, min_cluster_size: int, weight: Rows | None = None, core: Floats | None = None
) -> CondensedTree:
    """Walk the merges from the top; a side of fewer than `min_cluster_size` (2 or more) rows falls out of its cluster.

    Each of the n rows of the linkage may stand for `weight` (n,) equal ones that are at their `core` (n,) distance from
    each other; they fall out together. Without weights each is one row. O(n), whatever the depth.
    """
    count = len(linkage.left) + 1
    weight = np.ones(count, np.int64) if weight is None else np.ascontiguousarray(weight, np.int64)
    core = np.zeros(count) if core is None else np.ascontiguousarray(core, np.float64)
    smallest = min(min_cluster_size, int(weight.sum()) + 1)  # any number of rows more than there are is the same
    if native := kernels.native():
        merges = linkage.left, linkage.right, linkage.height, linkage.size
        return CondensedTree(*native.condense(*merges, smallest, weight, core))
    return _Condenser(linkage, smallest, weight, core).run()


class _Condenser:
    def __init__(self, linkage: Linkage, min_cluster_size: int, weight: Rows, core: Floats) -> None:
        self._left, self._right = linkage.left.tolist(), linkage.right.tolist()
        self._count, self._smallest = len(self._left) + 1, min_cluster_size
        self._rows = weight.tolist()
        for left, right in zip(self._left, self._right, strict=True):
            self._rows.append(self._rows[left] + self._rows[right])
        with np.errstate(divide="ignore", over="ignore"):
            self._densities = (1.0 / linkage.height).tolist()
            self._ends = (1.0 / core).tolist()
        # Of each node the cluster it is in and, once it has fallen out, when: else -1.
        self._cluster, self._fallen = [ROOT] * len(self._rows), [-1.0] * len(self._rows)
        self._parent, self._birth, self._size, self._stability = [-1], [0.0], [self._rows[-1]], [0.0]

    def run(self) -> CondensedTree:
        if self._count == 1:
            self._end(0)
        for merge in range(self._count - 2, -1, -1):
            node = self._count + merge
            if self._fallen[node] < 0:
                self._split(merge, self._cluster[node])
                continue
            for side in (self._left[merge], self._right[merge]):
                self._cluster[side], self._fallen[side] = self._cluster[node], self._fallen[node]
        return CondensedTree(
            np.array(self._parent, np.int64),
            np.array(self._birth),
            np.array(self._size, np.int64),
            np.array(self._stability),
            np.array(self._cluster[: self._count], np.int64),
            np.array(self._fallen[: self._count]),
        )

    def _split(self, merge: int, cluster: int) -> None:
        """The two sides of a merge within a cluster."""
        sides, density = (self._left[merge], self._right[merge]), self._densities[merge]
        falling = [side for side in sides if self._rows[side] < self._smallest or density == np.inf]
        for side in sides:
            self._cluster[side] = cluster if falling else self._add_child(cluster, density, self._rows[side])
        for side in falling:
            self._fallen[side] = density
        self._leave(cluster, density, sum(self._rows[side] for side in falling or sides))
        for side in sides:
            if side < self._count and self._fallen[side] < 0:
                self._end(side)

    def _end(self, row: int) -> None:
        """What is left of a cluster are equal rows: they part where they would have met."""
        self._fallen[row] = self._ends[row]
        self._leave(self._cluster[row], self._ends[row], self._rows[row])

    def _leave(self, cluster: int, density: float, rows: int) -> None:
        self._stability[cluster] += (density - self._birth[cluster]) * rows

    def _add_child(self, parent: int, birth: float, size: int) -> int:
        self._parent.append(parent)
        self._birth.append(birth)
        self._size.append(size)
        self._stability.append(0.0)
        return len(self._parent) - 1


def select_clusters(tree: CondensedTree, how: Selection) -> list[int]:
    """The numbers of the clusters chosen, ascending. O(c)."""
    if native := kernels.native():
        limit = None if how.max_size is None else min(how.max_size, int(tree.size[ROOT]))
        numbers: list[int] = native.select_clusters(
            tree.parent,
            tree.birth,
            tree.size,
            tree.stability,
            how.method == "leaf",
            how.epsilon,
            limit,
            how.allow_single,
        ).tolist()
        return numbers
    chosen = _find_leaves(tree, how) if how.method == "leaf" else _select_most_stable(tree, how)
    if how.epsilon > 0 and len(tree.parent) > 1 and chosen != {ROOT}:
        chosen = _climb_to_epsilon(tree, chosen, how)
    return sorted(chosen)


def _find_leaves(tree: CondensedTree, how: Selection) -> set[int]:
    """Clusters that split no further; the root only where it may be the single cluster."""
    return set(range(0 if how.allow_single else 1, len(tree.parent))) - set(tree.parent.tolist())


def _select_most_stable(tree: CondensedTree, how: Selection) -> set[int]:
    """The clusters that together keep the most mass ("excess of mass"): each, or those below it."""
    stability, parents, sizes = tree.stability.tolist(), tree.parent.tolist(), tree.size.tolist()
    sizes[ROOT] = int(tree.size[tree.parent == ROOT].sum())  # as scikit-learn counts the root
    below = [0.0] * len(sizes)
    chosen: set[int] = set()
    limit = np.inf if how.max_size is None else how.max_size
    for cluster in range(len(sizes) - 1, -1 if how.allow_single else 0, -1):
        if below[cluster] > stability[cluster] or sizes[cluster] > limit:
            stability[cluster] = below[cluster]
        else:
            chosen.add(cluster)
        if cluster != ROOT:
            below[parents[cluster]] += stability[cluster]
    return _keep_topmost(tree, chosen)


def _keep_topmost(tree: CondensedTree, chosen: set[int]) -> set[int]:
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


def _climb_to_epsilon(tree: CondensedTree, chosen: set[int], how: Selection) -> set[int]:
    """For each cluster chosen itself if it was born at `epsilon` or more, else the lowest one above it that was born at
    more (Malzer and Baum 2020), as scikit-learn climbs; below the root where the root may not be a cluster. The root
    beside others holds nothing."""
    above, kept = [ROOT], set[int]()
    with np.errstate(divide="ignore"):
        distances = (1.0 / tree.birth).tolist()
    for cluster, parent in enumerate(tree.parent.tolist()[1:], 1):
        if parent == ROOT:
            above.append(ROOT if how.allow_single else cluster)
        else:
            above.append(parent if distances[parent] > how.epsilon else above[parent])
        if cluster in chosen:
            kept.add(above[cluster] if distances[cluster] < how.epsilon else cluster)
    return kept - {ROOT} or kept


def label_rows(tree: CondensedTree, chosen: list[int], how: Selection, *, at_birth: bool = True) -> Rows:
    """(n,) position in `chosen` of the chosen cluster each row is in, -1 for noise.

    Where the root is chosen it holds only its densest rows, or those within `epsilon`. Without `at_birth` rows that
    fall out of a cluster the moment it is born are noise.
    """
    labels: Rows = _find_selected_ancestors(tree.parent, np.array(chosen, np.int64))[tree.cluster]
    if chosen == [ROOT]:
        labels[tree.leaving < _root_threshold(tree, how)] = NOISE
    if not at_birth and chosen != [ROOT]:
        born = tree.birth[np.array(chosen, np.int64)] if chosen else np.zeros(0)
        inside = np.flatnonzero(labels >= 0)
        labels[inside[tree.leaving[inside] <= born[labels[inside]]]] = NOISE
    return labels


def _find_selected_ancestors(parents: Rows, chosen: Rows) -> Rows:
    """(c,) the place in `chosen` of each cluster or the nearest one above it that is chosen, -1 for none."""
    if native := kernels.native():
        places: Rows = native.chosen_above(parents, chosen)
        return places
    place = {cluster: position for position, cluster in enumerate(chosen.tolist())}
    above: list[int] = []
    for cluster, parent in enumerate(parents.tolist()):
        above.append(place.get(cluster, above[parent] if parent >= 0 else NOISE))
    return np.array(above, np.int64)


def _root_threshold(tree: CondensedTree, how: Selection) -> float:
    if how.epsilon > 0:
        return 1 / how.epsilon
    direct = tree.leaving[tree.cluster == ROOT].max(initial=0.0)
    return float(max(direct, tree.birth[tree.parent == ROOT].max(initial=0.0)))

"""From single linkage to clusters: condense, score, select, label (Campello et al. 2013; McInnes and Healy 2017).

Densities are lambda = 1 / distance. Rows at distance 0 of each other are never split. The Python code here is the
reference implementation and gives the labels of scikit-learn's HDBSCAN; the compiled core gives the same results.
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
    """Clusters of at least `min_cluster_size` rows, and when rows leave them. Cluster 0 is the root; a child has a
    larger number than its parent.

    `parent` (c,) int64, -1 for the root; `birth` (c,) lambda at which the cluster splits from its parent; `size` (c,);
    `stability` (c,) excess of mass: the lambda range of each row in the cluster, summed from the top of the tree
    downwards, so that it does not depend on row order. `cluster` (n,) is the cluster that each row leaves and `leaving`
    (n,) the lambda at which it does, infinite for rows that never leave.
    """

    parent: Rows
    birth: Floats
    size: Rows
    stability: Floats
    cluster: Rows
    leaving: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How clusters are selected from the tree."""

    method: Literal["eom", "leaf"] = "eom"
    epsilon: float = 0.0
    """Clusters born at a smaller distance than this are merged into an ancestor."""
    max_size: int | None = None
    """Larger clusters are not selected ("eom" only)."""
    allow_single: bool = False
    """Whether the root may be selected."""


def condense(
    linkage: Linkage, min_cluster_size: int, weight: Rows | None = None, core: Floats | None = None
) -> CondensedTree:
    """Walk the merges from the top; a side of fewer than `min_cluster_size` (2 or more) rows falls out of its cluster.

    Row i of the n rows of the linkage may represent `weight[i]` equal rows at distance `core[i]` of each other, which
    leave together; by default each is one row. O(n), whatever the depth.
    """
    count = len(linkage.left) + 1
    weight = np.ones(count, np.int64) if weight is None else np.ascontiguousarray(weight, np.int64)
    core = np.zeros(count) if core is None else np.ascontiguousarray(core, np.float64)
    smallest = min(min_cluster_size, int(weight.sum()) + 1)  # larger values are equivalent
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
        """Process a merge within a cluster."""
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
        """The rest of a cluster is equal rows: they leave at their core distance."""
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


def select_clusters(tree: CondensedTree, selection: Selection) -> list[int]:
    """The numbers of the selected clusters, ascending. O(c)."""
    if native := kernels.native():
        limit = None if selection.max_size is None else min(selection.max_size, int(tree.size[ROOT]))
        numbers: list[int] = native.select_clusters(
            tree.parent,
            tree.birth,
            tree.size,
            tree.stability,
            selection.method == "leaf",
            selection.epsilon,
            limit,
            selection.allow_single,
        ).tolist()
        return numbers
    chosen = _find_leaves(tree, selection) if selection.method == "leaf" else _select_most_stable(tree, selection)
    if selection.epsilon > 0 and len(tree.parent) > 1 and chosen != {ROOT}:
        chosen = _climb_to_epsilon(tree, chosen, selection)
    return sorted(chosen)


def _find_leaves(tree: CondensedTree, selection: Selection) -> set[int]:
    """Clusters without children; the root only if it may be the single cluster."""
    return set(range(0 if selection.allow_single else 1, len(tree.parent))) - set(tree.parent.tolist())


def _select_most_stable(tree: CondensedTree, selection: Selection) -> set[int]:
    """The clusters with the largest total stability ("excess of mass"): each, or those below it."""
    stability, parents, sizes = tree.stability.tolist(), tree.parent.tolist(), tree.size.tolist()
    sizes[ROOT] = int(tree.size[tree.parent == ROOT].sum())  # as scikit-learn counts the root
    below = [0.0] * len(sizes)
    chosen: set[int] = set()
    limit = np.inf if selection.max_size is None else selection.max_size
    for cluster in range(len(sizes) - 1, -1 if selection.allow_single else 0, -1):
        if below[cluster] > stability[cluster] or sizes[cluster] > limit:
            stability[cluster] = below[cluster]
        else:
            chosen.add(cluster)
        if cluster != ROOT:
            below[parents[cluster]] += stability[cluster]
    return _keep_topmost(tree, chosen)


def _keep_topmost(tree: CondensedTree, chosen: set[int]) -> set[int]:
    """Selected clusters without a selected ancestor."""
    covered: set[int] = set()
    topmost: set[int] = set()
    for cluster, parent in enumerate(tree.parent.tolist()):
        if parent in covered:
            covered.add(cluster)
        elif cluster in chosen:
            covered.add(cluster)
            topmost.add(cluster)
    return topmost


def _climb_to_epsilon(tree: CondensedTree, chosen: set[int], selection: Selection) -> set[int]:
    """Replace each selected cluster born below `epsilon` by its lowest ancestor born at more (Malzer and Baum 2020),
    climbing as scikit-learn does; the child of the root if the root may not be selected. The root beside other clusters
    is dropped."""
    above, topmost = [ROOT], set[int]()
    with np.errstate(divide="ignore"):
        distances = (1.0 / tree.birth).tolist()
    for cluster, parent in enumerate(tree.parent.tolist()[1:], 1):
        if parent == ROOT:
            above.append(ROOT if selection.allow_single else cluster)
        else:
            above.append(parent if distances[parent] > selection.epsilon else above[parent])
        if cluster in chosen:
            topmost.add(above[cluster] if distances[cluster] < selection.epsilon else cluster)
    return topmost - {ROOT} or topmost


def label_rows(tree: CondensedTree, chosen: list[int], selection: Selection, *, at_birth: bool = True) -> Rows:
    """(n,) position in `chosen` of the selected cluster that each row is in, -1 for noise. A selected root holds only
    its densest rows, or those within `epsilon`. Without `at_birth` rows that leave a cluster at its birth are noise."""
    labels: Rows = _find_selected_ancestors(tree.parent, np.array(chosen, np.int64))[tree.cluster]
    if chosen == [ROOT]:
        labels[tree.leaving < _root_threshold(tree, selection)] = NOISE
    if not at_birth and chosen != [ROOT]:
        born = tree.birth[np.array(chosen, np.int64)] if chosen else np.zeros(0)
        inside = np.flatnonzero(labels >= 0)
        labels[inside[tree.leaving[inside] <= born[labels[inside]]]] = NOISE
    return labels


def _find_selected_ancestors(parents: Rows, chosen: Rows) -> Rows:
    """(c,) position in `chosen` of each cluster or its nearest selected ancestor, -1 for none."""
    if native := kernels.native():
        places: Rows = native.chosen_above(parents, chosen)
        return places
    place = {cluster: position for position, cluster in enumerate(chosen.tolist())}
    above: list[int] = []
    for cluster, parent in enumerate(parents.tolist()):
        above.append(place.get(cluster, above[parent] if parent >= 0 else NOISE))
    return np.array(above, np.int64)


def _root_threshold(tree: CondensedTree, selection: Selection) -> float:
    if selection.epsilon > 0:
        return 1 / selection.epsilon
    direct = tree.leaving[tree.cluster == ROOT].max(initial=0.0)
    return float(max(direct, tree.birth[tree.parent == ROOT].max(initial=0.0)))

"""Numbered clusters, without ids and names: the result of grouping, and the input of identity and naming."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.analysis.hierarchy import Node, Tree, grow
from shoal.columns import Points, Rows
from shoal.engine import compute
from shoal.engine.clusters.centroids import member_rows
from shoal.engine.layers.members import LayerMembers, describe_layers
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan, Progress, StageCache, bypass_cache, ignore_progress
from shoal.labeling import Partition, main_parents
from shoal.records.clusters.ids import Path, Series

__all__ = ["FoundClusters", "find_clusters"]


@dataclass(frozen=True, slots=True)
class FoundClusters:
    """The clusters of an outcome, with its numbers; `members` describes the other layers, coarse to fine, with None for
    the chosen one."""

    outcome: Outcome
    members: Sequence[LayerMembers | None]

    @property
    def chosen(self) -> int:
        """The position of the layer of the clusters themselves."""
        return 0 if self.outcome.layers is None else self.outcome.layers.chosen

    def partitions(self) -> list[Partition]:
        """Return the layers from coarse to fine: only the clusters if the method has no others."""
        own = Partition(self.outcome.labels, self.outcome.clusters, self.outcome.centroids)
        if self.outcome.layers is None:
            return [own]
        return [
            own if members is None else Partition(layer.labels, len(members.means), members.means)
            for layer, members in zip(self.outcome.layers.layers, self.members, strict=True)
        ]

    def parents(self, layer: int) -> NDArray[np.int32]:
        """Return (k,) for each cluster of a layer the cluster of the layer above with most of its documents; -1 for
        none."""
        partitions = self.partitions()
        own = partitions[layer]
        if layer == 0:
            return np.full(own.clusters, -1, np.int32)
        return main_parents(own.labels, partitions[layer - 1].labels, own.clusters)

    def series(self, layer: int) -> Series:
        """Return the id series of the clusters of a layer that was not chosen."""
        return "broad" if layer < self.chosen else "fine"

    def tree(self) -> Tree:
        """Return the tree of groups above the clusters."""
        return grow(self.outcome.hierarchy, self.outcome.sizes)

    def levels(self) -> list[Sequence[Node]]:
        """Return for each level of groups, nearest first, the nodes that partition the clusters there."""
        levels = list[Sequence[Node]]()
        grow(self.outcome.hierarchy, self.outcome.sizes, lambda _, nodes: levels.append(nodes))
        return levels

    def paths(self) -> list[Path]:
        """Return the paths by rank: those of the clusters, then those of the groups above them, nearest first."""
        tree = self.tree()
        return [*tree.clusters(), *(path for path, _ in tree.groups())]


def find_clusters(
    points: Points,
    texts: Sequence[str] | None,
    plan: Plan,
    progress: Progress = ignore_progress,
    places_before: NDArray[np.float32] | None = None,
    keep: StageCache = bypass_cache,
    *,
    origin: NDArray[np.float64] | None = None,
) -> FoundClusters:
    """Cluster the points, and describe the clusters of all layers.

    Parameters
    ----------
    points : float32 array of shape (n, d)
    texts : sequence of str, length n
        Documents with text are preferred as representatives.
    places_before, keep, origin
        As for `compute`.

    Raises
    ------
    InvalidField
        For parameters or points that the algorithm cannot take.
    Cancelled
        From `progress`.
    """
    outcome = _prefer_texts(compute(points, plan, progress, places_before, keep, origin=origin), texts)
    return FoundClusters(outcome, _describe_layers(outcome, points, plan))


def _describe_layers(outcome: Outcome, points: Points, plan: Plan) -> list[LayerMembers | None]:
    layers = outcome.layers
    if layers is None:
        return [None]
    others = [layer.labels for number, layer in enumerate(layers.layers) if number != layers.chosen]
    described: list[LayerMembers | None] = [
        *describe_layers(points, others, normalize=plan.normalize, origin=outcome.origin, threads=plan.threads)
    ]
    return [*described[: layers.chosen], None, *described[layers.chosen :]]


def _prefer_texts(outcome: Outcome, texts: Sequence[str] | None) -> Outcome:
    """Prefer representatives with text: the nearest to the centroid that have one."""
    if texts is None or all(texts[row].strip() for rows in outcome.representatives for row in rows.tolist()):
        return outcome
    blank = np.fromiter((not text.strip() for text in texts), np.bool_, len(texts))
    preferred = list[Rows]()
    all_members = member_rows(outcome.labels, outcome.clusters)
    for rows, members in zip(outcome.representatives, all_members, strict=True):
        if blank[rows].any():
            rows = members[np.lexsort((outcome.distances[members], blank[members]))][: len(rows)]
        preferred.append(rows)
    return replace(outcome, representatives=preferred)

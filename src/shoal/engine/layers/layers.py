"""Layers of granularity: the same rows in few large groups and in many small ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points, Rows
from shoal.engine.clusters.centroids import cluster_means, member_rows
from shoal.engine.clusters.labels import number_by_size
from shoal.engine.kmeans.centers import find_two_nearest

__all__ = ["Layer", "Layers", "build_layers", "find_nearest_parts", "find_parents"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One granularity of n rows in k clusters."""

    labels: Labels
    """(n,) numbered by size, -1 for noise."""
    parents: Labels
    """(k,) the cluster of the next coarser layer that each cluster lies in; -1 in the coarsest layer."""

    @property
    def clusters(self) -> int:
        """k, noise not counted."""
        return len(self.parents)


def build_layers(layers: Sequence[NDArray[np.integer]]) -> list[Layer]:
    """Layers of labels (n,) in any numbering, from coarse to fine, each cluster inside one of the layer before."""
    numbered = [number_by_size(labels) for labels in layers]
    return [
        Layer(labels, find_parents(labels, numbered[place - 1] if place else None))
        for place, labels in enumerate(numbered)
    ]


def find_parents(labels: Labels, coarser: Labels | None) -> Labels:
    """(k,) the cluster of `coarser` (n,) that each cluster of `labels` (n,) lies in; -1 where there is none."""
    parents = np.full(int(labels.max(initial=-1)) + 1, NOISE, np.int32)
    if coarser is not None:
        inside = labels >= 0
        parents[labels[inside]] = coarser[inside]
    return parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """From coarse to fine: a cluster lies in one cluster of the layer before, and noise is the same rows in all layers.
    `layers[chosen]` are the labels of the clustering; `reason` says why, in words; `clear` is False where no clear
    structure was seen."""

    layers: Sequence[Layer]
    chosen: int
    reason: str
    clear: bool
    agreement: float
    """How far independent runs agree on which neighbours belong together, 0..1."""

    def summary(self) -> dict[str, object]:
        """All but the labels, ready for JSON."""
        return {
            "clusters": [layer.clusters for layer in self.layers],
            "chosen": self.chosen,
            "reason": self.reason,
            "clear": self.clear,
            "agreement": self.agreement,
        }

    def extend(self, fitted: Rows | None, labels: Labels, points: Points, threads: int) -> "Layers":
        """The same among all n rows of `points` (n, d), the chosen layer being `labels` (n,).

        Rows that were not `fitted` are in coarser layers where their cluster is; in finer ones they join the nearest
        part of it, by the means of the fitted rows.
        """
        if fitted is None:
            return replace(
                self, layers=build_layers([*self._coarser_labels(labels, None), labels, *self._finer_labels()])
            )
        finer, last = list[Labels](), labels
        for layer in self.layers[self.chosen + 1 :]:
            last = _assign_to_nearest(layer.labels, fitted, last, points, threads)
            finer.append(last)
        return replace(self, layers=build_layers([*self._coarser_labels(labels, fitted), labels, *finer]))

    def _coarser_labels(self, labels: Labels, fitted: Rows | None) -> list[Labels]:
        """Of all rows, the layers above the chosen one."""
        some = slice(None) if fitted is None else fitted
        return [_map_to_coarser(layer.labels, labels[some], labels) for layer in self.layers[: self.chosen]]

    def _finer_labels(self) -> list[Labels]:
        return [layer.labels for layer in self.layers[self.chosen + 1 :]]

    def take(self, rows: Rows) -> "Layers":
        """Row i of the answer is row `rows[i]`; every cluster keeps a row."""
        return replace(self, layers=[replace(layer, labels=layer.labels[rows]) for layer in self.layers])


def _map_to_coarser(coarser: Labels, own: Labels, labels: Labels) -> Labels:
    """The coarser clusters of `labels` (n,), told by the fitted rows, of which `own` are the labels."""
    group = np.full(int(labels.max(initial=-1)) + 2, NOISE, np.int32)  # noise is -1, the last place
    group[own[own >= 0]] = coarser[own >= 0]
    found: Labels = group[labels]
    return found


def _assign_to_nearest(finer: Labels, fitted: Rows, labels: Labels, points: Points, threads: int) -> Labels:
    """`finer` (m,) of the `fitted` rows for all rows, which are in the larger clusters `labels` (n,)."""
    means = cluster_means(points[fitted], finer, int(finer.max(initial=-1)) + 1).astype(np.float32)
    rest = np.ones(len(labels), np.bool_)
    rest[fitted] = False
    rows = np.flatnonzero(rest)
    found = np.empty(len(labels), np.int32)
    found[fitted] = finer
    found[rows] = find_nearest_parts(find_parents(finer, labels[fitted]), means, labels[rows], points, rows, threads)
    return found


def find_nearest_parts(
    parents: Labels, means: Points, labels: Labels, points: Points, rows: Rows, threads: int
) -> Labels:
    """(m,) the part of its cluster that each of the `rows` (m,) of `points` (n, d) is nearest to; -1 where it has none.

    `parents` (k,) says which cluster each part lies in, `means` (k, d) where it is; `labels` (m,) are the clusters of
    the rows, -1 for noise. O(m d) for each part of a row's own cluster.
    """
    found = np.full(len(rows), NOISE, np.int32)
    clusters = max(int(labels.max(initial=-1)), int(parents.max(initial=-1))) + 1
    for parts, mine in zip(member_rows(parents, clusters), member_rows(labels, clusters), strict=True):
        if len(parts) == 1:
            found[mine] = parts[0]
        elif len(parts) > 1 and len(mine):
            found[mine] = parts[find_two_nearest(points[rows[mine]], means[parts], threads, None).labels]
    return found

"""Layers of granularity: the same rows in a few large and in many small clusters."""

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
    """(k,) the cluster of the next coarser layer that contains each cluster; -1 in the coarsest layer."""

    @property
    def clusters(self) -> int:
        """k, excluding noise."""
        return len(self.parents)


def build_layers(layers: Sequence[NDArray[np.integer]]) -> list[Layer]:
    """Number nested labellings (n,) from coarse to fine, each cluster inside one of the layer before."""
    numbered = [number_by_size(labels) for labels in layers]
    return [
        Layer(labels, find_parents(labels, numbered[place - 1] if place else None))
        for place, labels in enumerate(numbered)
    ]


def find_parents(labels: Labels, coarser: Labels | None) -> Labels:
    """(k,) the cluster of `coarser` (n,) that contains each cluster of `labels` (n,); -1 for none."""
    parents = np.full(int(labels.max(initial=-1)) + 1, NOISE, np.int32)
    if coarser is not None:
        inside = labels >= 0
        parents[labels[inside]] = coarser[inside]
    return parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """From coarse to fine: a cluster lies in one cluster of the layer before, and noise is the same in all layers.
    `layers[chosen]` are the labels of the clustering; `reason` explains the choice; `clear` is False if no clear
    structure was found."""

    layers: Sequence[Layer]
    chosen: int
    reason: str
    clear: bool
    agreement: float
    """Agreement of independent runs on which neighbours belong together, 0..1."""

    def summary(self) -> dict[str, object]:
        """Everything except the labels, as JSON."""
        return {
            "clusters": [layer.clusters for layer in self.layers],
            "chosen": self.chosen,
            "reason": self.reason,
            "clear": self.clear,
            "agreement": self.agreement,
        }

    def extend(self, fitted: Rows | None, labels: Labels, points: Points, threads: int) -> "Layers":
        """Extend to all n rows of `points` (n, d), the chosen layer being `labels` (n,).

        Rows that were not `fitted` follow their cluster in coarser layers; in finer ones they join its nearest part by
        the means of the fitted rows.
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
        """The layers above the chosen one, for all rows."""
        selected = slice(None) if fitted is None else fitted
        return [_map_to_coarser(layer.labels, labels[selected], labels) for layer in self.layers[: self.chosen]]

    def _finer_labels(self) -> list[Labels]:
        return [layer.labels for layer in self.layers[self.chosen + 1 :]]

    def take(self, rows: Rows) -> "Layers":
        """Row i of the result is row `rows[i]`; every cluster keeps a row."""
        return replace(self, layers=[replace(layer, labels=layer.labels[rows]) for layer in self.layers])


def _map_to_coarser(coarser: Labels, own: Labels, labels: Labels) -> Labels:
    """The coarser clusters of `labels` (n,), derived from the fitted rows, whose labels are `own`."""
    group = np.full(int(labels.max(initial=-1)) + 2, NOISE, np.int32)  # noise is -1, the last place
    group[own[own >= 0]] = coarser[own >= 0]
    result: Labels = group[labels]
    return result


def _assign_to_nearest(finer: Labels, fitted: Rows, labels: Labels, points: Points, threads: int) -> Labels:
    """Extend `finer` (m,), the labels of the `fitted` rows, to all rows, which are in the larger clusters `labels`
    (n,)."""
    means = cluster_means(points[fitted], finer, int(finer.max(initial=-1)) + 1).astype(np.float32)
    rest = np.ones(len(labels), np.bool_)
    rest[fitted] = False
    rows = np.flatnonzero(rest)
    result = np.empty(len(labels), np.int32)
    result[fitted] = finer
    result[rows] = find_nearest_parts(find_parents(finer, labels[fitted]), means, labels[rows], points, rows, threads)
    return result


def find_nearest_parts(
    parents: Labels, means: Points, labels: Labels, points: Points, rows: Rows, threads: int
) -> Labels:
    """(m,) the nearest part of its cluster for each of the `rows` (m,) of `points` (n, d); -1 if the cluster has no
    parts.

    `parents` (k,) is the cluster of each part, `means` (k, d) its mean; `labels` (m,) are the clusters of the rows, -1
    for noise. O(m d) per part of a row's own cluster.
    """
    result = np.full(len(rows), NOISE, np.int32)
    clusters = max(int(labels.max(initial=-1)), int(parents.max(initial=-1))) + 1
    for parts, own_rows in zip(member_rows(parents, clusters), member_rows(labels, clusters), strict=True):
        if len(parts) == 1:
            result[own_rows] = parts[0]
        elif len(parts) > 1 and len(own_rows):
            result[own_rows] = parts[find_two_nearest(points[rows[own_rows]], means[parts], threads, None).labels]
    return result

"""Layers around the natural clusters: coarser ones merge them, finer ones split them, and any number of clusters is a
cut between two layers. All are nested and have the same noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.engine.communities.leiden import intersect_groups, run_leiden
from shoal.engine.layers.choice import LAYER_STEP, BaseCommunities, finer_resolutions, rising_resolutions
from shoal.engine.layers.cluster_merges import (
    MAX_CLUSTERS,
    Merges,
    merge_clusters,
    pairwise_distances,
    score_separation,
    weighted_means,
)
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.plan import Progress

__all__ = ["LayerTree"]

Places = NDArray[np.int32]

_MAX_COARSER: Final = 4
"""Maximum number of layers above the chosen one."""
_CANDIDATE_COUNTS: Final = [*range(2, 41), *(round(41 * 1.1**step) for step in range(60))]
"""Numbers of groups whose separation is evaluated."""
_MIN_RATIO: Final = 1.25
"""The natural clusters are a layer of their own if the requested number differs by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTree:
    """Layers over the m distinct rows `points` (m, d), with `copies` (m,), and their `graph`.

    `core` (m,) are the clusters of `ground`, with noise as -1. Finer clusters contain at least `smallest` rows,
    including copies.
    """

    points: Points
    copies: Rows
    graph: NeighborGraph
    ground: BaseCommunities
    core: Places
    smallest: int
    seed: int
    threads: int
    progress: Progress

    def natural_layers(self) -> tuple[list[Places], int]:
        """The layers (m,) from coarse to fine that show most of the structure, and the position of the core."""
        if _count_clusters(self.core) == 0:
            return [self.core], 0
        coarser = self._coarser_layers([_count_clusters(self.core)])
        return [*coarser, self.core, *self._finer_layers(self.core, finer_resolutions(self.ground))], len(coarser)

    def with_clusters(self, requested: int) -> tuple[list[Places], int]:
        """As `natural_layers` with a layer of `requested` clusters, and its position: the core merged or split
        accordingly. The layer has fewer clusters if the rows cannot be split that often."""
        natural = _count_clusters(self.core)
        if requested == natural or natural == 0:
            return self.natural_layers()
        return self._coarsen_to(requested, natural) if requested < natural else self._refine_to(requested, natural)

    def _coarsen_to(self, requested: int, natural: int) -> tuple[list[Places], int]:
        coarser = self._coarser_layers([requested, natural])
        finer = [self.core] if natural >= _MIN_RATIO * requested else []
        finer += self._finer_layers(self.core, finer_resolutions(self.ground))
        place = sum(_count_clusters(layer) < requested for layer in coarser)
        return [*coarser, *finer], place

    def _refine_to(self, requested: int, natural: int) -> tuple[list[Places], int]:
        above, last = list[Places](), self.core
        for finer in self._refine(self.core, rising_resolutions(self.ground)):
            if _count_clusters(finer) >= requested:
                break
            if _count_clusters(finer) > _count_clusters(last):
                above.append(finer)
            last = finer
        else:
            finer = last
        chosen = self._cut_between(last, finer, requested)
        selected = [
            layer for layer in [self.core, *above] if _count_clusters(layer) * _MIN_RATIO <= _count_clusters(chosen)
        ]
        layers = _space_out(selected, first=_count_clusters(self.core))
        below = [finer] if _count_clusters(finer) >= LAYER_STEP * _count_clusters(chosen) else []
        coarser = [*self._coarser_layers([natural]), *layers]
        return [*coarser, chosen, *below], len(coarser)

    def _cut_between(self, coarse: Places, fine: Places, requested: int) -> Places:
        """Merge the `fine` clusters inside the `coarse` ones until `requested` are left."""
        inside = fine >= 0
        if _count_clusters(fine) <= requested:
            return fine
        parent = np.empty(_count_clusters(fine), np.int32)
        parent[fine[inside]] = coarse[inside]
        return _map_labels(merge_clusters(*weighted_means(self.points, fine, self.copies), parent).cut(requested), fine)

    def _coarser_layers(self, fixed: list[int]) -> list[Places]:
        """Layers above the core: those of the `fixed` numbers of clusters below its own, and others that are well
        separated."""
        natural = _count_clusters(self.core)
        if natural < 2:
            return []
        means, sizes = weighted_means(self.points, self.core, self.copies)
        merges = merge_clusters(means, sizes)
        counts = sorted({*(count for count in fixed if count < natural), *_find_separated_counts(means, merges, fixed)})
        return [_map_labels(merges.cut(count), self.core) for count in counts]

    def _finer_layers(self, core: Places, resolutions: list[float]) -> list[Places]:
        return _space_out([*self._refine(core, resolutions)], first=_count_clusters(core) * LAYER_STEP)

    def _refine(self, core: Places, resolutions: list[float]) -> Iterator[Places]:
        """Yield the core in ever smaller parts."""
        strength, parts, last = self.graph.strength(), self.ground.communities, core
        for resolution in resolutions:
            groups = self.ground.groups
            runs = run_leiden(
                self.graph,
                resolution,
                [self.seed],
                groups=None if groups is None else intersect_groups(np.stack([groups, parts])),
                within=parts,
                strength=strength,
                threads=self.threads,
                progress=self.progress,
            )
            parts = runs.reshape(-1)
            last = self._absorb_small(np.where(core >= 0, parts, NOISE).astype(np.int32), last)
            yield last

    def _absorb_small(self, parts: Places, whole: Places) -> Places:
        """The parts of clusters of `whole` renumbered, with parts that are too small merged into the nearest
        sibling."""
        inside = parts >= 0
        labels = parts.copy()
        labels[inside] = np.unique(parts[inside], return_inverse=True)[1]
        means, sizes = weighted_means(self.points, labels, self.copies)
        parent = np.empty(len(sizes), np.int32)
        parent[labels[inside]] = whole[inside]
        home = np.arange(len(sizes))
        for cluster in np.unique(parent[sizes < self.smallest]).tolist():
            own = np.flatnonzero(parent == cluster)
            large = np.flatnonzero(sizes[own] >= self.smallest)
            small = np.flatnonzero(sizes[own] < self.smallest)
            if len(large) == 0:
                home[own] = own[0]
                continue
            away = pairwise_distances(means[own])
            home[own[small]] = own[large[np.argmin(away[np.ix_(small, large)], axis=1)]]
        return _map_labels(np.unique(home, return_inverse=True)[1].astype(np.int32), labels)


def _count_clusters(labels: Places) -> int:
    return int(labels.max(initial=-1)) + 1


def _map_labels(group: Places, labels: Places) -> Places:
    """The groups (k,) of labels (m,), noise unchanged."""
    mapped = np.full(len(labels), NOISE, np.int32)
    inside = labels >= 0
    mapped[inside] = group[labels[inside]]
    return mapped


def _find_separated_counts(means: Points, merges: Merges, fixed: Sequence[int]) -> list[int]:
    """Well-separated numbers of groups, best first, each at least 1.6 times away from the others and from the `fixed`
    ones."""
    counts = [count for count in _CANDIDATE_COUNTS if count * LAYER_STEP <= len(means)]
    if len(means) <= MAX_CLUSTERS:
        away = pairwise_distances(means)
        scores = {count: score_separation(away, merges.cut(count)) for count in counts}
        counts.sort(key=lambda count: (-scores[count], count))
    selected = list[int]()
    for count in counts:
        if len(selected) < _MAX_COARSER and all(
            max(count / other, other / count) >= LAYER_STEP for other in [*fixed, *selected]
        ):
            selected.append(count)
    return selected


def _space_out(layers: Sequence[Places], first: float) -> list[Places]:
    """Layers with at least `first` clusters, then with 1.6 times as many as the previous one."""
    selected, least = list[Places](), first
    for layer in layers:
        if _count_clusters(layer) >= least:
            selected.append(layer)
            least = LAYER_STEP * _count_clusters(layer)
    return selected

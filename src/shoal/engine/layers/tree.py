"""The layers around the clusters that the data show: coarser ones join them, finer ones split them, and any number of
clusters is a cut between two layers. All are nested, and leave the same rows out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.engine.communities.leiden import common_groups, community_runs
from shoal.engine.layers.choice import LAYER_STEP, Ground, finer_resolutions, rising_resolutions
from shoal.engine.layers.cluster_merges import MOST, Merges, gaps, merges_of, middles, separation
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.plan import Progress

__all__ = ["LayerTree"]

Places = NDArray[np.int32]

_COARSER: Final = 4
"""Layers above the chosen one, at most."""
_LOOKED_AT: Final = [*range(2, 41), *(round(41 * 1.1**step) for step in range(60))]
"""Numbers of groups whose separation is looked at."""
_NEAR: Final = 1.25
"""The clusters that the data show are a layer of their own where another number was asked for by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTree:
    """Over the m distinct rows `points` (m, d), of each of which there are `copies` (m,), and their `graph`. `core`
    (m,) are the clusters of the `ground` without the rows that belong nowhere, which are -1. Finer clusters hold
    `smallest` rows at least, copies counted."""

    points: Points
    copies: Rows
    graph: NeighborGraph
    ground: Ground
    core: Places
    smallest: int
    seed: int
    threads: int
    progress: Progress

    def natural(self) -> tuple[list[Places], int]:
        """The layers (m,) from coarse to fine that show most of the structure, and the place of the core."""
        if _count(self.core) == 0:
            return [self.core], 0
        coarser = self._coarser([_count(self.core)])
        return [*coarser, self.core, *self._finer(self.core, finer_resolutions(self.ground))], len(coarser)

    def with_clusters(self, wanted: int) -> tuple[list[Places], int]:
        """The same with a layer of `wanted` clusters, and the place of it: the core joined or split so far. The layer
        has fewer where the rows cannot be parted so often."""
        shown = _count(self.core)
        if wanted == shown or shown == 0:
            return self.natural()
        return self._joined(wanted, shown) if wanted < shown else self._split(wanted, shown)

    def _joined(self, wanted: int, shown: int) -> tuple[list[Places], int]:
        coarser = self._coarser([wanted, shown])
        finer = [self.core] if shown >= _NEAR * wanted else []
        finer += self._finer(self.core, finer_resolutions(self.ground))
        place = sum(_count(layer) < wanted for layer in coarser)
        return [*coarser, *finer], place

    def _split(self, wanted: int, shown: int) -> tuple[list[Places], int]:
        above, last = list[Places](), self.core
        for finer in self._descent(self.core, rising_resolutions(self.ground)):
            if _count(finer) >= wanted:
                break
            if _count(finer) > _count(last):
                above.append(finer)
            last = finer
        else:
            finer = last
        chosen = self._between(last, finer, wanted)
        kept = [layer for layer in [self.core, *above] if _count(layer) * _NEAR <= _count(chosen)]
        layers = _spaced(kept, first=_count(self.core))
        below = [finer] if _count(finer) >= LAYER_STEP * _count(chosen) else []
        coarser = [*self._coarser([shown]), *layers]
        return [*coarser, chosen, *below], len(coarser)

    def _between(self, coarse: Places, fine: Places, wanted: int) -> Places:
        """The `fine` clusters joined inside the `coarse` ones until `wanted` are left."""
        inside = fine >= 0
        if _count(fine) <= wanted:
            return fine
        parent = np.empty(_count(fine), np.int32)
        parent[fine[inside]] = coarse[inside]
        return _mapped(merges_of(*middles(self.points, fine, self.copies), parent).cut(wanted), fine)

    def _coarser(self, fixed: list[int]) -> list[Places]:
        """Layers above the core: those of the `fixed` numbers of clusters below its own, others that stand apart."""
        shown = _count(self.core)
        if shown < 2:
            return []
        means, sizes = middles(self.points, self.core, self.copies)
        merges = merges_of(means, sizes)
        counts = sorted({*(count for count in fixed if count < shown), *_standing_apart(means, merges, fixed)})
        return [_mapped(merges.cut(count), self.core) for count in counts]

    def _finer(self, core: Places, resolutions: list[float]) -> list[Places]:
        return _spaced([*self._descent(core, resolutions)], first=_count(core) * LAYER_STEP)

    def _descent(self, core: Places, resolutions: list[float]) -> Iterator[Places]:
        """The core in ever smaller parts."""
        strength, parts, last = self.graph.strength(), self.ground.communities, core
        for resolution in resolutions:
            groups = self.ground.groups
            found = community_runs(
                self.graph,
                resolution,
                [self.seed],
                groups=None if groups is None else common_groups(np.stack([groups, parts])),
                within=parts,
                strength=strength,
                threads=self.threads,
                progress=self.progress,
            )
            parts = found.reshape(-1)
            last = self._absorbed(np.where(core >= 0, parts, NOISE).astype(np.int32), last)
            yield last

    def _absorbed(self, parts: Places, whole: Places) -> Places:
        """The parts of clusters of `whole` renumbered, those that are too small joined to the nearest sibling."""
        inside = parts >= 0
        labels = parts.copy()
        labels[inside] = np.unique(parts[inside], return_inverse=True)[1]
        means, sizes = middles(self.points, labels, self.copies)
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
            away = gaps(means[own])
            home[own[small]] = own[large[np.argmin(away[np.ix_(small, large)], axis=1)]]
        return _mapped(np.unique(home, return_inverse=True)[1].astype(np.int32), labels)


def _count(labels: Places) -> int:
    return int(labels.max(initial=-1)) + 1


def _mapped(group: Places, labels: Places) -> Places:
    """The groups (k,) of labels (m,), noise left as it is."""
    found = np.full(len(labels), NOISE, np.int32)
    inside = labels >= 0
    found[inside] = group[labels[inside]]
    return found


def _standing_apart(means: Points, merges: Merges, fixed: Sequence[int]) -> list[int]:
    """Numbers of groups that stand apart, most of all first; each away by a factor of 1.6 from the others and from the
    `fixed` ones."""
    counts = [count for count in _LOOKED_AT if count * LAYER_STEP <= len(means)]
    if len(means) <= MOST:
        away = gaps(means)
        scores = {count: separation(away, merges.cut(count)) for count in counts}
        counts.sort(key=lambda count: (-scores[count], count))
    found = list[int]()
    for count in counts:
        if len(found) < _COARSER and all(max(count / one, one / count) >= LAYER_STEP for one in [*fixed, *found]):
            found.append(count)
    return found


def _spaced(layers: Sequence[Places], first: float) -> list[Places]:
    """Those with at least `first` clusters, then with 1.6 times as many as the last."""
    found, least = list[Places](), first
    for layer in layers:
        if _count(layer) >= least:
            found.append(layer)
            least = LAYER_STEP * _count(layer)
    return found

"""Coarsens a neighbour graph level by level to a few hundred vertices, for the multilevel layout."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.engine.plan import Pulse, ignore_pulse
from shoal.engine.rows.row_keys import mix_bits

__all__ = ["Level", "coarsen_levels"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

_MAX_VERTICES: Final = 512
"""Approximate number of vertices of the coarsest level."""
_MIN_REDUCTION: Final = 0.2
"""Fraction of the vertices that another level must remove."""


@dataclass(frozen=True, slots=True)
class Level:
    """A graph: its `weights` (m, m), the number of rows per vertex, `mass` (m,), the weight inside each, `inner` (m,),
    and its vertex in the next coarser level, `above` (m,), None in the coarsest."""

    weights: csr_array
    mass: NDArray[np.float64]
    inner: NDArray[np.float64]
    above: Numbers | None

    def pull(self) -> Floats:
        """(e,) the share of each neighbour in a vertex's attraction."""
        strength = np.asarray(self.weights.sum(axis=1)).ravel() + self.inner
        edges = np.diff(self.weights.indptr)
        return np.asarray(self.weights.data / np.repeat(np.maximum(strength, 1e-30), edges), np.float32)

    @staticmethod
    def of_rows(weights: csr_array, above: Numbers | None = None) -> "Level":
        """The graph of the rows themselves."""
        return Level(weights, np.ones(weights.shape[0]), np.zeros(weights.shape[0]), above)


def coarsen_levels(weights: csr_array, seed: int, pulse: Pulse = ignore_pulse) -> list[Level]:
    """All levels, from the rows to the coarsest."""
    levels = list[Level]()
    level = Level.of_rows(weights)
    while level.weights.shape[0] > _MAX_VERTICES:
        group = _group_vertices(level.weights, seed, pulse)
        count = int(group.max()) + 1
        if count > (1 - _MIN_REDUCTION) * len(group):
            break
        levels.append(Level(level.weights, level.mass, level.inner, group))
        level = _contract(level, group, count)
        pulse()
    return [*levels, level]


def _contract(level: Level, group: Numbers, count: int) -> Level:
    cells = (np.ones(len(group), np.float32), (np.arange(len(group)), group))
    belongs = csr_array(cells, shape=(len(group), count))
    weights = csr_array(belongs.T @ level.weights @ belongs)
    inner = np.asarray(np.bincount(group, level.inner, count) + weights.diagonal(), np.float64)
    mass = np.asarray(np.bincount(group, level.mass, count), np.float64)
    weights.setdiag(0)
    weights.eliminate_zeros()
    weights.sort_indices()
    return Level(weights, mass, inner, None)


def _group_vertices(weights: csr_array, seed: int, pulse: Pulse) -> Numbers:
    """(m,) groups: vertices with the highest random priority among their neighbours, which join the one they are most
    strongly tied to (Luby 1986)."""
    count = weights.shape[0]
    row = np.repeat(np.arange(count), np.diff(weights.indptr))
    to, weight = weights.indices.astype(np.int64), weights.data
    priority = np.empty(count, np.int64)
    priority[np.argsort(mix_bits(np.arange(count, dtype=np.uint64) + np.uint64(seed * 7919 + 1)))] = np.arange(
        1, count + 1
    )
    root = np.full(count, -1, np.int64)
    while (root < 0).any():
        pulse()
        free = root < 0
        live = free[row] & free[to]
        highest = np.zeros(count, np.int64)
        np.maximum.at(highest, row[live], priority[to[live]])
        fresh = free & (priority > highest)
        root[fresh] = np.flatnonzero(fresh)
        tied = free[row] & ~fresh[row] & fresh[to]
        order = np.lexsort((to[tied], -weight[tied], row[tied]))
        source, target = row[tied][order], to[tied][order]
        first = np.ones(len(source), np.bool_)
        first[1:] = source[1:] != source[:-1]
        root[source[first]] = target[first]
    return np.unique(root, return_inverse=True)[1].astype(np.int64)

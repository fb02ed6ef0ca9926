"""The map: places in two or three dimensions where neighbours lie together and clusters apart.

Neighbours in the fuzzy graph attract each other and all rows repel each other, with the likelihood 1 / (1 + a d^2) of
two rows a distance d apart being neighbours (Tang et al. 2016, LargeVis; McInnes et al. 2018, UMAP). The graph is laid
out coarse first: its vertices are joined level by level to a few hundred, which start from their principal axes, and
each level starts from the places of the one above.
"""

from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points
from shoal.engine import kernels
from shoal.engine.neighbor_graph import fuzzy_graph
from shoal.engine.neighbor_lists import find_neighbors
from shoal.engine.parallel import thread_count
from shoal.engine.plan import Progress, silent, within
from shoal.engine.projection import project
from shoal.engine.row_keys import distinct, mixed

__all__ = ["lay_out"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

_NEIGHBORS: Final = 15
_FEWEST: Final = 50
"""Distinct rows below which principal axes are the map."""
_MANY: Final = 50_000
"""Rows above which neighbours are searched among near blocks of rows only: a map can do with most of them."""
_TOP: Final = 512
"""Vertices of the coarsest level, about."""
_FORCES: Final = (1.6, 2.5, 0.01)
"""Steepness, repulsion and softness, see `native/layout.hpp`."""
_SAMPLE: Final = 64
_ROUNDS: Final = (150, 200)
"""Of the rows themselves and of coarser levels."""
_RATE: Final = (0.3, 0.02, 0.8)
"""First and last step length, and momentum."""
_JITTER: Final = 0.3
_WIDTH: Final = 5.0


def lay_out(points: Points, components: int, seed: int, threads: int, progress: Progress) -> Floats:
    """(n, components) float32 coordinates, 2 or 3, around the origin; equal rows have one place.

    The same in any order of the rows and on any number of threads. O(n log n) beside the neighbours, O(n k) memory.
    Without the compiled core, and for fewer than 50 distinct rows, the principal axes. Reports to `progress` as
    "layout".
    """
    values = distinct(points, threads)
    core = kernels.native()
    if core is None or len(values.rows) < _FEWEST:
        return project(points, components, seed, threads, progress)
    near = find_neighbors(
        points,
        values.rows,
        _NEIGHBORS,
        threads=threads,
        progress=lambda _, done: progress("layout", 0.5 * done),
        approximate=len(values.rows) > _MANY,
    )
    graph = fuzzy_graph(near.halved(), threads)
    levels = _levels(graph.matrix(), seed)
    part = within(progress, "layout", 0.5, 1)
    places = _settled(core, levels, points[values.rows], components, seed, thread_count(threads), part)
    places -= places.mean(axis=0, dtype=np.float64).astype(np.float32)
    progress("layout", 1.0)
    return np.ascontiguousarray(places[values.back])


@dataclass(frozen=True, slots=True)
class _Level:
    """A graph: its `weights` (m, m), how many rows each vertex stands for, `mass` (m,), the weight inside it, `inner`
    (m,), and the vertex of the level above it belongs to, `above` (m,), None at the top."""

    weights: csr_array
    mass: NDArray[np.float64]
    inner: NDArray[np.float64]
    above: Numbers | None


def _levels(weights: csr_array, seed: int) -> list[_Level]:
    """From the rows to the coarsest."""
    found = list[_Level]()
    mass: NDArray[np.float64] = np.ones(weights.shape[0])
    inner: NDArray[np.float64] = np.zeros(weights.shape[0])
    while weights.shape[0] > _TOP:
        group = _joined(weights, seed)
        count = int(group.max()) + 1
        if count > 0.8 * weights.shape[0]:
            break
        found.append(_Level(weights, mass, inner, group))
        cells = (np.ones(len(group), np.float32), (np.arange(len(group)), group))
        belongs = csr_array(cells, shape=(len(group), count))
        weights = csr_array(belongs.T @ weights @ belongs)
        inner = np.asarray(np.bincount(group, inner, count) + weights.diagonal(), np.float64)
        mass = np.asarray(np.bincount(group, mass, count), np.float64)
        weights.setdiag(0)
        weights.eliminate_zeros()
        weights.sort_indices()
    return [*found, _Level(weights, mass, inner, None)]


def _joined(weights: csr_array, seed: int) -> Numbers:
    """(m,) groups: vertices that draw the highest lot among their neighbours, which join the one they are tied to most
    (Luby 1986)."""
    count = weights.shape[0]
    row = np.repeat(np.arange(count), np.diff(weights.indptr))
    to, weight = weights.indices.astype(np.int64), weights.data
    lot = np.empty(count, np.int64)
    lot[np.argsort(mixed(np.arange(count, dtype=np.uint64) + np.uint64(seed * 7919 + 1)))] = np.arange(1, count + 1)
    root = np.full(count, -1, np.int64)
    while (root < 0).any():
        free = root < 0
        live = free[row] & free[to]
        highest = np.zeros(count, np.int64)
        np.maximum.at(highest, row[live], lot[to[live]])
        fresh = free & (lot > highest)
        root[fresh] = np.flatnonzero(fresh)
        tied = free[row] & ~fresh[row] & fresh[to]
        order = np.lexsort((to[tied], -weight[tied], row[tied]))
        source, target = row[tied][order], to[tied][order]
        first = np.ones(len(source), np.bool_)
        first[1:] = source[1:] != source[:-1]
        root[source[first]] = target[first]
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def _settled(
    core: ModuleType, levels: list[_Level], points: Points, components: int, seed: int, threads: int, progress: Progress
) -> Floats:
    places = _start(levels, points, components, seed)
    for depth in range(len(levels) - 1, -1, -1):
        level = levels[depth]
        strength = np.asarray(level.weights.sum(axis=1)).ravel() + level.inner
        edges = np.diff(level.weights.indptr)
        pull = (level.weights.data / np.repeat(np.maximum(strength, 1e-30), edges)).astype(np.float32)
        if level.above is not None:
            places = _unfolded(level, places, pull)
        rounds, sample, last = (
            (_ROUNDS[0], _SAMPLE, _RATE[1]) if depth == 0 else (_ROUNDS[1], 4 * _SAMPLE, _RATE[0] / 4)
        )
        share = within(progress, "layout", 1 - (depth + 1) / len(levels), 1 - depth / len(levels))
        found = core.settled(
            level.weights.indptr.astype(np.int64),
            level.weights.indices.astype(np.int32),
            pull,
            (level.mass / level.mass.mean()).astype(np.float32),
            np.full(len(level.mass), np.inf, np.float32),
            np.ascontiguousarray(places.T),
            (*_FORCES, sample),
            (rounds, _RATE[0], last, _RATE[2], seed + depth),
            threads,
            partial(share, "layout"),
        )
        places = found.T
    return np.ascontiguousarray(places)


def _start(levels: list[_Level], points: Points, components: int, seed: int) -> Floats:
    """The coarsest level along the principal axes of its means."""
    group = np.arange(len(points))
    for level in levels[:-1]:
        assert level.above is not None, "only the top has none above"
        group = level.above[group]
    top = levels[-1]
    cells = (np.ones(len(group), np.float32), (group, np.arange(len(group))))
    means = (csr_array(cells, shape=(len(top.mass), len(group))) @ points) / top.mass[:, None]
    places = project(np.ascontiguousarray(means, np.float32), components, seed, 1, silent)
    return np.asarray(places * (_WIDTH / max(float(np.sqrt((places**2).sum(axis=1).mean())), 1e-30)), np.float32)


def _unfolded(level: _Level, places: Floats, pull: Floats) -> Floats:
    """Each vertex between its group and the groups of its neighbours, a little off so that none lie on one spot."""
    own = places[level.above]
    around = csr_array((pull, level.weights.indices, level.weights.indptr), shape=level.weights.shape) @ own
    lots = mixed(np.arange(own.size, dtype=np.uint64) + np.uint64(99)).astype(np.float64) / 2.0**64
    return (0.5 * own + 0.5 * around + _JITTER * (lots.reshape(own.shape) - 0.5)).astype(np.float32)

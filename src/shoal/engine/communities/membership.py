"""How strongly rows belong to their communities, and which rows are noise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import NOISE, Rows
from shoal.elementary import log
from shoal.engine import kernels
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.parallel import spans, thread_count

__all__ = ["log_distances", "mark_noise", "robust_scores", "walk_home"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_BLOCK: Final = 65_536


def walk_home(graph: NeighborGraph, labels: Places, threads: int) -> tuple[Places, NDArray[np.float32]]:
    """Where two-step random walks from each row most often end: the community (n,), ties to the lower number, and the
    share of the walks that end there. Rows without edges stay where they are."""
    core = kernels.native()
    if core is None:
        return _walk_home(graph, labels)
    arguments = graph.start, graph.to, graph.weight, graph.strength(), np.ascontiguousarray(labels, np.int32)
    result: tuple[Places, NDArray[np.float32]] = core.walk_home(*arguments, thread_count(threads))
    return result


def _walk_home(graph: NeighborGraph, labels: Places) -> tuple[Places, NDArray[np.float32]]:
    chance = graph.matrix()
    chance.data = (chance.data / graph.strength()[graph.row_of_edges()]).astype(np.float32)
    homes = csr_array(
        (np.ones(graph.rows, np.float32), (np.arange(graph.rows), labels)),
        shape=(graph.rows, int(labels.max(initial=-1)) + 1),
    )
    first = csr_array(chance @ homes)
    home, share = labels.copy(), np.ones(graph.rows, np.float32)
    for block in spans(graph.rows, _BLOCK):
        second = csr_array(chance[block] @ first)
        second.sort_indices()
        rows = np.flatnonzero(np.diff(second.indptr))
        largest = np.maximum.reduceat(second.data, second.indptr[rows]) if len(rows) else second.data
        own = np.repeat(np.arange(len(rows)), np.diff(second.indptr)[rows])
        best = np.flatnonzero(second.data >= largest[own])
        _, at = np.unique(own[best], return_index=True)
        home[block.start + rows] = second.indices[best[at]]
        share[block.start + rows] = largest
    return home, np.minimum(share, np.float32(1))


def log_distances(distances: Floats) -> Floats:
    """(n,) log of the mean of half the squared distances (n, k) to the neighbours, ignoring infinite ones."""
    halves = np.where(np.isfinite(distances), distances**2 / 2, np.nan)
    has_neighbor = np.isfinite(halves).any(axis=1)
    mean = np.zeros(len(distances))
    mean[has_neighbor] = np.nanmean(halves[has_neighbor], axis=1)
    return log(mean + 1e-6)


def robust_scores(values: Floats, labels: Places) -> tuple[Floats, Floats, Floats]:
    """Robust deviations of each value from the median of its group, (n,); and the medians and deviations (k,), 1.4826
    times the median absolute ones. Every group has a member."""
    middle = _medians(values, labels)
    spread = 1.4826 * _medians(np.abs(values - middle[labels]), labels) + 1e-3
    return (values - middle[labels]) / spread[labels], middle, spread


def _medians(values: Floats, labels: Places) -> Floats:
    order = np.lexsort((values, labels))
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    low, high = values[order[starts + (sizes - 1) // 2]], values[order[starts + sizes // 2]]
    return np.asarray((low + high) / 2, np.float64)


def mark_noise(labels: Places, out: NDArray[np.bool_], copies: Rows, smallest: int) -> Places:
    """Labels without the rows `out` and without groups of fewer than `smallest` rows, including copies; the rest is
    renumbered."""
    remaining = np.where(out, NOISE, labels)
    inside = remaining >= 0
    sizes = np.bincount(remaining[inside], copies[inside], int(labels.max(initial=-1)) + 1)
    number = np.cumsum(sizes >= smallest) - 1
    number[sizes < smallest] = NOISE
    return np.where(inside, number[remaining] if len(number) else NOISE, NOISE).astype(np.int32)

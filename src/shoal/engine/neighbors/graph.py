"""The fuzzy neighbour graph: edge weights from neighbour lists.

The weights are those of UMAP (McInnes, Healy and Melville 2018): distances of a row are measured from its nearest
neighbour and in a unit of its own, such that its weights sum to log2 k, so that dense and sparse regions count alike.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.elementary import exp, log
from shoal.engine import kernels
from shoal.engine.neighbors.lists import NeighborLists
from shoal.engine.parallel import map_in_order, spans, thread_count
from shoal.engine.plan import Pulse, ignore_pulse

__all__ = ["NeighborGraph", "fuzzy_graph", "fuzzy_memberships"]

_BLOCK: Final = 16_384
_BISECTIONS: Final = 20
"""Bisection steps: the unit is accurate to one in a hundred thousand."""
_MIN_UNIT: Final = 1e-4
_MAX_UNIT: Final = 1e3
"""Units are relative to the distance between the nearest and the farthest neighbour."""
_MIN_UNIT_SHARE: Final = 1e-3
"""A unit is at least this fraction of a row's mean distance."""
_MAX_UNIT_FACTOR: Final = 1e6
"""Upper bound of units, relative to the same distance; larger units make all neighbours equal."""


@dataclass(frozen=True, slots=True)
class NeighborGraph:
    """Symmetric, without loops. Neighbours of row i are to[start[i]:start[i + 1]], ascending, with their `weight` in
    0..1; `start` (n + 1,) int64, `to` (e,) int32, `weight` (e,) float32; each edge is stored twice."""

    start: NDArray[np.int64]
    to: NDArray[np.int32]
    weight: NDArray[np.float32]

    @property
    def rows(self) -> int:
        return len(self.start) - 1

    def row_of_edges(self) -> NDArray[np.int32]:
        """(e,) the row that each edge starts from."""
        return np.repeat(np.arange(self.rows, dtype=np.int32), np.diff(self.start))

    def strength(self) -> NDArray[np.float64]:
        """(n,) the sum of the weights of each row."""
        return np.bincount(self.row_of_edges(), self.weight, self.rows).astype(np.float64)

    def matrix(self) -> csr_array:
        """The (n, n) weights."""
        return csr_array((self.weight, self.to, self.start), shape=(self.rows, self.rows))


def fuzzy_graph(near: NeighborLists, threads: int, pulse: Pulse = ignore_pulse) -> NeighborGraph:
    """The fuzzy union w = a + b - ab of the directed weights a = exp(-(d - d_first) / unit). O(n k)."""
    rows, count = near.rows.shape
    weight = np.empty((rows, count), np.float32)

    def weigh(block: slice) -> None:
        weight[block] = fuzzy_memberships(near.distances[block])

    for _ in map_in_order(weigh, spans(rows, _BLOCK), threads, pulse):
        pass
    pulse()
    core = kernels.native()
    if core is not None:
        return NeighborGraph(*core.joined_both_ways(near.rows, weight, thread_count(threads)))
    start = np.arange(rows + 1, dtype=np.int64) * count
    directed = csr_array((weight.ravel(), near.rows.ravel(), start), shape=(rows, rows))
    transposed = directed.T.tocsr()
    union = directed + transposed - directed.multiply(transposed)
    return _graph_from_matrix(csr_array(union))


def _graph_from_matrix(matrix: csr_array) -> NeighborGraph:
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return NeighborGraph(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), np.ascontiguousarray(matrix.data, np.float32)
    )


def fuzzy_memberships(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, k) weights in 0..1, 1 for the nearest, of distances (m, k) ascending in each row; 0 for infinite ones."""
    is_finite = np.isfinite(distances)
    finite = np.where(is_finite, distances, 0.0)
    beyond = np.maximum(finite - finite[:, :1], 0.0)
    reach = np.maximum(beyond.max(axis=1, initial=0.0), 1e-100)  # the scale of the units, so that float32 suffices
    count = np.maximum(is_finite.sum(axis=1), 1)
    least = np.minimum(_MIN_UNIT_SHARE * finite.sum(axis=1) / count / reach, _MAX_UNIT_FACTOR).astype(np.float32)
    share = np.where(is_finite, beyond / reach[:, None], np.inf).astype(np.float32)
    unit = np.maximum(_find_units(share, (log(np.maximum(count, 2)) / log(2.0)).astype(np.float32)), least)
    return np.asarray(exp(-share / unit[:, None]), np.float64)


def _find_units(share: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m,) such that the sum of exp(-share / unit) is `target`, clipped to 1e-4..1e3."""
    low = np.full(len(share), log(_MIN_UNIT), np.float32)
    high = np.full(len(share), log(_MAX_UNIT), np.float32)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        enough = exp(-share * exp(-middle)[:, None]).sum(axis=1) > target
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return exp(high).astype(np.float32)

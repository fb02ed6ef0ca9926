"""The fuzzy neighbour graph: how strongly rows belong together, told by their neighbour lists.

The weights are those of UMAP (McInnes, Healy and Melville 2018): each row's distances count from its nearest neighbour
on and in a unit of its own, such that its weights sum to log2 k, so that dense and sparse regions count alike.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.engine.neighbor_lists import NeighborLists
from shoal.engine.parallel import in_order, spans

__all__ = ["NeighborGraph", "fuzzy_graph", "memberships"]

_BLOCK: Final = 16_384
_HALVINGS: Final = 24
"""Steps of the bisection: the unit is found to one in ten million."""
_LEAST: Final = 1e-3
"""A unit is at least this share of a row's mean distance."""


@dataclass(frozen=True, slots=True)
class NeighborGraph:
    """Symmetric, without loops. Neighbours of row i are to[start[i]:start[i + 1]], ascending, with their `weight` in
    0..1; `start` (n + 1,) int64, `to` (e,) int32, `weight` (e,) float32; each edge is there twice."""

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

    def joined(self, labels: NDArray[np.int32]) -> "NeighborGraph":
        """The graph between groups `labels` (n,), 0..k-1: the weights from one to the other, summed."""
        cells = (np.ones(self.rows), (np.arange(self.rows), labels))
        belongs = csr_array(cells, shape=(self.rows, int(labels.max(initial=-1)) + 1))
        return _graph_of(csr_array(belongs.T @ self.matrix() @ belongs))

    def matrix(self) -> csr_array:
        """The (n, n) weights."""
        return csr_array((self.weight, self.to, self.start), shape=(self.rows, self.rows))


def fuzzy_graph(near: NeighborLists, threads: int) -> NeighborGraph:
    """The union w = a + b - ab of what two rows are to each other, a = exp(-(d - d_first) / unit). O(n k)."""
    rows, count = near.rows.shape
    weight = np.empty((rows, count), np.float32)

    def weigh(block: slice) -> None:
        weight[block] = memberships(near.distances[block])

    for _ in in_order(weigh, spans(rows, _BLOCK), threads):
        pass
    start = np.arange(rows + 1, dtype=np.int64) * count
    single = csr_array((weight.ravel(), near.rows.ravel(), start), shape=(rows, rows))
    other = single.T.tocsr()
    union = single + other - single.multiply(other)
    return _graph_of(csr_array(union))


def _graph_of(matrix: csr_array) -> NeighborGraph:
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return NeighborGraph(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), np.ascontiguousarray(matrix.data, np.float32)
    )


def memberships(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, k) in 0..1, 1 for the nearest, of distances (m, k) that ascend in each row; 0 for infinite ones."""
    known = np.isfinite(distances)
    finite = np.where(known, distances, 0.0)
    beyond = np.where(known, np.maximum(finite - finite[:, :1], 0.0), np.inf)
    wanted = np.log2(np.maximum(known.sum(axis=1), 2))
    least = _LEAST * finite.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    low, high = np.zeros(len(beyond)), np.maximum(np.where(known, beyond, 0.0).max(axis=1, initial=0.0) * 1e3, 1e-100)
    for _ in range(_HALVINGS):
        middle = np.where(low > 0, np.sqrt(low * high), high * 2.0**-20)
        enough = np.exp(-beyond / middle[:, None]).sum(axis=1) > wanted
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    unit = np.maximum(np.maximum(high, least), 1e-100)
    return np.asarray(np.exp(-beyond / unit[:, None]), np.float64)

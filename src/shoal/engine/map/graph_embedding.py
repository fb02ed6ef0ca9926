"""Low-dimensional embedding of the neighbour graph, used for the steps named umap and tsne.

Neither UMAP nor t-SNE, but based on the same neighbour graph: in two and three dimensions the layout of maps, in more a
diffusion map (Coifman and Lafon 2006), which has no random initialisation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, eigsh

from shoal.columns import Points
from shoal.elementary import log
from shoal.engine.map.layout import MIN_ROWS, compute_places
from shoal.engine.neighbors.graph import fuzzy_graph, fuzzy_memberships
from shoal.engine.neighbors.lists import find_neighbors, nearest_among
from shoal.engine.parallel import spans
from shoal.engine.plan import Progress, ignore_progress, scale_progress
from shoal.engine.rows.row_keys import find_distinct, mix_bits

__all__ = ["GraphEmbedding", "embed", "min_rows"]

_STEPS: Final = 8
"""Diffusion steps: directions in which neighbours differ little remain, others fade."""
_MAX_NEIGHBORS: Final = 15
"""Neighbours that place a new row."""
_MAX_EXACT: Final = 50_000
"""Rows above which only near blocks of rows are searched, as for maps."""
_PRODUCTS_PER_VECTOR: Final = 8
"""Matrix-vector products per eigenvector, for progress reports only."""
_BLOCK: Final = 4096
_TOLERANCE: Final = 1e-3
"""Relative error of the eigenvectors, far below their differences if there is structure."""


@dataclass(frozen=True, slots=True)
class GraphEmbedding:
    """The distinct embedded rows, `points` (m, d), their `places` (m, c), and how many `neighbors` place a new row."""

    points: Points
    places: Points
    neighbors: int

    def place(self, points: Points, threads: int) -> Points:
        """(n, c): an embedded row has its own place, a new one that of the near row at the medoid of the places of its
        near rows. Each result is independent of the other rows."""
        result = np.empty((len(points), self.places.shape[1]), np.float32)
        count = min(self.neighbors, _MAX_NEIGHBORS, len(self.points))
        near, distances = nearest_among(points, self.points, count, threads=threads, progress=ignore_progress)
        for block in spans(len(points), _BLOCK):
            weight, spots = fuzzy_memberships(distances[block] ** 2 / 2), self.places[near[block]].astype(np.float64)
            best = _pick_medoids(spots, weight)
            best[distances[block][:, 0] == 0] = 0
            result[block] = self.places[near[block][np.arange(len(best)), best]]
        return result


def _pick_medoids(spots: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """(b,) the index of each row's weighted medoid among its spots (b, k, c). A mean would lie between groups, where
    nothing is; the logarithm bounds the influence of far spots. Sums use a fixed order."""
    squares = np.zeros((*weight.shape, weight.shape[1]))
    for along in np.moveaxis(spots, 2, 0):
        squares += (along[:, :, None] - along[:, None]) ** 2
    unit = np.maximum(np.median(squares.reshape(len(weight), -1), axis=1), 1e-300)
    cost = np.zeros(weight.shape)
    for place in range(weight.shape[1]):
        cost += weight[:, place, None] * log(1.0 + squares[:, :, place] / unit[:, None])
    return np.asarray(np.argmin(cost, axis=1), np.int64)


def min_rows(components: int) -> int:
    """Minimum number of distinct rows for a useful graph."""
    return max(MIN_ROWS, 2 * components)


def embed(
    points: Points, components: int, neighbors: int, seed: int, threads: int, progress: Progress
) -> tuple[Points, GraphEmbedding] | None:
    """(n, components) places of the rows of `points` (n, d), and the embedding for new rows; None for fewer than
    `min_rows` distinct ones.

    Independent of row order and of the number of threads. O(n log n) for the layout, O(n c (k + c)) per iteration of
    the eigensolver for the diffusion map, beside the neighbours; above 50,000 rows these are approximate. Reports to
    `progress` as "prepare".
    """
    values = find_distinct(points, threads)
    if len(values.rows) < min_rows(components):
        return None
    search_progress, layout_progress = (
        scale_progress(progress, "prepare", 0, 0.5),
        scale_progress(progress, "prepare", 0.5, 1),
    )
    is_large = len(values.rows) > _MAX_EXACT
    near = find_neighbors(
        points, values.rows, neighbors, threads=threads, progress=search_progress, approximate=is_large
    )
    weights = fuzzy_graph(near.halve_squares(), threads).matrix()
    fitted = np.ascontiguousarray(points[values.rows])
    make: Callable[..., Points] = _lay_out if components in (2, 3) else _diffusion_map
    places = make(weights, fitted, components, seed, threads, layout_progress)
    return np.ascontiguousarray(places[values.back]), GraphEmbedding(fitted, places, near.rows.shape[1])


def _lay_out(
    weights: csr_array, points: Points, components: int, seed: int, threads: int, progress: Progress
) -> Points:
    return compute_places(weights, points, components, seed, threads, progress)


def _diffusion_map(
    weights: csr_array, points: Points, components: int, seed: int, threads: int, progress: Progress
) -> Points:
    """Eigenvectors of the random walk on the graph except the constant one, each times its eigenvalue to the power of
    the steps; signs make the largest entry positive."""
    count = weights.shape[0]
    root = np.sqrt(np.maximum(np.asarray(weights.sum(axis=1), np.float64), 1.0))
    row = np.repeat(np.arange(count), np.diff(weights.indptr))
    data = weights.data / root[row] / root[weights.indices]
    symmetric = csr_array((data, weights.indices, weights.indptr), shape=weights.shape)
    start = mix_bits(np.arange(count, dtype=np.uint64) + np.uint64(seed)).astype(np.float64) / 2.0**64 - 0.5
    products = 0

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal products
        products += 1
        progress("prepare", products / (products + _PRODUCTS_PER_VECTOR * components))
        return np.asarray(symmetric @ vector)

    walk = LinearOperator(symmetric.shape, matvec=product, dtype=np.float64)
    values, vectors = eigsh(walk, k=components + 1, which="LA", v0=start, tol=_TOLERANCE)
    order = np.argsort(-values, kind="stable")[1:]
    coordinates: NDArray[np.float64] = vectors[:, order] / root[:, None] * np.clip(values[order], 0, 1) ** _STEPS
    coordinates *= np.sqrt(root @ root)
    largest = np.argmax(np.abs(coordinates), axis=0)
    return np.asarray(coordinates * np.sign(coordinates[largest, np.arange(components)]), np.float32)

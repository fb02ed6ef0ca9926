"""The map: places in two or three dimensions where neighbours are together and clusters apart.

Neighbours in the fuzzy graph attract each other and all rows repel each other, with the likelihood 1 / (1 + a d^2) of
two rows a distance d apart being neighbours (Tang et al. 2016, LargeVis; McInnes et al. 2018, UMAP). The layout is
multilevel: vertices are merged level by level to a few hundred, which start from their principal axes, and each level
starts from the places of the coarser one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points
from shoal.engine.map.forces import FINE, Schedule, settle_layout
from shoal.engine.map.levels import Level, coarsen_levels
from shoal.engine.map.projection import project
from shoal.engine.neighbors.graph import fuzzy_graph
from shoal.engine.neighbors.neighborhood import COUNT, Neighborhood, find_neighborhood
from shoal.engine.plan import Progress, Pulse, ignore_pulse, pulse_at, scale_progress
from shoal.engine.rows.row_keys import mix_bits

__all__ = ["MIN_ROWS", "compute_places", "jitter", "lay_out", "map_graph"]

Floats = NDArray[np.float32]

MIN_ROWS: Final = 50
"""With fewer distinct rows the map is the projection on the principal axes."""
_COARSE: Final = Schedule(200, 256, 0.3, 0.075)
"""Schedule of all levels except the rows themselves."""
_JITTER: Final = 0.3
_WIDTH: Final = 5.0


def lay_out(
    points: Points, components: int, seed: int, threads: int, progress: Progress, near: Neighborhood | None = None
) -> Floats:
    """(n, components) float32 coordinates, 2 or 3, centered on the origin; equal rows have one place.

    `near` are the neighbours, computed if omitted. Independent of row order and of the number of threads. O(n log n)
    beside the neighbours, O(n k) memory. Principal axes for fewer than 50 distinct rows. Reports to `progress` as
    "layout".
    """
    near = near or find_neighborhood(points, threads, scale_progress(progress, "layout", 0, 0.5))
    values = near.values
    if len(values.rows) < MIN_ROWS:
        return project(points, components, seed, threads, progress)
    graph = map_graph(near, threads, pulse_at(progress, "layout", 0.5))
    places = compute_places(
        graph, points[values.rows], components, seed, threads, scale_progress(progress, "layout", 0.5, 1)
    )
    progress("layout", 1.0)
    return np.ascontiguousarray(places[values.back])


def map_graph(near: Neighborhood, threads: int, pulse: Pulse = ignore_pulse) -> csr_array:
    """(m, m) edge weights between the distinct rows."""
    return fuzzy_graph(near.lists.first(COUNT).halve_squares(), threads, pulse).matrix()


def compute_places(
    weights: csr_array, points: Points, components: int, seed: int, threads: int, progress: Progress
) -> Floats:
    """(m, components) centered places from scratch for rows with edge weights `weights` (m, m). `points` (m, d) only
    determine how the coarsest level starts."""
    pulse = pulse_at(progress, "layout", 0.0)
    levels = coarsen_levels(weights, seed, pulse)
    places = _initial_places(levels, points, components, seed, pulse)
    for depth in range(len(levels) - 1, -1, -1):
        level = levels[depth]
        if level.above is not None:
            places = _unfold(level, places)
        share = scale_progress(progress, "layout", 1 - (depth + 1) / len(levels), 1 - depth / len(levels))
        free = np.full(len(places), np.inf, np.float32)
        places = settle_layout(level, places, free, FINE if depth == 0 else _COARSE, seed + depth, threads, share)
    places -= places.mean(axis=0, dtype=np.float64).astype(np.float32)
    return places


def _initial_places(levels: list[Level], points: Points, components: int, seed: int, pulse: Pulse) -> Floats:
    """The coarsest level along the principal axes of its means."""
    group = np.arange(len(points))
    for level in levels[:-1]:
        assert level.above is not None, "only the top has none above"
        group = level.above[group]
    top = levels[-1]
    cells = (np.ones(len(group), np.float32), (group, np.arange(len(group))))
    means = (csr_array(cells, shape=(len(top.mass), len(group))) @ points) / top.mass[:, None]
    places = project(np.ascontiguousarray(means, np.float32), components, seed, 1, lambda *_: pulse())
    return np.asarray(places * (_WIDTH / max(float(np.sqrt((places**2).sum(axis=1).mean())), 1e-30)), np.float32)


def _unfold(level: Level, places: Floats) -> Floats:
    """Start each vertex between its group and the groups of its neighbours."""
    own = places[level.above]
    neighborhood_mean = (
        csr_array((level.pull(), level.weights.indices, level.weights.indptr), shape=level.weights.shape) @ own
    )
    return jitter(0.5 * own + 0.5 * neighborhood_mean)


def jitter(places: Floats) -> Floats:
    """Add a small deterministic offset, so that no two places coincide."""
    noise = mix_bits(np.arange(places.size, dtype=np.uint64) + np.uint64(99)).astype(np.float64) / 2.0**64
    return (places + _JITTER * (noise.reshape(places.shape) - 0.5)).astype(np.float32)

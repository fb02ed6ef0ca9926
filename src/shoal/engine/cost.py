"""Estimates the CPU time and memory of a clustering from the size of the data and the method, before it runs.

The formulas follow the algorithms: pairs of rows for neighbour searches, rows times centers for k-means, rows for what
follows. The constants were measured (`benchmarks/bench_plan.py`) on two cores of a current server processor with AVX2;
`machine_factor` scales them to this machine. Memory constants are upper bounds of the measurements.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from shoal.engine.algorithms import check_params
from shoal.engine.kmeans.choose_k import choice_workload
from shoal.engine.parallel import one_blas_thread, thread_count
from shoal.engine.plan import Plan

__all__ = [
    "Cost",
    "estimate_assignment_cost",
    "estimate_choice_cost",
    "estimate_cluster_count",
    "estimate_cost",
    "estimate_layer_count",
    "machine_factor",
]
__all__ += ["startup_seconds", "wall_seconds"]

_MAX_EXACT: Final = 250_000
"""Rows up to which clusterings compare all pairs."""
_MAX_EXACT_MAP: Final = 50_000
"""As `_MAX_EXACT`, for the map alone."""
_NEAR_SHARE: Final = 0.06
"""Fraction of all pairs compared when only near blocks of rows are searched."""
_MAX_BLOCK_BYTES: Final = 90e6
"""Upper bound of the memory of block scans, whatever the number of rows."""
_WIDE: Final = 64
"""Rows within a core distance beyond which the pairs inside it are not stored, as in `reachability`."""
_MAX_EXACT_SILHOUETTE: Final = 20_000
"""Rows up to which a Euclidean silhouette is computed over all rows."""
_CHOICE_SECONDS: Final = 9.5e-7
"""Seconds per row and dimension of each k-means run when choosing the number of clusters."""
_START_SECONDS: Final = 2.2
_REFERENCE_SECONDS: Final = 0.0026
"""Product of two 512 x 512 float32 matrices on the machine where the constants were measured."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu_seconds` on one core of the reference machine; `bytes` at the peak, excluding the rows themselves."""

    cpu_seconds: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        """Cost of running one after the other: times add up, the larger peak counts."""
        return Cost(self.cpu_seconds + other.cpu_seconds, max(self.bytes, other.bytes))


def estimate_cost(plan: Plan, rows: int, dimensions: int) -> Cost:
    """Cost of `compute`. Raises InvalidField for parameters that the algorithm rejects."""
    params, _ = check_params(plan.algorithm, plan.params)
    fitted = rows if plan.sample_size is None else min(rows, plan.sample_size)
    fit = _FIT_COSTS[plan.algorithm](fitted, dimensions, params)
    rest = Cost((rows - fitted) * dimensions * 3e-9 * 50, rows * 24.0)
    working = 8.0 * rows * dimensions if plan.normalize else 4.0 * rows * dimensions
    clusters = estimate_cluster_count(plan.algorithm, params, rows)
    description = _description_cost(rows, dimensions, clusters, directions=plan.normalize)
    whole = fit + rest + description + _map_cost(plan, rows, dimensions)
    return Cost(whole.cpu_seconds, whole.bytes + working)


def estimate_assignment_cost(rows: int, dimensions: int, clusters: int) -> Cost:
    """Cost of assigning rows to existing clusters: nearest centroids, and places on the map."""
    fit = Cost(1.2e-9 * rows * dimensions * max(clusters, 1), _estimate_bytes(rows, dimensions, 14))
    layout = _neighbor_cost(rows, dimensions, _MAX_EXACT_MAP) + Cost(
        6e-5 * rows, _estimate_bytes(rows, dimensions, 0, 2500)
    )
    whole = fit + _description_cost(rows, dimensions, clusters, directions=True) + layout
    return Cost(whole.cpu_seconds, whole.bytes + 8.0 * rows * dimensions)


def estimate_choice_cost(rows: int, dimensions: int) -> Cost:
    """Of choosing a number of clusters. How far the search goes depends on the data: this lies between the ends."""
    looked_at, runs = choice_workload(rows)
    return Cost(_CHOICE_SECONDS * runs * dimensions, 50.0 * looked_at * dimensions)


def estimate_cluster_count(algorithm: str, params: Mapping[str, Any], rows: int) -> float:
    """The number that was given; else about as many as are found in embeddings of text, where density finds one of six
    to seven times `min_cluster_size` rows, however many rows there are."""
    requested = params.get("n_clusters") or params.get("n_components") or params.get("approx_n_clusters")
    if requested:
        return float(requested)
    if _FIT_COSTS[algorithm] is _density_cost:
        smallest = float(params.get("min_cluster_size") or params.get("min_samples") or 5)
        return rows / (6.6 * smallest)
    return 1.3 * math.sqrt(rows)


def estimate_layer_count(algorithm: str) -> int:
    """The layers of clusters to name: `auto` and `evoc` find about as many clusters again in other layers."""
    return 2 if algorithm in ("auto", "evoc") else 1


@cache
def machine_factor() -> float:
    """CPU time of this machine relative to the reference machine, at least 0.1. Measured once per process; other load
    does not count."""
    left = np.ones((512, 512), np.float32)
    with one_blas_thread():
        best = min(_measure_seconds(lambda: left @ left) for _ in range(5))
    return max(best / _REFERENCE_SECONDS, 0.1)


def startup_seconds() -> float:
    """CPU time for a process to start and import the engine on this machine."""
    return _START_SECONDS * machine_factor()


def wall_seconds(cost: Cost, threads: int) -> float:
    """Elapsed time on this machine with so many threads (0: all cores); 65 % of the work is modelled as parallel."""
    cores = min(thread_count(threads), thread_count(0))
    return cost.cpu_seconds * machine_factor() * (0.35 + 0.65 / cores)


def _measure_seconds(action: Callable[[], object]) -> float:
    start = time.thread_time()
    action()
    return time.thread_time() - start


def _estimate_bytes(rows: int, dimensions: int, per_value: float, per_row: float = 0) -> float:
    """Memory of block scans plus the given bytes per value and per row."""
    return min(_MAX_BLOCK_BYTES, 25.0 * rows * dimensions + 1e6) + rows * (per_value * dimensions + per_row)


def _pair_products(rows: int, dimensions: int, exact: int = _MAX_EXACT) -> float:
    """Multiplications of one pass over all pairs of rows, or over near blocks only beyond `exact` rows."""
    return float(rows) * rows * (1 if rows <= exact else _NEAR_SHARE) * (dimensions + 40)


def _neighbor_cost(rows: int, dimensions: int, exact: int = _MAX_EXACT) -> Cost:
    seconds = 2.7e-12 * _pair_products(rows, dimensions, exact) + 8e-8 * rows * dimensions
    return Cost(seconds, _estimate_bytes(rows, dimensions, 14, 2500))


def _description_cost(rows: int, dimensions: int, clusters: float, *, directions: bool) -> Cost:
    """Rows against all centroids; a Euclidean silhouette compares at most as many pairs as 20,000 rows have."""
    pairs = 0.0 if directions else float(min(rows, _MAX_EXACT_SILHOUETTE)) ** 2
    seconds = 1.5e-8 * rows * dimensions + 1e-6 * rows + pairs * (1.5e-11 * dimensions + 4e-9)
    seconds += 5e-11 * rows * min(clusters, rows) * dimensions
    return Cost(seconds, _estimate_bytes(rows, dimensions, 14))


def _map_cost(plan: Plan, rows: int, dimensions: int) -> Cost:
    if plan.components == 0:
        return Cost(0, 0)
    has_neighbors = plan.algorithm in ("auto", "evoc", "leiden")
    neighbors = Cost(0, 0) if has_neighbors else _neighbor_cost(rows, dimensions, _MAX_EXACT_MAP)
    return neighbors + Cost(6e-5 * rows, _estimate_bytes(rows, dimensions, 0, 2500))


def _kmeans_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    centres = int(params.get("n_clusters") or 50)
    effective = min(centres, 100) + max(centres - 100, 0) / 4  # bounds spare most of many centres
    starts = int(params.get("n_init") or 1) if isinstance(params.get("n_init"), int) else 1
    seconds = 1.2e-9 * rows * dimensions * effective * (1 + (starts - 1) * 1.1)
    return Cost(seconds, _estimate_bytes(rows, dimensions, 14, 300) + 50.0 * centres * dimensions)


def _density_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    """Core distances over more than 64 rows take two extra passes over all pairs; approximate neighbour lists grow with
    them.

    The time is for embeddings. Rows spread evenly in all of their dimensions allow no early pruning and take up to ten
    times as long.
    """
    samples = min(int(params.get("min_samples") or params.get("min_cluster_size") or 5), rows)
    approximate = params.get("approximate")
    listed = rows > _MAX_EXACT if approximate is None else bool(approximate)
    seconds = 2.2e-12 * _pair_products(rows, dimensions) + (5e-5 if listed else 2.5e-5) * rows
    per_row = 6500.0 + 130.0 * max(min(samples, _WIDE) - 20, 0)
    if samples <= _WIDE:
        return Cost(seconds, _estimate_bytes(rows, dimensions, 20, per_row))
    if listed:
        return Cost(seconds + 5e-8 * rows * samples, _estimate_bytes(rows, dimensions, 20, per_row + 90.0 * samples))
    passes = float(rows) * rows * (2.3e-8 + 7e-11 * dimensions) + 4e-8 * rows * samples
    return Cost(seconds + passes, _estimate_bytes(rows, dimensions, 20, per_row) + 9e7)


def _community_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    return _neighbor_cost(rows, dimensions) + Cost(6.5e-5 * rows, _estimate_bytes(rows, dimensions, 0, 3500))


def _linkage_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    """All distances in memory; micro-clusters replace the rows when there are many."""
    own = rows if rows <= 20_000 else 8_000  # means of rows, and the k-means that finds them
    linked = Cost(
        5e-8 * own * own + _micro_cluster_seconds(rows, dimensions, own),
        _estimate_bytes(rows, dimensions, 14) + 8.5 * own * own,
    )
    has_limit = params.get("n_clusters") or params.get("distance_threshold") is not None
    return linked if has_limit else linked + estimate_choice_cost(own, dimensions)


def _mixture_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    parts, own = int(params.get("n_components") or 1), min(rows, 20_000)
    steps = 40 * int(params.get("n_init") or 1)
    square = dimensions * dimensions
    mixed = Cost(
        1e-10 * parts * steps * (own * square + square * dimensions) + 2e-10 * parts * rows * square,
        _estimate_bytes(rows, dimensions, 0) + 8.0 * (3 * own * dimensions + 6 * parts * square + 4 * rows * parts),
    )
    return mixed if params.get("n_components") else mixed + estimate_choice_cost(own, dimensions)


def _spectral_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    own = min(rows, 5_000)
    cut = Cost(
        6e-7 * own * own + _micro_cluster_seconds(rows, dimensions, own),
        _estimate_bytes(rows, dimensions, 14) + 40.0 * own * own,
    )
    return cut if params.get("n_clusters") else cut + estimate_choice_cost(own, dimensions)


def _mean_shift_cost(rows: int, dimensions: int, params: Mapping[str, Any]) -> Cost:
    own = min(rows, 3_000)
    seconds = 8e-9 * own * own * dimensions + _micro_cluster_seconds(rows, dimensions, own)
    return Cost(seconds, _estimate_bytes(rows, dimensions, 14) + 24.0 * own * own)


def _micro_cluster_seconds(rows: int, dimensions: int, own: int) -> float:
    return 0.0 if own == rows else 2.5e-10 * rows * dimensions * own


_FIT_COSTS: Final[Mapping[str, Callable[[int, int, Mapping[str, Any]], Cost]]] = {
    "kmeans": _kmeans_cost,
    "hdbscan": _density_cost,
    "dbscan": _density_cost,
    "optics": _density_cost,
    "auto": _community_cost,
    "evoc": _community_cost,
    "leiden": _community_cost,
    "agglomerative": _linkage_cost,
    "gaussian_mixture": _mixture_cost,
    "spectral": _spectral_cost,
    "mean_shift": _mean_shift_cost,
}

"""Mean shift: clusters are the peaks of a density that rows climb (Comaniciu and Meer 2002).

Gives scikit-learn's result, but moves all windows at once, which takes seconds instead of minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from shoal.columns import NOISE, Points
from shoal.engine.algorithms.base import (
    MAX_STEPS,
    Algorithm,
    Fit,
    check_bool,
    check_fraction,
    check_integer,
    check_number,
)
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.micro_clusters import build_micro_clusters
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.quality import squared_silhouette
from shoal.engine.kmeans.centers import find_two_nearest
from shoal.engine.parallel import spans
from shoal.engine.plan import Progress, ignore_progress, scale_progress
from shoal.engine.rows.exact_sums import choose_quantum, round_to_grid
from shoal.engine.rows.row_keys import find_distinct
from shoal.errors import InvalidField

__all__ = ["MEAN_SHIFT", "MeanShiftParams", "fit"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_MAX_EXACT: Final = 3000
_MICRO_CLUSTERS: Final = 1500
_SAMPLE: Final = 1000
"""Rows used to estimate the bandwidth."""
_FACTORS: Final = (1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Multiples of the bandwidth at the wire's default quantile that are tried if none was given."""
_QUANTILE: Final = 0.1
_SCORED: Final = 1000
"""Rows used to compare these bandwidths."""
_MIN_SIZE: Final = 5
"""Smaller clusters of these rows count as stragglers."""
_LOW_DIMENSIONS: Final = 16
"""Dimensions up to which one bandwidth suits many regions."""
_MAX_COORDINATES: Final = 1 << 20
"""Coordinates of pairwise differences held at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanShiftParams:
    """Names and defaults as in contract.md#method-parameters, except `bandwidth_quantile`. Raises InvalidField."""

    bandwidth: float | None = None
    """Radius of the window; None uses the mean distance to the farthest of the nearest `bandwidth_quantile` rows."""
    bandwidth_quantile: float | None = None
    """None chooses it from the data: the wire's 0.1 gives one cluster on most data."""
    seeds: Sequence[Sequence[float]] | None = None
    """(s, d) initial windows; None uses the rows."""
    bin_seeding: bool = False
    """Start windows from the points of a grid."""
    min_bin_freq: int = 1
    """Rows needed to use a grid point."""
    cluster_all: bool = True
    """Whether rows outside every window join the nearest cluster or are noise."""
    n_jobs: int | None = 1
    """Accepted, without effect."""
    max_iter: int = 300

    def __post_init__(self) -> None:
        if self.bandwidth is not None:
            check_number("bandwidth", self.bandwidth, 0, open_end=True)
        if self.bandwidth_quantile is not None:
            check_fraction("bandwidth_quantile", self.bandwidth_quantile)
        check_bool("bin_seeding", self.bin_seeding)
        check_bool("cluster_all", self.cluster_all)
        check_integer("min_bin_freq", self.min_bin_freq, 1)
        check_integer("max_iter", self.max_iter, 1, MAX_STEPS)


def fit(points: Points, params: MeanShiftParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the peaks among the distinct rows. O(m^2 d) time per step for m of them, at most 3,000; 1,500 micro-clusters
    replace more. Raises InvalidField for seeds of the wrong shape and windows without rows."""
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing)
    values = find_distinct(points, threads)
    part = scale_progress(progress, "cluster", 0, 0.3)
    micro = build_micro_clusters(points, values, _MAX_EXACT, _MICRO_CLUSTERS, seed=seed, threads=threads, progress=part)
    warnings = [] if micro.warning is None else [micro.warning]
    bandwidth = params.bandwidth or 0.0
    if params.bandwidth is None and params.bandwidth_quantile is not None:
        bandwidth = _estimate_bandwidth(micro.centers, params.bandwidth_quantile, seed)
    elif params.bandwidth is None:
        bandwidth = _choose_bandwidth(
            micro.centers, params, seed, threads, scale_progress(progress, "cluster", 0.3, 0.6)
        )
        warnings.append(_bandwidth_warning(bandwidth, points.shape[1]))
    if bandwidth <= 0:
        labels = np.zeros(len(micro.centers), np.int64)
        centers, bandwidth = micro.centers[:1], 0.0
    else:
        part = scale_progress(progress, "cluster", 0.6, 1)
        labels, centers = _fit_peaks(micro.centers, bandwidth, params, threads, part)
    reach = np.inf if params.cluster_all else bandwidth
    progress("cluster", 1.0)
    strengths = (labels >= 0).astype(np.float32)
    return Fit(
        assignments=Assignments(labels[micro.back], strengths[micro.back]),
        assign=FittedRows(centers, np.arange(len(centers)), reach).assign,
        assigns_all=params.cluster_all,
        params={"bandwidth": bandwidth},
        warnings=warnings,
        exact=micro.warning is None,
    )


def _bandwidth_warning(bandwidth: float, dimensions: int) -> str:
    if dimensions <= _LOW_DIMENSIONS:
        return f"bandwidth was chosen from the data: {bandwidth:.4g}. A larger one gives fewer, larger clusters."
    return (
        f"bandwidth was chosen from the data: {bandwidth:.4g}. In {dimensions} dimensions no single bandwidth suits: "
        "it gives one dominant cluster or only tiny ones. The algorithm auto does better."
    )


def _choose_bandwidth(rows: Points, params: MeanShiftParams, seed: int, threads: int, progress: Progress) -> float:
    """The bandwidth at which most of a sample is in clusters of several rows, and two of these rows are most likely in
    different ones, weighted by the silhouette: neither one dominant cluster nor only tiny ones."""
    default = _estimate_bandwidth(rows, _QUANTILE, seed)
    order = np.random.default_rng(seed).permutation(len(rows))[:_SCORED]
    chosen = np.ascontiguousarray(rows[np.sort(order)])
    best, best_bandwidth = 0.0, default
    for number, bandwidth in enumerate(part * default for part in _FACTORS if default > 0):
        progress("cluster", number / len(_FACTORS))
        labels = _fit_peaks(chosen, bandwidth, replace(params, seeds=None, cluster_all=True), threads, ignore_progress)[
            0
        ]
        sizes = np.bincount(labels)
        large = sizes[sizes >= _MIN_SIZE]
        if len(large) == 0 or not 2 <= len(sizes) < len(chosen):
            continue
        means = cluster_means(chosen, labels.astype(np.int32), len(sizes))
        separation = large.sum() / len(labels) * (1 - ((large / large.sum()) ** 2).sum())
        score = float(separation) * squared_silhouette(chosen, labels, means)
        if score > best:
            best, best_bandwidth = score, bandwidth
    return best_bandwidth


def _estimate_bandwidth(rows: Points, quantile: float, seed: int) -> float:
    """The mean, over a sample, of the distance to the farthest of the nearest `quantile` of its rows."""
    order = np.random.default_rng(seed).permutation(len(rows))[:_SAMPLE]
    chosen = rows[np.sort(order)].astype(np.float64)
    rank = max(int(len(chosen) * quantile), 1) - 1
    away = cdist(chosen, chosen, "sqeuclidean")
    bandwidth = float(np.sqrt(np.partition(away, rank, axis=1)[:, rank]).mean())
    return bandwidth if bandwidth > 0 else float(np.sqrt(away.max(initial=0.0)) / 2)


def _fit_peaks(
    rows: Points, bandwidth: float, params: MeanShiftParams, threads: int, progress: Progress
) -> tuple[Places, Points]:
    """Labels of the rows (m,), -1 for noise, and centers (k, d), each with at least one row."""
    data = rows.astype(np.float64)
    data = round_to_grid(data, choose_quantum(float(np.abs(data).max()), len(data)))  # makes sums exact in any order
    peaks, counts = _climb(data, _initial_windows(data, bandwidth, params), bandwidth, params.max_iter, progress)
    if len(peaks) == 0:
        raise InvalidField("bandwidth", "makes windows without a row", value=bandwidth, remedy="Raise it.")
    centers = _suppress_neighbors(peaks, counts, bandwidth)
    near = find_two_nearest(rows, centers.astype(np.float32), threads, lambda _: progress("cluster", 0.99))
    nearest_peak, away = near.labels, np.sqrt(near.squares[:, 0])
    inside = params.cluster_all | (away <= bandwidth)
    used, numbered = np.unique(nearest_peak[inside], return_inverse=True)
    labels = np.full(len(rows), NOISE, np.int64)
    labels[inside] = numbered
    return labels, centers[used].astype(np.float32)


def _initial_windows(rows: Floats, bandwidth: float, params: MeanShiftParams) -> Floats:
    if params.bin_seeding:
        from sklearn.cluster import get_bin_seeds

        return np.asarray(get_bin_seeds(rows, bandwidth, params.min_bin_freq), np.float64)
    if params.seeds is None:
        return rows
    seeds = np.asarray(params.seeds, np.float64)
    if seeds.ndim != 2 or seeds.shape[1] != rows.shape[1]:
        raise InvalidField("seeds", f"must be rows of {rows.shape[1]} numbers", value=str(seeds.shape))
    return seeds


def _climb(
    rows: Floats, starts: Floats, bandwidth: float, most: int, progress: Progress
) -> tuple[Floats, NDArray[np.int64]]:
    """The final positions of the windows and the rows in each; windows without rows are dropped.

    All windows move at once, each to the mean of its rows, until it moves less than a thousandth of its radius.
    """
    peaks, counts = starts.copy(), np.zeros(len(starts), np.int64)
    moving = np.arange(len(starts))
    for step in range(most):
        inside = _is_within(peaks[moving], rows, bandwidth)
        counts[moving] = inside.sum(axis=1)
        moving, inside = moving[counts[moving] > 0], inside[counts[moving] > 0]
        means = (inside @ rows) / counts[moving, None]
        moved = np.linalg.norm(means - peaks[moving], axis=1)
        peaks[moving] = means
        moving = moving[moved >= 1e-3 * bandwidth]
        progress("cluster", (step + 1) / most)
        if len(moving) == 0:
            break
    return peaks[counts > 0], counts[counts > 0]


def _suppress_neighbors(peaks: Floats, counts: NDArray[np.int64], bandwidth: float) -> Floats:
    """(k, d) the peaks with most rows, none within a window of one with more; ties to larger coordinates."""
    order = np.lexsort((*(-peaks.T[::-1]), -counts))
    peaks = peaks[order]
    is_left, selected = np.ones(len(peaks), np.bool_), list[int]()
    for place in range(len(peaks)):
        if is_left[place]:
            selected.append(place)
            is_left &= ~_is_within(peaks[place : place + 1], peaks, bandwidth)[0]
            is_left[place] = False
    return peaks[selected]


def _is_within(left: Floats, right: Floats, reach: float) -> NDArray[np.bool_]:
    """(a, b) which rows are at most `reach` apart. A matrix product decides most pairs; near the limit, where its last
    bits depend on the processor, sums in a fixed order decide."""
    middle = right.mean(axis=0)
    centered, others = left - middle, right - middle
    lengths, others_lengths = (centered**2).sum(axis=1), (others**2).sum(axis=1)
    away = lengths[:, None] + others_lengths - 2 * (centered @ others.T)
    slack = 4 * (right.shape[1] + 16) * float(np.finfo(np.float64).eps)
    slack *= float(lengths.max(initial=0.0)) + float(others_lengths.max(initial=0.0))
    inside = np.asarray(away <= reach**2)
    row, column = np.nonzero(np.abs(away - reach**2) <= slack)
    for block in spans(len(row), max(1, _MAX_COORDINATES // left.shape[1])):
        gap = left[row[block]] - right[column[block]]
        inside[row[block], column[block]] = (gap * gap).cumsum(axis=1)[:, -1] <= reach**2
    return inside


MEAN_SHIFT: Final = Algorithm(MeanShiftParams, fit)

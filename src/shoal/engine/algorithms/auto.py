"""Parameter-free clustering: communities of the neighbour graph at the granularity that the data support best.

The exact nearest neighbours form a fuzzy graph. Its communities at many resolutions are compared with chance, and the
finest layer that stands out is shown first; rows that belong to no community are noise.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.elementary import exp
from shoal.engine.algorithms.base import MAX_NEIGHBORS, Algorithm, Fit, check_fraction, check_integer, check_seed
from shoal.engine.algorithms.neighbor_votes import NeighborVotes
from shoal.engine.algorithms.unstructured_groups import (
    is_well_inside,
    merge_low_dimensional_groups,
    merge_unstructured_groups,
)
from shoal.engine.assignments import Assignments
from shoal.engine.communities.membership import log_distances, mark_noise, robust_scores, walk_home
from shoal.engine.kmeans.choose_k import choose_k
from shoal.engine.layers.choice import BaseCommunities, agreement_warning, find_base_communities
from shoal.engine.layers.cluster_merges import merge_clusters, weighted_means
from shoal.engine.layers.layers import Layers, build_layers
from shoal.engine.layers.tree import LayerTree
from shoal.engine.neighbors.graph import NeighborGraph, fuzzy_graph
from shoal.engine.neighbors.lists import NeighborLists, find_neighbors
from shoal.engine.neighbors.neighborhood import Neighborhood
from shoal.engine.plan import Progress, Pulse, pulse_at, scale_progress
from shoal.engine.rows.geometry import are_directions
from shoal.engine.rows.row_keys import find_distinct

__all__ = ["AUTO", "AutoParams", "fit"]

_MIN_HOME_SHARE: Final = 0.65
"""A row is noise if fewer of its walks end in its own community than this fraction of the median."""
_MAX_DEVIATIONS: Final = 2.5
"""A row is noise if its neighbours are this many robust deviations farther away than usual in its cluster."""
_DENSITY_NEIGHBORS: Final = 15
"""Neighbours whose distance measures the density around a row."""


_REACH_NEIGHBORS: Final = 5
"""Neighbours whose distance is compared with that of other clusters."""
_NEIGHBORS: Final = 25
_MIN_NEIGHBORS: Final = 15
"""Bounds of the default number of neighbours: `_NEIGHBORS`, and this for few rows."""
_LOW_DIMENSIONS: Final = 16
"""Dimensions up to which agreement between runs does not prove structure."""
_FEW_ROWS: Final = 30
"""Rows up to which fewer than two clusters lead to a warning about too few rows."""
_MAX_STRUCTURE_ROWS: Final = 1500
"""Rows used to test low-dimensional data for structure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoParams:
    """All parameters are optional. Raises InvalidField."""

    n_neighbors: int | None = None
    """Neighbours of a row in the graph; results hardly change between 15 and 40. None uses 25, or for fewer than 278
    rows 1.5 times the square root of their number, at least 15."""
    min_cluster_size: int = 5
    """Smaller clusters are noise; lowered if `n_clusters` leaves too few rows per cluster."""
    noise_level: float = 0.5
    """How readily rows become noise, 0..1; 0 leaves no noise."""
    n_clusters: int | None = None
    """Number of clusters, obtained by merging or splitting the natural ones; None keeps these."""
    random_state: int | None = None
    """Seed of the consensus runs; None uses that of the plan."""

    def __post_init__(self) -> None:
        if self.n_neighbors is not None:
            check_integer("n_neighbors", self.n_neighbors, 2, MAX_NEIGHBORS)
        check_integer("min_cluster_size", self.min_cluster_size, 1)
        check_fraction("noise_level", self.noise_level)
        if self.n_clusters is not None:
            check_integer("n_clusters", self.n_clusters, 1)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)


def fit(points: Points, params: AutoParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the clusters and their layers. O(n^2 d) time up to 250,000 rows, O(n^1.5 d) above; O(n (d + k)) memory."""
    seed = seed if params.random_state is None else params.random_state
    params = replace(params, random_state=seed, min_cluster_size=_choose_min_size(len(points), params))
    effective: dict[str, object] = {"random_state": seed, "min_cluster_size": params.min_cluster_size}
    values = find_distinct(points, threads)
    rows, copies, back = values.rows, values.copies, values.back
    if len(points) >= max(params.min_cluster_size, 2) * len(rows):
        return _fit_by_value(points, rows, back, copies, params, effective)
    part = scale_progress(progress, "cluster", 0, 0.6)
    near = find_neighbors(points, rows, _choose_degree(len(rows), params), threads=threads, progress=part)
    part("cluster", 1.0)
    local = near.reorder()
    graph = fuzzy_graph(local.halve_squares(), threads)
    order = rows[near.order]
    layered = _find_layers(
        graph, local, points[order], copies[near.order], params, threads, scale_progress(progress, "cluster", 0.6, 1)
    )
    layered = layered.take(np.argsort(near.order))
    layers, labels = layered.layers, layered.labels
    effective |= {"n_neighbors": near.rows.shape[1]}
    warnings = [] if near.exact else ["Neighbours were searched among near blocks of rows only."]
    unclear = agreement_warning(layers.agreement) or _structure_warning(points[rows[:_MAX_STRUCTURE_ROWS]], threads)
    notes = [
        unclear,
        _count_warning(params, int(labels.max(initial=-1)) + 1),
        _few_rows_warning(len(points), params, labels),
    ]
    return Fit(
        assignments=Assignments(labels[back].astype(np.int64), layered.strengths[back]),
        assign=NeighborVotes(
            points[rows], labels, layered.middle, layered.spread, near.rows.shape[1], _MAX_DEVIATIONS
        ).assign,
        params=effective,
        warnings=[*warnings, *(note for note in notes if note)],
        neighborhood=Neighborhood(values, near),
        layers=replace(layers.take(back), clear=unclear is None),
        exact=near.exact,
    )


def _structure_warning(points: Points, threads: int) -> str | None:
    """Warn about low-dimensional rows without groups: near rows always connect there, and runs agree on where to
    cut."""
    if points.shape[1] > _LOW_DIMENSIONS or len(points) < 4:
        return None
    if choose_k(points, normalize=are_directions(points), threads=threads).clear:
        return None
    return (
        "No clear structure: rows without any groups would be divided as well. The clusters are one of several ways "
        "to divide these documents."
    )


def _choose_degree(rows: int, params: AutoParams) -> int:
    """Neighbours per row: few rows have small groups, which longer lists would connect."""
    if params.n_neighbors is not None:
        return params.n_neighbors
    return int(np.clip(1.5 * np.sqrt(rows), _MIN_NEIGHBORS, _NEIGHBORS))


def _choose_min_size(rows: int, params: AutoParams) -> int:
    """Minimum cluster size: at most half the mean size of the requested clusters."""
    if params.n_clusters is None:
        return params.min_cluster_size
    return min(params.min_cluster_size, max(rows // (2 * params.n_clusters), 1))


def _few_rows_warning(rows: int, params: AutoParams, labels: NDArray[np.int32]) -> str | None:
    if params.n_clusters is not None or rows > _FEW_ROWS or int(labels.max(initial=-1)) > 0:
        return None
    return (
        f"{rows:,} rows are too few for groups of at least {params.min_cluster_size} to show. A number of clusters, "
        "or a smaller min_cluster_size, makes smaller ones."
    )


def _count_warning(params: AutoParams, count: int) -> str | None:
    requested = params.n_clusters
    if requested is None or count == requested:
        return None
    return (
        f"{requested:,} clusters were asked for and {count:,} found: the rows that belong to one cannot be split into "
        f"that many of at least {params.min_cluster_size}. A lower noise_level leaves fewer rows out."
    )


def _fit_by_value(
    points: Points, rows: Rows, back: Rows, copies: Rows, params: AutoParams, effective: dict[str, object]
) -> Fit:
    """Cluster rows that are mostly copies: each value that occurs often enough is a cluster."""
    no_row = np.zeros(len(rows), np.bool_)
    labels = mark_noise(np.arange(len(rows), dtype=np.int32), no_row, copies, params.min_cluster_size)
    natural, requested = int(labels.max(initial=-1)) + 1, params.n_clusters
    layers, reason = [labels], "the rows are copies of a few values"
    if requested is not None and requested < natural:
        group = merge_clusters(*weighted_means(points[rows], labels, copies)).cut(requested)
        layers = [np.where(labels >= 0, group[labels], NOISE).astype(np.int32), labels]
        labels = layers[0]
    same = np.zeros(int(labels.max(initial=-1)) + 1)
    votes = NeighborVotes(points[rows], labels, log_distances(same[:, None]), same + 1e-3, 1, _MAX_DEVIATIONS)
    missed = _count_warning(params, len(same))
    return Fit(
        assignments=Assignments(labels[back].astype(np.int64), (labels >= 0).astype(np.float32)[back]),
        assign=votes.assign,
        params=effective,
        warnings=[] if missed is None else [missed],
        layers=Layers(
            layers=build_layers([layer[back] for layer in layers]), chosen=0, reason=reason, clear=True, agreement=1.0
        ),
    )


@dataclass(frozen=True, slots=True)
class _LayeredFit:
    """All layers of the m distinct rows, and their `strengths` (m,) in the chosen one. `middle` and `spread` (k,) are
    the median and the robust deviation of the log mean neighbour distance in each cluster."""

    layers: Layers
    strengths: NDArray[np.float32]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int32]:
        return self.layers.layers[self.layers.chosen].labels

    def take(self, rows: Rows) -> "_LayeredFit":
        """Row i of the result is row `rows[i]`."""
        return replace(self, layers=self.layers.take(rows), strengths=self.strengths[rows])


def _find_layers(
    graph: NeighborGraph,
    near: NeighborLists,
    points: Points,
    copies: Rows,
    params: AutoParams,
    threads: int,
    progress: Progress,
) -> _LayeredFit:
    seed = params.random_state or 0
    ground = find_base_communities(graph, seed, threads, scale_progress(progress, "cluster", 0, 0.8))
    ground = _merge_unstructured(ground, points, copies, threads, pulse_at(progress, "cluster", 0.8))
    away = log_distances(near.first(_DENSITY_NEIGHBORS).distances)
    share = walk_home(graph, ground.communities, threads)[1]
    far = robust_scores(away, ground.communities)[0]
    level = 2 * params.noise_level
    stray = (share < level * _MIN_HOME_SHARE * np.median(share)) | (far * level > _MAX_DEVIATIONS)
    reach = np.sqrt(2 * exp(log_distances(near.first(_REACH_NEIGHBORS).distances)))
    out = stray & ~is_well_inside(points, ground.communities, copies, reach)
    tree = LayerTree(
        points=points,
        copies=copies,
        graph=graph,
        ground=ground,
        core=mark_noise(ground.communities, out, copies, params.min_cluster_size),
        smallest=params.min_cluster_size,
        seed=seed,
        threads=threads,
        progress=scale_progress(progress, "cluster", 0.8, 1),
    )
    requested = params.n_clusters
    labellings, chosen = tree.natural_layers() if requested is None else tree.with_clusters(requested)
    layers = build_layers(labellings)
    labels, clusters = layers[chosen].labels, layers[chosen].clusters
    home = _assign_homes(ground.communities, labels, clusters)
    if labellings[chosen] is not tree.core:
        share = walk_home(graph, home, threads)[1]
    middle, spread = robust_scores(away, home)[1:]
    natural = int(tree.core.max(initial=-1)) + 1
    return _LayeredFit(
        layers=Layers(
            layers=layers,
            chosen=chosen,
            reason=ground.choice.reason if requested is None else _count_reason(requested, natural),
            clear=agreement_warning(ground.agreement) is None,
            agreement=ground.agreement,
        ),
        strengths=np.where(labels >= 0, share, 0.0).astype(np.float32),
        middle=middle[:clusters],
        spread=spread[:clusters],
    )


def _merge_unstructured(
    ground: BaseCommunities, points: Points, copies: Rows, threads: int, pulse: Pulse
) -> BaseCommunities:
    """Undo splits of well-separated groups that have no structure inside."""
    join = merge_low_dimensional_groups if points.shape[1] <= _LOW_DIMENSIONS else merge_unstructured_groups
    communities = join(points, ground.communities, copies, threads, pulse)
    if communities is ground.communities:
        return ground
    reason = f"{ground.choice.reason}; groups that show no structure inside are left whole"
    return replace(ground, communities=communities, choice=replace(ground.choice, reason=reason))


def _count_reason(requested: int, natural: int) -> str:
    if requested == natural:
        return f"the {requested:,} requested clusters are the natural ones"
    how = "merged" if requested < natural else "split"
    return f"the {natural:,} natural clusters, {how} into the {requested:,} requested ones"


def _assign_homes(communities: NDArray[np.int32], labels: NDArray[np.int32], clusters: int) -> NDArray[np.int32]:
    """(m,) a cluster for every row, including noise: the one most rows of its community are in, or a new number from
    `clusters` on for a community that is all noise."""
    inside = labels >= 0
    pairs, count = np.unique(np.stack([communities[inside], labels[inside]]), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], count))  # the most common last, the lower number where equal
    main = np.full(int(communities.max(initial=-1)) + 1, NOISE, np.int32)
    main[pairs[0, order]] = pairs[1, order]
    unmatched = main < 0
    main[unmatched] = clusters + np.arange(int(unmatched.sum()))
    return np.where(inside, labels, main[communities]).astype(np.int32)


AUTO: Final = Algorithm(AutoParams, fit)

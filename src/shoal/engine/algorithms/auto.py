"""Clusters without parameters: communities of the neighbour graph at the granularity the data show best.

The rows' exact nearest neighbours make a fuzzy graph; the communities of it at many resolutions are compared with what
chance would give, and the finest layer that stands out is shown first; rows that belong nowhere are left out.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.algorithms.base import (
    MOST_NEIGHBORS,
    Algorithm,
    Fit,
    Labelled,
    check_seed,
    check_share,
    check_whole,
)
from shoal.engine.algorithms.neighbor_votes import NeighborVotes
from shoal.engine.belonging import leave_out, log_distances, robust_scores, walk_home
from shoal.engine.layer_choice import agreement_note, find_layers
from shoal.engine.layers import Layer, Layers
from shoal.engine.neighbor_graph import NeighborGraph, fuzzy_graph
from shoal.engine.neighbor_lists import NeighborLists, find_neighbors
from shoal.engine.neighborhood import Neighborhood
from shoal.engine.plan import Progress, within
from shoal.engine.row_keys import distinct

__all__ = ["AUTO", "AutoParams", "fit"]

_STRAY: Final = 0.65
"""A row is left out where fewer of its walks end at home than this share of the median."""
_FAR: Final = 2.5
"""A row is left out where its neighbours are this many robust deviations farther than is usual in its cluster."""
_HEARD: Final = 15
"""Neighbours whose distance tells how dense it is around a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoParams:
    """None is needed. Raises InvalidField."""

    n_neighbors: int = 25
    """Neighbours of a row in the graph; hardly matters between 15 and 40."""
    min_cluster_size: int = 5
    """Clusters of fewer rows are noise."""
    noise_level: float = 0.5
    """How readily rows are left out, 0..1: 0 leaves out none."""
    approx_n_clusters: int | None = None
    """Shows the layer with about so many clusters first; None lets the data say."""
    random_state: int | None = None
    """Seed of the runs whose consensus is taken; None takes the plan's."""

    def __post_init__(self) -> None:
        check_whole("n_neighbors", self.n_neighbors, 2, MOST_NEIGHBORS)
        check_whole("min_cluster_size", self.min_cluster_size, 2)
        check_share("noise_level", self.noise_level)
        if self.approx_n_clusters is not None:
            check_whole("approx_n_clusters", self.approx_n_clusters, 2)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)


def fit(points: Points, params: AutoParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the clusters and their layers. O(n^2 d) time up to 250,000 rows, O(n^1.5 d) above; O(n (d + k)) memory."""
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    values = distinct(points, threads)
    rows, copies, back = values.rows, values.copies, values.back
    if len(points) >= params.min_cluster_size * len(rows):
        return _by_value(points, rows, back, copies, params.min_cluster_size, effective)
    part = within(progress, "cluster", 0, 0.6)
    near = find_neighbors(points, rows, params.n_neighbors, threads=threads, progress=part)
    part("cluster", 1.0)
    local = near.ordered()
    graph = fuzzy_graph(local.halved(), threads)
    found = _find(graph, local, copies[near.order], params, seed, threads, within(progress, "cluster", 0.6, 1))
    found = found.taken(np.argsort(near.order))
    layers, labels = found.layers, found.labels
    effective |= {"n_neighbors": near.rows.shape[1]}
    warnings = [] if near.exact else ["Neighbours were searched among near blocks of rows only."]
    note = agreement_note(layers.agreement)
    return Fit(
        labelled=Labelled(labels[back].astype(np.int64), found.strengths[back]),
        assign=NeighborVotes(points[rows], labels, found.middle, found.spread, near.rows.shape[1], _FAR).assign,
        params=effective,
        warnings=warnings if note is None else [*warnings, note],
        neighborhood=Neighborhood(values, near),
        layers=layers.taken(back),
        exact=near.exact,
    )


def _by_value(points: Points, rows: Rows, back: Rows, copies: Rows, smallest: int, effective: dict[str, object]) -> Fit:
    """Where rows mostly are copies of each other, each value that is there often enough is a cluster."""
    labels = leave_out(np.arange(len(rows), dtype=np.int32), np.zeros(len(rows), np.bool_), copies, smallest)
    same = np.zeros(int(labels.max(initial=-1)) + 1)
    votes = NeighborVotes(points[rows], labels, log_distances(same[:, None]), same + 1e-3, 1, _FAR)
    reason = "the rows are copies of a few values"
    return Fit(
        labelled=Labelled(labels[back].astype(np.int64), (labels >= 0).astype(np.float32)[back]),
        assign=votes.assign,
        params=effective,
        layers=Layers(layers=[Layer(labels[back], 1.0)], chosen=0, reason=reason, clear=True, agreement=1.0),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Of the m distinct rows: all layers, and `strengths` (m,) in the chosen one. `middle` and `spread` (k,) are the
    median and the deviation in each cluster of the logs of mean distances to neighbours."""

    layers: Layers
    strengths: NDArray[np.float32]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int32]:
        return self.layers.layers[self.layers.chosen].labels

    def taken(self, rows: Rows) -> "_Found":
        """Row i of the answer is row `rows[i]`."""
        return replace(self, layers=self.layers.taken(rows), strengths=self.strengths[rows])


def _find(
    graph: NeighborGraph,
    near: NeighborLists,
    copies: Rows,
    params: AutoParams,
    seed: int,
    threads: int,
    progress: Progress,
) -> _Found:
    found, chosen, choice, agreement = find_layers(graph, params.approx_n_clusters, seed, threads, progress)
    home = found[chosen][1]
    share = walk_home(graph, home, threads)[1]
    far, middle, spread = robust_scores(log_distances(near.first(_HEARD).distances), home)
    level = 2 * params.noise_level
    out = (share < level * _STRAY * np.median(share)) | (far * level > _FAR)
    layers = [Layer(leave_out(labels, out, copies, params.min_cluster_size), scale) for scale, labels in found]
    labels = layers[chosen].labels
    kept = np.unique(home[labels >= 0])  # in the order of their new numbers
    return _Found(
        layers=Layers(
            layers=layers,
            chosen=chosen,
            reason=choice.reason,
            clear=agreement_note(agreement) is None,
            agreement=agreement,
        ),
        strengths=np.where(labels >= 0, share, 0.0).astype(np.float32),
        middle=middle[kept],
        spread=spread[kept],
    )


AUTO: Final = Algorithm(AutoParams, fit)

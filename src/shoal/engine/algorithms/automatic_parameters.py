"""Chooses omitted parameters from the data, where the usual defaults fit hardly any data."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Points, Rows
from shoal.engine.density.reachability import Reachability
from shoal.engine.kmeans.choose_k import ChosenK, choose_k
from shoal.engine.plan import Progress
from shoal.engine.rows.geometry import are_directions

__all__ = ["choose_cluster_count", "choose_eps", "group_core_rows", "resolve_cluster_count"]

_CORE_SHARES: Final = np.linspace(0.05, 0.95, 19)
"""Fractions of core rows at which candidate radii are evaluated."""


def choose_cluster_count(points: Points, threads: int, progress: Progress) -> ChosenK:
    """Choose the number of clusters as for k-means. Reports to `progress` as "cluster"."""
    near = are_directions(points)
    return choose_k(points, normalize=near, threads=threads, progress=lambda _, done: progress("cluster", done))


def resolve_cluster_count(
    name: str, requested: int | None, most: int, points: Points, threads: int, progress: Progress
) -> tuple[int, list[str]]:
    """The number of clusters to use, and the warnings about it.

    It is `requested`, the value of the parameter `name`, or if that is None chosen from the data, reporting to
    `progress`; at most `most`, the number of distinct rows.
    """
    if requested is None:
        chosen = choose_cluster_count(points, threads, progress)
        return min(chosen.k, most), [chosen.reason]
    if requested > most:
        return most, [f"{name} was lowered from {requested} to {most}, the number of distinct rows."]
    return requested, []


def choose_eps(edges: Reachability, copies: Rows) -> float:
    """Choose the Euclidean radius of DBSCAN-like clusters, so that they hold many rows and none holds most of them.

    Candidates are the distances at which 5, 10, … 95 % of the rows are core rows. The score is the probability that two
    clustered rows are in different clusters, times the fraction of rows in any. Row i stands for `copies[i]` equal
    ones.
    """
    order = np.argsort(edges.core, kind="stable")
    share = np.cumsum(copies[order]) / copies.sum()
    candidates = edges.core[order[np.minimum(np.searchsorted(share, _CORE_SHARES), len(order) - 1)]]
    reaches = np.unique(candidates[candidates > 0])
    if len(reaches) == 0:
        return 1.0  # only copies, which are connected at any distance
    return float(reaches[int(np.argmax([_score_separation(edges, copies, reach) for reach in reaches.tolist()]))])


def _score_separation(edges: Reachability, copies: Rows, reach: float) -> float:
    labels = group_core_rows(edges, reach)
    inside = labels >= 0
    sizes = np.bincount(labels[inside], copies[inside]).astype(np.float64)
    clustered = float(sizes.sum())
    return (clustered / float(copies.sum())) * (1.0 - float(((sizes / clustered) ** 2).sum())) if clustered else 0.0


def group_core_rows(edges: Reachability, reach: float) -> NDArray[np.int64]:
    """(m,) the cluster of each core row at this Euclidean radius, -1 for the other rows."""
    dense, near = edges.core <= reach, edges.weight <= reach
    total = len(dense)
    ends = edges.left[near], edges.right[near]
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(total, total))
    component = connected_components(graph, directed=False)[1]
    labels = np.full(total, -1, np.int64)
    labels[dense] = np.unique(component[dense], return_inverse=True)[1]
    return labels

"""Parameters that are absent, chosen from the data: where a library's default fits hardly any data."""

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
"""Shares of the rows that are core rows, at which reaches are looked at."""


def choose_cluster_count(points: Points, threads: int, progress: Progress) -> ChosenK:
    """The number of clusters, chosen as for k-means. Reports to `progress` as "cluster"."""
    near = are_directions(points)
    return choose_k(points, normalize=near, threads=threads, progress=lambda _, done: progress("cluster", done))


def resolve_cluster_count(
    name: str, given: int | None, most: int, points: Points, threads: int, progress: Progress
) -> tuple[int, list[str]]:
    """The number of clusters, at most `most`, and the warnings about it: `given` as the parameter `name`, or chosen
    from the data where that is None, which reports to `progress`. `most` is the number of distinct rows."""
    if given is None:
        chosen = choose_cluster_count(points, threads, progress)
        return min(chosen.k, most), [chosen.reason]
    if given > most:
        return most, [f"{name} was lowered from {given} to {most}: so many rows are distinct."]
    return given, []


def choose_eps(edges: Reachability, copies: Rows) -> float:
    """The Euclidean distance at which core rows, each standing for the `copies` (m,) of it, make clusters that hold
    many rows and none most of them: of the distances at which 5, 10, … 95 % are core rows the one at which a pair of
    rows is most likely in two different clusters, times the share of rows in any."""
    order = np.argsort(edges.core, kind="stable")
    share = np.cumsum(copies[order]) / copies.sum()
    tried = edges.core[order[np.minimum(np.searchsorted(share, _CORE_SHARES), len(order) - 1)]]
    reaches = np.unique(tried[tried > 0])
    if len(reaches) == 0:
        return 1.0  # copies alone, which are together at any distance
    return float(reaches[int(np.argmax([_score_separation(edges, copies, reach) for reach in reaches.tolist()]))])


def _score_separation(edges: Reachability, copies: Rows, reach: float) -> float:
    labels = group_core_rows(edges, reach)
    inside = labels >= 0
    sizes = np.bincount(labels[inside], copies[inside]).astype(np.float64)
    held = float(sizes.sum())
    return (held / float(copies.sum())) * (1.0 - float(((sizes / held) ** 2).sum())) if held else 0.0


def group_core_rows(edges: Reachability, reach: float) -> NDArray[np.int64]:
    """(m,) the cluster of each core row at this Euclidean distance, -1 for the others."""
    dense, near = edges.core <= reach, edges.weight <= reach
    total = len(dense)
    ends = edges.left[near], edges.right[near]
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(total, total))
    component = connected_components(graph, directed=False)[1]
    labels = np.full(total, -1, np.int64)
    labels[dense] = np.unique(component[dense], return_inverse=True)[1]
    return labels

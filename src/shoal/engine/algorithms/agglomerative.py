"""Agglomerative clustering: merge the two nearest clusters until the requested number is left."""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from shoal.columns import Points
from shoal.engine.algorithms.automatic_parameters import choose_cluster_count
from shoal.engine.algorithms.base import (
    MAX_CLUSTERS,
    Algorithm,
    Fit,
    check_bool,
    check_choice,
    check_integer,
    check_number,
)
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.metric import Metric
from shoal.engine.algorithms.micro_clusters import build_micro_clusters
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.layers.weighted_linkage import weighted_linkage
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.row_keys import Distinct, find_distinct
from shoal.errors import InvalidField

__all__ = ["AGGLOMERATIVE", "AgglomerativeParams", "fit"]

Floats = NDArray[np.float64]

_MAX_EXACT: Final = 20_000
"""Rows up to which all pairwise distances are stored: 1.6 GB."""
_MICRO_CLUSTERS: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgglomerativeParams:
    """Names and defaults as in contract.md#method-parameters, except `n_clusters`. Raises InvalidField."""

    n_clusters: int | None = None
    """Number of clusters; None chooses it from the data (the wire has 2). Lowered to the number of distinct rows.
    Ignored with `distance_threshold`."""
    affinity: Literal["euclidean", "l2", "cosine"] = "euclidean"
    """The metric; "ward" takes Euclidean distances only."""
    memory: str | None = None
    """Accepted, without effect: nothing is cached between runs."""
    connectivity: object = None
    """Must be omitted: connectivity constraints are not supported."""
    compute_full_tree: str | bool = "auto"
    """Accepted, without effect: the full tree is always computed."""
    linkage: Literal["ward", "complete", "average", "single"] = "ward"
    """Distance between two clusters: the increase in variance, or the maximum, mean or minimum distance of their
    rows."""
    distance_threshold: float | None = None
    """Clusters at this distance or farther are not merged; replaces `n_clusters`."""
    compute_distances: bool = False
    """Accepted, without effect."""

    def __post_init__(self) -> None:
        if self.n_clusters is not None:
            check_integer("n_clusters", self.n_clusters, 1, MAX_CLUSTERS)
        check_choice("affinity", self.affinity, ("euclidean", "l2", "cosine"))
        check_choice("linkage", self.linkage, ("ward", "complete", "average", "single"))
        check_bool("compute_distances", self.compute_distances)
        if self.connectivity is not None:
            raise InvalidField("connectivity", "cannot be given; leave it out", value=str(self.connectivity))
        if self.distance_threshold is not None:
            check_number("distance_threshold", self.distance_threshold, 0)
        if self.linkage == "ward" and self.affinity == "cosine":
            raise InvalidField("affinity", "must be euclidean for ward; normalized rows order the same", value="cosine")


def fit(points: Points, params: AgglomerativeParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the clusters.

    Exact up to 20,000 rows, O(n^2 d) time and 8 n^2 bytes; above, 4,000 weighted micro-clusters, drawn with `seed`,
    replace the rows. Raises InvalidField for a zero row under the cosine metric.
    """
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing)
    space = Metric.of(params.affinity)
    placed = space.placed(points)
    reasons = list[str]()
    if params.n_clusters is None and params.distance_threshold is None:
        number = choose_cluster_count(placed, threads, scale_progress(progress, "cluster", 0, 0.3))
        params, reasons = replace(params, n_clusters=number.k), [number.reason]
    values = find_distinct(placed, threads)
    if len(placed) <= _MAX_EXACT:
        progress("cluster", 0.3)
        micro = build_micro_clusters(
            placed, values, _MAX_EXACT, _MICRO_CLUSTERS, seed=seed, threads=threads, progress=progress
        )
        labels = _fit_exact(placed, values, params, space)
    else:
        part = scale_progress(progress, "cluster", 0.3, 0.7)
        micro = build_micro_clusters(
            placed, values, _MICRO_CLUSTERS, _MICRO_CLUSTERS, seed=seed, threads=threads, progress=part
        )
        merges = weighted_linkage(micro.centers, micro.weights, params.linkage, space.to_metric)
        labels = _cut_tree(merges, len(micro.centers), len(micro.centers), params)
    effective = int(labels.max()) + 1
    warnings = [*reasons, *([] if micro.warning is None else [micro.warning])]
    if params.distance_threshold is None and not reasons and effective < (params.n_clusters or 1):
        warnings.append(f"n_clusters was lowered from {params.n_clusters} to {effective}, the number of distinct rows.")
    progress("cluster", 1.0)
    return Fit(
        assignments=Assignments(labels[micro.back], np.ones(len(points), np.float32)),
        assign=FittedRows(micro.centers, labels, placed=space.placed).assign,
        assigns_all=True,
        params={"n_clusters": effective},
        warnings=warnings,
        exact=micro.warning is None,
    )


def _fit_exact(points: Points, values: Distinct, params: AgglomerativeParams, space: Metric) -> NDArray[np.int64]:
    """(m,) labels of the distinct rows; copies are merged first, at distance 0, and count by their number."""
    rows = points[np.repeat(values.rows, values.copies)].astype(np.float64)
    if len(rows) < 2:
        return np.zeros(len(rows), np.int64)
    merges = linkage(space.to_metric(pdist(rows)), params.linkage)
    firsts = np.cumsum(values.copies) - values.copies
    labels = _cut_tree(np.asarray(merges, np.float64), len(rows), len(values.rows), params)[firsts]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _cut_tree(merges: Floats, total: int, most: int, params: AgglomerativeParams) -> NDArray[np.int64]:
    """(m,) labels after the merges that the parameters allow, with at most `most` clusters."""
    order = np.argsort(merges[:, 2], kind="stable")
    merge_count = total - min(params.n_clusters or 1, most)
    if params.distance_threshold is not None:
        merge_count = max(int((merges[:, 2] < params.distance_threshold).sum()), total - most)
    any_row = np.arange(2 * total - 1)
    for number, first in enumerate(merges[:, 0].astype(np.int64).tolist()):
        any_row[total + number] = any_row[first]
    merged = merges[order[:merge_count], :2].astype(np.int64)
    ends = any_row[merged[:, 0]], any_row[merged[:, 1]]
    graph = coo_array((np.ones(merge_count, np.int8), ends), shape=(total, total))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


AGGLOMERATIVE: Final = Algorithm(AgglomerativeParams, fit)

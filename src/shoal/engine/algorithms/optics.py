"""OPTICS: an ordering of the rows in which dense regions are valleys (Ankerst, Breunig, Kriegel and Sander 1999)."""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.engine.algorithms.automatic_parameters import choose_eps
from shoal.engine.algorithms.base import (
    Algorithm,
    Fit,
    check_bool,
    check_choice,
    check_fraction,
    check_integer,
    check_number,
)
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.metric import METRICS, Metric, check_metric
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.density.merge_order import walk
from shoal.engine.density.reachability import Reachability, find_reachability
from shoal.engine.neighbors.lists import MAX_EXACT
from shoal.engine.plan import Progress
from shoal.engine.rows.row_keys import find_distinct
from shoal.errors import InvalidField

__all__ = ["OPTICS", "OPTICSParams", "fit"]

_DEFAULT_XI: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class OPTICSParams:
    """Names and defaults as in contract.md#method-parameters, except `cluster_method`. Raises InvalidField."""

    min_samples: int = 5
    """Rows that make a neighbourhood dense, including the row itself."""
    max_eps: float | None = None
    """Rows farther apart than this are not neighbours; None sets no limit."""
    metric: str = "minkowski"
    """euclidean, l2, minkowski with p 2, or cosine."""
    p: float = 2
    """Exponent of minkowski; must be 2."""
    metric_params: object = None
    """Must be empty: the metrics have no parameters."""
    cluster_method: Literal["xi", "dbscan"] | None = None
    """How to extract clusters from the ordering: by steep slopes ("xi") or at one distance ("dbscan"). None uses
    slopes, or a distance chosen from the data if slopes leave more than half of the rows as noise."""
    eps: float | None = None
    """Distance of "dbscan"; None uses `max_eps`."""
    xi: float | None = None
    """Minimum steepness at the border of a cluster; None uses 0.05. Setting it selects "xi"."""
    predecessor_correction: bool = True
    """As in scikit-learn."""
    min_cluster_size: float | None = None
    """Minimum distinct rows of a cluster, a fraction of them if below 1; None uses `min_samples`."""
    algorithm: str = "auto"
    """Accepted, without effect."""
    leaf_size: int = 30
    """Accepted, without effect."""
    n_jobs: int | None = 1
    """Accepted, without effect."""

    def __post_init__(self) -> None:
        check_integer("min_samples", self.min_samples, 2)
        check_metric(self.metric, self.metric_params, self.p, METRICS)
        if self.cluster_method is not None:
            check_choice("cluster_method", self.cluster_method, ("xi", "dbscan"))
        if self.xi is not None:
            check_fraction("xi", self.xi)
        check_bool("predecessor_correction", self.predecessor_correction)
        check_integer("leaf_size", self.leaf_size, 1)
        for name in ("max_eps", "eps"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), 0, open_end=True)
        if self.min_cluster_size is not None:
            check_number("min_cluster_size", self.min_cluster_size, 0, open_end=True)
            if self.min_cluster_size > 1 and self.min_cluster_size != int(self.min_cluster_size):
                raise InvalidField("min_cluster_size", "must be whole, or a share up to 1", value=self.min_cluster_size)


def fit(points: Points, params: OPTICSParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Extract clusters from the order in which a walk by mutual reachability visits the distinct rows. `seed` is not
    used.

    Mutual reachability uses the core distances of both rows where OPTICS uses that of the first, so the ordering
    follows a spanning tree and does not depend on row order. scikit-learn extracts the clusters from it. O(n^2 d) time,
    O(n (d + min_samples)) memory; approximate above 250,000 rows. Raises InvalidField for a zero row under the cosine
    metric.
    """
    if len(points) < params.min_samples:
        return Fit(assignments=all_noise(len(points)), assign=assign_nothing)
    space = Metric.of(params.metric)
    space_points = space.placed(points)
    values = find_distinct(space_points, threads)
    if len(values.rows) < 3:  # too few for slopes: each frequent value is a cluster
        is_frequent = values.copies >= params.min_samples
        labels = np.where(is_frequent, np.cumsum(is_frequent) - 1, NOISE)
        recall, effective, notes = None, dict[str, object](), list[str]()
    else:
        edges = find_reachability(
            space_points,
            values.rows,
            values.copies,
            params.min_samples,
            approximate=len(space_points) > MAX_EXACT,
            threads=threads,
            progress=lambda _, done: progress("cluster", 0.9 * done),
        )
        progress("cluster", 0.9)
        recall = edges.recall
        labels, effective, notes = _extract_clusters(edges, values.copies, space, params)
    is_clustered = labels >= 0
    reach = np.inf if params.max_eps is None else space.to_euclidean(params.max_eps)
    return Fit(
        assignments=Assignments(labels[values.back], is_clustered[values.back].astype(np.float32)),
        assign=FittedRows(space_points[values.rows], labels, reach, space.placed).assign,
        assigns_all=params.max_eps is None,
        params=effective,
        warnings=[*notes, *([] if recall is None else ["OPTICS was approximate: more than 250,000 rows."])],
        exact=recall is None,
    )


def _extract_clusters(
    edges: Reachability, copies: Rows, space: Metric, params: OPTICSParams
) -> tuple[NDArray[np.int64], dict[str, object], list[str]]:
    """(m,) labels, the effective parameters, and warnings."""
    if params.cluster_method is not None or params.xi is not None:
        explicit = replace(params, cluster_method=params.cluster_method or "xi")
        return _extract_labels(edges, space, explicit), {"cluster_method": explicit.cluster_method}, []
    by_slopes = replace(params, cluster_method="xi")
    labels = _extract_labels(edges, space, by_slopes)
    if 2 * int(copies[labels >= 0].sum()) >= int(copies.sum()):
        return labels, {"cluster_method": "xi"}, []
    eps = params.eps or float(space.to_metric(np.array([choose_eps(edges, copies)]))[0])
    notes = (
        f"Slopes (cluster_method xi) leave more than half of the rows as noise, so clusters were extracted at one "
        f"distance, eps {eps:.4g}, chosen from the data. Set cluster_method=xi to use slopes."
    )
    chosen = replace(params, cluster_method="dbscan", eps=eps)
    return _extract_labels(edges, space, chosen), {"cluster_method": "dbscan", "eps": eps}, [notes]


def _extract_labels(edges: Reachability, space: Metric, params: OPTICSParams) -> NDArray[np.int64]:
    """(m,) labels of the distinct rows, -1 for noise."""
    from sklearn.cluster import cluster_optics_dbscan, cluster_optics_xi

    total = len(edges.core)
    order, steps = walk(edges)
    reachability, core = np.full(total, np.inf), space.to_metric(edges.core)
    reachability[order[1:]] = space.to_metric(steps)
    predecessor = _find_predecessors(edges, order, steps)
    farthest = np.inf if params.max_eps is None else params.max_eps
    reachability[reachability > farthest] = np.inf
    core = np.where(core > farthest, np.inf, core)
    if params.cluster_method == "dbscan":
        eps = params.eps or params.max_eps
        eps = float(reachability[np.isfinite(reachability)].max(initial=0.0)) if eps is None else eps
        extracted = cluster_optics_dbscan(reachability=reachability, core_distances=core, ordering=order, eps=eps)
    else:
        size = params.min_cluster_size
        smallest = min(params.min_samples, total) if size is None else max(2, int(size if size > 1 else size * total))
        with np.errstate(divide="ignore", invalid="ignore"):  # equal rows are at distance 0
            extracted = cluster_optics_xi(
                reachability=reachability,
                predecessor=predecessor,
                ordering=order,
                min_samples=min(params.min_samples, total),
                min_cluster_size=min(smallest, total),
                xi=_DEFAULT_XI if params.xi is None else params.xi,
                predecessor_correction=params.predecessor_correction,
            )[0]
    return np.asarray(extracted, np.int64)


def _find_predecessors(edges: Reachability, order: NDArray[np.int64], steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """(m,) the row from which the walk reached each row, the earliest of equally near ones; -1 for the first."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    first, last = np.sort(np.stack([place[edges.left], place[edges.right]]), axis=0)
    used = edges.weight <= steps[last - 1]
    earliest = np.full(len(order), len(order), np.int64)
    np.minimum.at(earliest, last[used], first[used])
    is_reached = earliest < len(order)
    predecessor = np.full(len(order), -1, np.int64)
    predecessor[order[is_reached]] = order[earliest[is_reached]]
    return predecessor


OPTICS: Final = Algorithm(OPTICSParams, fit)

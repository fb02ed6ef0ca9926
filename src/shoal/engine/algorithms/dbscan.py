"""DBSCAN: rows with enough neighbours and the rows they reach (Ester, Kriegel, Sander and Xu 1996)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shoal.columns import Points
from shoal.engine.algorithms.automatic_parameters import choose_eps, group_core_rows
from shoal.engine.algorithms.base import Algorithm, Fit, check_integer, check_number
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.metric import METRICS, Metric, check_metric
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.density.reachability import find_reachability
from shoal.engine.neighbors.lists import MAX_EXACT, nearest_among
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.row_keys import find_distinct

__all__ = ["DBSCAN", "DBSCANParams", "fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DBSCANParams:
    """Names and defaults as in contract.md#method-parameters, except `eps`. Raises InvalidField."""

    eps: float | None = None
    """Neighbourhood radius in the metric; None chooses it from the data (the wire's 0.5 suits little data)."""
    min_samples: int = 5
    """Rows within `eps` that make a row a core row, including itself."""
    metric: str = "euclidean"
    """euclidean, l2, minkowski with p 2, or cosine."""
    metric_params: object = None
    """Must be empty: the metrics have no parameters."""
    algorithm: str = "auto"
    """Accepted, without effect: the neighbour search is fixed."""
    leaf_size: int = 30
    """Accepted, without effect."""
    p: float = 2
    """Exponent of minkowski; must be 2."""
    n_jobs: int | None = 1
    """Accepted, without effect: the server sets the number of threads."""

    def __post_init__(self) -> None:
        if self.eps is not None:
            check_number("eps", self.eps, 0, open_end=True)
        check_integer("min_samples", self.min_samples, 1)
        check_integer("leaf_size", self.leaf_size, 1)
        check_metric(self.metric, self.metric_params, self.p, METRICS)


def fit(points: Points, params: DBSCANParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the clusters: core rows within `eps` of each other share one; another row within `eps` of a core row joins
    the nearest one, independent of row order; the rest is noise. `seed` is not used.

    Two core rows share a cluster exactly if their mutual reachability connects them at `eps`, so its spanning tree
    suffices: O(n^2 d) time, O(n (d + min_samples)) memory; approximate above 250,000 rows. Raises InvalidField for a
    zero row under the cosine metric.
    """
    if len(points) < params.min_samples:
        return Fit(assignments=all_noise(len(points)), assign=assign_nothing)
    space = Metric.of(params.metric)
    space_points = space.placed(points)
    values = find_distinct(space_points, threads)
    edges = find_reachability(
        space_points,
        values.rows,
        values.copies,
        params.min_samples,
        approximate=len(space_points) > MAX_EXACT,
        threads=threads,
        progress=lambda _, done: progress("cluster", 0.8 * done),
    )
    eps = choose_eps(edges, values.copies) if params.eps is None else space.to_euclidean(params.eps)
    is_core, labels = edges.core <= eps, group_core_rows(edges, eps)
    cores = space_points[values.rows[is_core]]
    rest = np.flatnonzero(~is_core)
    if len(cores) and len(rest):
        part = scale_progress(progress, "cluster", 0.8, 1)
        nearest, distances = nearest_among(
            space_points[values.rows[rest]], cores, 1, threads=threads, progress=lambda _, done: part("cluster", done)
        )
        is_border = distances[:, 0] <= eps
        labels[rest[is_border]] = labels[is_core][nearest[is_border, 0]]
    metric_eps = params.eps or float(space.to_metric(np.array([eps]))[0])
    warnings = [] if edges.recall is None else ["DBSCAN was approximate: more than 250,000 rows."]
    if params.eps is None:
        warnings.append(f"eps was chosen from the data: {metric_eps:.4g}. A larger one gives fewer, larger clusters.")
    strengths = np.where(is_core, 1.0, np.where(labels >= 0, 0.5, 0.0)).astype(np.float32)
    return Fit(
        assignments=Assignments(labels[values.back], strengths[values.back]),
        assign=FittedRows(cores, labels[is_core], eps, space.placed).assign,
        params={"eps": metric_eps},
        warnings=warnings,
        exact=edges.recall is None,
    )


DBSCAN: Final = Algorithm(DBSCANParams, fit)

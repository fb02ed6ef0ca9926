"""DBSCAN: rows with enough others around them, and what they reach (Ester, Kriegel, Sander and Xu 1996)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shoal.columns import Points
from shoal.engine.algorithms.automatic_parameters import choose_eps, group_core_rows
from shoal.engine.algorithms.base import (
    Algorithm,
    Assignments,
    Fit,
    all_noise,
    assign_nothing,
    check_integer,
    check_number,
)
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.metric import METRICS, Metric, check_metric
from shoal.engine.density.reachability import find_reachability
from shoal.engine.neighbors.lists import MAX_EXACT, nearest_among
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.row_keys import find_distinct

__all__ = ["DBSCAN", "DBSCANParams", "fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DBSCANParams:
    """Names and defaults as in contract.md#method-parameters, but for `eps`. Raises InvalidField."""

    eps: float | None = None
    """How near rows must be, in the metric; None chooses it from the data (the wire's 0.5 fits few)."""
    min_samples: int = 5
    """Rows within `eps` that make a row a core row, itself counted."""
    metric: str = "euclidean"
    """euclidean, l2, minkowski with p 2, or cosine."""
    metric_params: object = None
    """Accepted empty: the metrics take none."""
    algorithm: str = "auto"
    """Accepted, without effect: neighbours are found in Shoal's own way."""
    leaf_size: int = 30
    """Accepted, without effect."""
    p: float = 2
    """Of minkowski; only 2."""
    n_jobs: int | None = 1
    """Accepted, without effect: the server decides on threads."""

    def __post_init__(self) -> None:
        if self.eps is not None:
            check_number("eps", self.eps, 0, open_end=True)
        check_integer("min_samples", self.min_samples, 1)
        check_integer("leaf_size", self.leaf_size, 1)
        check_metric(self.metric, self.metric_params, self.p, METRICS)


def fit(points: Points, params: DBSCANParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Core rows within `eps` of each other are one cluster; another row within `eps` of a core row joins the nearest
    one, whatever the order of the rows; the rest is noise. `seed` is not used.

    Two core rows are in one cluster just where their mutual reachability joins them at `eps`, so a spanning tree of it
    is enough: O(n^2 d) time, O(n (d + min_samples)) memory; above 250,000 rows approximate. Raises InvalidField for a
    zero row under the cosine metric.
    """
    if len(points) < params.min_samples:
        return Fit(assignments=all_noise(len(points)), assign=assign_nothing)
    space = Metric.of(params.metric)
    placed = space.placed(points)
    values = find_distinct(placed, threads)
    edges = find_reachability(
        placed,
        values.rows,
        values.copies,
        params.min_samples,
        approximate=len(placed) > MAX_EXACT,
        threads=threads,
        progress=lambda _, done: progress("cluster", 0.8 * done),
    )
    eps = choose_eps(edges, values.copies) if params.eps is None else space.to_euclidean(params.eps)
    dense, labels = edges.core <= eps, group_core_rows(edges, eps)
    cores = placed[values.rows[dense]]
    rest = np.flatnonzero(~dense)
    if len(cores) and len(rest):
        part = scale_progress(progress, "cluster", 0.8, 1)
        found, away = nearest_among(
            placed[values.rows[rest]], cores, 1, threads=threads, progress=lambda _, done: part("cluster", done)
        )
        joined = away[:, 0] <= eps
        labels[rest[joined]] = labels[dense][found[joined, 0]]
    told_eps = params.eps or float(space.to_metric(np.array([eps]))[0])
    warnings = [] if edges.recall is None else ["DBSCAN was approximate: more than 250,000 rows."]
    if params.eps is None:
        warnings.append(f"eps was chosen from the data: {told_eps:.4g}. A larger one gives fewer, larger clusters.")
    strengths = np.where(dense, 1.0, np.where(labels >= 0, 0.5, 0.0)).astype(np.float32)
    return Fit(
        assignments=Assignments(labels[values.back], strengths[values.back]),
        assign=FittedRows(cores, labels[dense], eps, space.placed).assign,
        params={"eps": told_eps},
        warnings=warnings,
        exact=edges.recall is None,
    )


DBSCAN: Final = Algorithm(DBSCANParams, fit)

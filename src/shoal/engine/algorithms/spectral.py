"""Spectral clustering: k-means on the leading eigenvectors of the affinity matrix (Ng, Jordan and Weiss 2001), using
scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.algorithms.automatic_parameters import resolve_cluster_count
from shoal.engine.algorithms.base import (
    MAX_CLUSTERS,
    MAX_NEIGHBORS,
    MAX_STARTS,
    Algorithm,
    Fit,
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_seed,
)
from shoal.engine.algorithms.fitted_rows import FittedRows
from shoal.engine.algorithms.micro_clusters import build_micro_clusters
from shoal.engine.algorithms.sklearn_fit import collect_warnings
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.row_keys import find_distinct
from shoal.errors import InvalidField

__all__ = ["SPECTRAL", "SpectralParams", "fit"]

_MAX_EXACT: Final = 5000
"""Distinct rows up to which the full affinity matrix is used: 200 MB, a minute."""
_MICRO_CLUSTERS: Final = 2000
_AFFINITIES: Final = ("rbf", "nearest_neighbors", "poly", "polynomial", "sigmoid", "laplacian", "linear", "cosine")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralParams:
    """Names and defaults as in contract.md#method-parameters, except `n_clusters`. Raises InvalidField."""

    n_clusters: int | None = None
    """Number of clusters; None chooses it from the data (the wire has 8). Lowered to the number of distinct
    rows."""
    eigen_solver: Literal["arpack", "lobpcg"] | None = None
    n_components: int | None = None
    """Number of eigenvectors; None uses `n_clusters`."""
    random_state: int | None = None
    """None uses the seed of the plan."""
    n_init: int = 10
    gamma: float = 1.0
    """Coefficient of rbf, poly, sigmoid and laplacian."""
    affinity: str = "rbf"
    """rbf, nearest_neighbors, poly, sigmoid, laplacian, linear or cosine; "precomputed" is not supported."""
    n_neighbors: int = 10
    """Neighbours for nearest_neighbors."""
    eigen_tol: float = 0.0
    assign_labels: Literal["kmeans", "discretize", "cluster_qr"] = "kmeans"
    degree: float = 3
    coef0: float = 1
    kernel_params: Mapping[str, object] | None = None
    n_jobs: int | None = 1
    """Accepted, without effect."""
    verbose: bool = False
    """Accepted, without effect."""

    def __post_init__(self) -> None:
        if self.n_clusters is not None:
            check_integer("n_clusters", self.n_clusters, 1, MAX_CLUSTERS)
        check_integer("n_init", self.n_init, 1, MAX_STARTS)
        check_integer("n_neighbors", self.n_neighbors, 1, MAX_NEIGHBORS)
        if self.n_components is not None:
            check_integer("n_components", self.n_components, 1, MAX_CLUSTERS)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)
        if self.eigen_solver is not None:
            check_choice("eigen_solver", self.eigen_solver, ("arpack", "lobpcg"))
        check_choice("affinity", self.affinity, _AFFINITIES)
        check_choice("assign_labels", self.assign_labels, ("kmeans", "discretize", "cluster_qr"))
        check_number("gamma", self.gamma, 0, open_end=True)
        check_number("eigen_tol", self.eigen_tol, 0)
        check_number("degree", self.degree, 0)
        check_number("coef0", self.coef0, -np.inf)
        check_bool("verbose", self.verbose)


def fit(points: Points, params: SpectralParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the clusters. O(m^2 d) time and 8 m^2 bytes for m distinct rows, at most 5,000; 2,000 micro-clusters replace
    more. Raises InvalidField if the kernel rejects the rows."""
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing, params=effective)
    values = find_distinct(points, threads)
    part = scale_progress(progress, "cluster", 0, 0.4)
    micro = build_micro_clusters(points, values, _MAX_EXACT, _MICRO_CLUSTERS, seed=seed, threads=threads, progress=part)
    part = scale_progress(progress, "cluster", 0 if micro.warning is None else 0.4, 0.7)
    clusters, count_warnings = resolve_cluster_count(
        "n_clusters", params.n_clusters, len(micro.centers), points, threads, part
    )
    progress("cluster", 0.7)
    warnings = [*([] if micro.warning is None else [micro.warning]), *count_warnings]
    if clusters == 1 or clusters >= len(micro.centers) - 1:
        labels = np.arange(len(micro.centers)) if clusters > 1 else np.zeros(len(micro.centers), np.int64)
        if clusters == len(micro.centers) - 1 and clusters > 1:
            labels = _merge_nearest_pair(micro.centers)
    else:
        labels = _fit_spectral(micro.centers, clusters, params, seed, warnings)
    effective["n_clusters"] = int(labels.max()) + 1
    progress("cluster", 1.0)
    return Fit(
        assignments=Assignments(labels[micro.back].astype(np.int64), np.ones(len(points), np.float32)),
        assign=FittedRows(micro.centers, labels.astype(np.int64)).assign,
        assigns_all=True,
        params=effective,
        warnings=warnings,
        exact=micro.warning is None,
    )


def _merge_nearest_pair(rows: Points) -> NDArray[np.int64]:
    """One cluster fewer than rows: too few for an eigenvalue solver."""
    away = ((rows[:, None].astype(np.float64) - rows) ** 2).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    first, second = np.unravel_index(int(np.argmin(away)), away.shape)
    labels = np.arange(len(rows))
    labels[second] = labels[first]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _fit_spectral(
    rows: Points, clusters: int, params: SpectralParams, seed: int, messages: list[str]
) -> NDArray[np.int64]:
    from sklearn.cluster import SpectralClustering

    components = params.n_components or clusters
    model = SpectralClustering(
        clusters,
        eigen_solver=params.eigen_solver,
        n_components=min(components, len(rows) - 2),
        random_state=seed,
        n_init=params.n_init,
        gamma=params.gamma,
        affinity=params.affinity,
        n_neighbors=min(params.n_neighbors, len(rows)),
        eigen_tol=params.eigen_tol,
        assign_labels=params.assign_labels,
        degree=params.degree,
        coef0=params.coef0,
        kernel_params=None if params.kernel_params is None else dict(params.kernel_params),
    )
    try:
        with collect_warnings(messages):
            raw_labels = model.fit_predict(rows.astype(np.float64))
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise InvalidField("affinity", f"does not work for these rows: {error}", value=params.affinity) from None
    return np.unique(raw_labels, return_inverse=True)[1].astype(np.int64)


SPECTRAL: Final = Algorithm(SpectralParams, fit)

"""Gaussian mixtures by expectation maximisation (Dempster, Laird and Rubin 1977), using scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.algorithms.automatic_parameters import resolve_cluster_count
from shoal.engine.algorithms.base import (
    MAX_CLUSTERS,
    MAX_STARTS,
    MAX_STEPS,
    Algorithm,
    Fit,
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_seed,
)
from shoal.engine.algorithms.sklearn_fit import check_affordable, collect_warnings
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.row_keys import find_distinct, sort_by_key
from shoal.errors import InvalidField

__all__ = ["GAUSSIAN_MIXTURE", "GaussianMixtureParams", "fit"]

_MAX_FITTED: Final = 20_000
"""Rows that a mixture is fitted on; a seeded sample if there are more."""
_ROWS_PER_DIMENSION: Final = 10
"""Rows per Gaussian and dimension needed to estimate a full covariance."""
_RATE: Final = 2e9
"""Multiplications per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianMixtureParams:
    """Names and defaults as in contract.md#method-parameters, except the first two. Raises InvalidField."""

    n_components: int | None = None
    """Number of Gaussians; None chooses it from the data (the wire has 1). Lowered to the number of distinct
    rows."""
    covariance_type: Literal["full", "tied", "diag", "spherical"] | None = None
    """None uses "full", the wire's default, if each Gaussian has ten times as many fitted rows (at most 20,000 in
    total) as dimensions, else "diag"."""
    tol: float = 0.001
    reg_covar: float = 1e-6
    """Added to the variances."""
    max_iter: int = 100
    n_init: int = 1
    init_params: Literal["kmeans", "k-means++", "random", "random_from_data"] = "kmeans"
    weights_init: Sequence[float] | None = None
    """(n_components,)"""
    means_init: Sequence[Sequence[float]] | None = None
    """(n_components, d), in the clustered space."""
    precisions_init: Sequence[Any] | None = None
    random_state: int | None = None
    """None uses the seed of the plan."""
    warm_start: bool = False
    """Accepted, without effect: every run starts from scratch."""
    verbose: int = 0
    """Accepted, without effect."""
    verbose_interval: int = 10
    """Accepted, without effect."""

    def __post_init__(self) -> None:
        if self.n_components is not None:
            check_integer("n_components", self.n_components, 1, MAX_CLUSTERS)
        check_integer("max_iter", self.max_iter, 1, MAX_STEPS)
        check_integer("n_init", self.n_init, 1, MAX_STARTS)
        check_integer("verbose_interval", self.verbose_interval, 1)
        if self.covariance_type is not None:
            check_choice("covariance_type", self.covariance_type, ("full", "tied", "diag", "spherical"))
        check_choice("init_params", self.init_params, ("kmeans", "k-means++", "random", "random_from_data"))
        check_number("tol", self.tol, 0)
        check_number("reg_covar", self.reg_covar, 0)
        check_bool("warm_start", self.warm_start)
        check_integer("verbose", self.verbose, 0)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)


def fit(points: Points, params: GaussianMixtureParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Assign each row to its most likely Gaussian, with that probability as its strength.

    O(n k d^2) time per iteration with full covariances. Above 20,000 rows the mixture is fitted on a seeded sample.
    Raises InvalidField if it would take more than an hour or 4 GiB, and for initial values of the wrong shape.
    """
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing, params=effective)
    values = find_distinct(points, threads)
    components, warnings = resolve_cluster_count(
        "n_components",
        params.n_components,
        len(values.rows),
        points,
        threads,
        scale_progress(progress, "cluster", 0, 0.4),
    )
    effective["n_components"] = components
    if params.covariance_type is None:
        enough = min(len(points), _MAX_FITTED) >= _ROWS_PER_DIMENSION * components * points.shape[1]
        params = replace(params, covariance_type="full" if enough else "diag")
        if not enough:
            warnings.append("covariance_type is diag: there are too few rows to estimate full covariances.")
    effective["covariance_type"] = params.covariance_type
    by_key = sort_by_key(points, threads)[0]
    used = by_key
    if len(by_key) > _MAX_FITTED:
        used = by_key[np.sort(np.random.default_rng(seed).choice(len(by_key), _MAX_FITTED, replace=False))]
        warnings.append(f"The mixture was fitted on a sample of {_MAX_FITTED:,} of {len(by_key):,} rows.")
    _check_cost(len(used), points.shape[1], components, params)
    progress("cluster", 0.4)
    model = _fit_mixture(points[used], components, params, seed, warnings)
    used_components = np.unique(model.predict(points[used].astype(np.float64)))
    labelled = FittedMixture.of(model, used_components).assign(
        points, threads, scale_progress(progress, "cluster", 0.9, 1)
    )
    present, numbered = np.unique(labelled.labels, return_inverse=True)
    return Fit(
        assignments=Assignments(numbered.astype(np.int64), labelled.strengths),
        assign=FittedMixture.of(model, used_components[present]).assign,
        assigns_all=True,
        params=effective,
        warnings=warnings,
        exact=len(used) == len(points),
    )


def _check_cost(rows: int, columns: int, components: int, params: GaussianMixtureParams) -> None:
    full = params.covariance_type in ("full", "tied")
    work = rows * components * columns * (columns if full else 8)
    matrices = components * columns * (columns if params.covariance_type == "full" else 1)
    seconds = (work * params.max_iter + components * columns**3 * full * params.max_iter) * params.n_init / _RATE
    size = 8.0 * (4 * matrices + rows * (columns + 4 * components))
    remedies = ["Use covariance_type diag, fewer components or iterations, or reduce the dimensions first (pca)."]
    check_affordable("n_components", components, seconds, size, remedies)


def _fit_mixture(rows: Points, components: int, params: GaussianMixtureParams, seed: int, messages: list[str]) -> Any:
    from sklearn.mixture import GaussianMixture

    initial = {
        name: None if value is None else np.asarray(value, np.float64)
        for name, value in (
            ("weights_init", params.weights_init),
            ("means_init", params.means_init),
            ("precisions_init", params.precisions_init),
        )
    }
    exact = rows.astype(np.float64)
    data = exact if len(exact) > 1 else np.repeat(exact, 2, axis=0)  # scikit-learn requires two rows
    for factor in (1.0, 1e3, 1e6):  # rows in a subspace need stronger regularization
        model = GaussianMixture(
            components,
            covariance_type=params.covariance_type,
            tol=params.tol,
            reg_covar=max(params.reg_covar, 1e-12) * factor,
            max_iter=params.max_iter,
            n_init=params.n_init,
            init_params=params.init_params,
            random_state=seed,
            **initial,
        )
        try:
            with collect_warnings(messages):
                return model.fit(data)
        except ValueError as error:
            if "ill-defined" not in str(error):
                raise InvalidField(
                    "n_components", f"does not fit the initial values: {error}", value=components
                ) from None
    raise InvalidField("reg_covar", "is too small for these rows", value=params.reg_covar, remedy="Raise it.")


@dataclass(frozen=True)
class FittedMixture:
    """k Gaussians as scikit-learn stores them. A row belongs to the most likely of the components `used`, numbered in
    this order."""

    covariance_type: str
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    precisions: NDArray[np.float64]
    """Cholesky factors of the precisions."""
    used: NDArray[np.int64]

    @staticmethod
    def of(model: Any, used: NDArray[np.int64]) -> "FittedMixture":
        return FittedMixture(
            model.covariance_type, model.weights_, model.means_, model.covariances_, model.precisions_cholesky_, used
        )

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """Labels of rows; each is independent of the other rows of the call."""
        result = all_noise(len(points))
        for start in range(0, len(points), 8192):
            block = slice(start, min(start + 8192, len(points)))
            chances = self._model.predict_proba(points[block].astype(np.float64))[:, self.used]
            best = np.argmax(chances, axis=1)
            result.labels[block], result.strengths[block] = best, chances[np.arange(len(best)), best]
            progress("cluster", block.stop / len(points))
        return result

    @cached_property
    def _model(self) -> Any:
        from sklearn.mixture import GaussianMixture

        model = GaussianMixture(len(self.weights), covariance_type=self.covariance_type)
        model.weights_, model.means_, model.covariances_ = self.weights, self.means, self.covariances
        model.precisions_cholesky_ = self.precisions
        return model


GAUSSIAN_MIXTURE: Final = Algorithm(GaussianMixtureParams, fit)

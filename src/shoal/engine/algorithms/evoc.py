"""The name `evoc` (embedding vector oriented clustering) with its parameters, implemented by `auto`, which solves the
same task: no number of clusters, several layers, noise."""

from dataclasses import dataclass, replace
from typing import Final

from shoal.columns import Points
from shoal.engine.algorithms import auto
from shoal.engine.algorithms.base import MAX_NEIGHBORS, Algorithm, Fit, check_fraction, check_integer, check_seed
from shoal.engine.plan import Progress

__all__ = ["EVOC", "EVoCParams", "fit"]

_NOTICE: Final = "evoc runs Shoal's own parameter-free method, auto; its labels differ from those of the EVoC library."


@dataclass(frozen=True, slots=True, kw_only=True)
class EVoCParams:
    """Names and defaults as in contract.md#method-parameters. Raises InvalidField."""

    noise_level: float = 0.5
    """How readily rows become noise, 0..1."""
    base_min_cluster_size: int = 5
    """Smaller clusters are noise."""
    approx_n_clusters: int | None = None
    """Show a layer with about this many clusters first."""
    n_neighbors: int = 15
    """Neighbours of a row in the graph."""
    min_samples: int = 5
    """Accepted, without effect: no core distances are estimated."""
    random_state: int | None = None
    """Seed; None uses that of the plan."""

    def __post_init__(self) -> None:
        check_fraction("noise_level", self.noise_level)
        check_integer("base_min_cluster_size", self.base_min_cluster_size, 2)
        if self.approx_n_clusters is not None:
            check_integer("approx_n_clusters", self.approx_n_clusters, 2)
        check_integer("n_neighbors", self.n_neighbors, 2, MAX_NEIGHBORS)
        check_integer("min_samples", self.min_samples, 1)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)


def fit(points: Points, params: EVoCParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Fit `auto` with these parameters and add a warning that says so."""
    auto_params = auto.AutoParams(
        n_neighbors=params.n_neighbors,
        min_cluster_size=params.base_min_cluster_size,
        noise_level=params.noise_level,
        n_clusters=params.approx_n_clusters,
        random_state=params.random_state,
    )
    auto_fit = auto.fit(points, auto_params, seed=seed, threads=threads, progress=progress)
    return replace(auto_fit, warnings=[_NOTICE, *auto_fit.warnings])


EVOC: Final = Algorithm(EVoCParams, fit)

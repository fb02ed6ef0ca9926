"""Leiden: communities of the neighbour graph at one resolution (Traag, Waltman and van Eck 2019)."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from shoal.columns import Points
from shoal.engine.algorithms.base import (
    MAX_STARTS,
    Algorithm,
    Fit,
    check_choice,
    check_integer,
    check_number,
    check_seed,
)
from shoal.engine.algorithms.neighbor_votes import NeighborVotes
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
from shoal.engine.communities.leiden import run_leiden
from shoal.engine.communities.membership import log_distances, mark_noise, robust_scores, walk_home
from shoal.engine.neighbors.graph import fuzzy_graph
from shoal.engine.neighbors.lists import find_neighbors
from shoal.engine.plan import Progress, scale_progress
from shoal.engine.rows.geometry import normalize_nonzero_rows
from shoal.engine.rows.row_keys import find_distinct
from shoal.errors import InvalidField

__all__ = ["LEIDEN", "LeidenParams", "fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeidenParams:
    """Names and defaults as in contract.md#method-parameters. Raises InvalidField."""

    resolution: float = 1.0
    """Larger values give more, smaller clusters."""
    n_neighbors: int = 30
    """Neighbours of a row in the graph."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Metric of the neighbour search; both are equivalent on rows of unit length."""
    min_cluster_size: int = 0
    """Smaller clusters are noise."""
    objective_function: Literal["RBConfiguration", "modularity", "CPM"] = "RBConfiguration"
    """"modularity" fixes the resolution to 1; "CPM" counts rows where "RBConfiguration" counts edge weights."""
    n_iterations: int = 2
    """Iterations; values below 1 continue until convergence, at most 20."""
    random_state: int | None = None
    """Seed of the visiting order; None uses that of the plan."""

    def __post_init__(self) -> None:
        check_number("resolution", self.resolution, 0, open_end=True)
        if self.resolution > 100:
            raise InvalidField("resolution", "must be at most 100", value=self.resolution)
        check_integer("n_neighbors", self.n_neighbors, 2)
        if self.n_neighbors > 200:
            raise InvalidField("n_neighbors", "must be at most 200", value=self.n_neighbors)
        check_choice("metric", self.metric, ("cosine", "euclidean"))
        check_integer("min_cluster_size", self.min_cluster_size, 0)
        check_choice("objective_function", self.objective_function, ("RBConfiguration", "modularity", "CPM"))
        check_integer("n_iterations", self.n_iterations, -1, MAX_STARTS)
        if self.random_state is not None:
            check_seed("random_state", self.random_state)


_MAX_ROUNDS: Final = 20


def fit(points: Points, params: LeidenParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the communities. The cost is that of `auto` without the choice of a resolution; equal rows count once. Under
    the cosine metric zero rows have no direction and are equally far from all others."""
    seed = seed if params.random_state is None else params.random_state
    effective: dict[str, object] = {"random_state": seed}
    if len(points) == 0:
        return Fit(assignments=all_noise(0), assign=assign_nothing, params=effective)
    space_points = normalize_nonzero_rows(points) if params.metric == "cosine" else points
    values = find_distinct(space_points, threads)
    rows, back = values.rows, values.back
    part = scale_progress(progress, "cluster", 0, 0.7)
    near = find_neighbors(space_points, rows, params.n_neighbors, threads=threads, progress=part)
    part("cluster", 1.0)
    graph = fuzzy_graph(near.halve_squares(), threads)
    rounds = params.n_iterations if params.n_iterations > 0 else _MAX_ROUNDS
    resolution = 1.0 if params.objective_function == "modularity" else params.resolution
    partition = run_leiden(
        graph,
        resolution,
        [seed],
        rounds=rounds,
        potts=params.objective_function == "CPM",
        threads=threads,
        progress=scale_progress(progress, "cluster", 0.7, 1),
    )[0]
    no_row = np.zeros(len(rows), np.bool_)
    labels = mark_noise(partition, no_row, values.copies, max(params.min_cluster_size, 1))
    share = np.where(labels >= 0, walk_home(graph, partition, threads)[1], 0.0).astype(np.float32)
    middle, spread = robust_scores(log_distances(near.distances), partition)[1:]
    used = np.unique(partition[labels >= 0])
    votes = NeighborVotes(space_points[rows], labels, middle[used], spread[used], near.rows.shape[1], np.inf)
    return Fit(
        assignments=Assignments(labels[back].astype(np.int64), share[back]),
        assign=CommunityVotes(votes, params.metric).assign,
        assigns_all=True,
        params={**effective, "n_neighbors": near.rows.shape[1], "resolution": resolution},
        exact=near.exact,
    )


@dataclass(frozen=True, slots=True)
class CommunityVotes:
    """The votes of the fitted rows, in the space of the metric."""

    votes: NeighborVotes
    metric: str

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """Labels of new rows; each is independent of the other rows of the call."""
        return self.votes.assign(self._to_space(points), threads, progress)

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """As `assign`, with votes of clustered rows only."""
        return self.votes.nearest(self._to_space(points), threads, progress)

    def _to_space(self, points: Points) -> Points:
        return normalize_nonzero_rows(points) if self.metric == "cosine" else points


LEIDEN: Final = Algorithm(LeidenParams, fit)

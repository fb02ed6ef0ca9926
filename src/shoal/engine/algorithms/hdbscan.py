"""HDBSCAN: clusters are the dense regions that persist; what lies between them is noise.

Exact, the labels of different rows are those of scikit-learn's `HDBSCAN(algorithm="brute")` for the rows in the order
of their keys, its merges sorted stably, without its n x n matrix; so they do not depend on the order in which the rows
come. Equal rows are one row with a weight and never part, as they may in scikit-learn. Approximate, neighbour lists
stand in for the complete graph. Campello, Moulavi and Sander, "Density-based clustering based on hierarchical density
estimates", 2013.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.engine.algorithms.base import (
    Algorithm,
    Assignments,
    Fit,
    all_noise,
    assign_nothing,
    check_bool,
    check_choice,
    check_integer,
    check_number,
)
from shoal.engine.density.condensed_tree import CondensedTree, Selection, condense, label_rows, select_clusters
from shoal.engine.density.core_points import CorePoints
from shoal.engine.density.density_tree import Density
from shoal.engine.density.linkage import single_linkage
from shoal.engine.density.merge_order import walk
from shoal.engine.density.outliers import find_exemplars, score_outliers
from shoal.engine.density.reachability import find_reachability
from shoal.engine.density.tree_table import tabulate
from shoal.engine.neighbors.lists import MAX_EXACT
from shoal.engine.plan import Progress
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.row_keys import sort_by_key

__all__ = ["HDBSCAN", "HDBSCANParams", "fit"]

Floats = NDArray[np.float64]
_METRICS: Final = ("euclidean", "cosine")


@dataclass(frozen=True, slots=True, kw_only=True)
class HDBSCANParams:
    """Names and defaults as in contract.md#method-parameters. Raises InvalidField."""

    min_cluster_size: int = 5
    """Fewer rows than this are never a cluster; more of it gives fewer, larger clusters."""
    min_samples: int | None = None
    """Rows that make a neighbourhood dense, the row itself counted; None takes `min_cluster_size`. More of it calls
    more rows noise."""
    cluster_selection_epsilon: float = 0.0
    """Clusters that part at a smaller distance than this stay together."""
    max_cluster_size: int | None = None
    """A larger cluster is split ("eom" only)."""
    metric: Literal["euclidean", "cosine"] = "euclidean"
    """On rows of unit length both give the same order of distances."""
    alpha: float = 1.0
    """Distances are divided by this; it only matters beside `cluster_selection_epsilon`."""
    cluster_selection_method: Literal["eom", "leaf"] = "eom"
    """"eom" takes the clusters that persist longest, "leaf" the smallest ones."""
    allow_single_cluster: bool = False
    """Whether all rows together may be the one cluster."""
    prediction_data: bool = False
    """Accepted, without effect: new rows can always be assigned."""
    approximate: bool | None = None
    """Neighbour lists in place of all pairs of rows; None takes them above 250,000 rows."""
    match_reference_implementation: bool = False
    """As in the hdbscan package: `min_cluster_size` counts one more, and rows that leave a cluster the moment it is
    born are noise."""

    def __post_init__(self) -> None:
        check_integer("min_cluster_size", self.min_cluster_size, 2)
        if self.min_samples is not None:
            check_integer("min_samples", self.min_samples, 1)
        if self.max_cluster_size is not None:
            check_integer("max_cluster_size", self.max_cluster_size, 1)
        check_number("cluster_selection_epsilon", self.cluster_selection_epsilon, 0)
        check_number("alpha", self.alpha, 0, open_end=True)
        check_choice("metric", self.metric, _METRICS)
        check_choice("cluster_selection_method", self.cluster_selection_method, ("eom", "leaf"))
        if self.approximate is not None:
            check_bool("approximate", self.approximate)
        for name in ("allow_single_cluster", "prediction_data", "match_reference_implementation"):
            check_bool(name, getattr(self, name))


def fit(points: Points, params: HDBSCANParams, *, seed: int, threads: int, progress: Progress) -> Fit:
    """Find the dense regions. `seed` is not used: there is nothing random.

    O(n^2 d) time exact, O(n^1.5 d) approximate; O(n (d + min_samples)) memory. Fewer rows than `min_cluster_size` are
    all noise; rows that are all equal are one cluster only with `allow_single_cluster`, as in scikit-learn. Raises
    InvalidField for a zero row under the cosine metric.
    """
    smallest = params.min_cluster_size + params.match_reference_implementation
    min_samples = min(params.min_samples or params.min_cluster_size, max(len(points), 1))
    effective: dict[str, object] = {"min_samples": min_samples}
    warnings = _collect_warnings(params, min_samples)
    if len(points) < max(smallest, 2):
        return Fit(assignments=all_noise(len(points)), assign=assign_nothing, params=effective, warnings=warnings)
    space = Space.of(points, params)
    approximate = len(points) > MAX_EXACT if params.approximate is None else params.approximate
    grown = _build_tree(space, min_samples, smallest, approximate, threads, progress)
    effective["approximate"] = grown.recall is not None
    if grown.recall is not None:
        warnings.append(_approximation_warning(grown.recall, params.approximate is None))
    how = Selection(
        method=params.cluster_selection_method,
        epsilon=params.cluster_selection_epsilon,
        max_size=params.max_cluster_size,
        allow_single=params.allow_single_cluster,
    )
    tree = grown.tree
    chosen = select_clusters(tree, how)
    labels = label_rows(tree, chosen, how, at_birth=not params.match_reference_implementation)
    densest = _find_max_lambdas(tree, chosen)
    strengths = _compute_strengths(labels, tree.leaving, densest)
    members = Members(
        space=space,
        rows=grown.rows,
        copies=grown.copies,
        core=grown.core,
        labels=labels[grown.rows],
        densest=densest,
        reach=_find_reaches(tree, chosen, labels),
        min_samples=min_samples,
    )
    return Fit(
        assignments=Assignments(labels, strengths),
        assign=members.assign,
        params=effective,
        warnings=warnings,
        density=Density(
            outlier_scores=score_outliers(tree),
            exemplars=find_exemplars(tree, labels, len(chosen)),
            tree=tabulate(tree, np.array(chosen, np.int64), np.arange(len(chosen))),
        ),
        exact=grown.recall is None,
    )


def _approximation_warning(recall: float, unasked: bool) -> str:
    reason = f" (more than {MAX_EXACT:,} rows)" if unasked else ""
    return (
        f"HDBSCAN was approximate{reason}: its neighbour lists hold {recall:.1%} of the true neighbours. "
        "approximate=false compares all pairs of rows."
    )


def _collect_warnings(params: HDBSCANParams, min_samples: int) -> list[str]:
    if params.min_samples is not None and min_samples < params.min_samples:
        return [f"min_samples {params.min_samples} is more than there are rows; {min_samples} was used."]
    return []


@dataclass(frozen=True, slots=True)
class Space:
    """Where distances are measured: Euclidean ones between `points`, told in the metric asked for."""

    params: HDBSCANParams
    points: Points

    @staticmethod
    def of(points: Points, params: HDBSCANParams) -> "Space":
        return Space(params, unit_rows(points) if params.metric == "cosine" else points)

    def placed(self, points: Points) -> Points:
        """Other rows in the same space."""
        return unit_rows(points) if self.params.metric == "cosine" else points

    def to_euclidean(self, distance: float) -> float:
        """The Euclidean distance that one in the metric asked for is, or hardly more."""
        scaled = distance * self.params.alpha * (1 + 1e-9)
        return float(np.sqrt(2 * scaled)) if self.params.metric == "cosine" else scaled

    def to_metric(self, euclidean: Floats) -> Floats:
        """Euclidean distances in the metric asked for: on unit rows 1 - cos = d^2 / 2."""
        distances = euclidean**2 / 2 if self.params.metric == "cosine" else euclidean
        return distances / self.params.alpha


@dataclass(frozen=True, slots=True)
class _FittedTree:
    """The condensed tree over all n rows; the m distinct ones, `rows`, in the order of their keys, with how many
    `copies` there are of each and their Euclidean `core` distances; and the recall of approximate lists."""

    tree: CondensedTree
    rows: Rows
    copies: Rows
    core: Floats
    recall: float | None


def _build_tree(
    space: Space, min_samples: int, smallest: int, approximate: bool, threads: int, progress: Progress
) -> _FittedTree:
    # Rows are numbered by their keys from here to the tree, so that nothing depends on the order they came in.
    by_key, rows, where = sort_by_key(space.points, threads)
    copies = np.bincount(where)
    edges = find_reachability(
        space.points,
        rows,
        copies,
        min_samples,
        approximate=approximate,
        threads=threads,
        progress=lambda _, fraction: progress("cluster", 0.95 * fraction),
    )
    order, steps = walk(edges)
    progress("cluster", 0.95)
    heights = space.to_metric(steps)
    sequence = np.argsort(heights, kind="stable")  # or equal heights merge in another order on another processor
    linkage = single_linkage(order[:-1][sequence], order[1:][sequence], heights[sequence])
    tree = condense(linkage, smallest, copies, space.to_metric(edges.core))
    back = np.empty(len(by_key), np.int64)
    back[by_key] = where
    tree = replace(tree, cluster=tree.cluster[back], leaving=tree.leaving[back])
    return _FittedTree(tree, rows, copies, edges.core, edges.recall)


def _find_max_lambdas(tree: CondensedTree, chosen: list[int]) -> Floats:
    """(k,) the largest finite lambda at which something leaves each chosen cluster itself, a row or a cluster it splits
    into; 0 where nothing ever does."""
    top = np.zeros(len(tree.parent))
    finite = np.isfinite(tree.leaving)
    np.maximum.at(top, tree.cluster[finite], tree.leaving[finite])
    np.maximum.at(top, tree.parent[1:], tree.birth[1:])
    return top[np.array(chosen, np.int64)]


def _compute_strengths(labels: Rows, leaving: Floats, densest: Floats) -> NDArray[np.float32]:
    """How long a member stays, as a share of the longest stay in its cluster, 1 for the core: the probabilities of
    scikit-learn and hdbscan. Rows that never part count as the core, not as the measure of all others."""
    strengths = np.zeros(len(labels), np.float32)
    inside = np.flatnonzero(labels >= 0)
    stays, longest = leaving[inside], densest[labels[inside]]
    known = longest > 0
    strengths[inside] = np.where(known, np.minimum(stays, longest) / np.where(known, longest, 1.0), 1.0)
    return strengths


def _find_reaches(tree: CondensedTree, chosen: list[int], labels: Rows) -> Floats:
    """(k,) the distance at which each cluster parts from the rest; for the root the farthest at which a member left."""
    births = tree.birth[np.array(chosen, np.int64)] if chosen else np.zeros(0)
    if chosen == [0]:
        births = np.array([tree.leaving[labels == 0].min(initial=np.inf)])
    return 1.0 / births


@dataclass(frozen=True)
class Members:
    """What is needed to place a new row: the m distinct fitted rows `space.points[rows]` with their core distances and
    labels, and of each cluster its reach and densest lambda.

    A row joins the cluster of the member at the smallest mutual reachability, its own core distance among the fitted
    rows included; of several at the same the nearest. It is noise where that is farther than the distance at
    which the cluster parts from the rest: there it would have joined something larger.
    """

    space: Space
    rows: Rows
    copies: Rows
    core: Floats
    labels: Rows
    densest: Floats
    reach: Floats
    min_samples: int

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The cluster of rows that were not fitted, the same for a row alone and among others. Reports to
        `progress`."""
        return self._join(self.reach, points, threads, progress)

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The same, however far from the cluster a row is."""
        return self._join(np.full(len(self.reach), np.inf), points, threads, progress)

    def _join(self, reach: Floats, points: Points, threads: int, progress: Progress) -> Assignments:
        found = all_noise(len(points))
        if len(points) == 0 or not np.any(self.labels >= 0):
            return found
        farthest = self.space.to_euclidean(float(reach.max()))
        joining = self._core_points.join(self.space.placed(points), farthest, threads, progress)
        near = np.flatnonzero(joining.rows >= 0)
        labels, away = self.labels[joining.rows[near]], self.space.to_metric(joining.away[near])
        labels = np.where(away > reach[labels], NOISE, labels)
        with np.errstate(divide="ignore"):
            leaving = 1.0 / away
        found.labels[near], found.strengths[near] = labels, _compute_strengths(labels, leaving, self.densest)
        return found

    @cached_property
    def _core_points(self) -> CorePoints:
        # Made when the first row is to be placed: it holds a copy of the rows.
        fitted = self.space.points[self.rows]
        return CorePoints.of(fitted, self.copies, self.core, self.labels >= 0, self.min_samples)

    def __getstate__(self) -> dict[str, object]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


HDBSCAN: Final = Algorithm(HDBSCANParams, fit)

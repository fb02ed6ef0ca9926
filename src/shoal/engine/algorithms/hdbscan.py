"""HDBSCAN: clusters are the dense regions that persist, the rows between them are noise.

In exact mode the labels of distinct rows equal those of scikit-learn's `HDBSCAN(algorithm="brute")` for the rows in the
order of their keys with a stable sort of the merges, but without its n x n matrix; so they do not depend on row order.
Equal rows are one weighted row and are never separated, as they may be in scikit-learn. In approximate mode neighbour
lists replace the complete graph. Campello, Moulavi and Sander, "Density-based clustering based on hierarchical density
estimates", 2013.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points, Rows
from shoal.engine.algorithms.base import Algorithm, Fit, check_bool, check_choice, check_integer, check_number
from shoal.engine.assignments import Assignments, all_noise, assign_nothing
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
    """Smallest cluster; larger values give fewer, larger clusters."""
    min_samples: int | None = None
    """Rows that make a neighbourhood dense, including the row itself; None uses `min_cluster_size`. Larger values give
    more noise."""
    cluster_selection_epsilon: float = 0.0
    """Clusters that split at a smaller distance than this stay together."""
    max_cluster_size: int | None = None
    """A larger cluster is split ("eom" only)."""
    metric: Literal["euclidean", "cosine"] = "euclidean"
    """Both order distances equally on rows of unit length."""
    alpha: float = 1.0
    """Distances are divided by this; only relevant with `cluster_selection_epsilon`."""
    cluster_selection_method: Literal["eom", "leaf"] = "eom"
    """"eom" selects the most persistent clusters, "leaf" the smallest ones."""
    allow_single_cluster: bool = False
    """Whether a single cluster of all rows is allowed."""
    prediction_data: bool = False
    """Accepted, without effect: new rows can always be assigned."""
    approximate: bool | None = None
    """Use neighbour lists instead of all pairs of rows; None does so above 250,000 rows."""
    match_reference_implementation: bool = False
    """Behave like the hdbscan package: `min_cluster_size` counts one more, and rows that leave a cluster at its birth
    are noise."""

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
    """Find the dense regions. `seed` is not used: nothing is random.

    O(n^2 d) time exact, O(n^1.5 d) approximate; O(n (d + min_samples)) memory. If there are fewer rows than
    `min_cluster_size` all are noise; rows that are all equal are a cluster only with `allow_single_cluster`, as in
    scikit-learn. Raises InvalidField for a zero row under the cosine metric.
    """
    smallest = params.min_cluster_size + params.match_reference_implementation
    min_samples = min(params.min_samples or params.min_cluster_size, max(len(points), 1))
    effective: dict[str, object] = {"min_samples": min_samples}
    warnings = _collect_warnings(params, min_samples)
    if len(points) < max(smallest, 2):
        return Fit(assignments=all_noise(len(points)), assign=assign_nothing, params=effective, warnings=warnings)
    space = Space.of(points, params)
    approximate = len(points) > MAX_EXACT if params.approximate is None else params.approximate
    fitted_tree = _build_tree(space, min_samples, smallest, approximate, threads, progress)
    effective["approximate"] = fitted_tree.recall is not None
    if fitted_tree.recall is not None:
        warnings.append(_approximation_warning(fitted_tree.recall, params.approximate is None))
    selection = Selection(
        method=params.cluster_selection_method,
        epsilon=params.cluster_selection_epsilon,
        max_size=params.max_cluster_size,
        allow_single=params.allow_single_cluster,
    )
    tree = fitted_tree.tree
    chosen = select_clusters(tree, selection)
    labels = label_rows(tree, chosen, selection, at_birth=not params.match_reference_implementation)
    densest = _find_max_lambdas(tree, chosen)
    strengths = _compute_strengths(labels, tree.leaving, densest)
    members = Members(
        space=space,
        rows=fitted_tree.rows,
        copies=fitted_tree.copies,
        core=fitted_tree.core,
        labels=labels[fitted_tree.rows],
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
        exact=fitted_tree.recall is None,
    )


def _approximation_warning(recall: float, by_default: bool) -> str:
    reason = f" (more than {MAX_EXACT:,} rows)" if by_default else ""
    return (
        f"HDBSCAN was approximate{reason}: its neighbour lists hold {recall:.1%} of the true neighbours. "
        "approximate=false compares all pairs of rows."
    )


def _collect_warnings(params: HDBSCANParams, min_samples: int) -> list[str]:
    if params.min_samples is not None and min_samples < params.min_samples:
        return [f"min_samples {params.min_samples} exceeds the number of rows; {min_samples} was used."]
    return []


@dataclass(frozen=True, slots=True)
class Space:
    """The space where distances are measured: Euclidean between `points`, convertible to the requested metric."""

    params: HDBSCANParams
    points: Points

    @staticmethod
    def of(points: Points, params: HDBSCANParams) -> "Space":
        return Space(params, unit_rows(points) if params.metric == "cosine" else points)

    def transform(self, points: Points) -> Points:
        """Map other rows into this space."""
        return unit_rows(points) if self.params.metric == "cosine" else points

    def to_euclidean(self, distance: float) -> float:
        """The Euclidean distance for a distance in the metric, rounded up slightly."""
        scaled = distance * self.params.alpha * (1 + 1e-9)
        return float(np.sqrt(2 * scaled)) if self.params.metric == "cosine" else scaled

    def to_metric(self, euclidean: Floats) -> Floats:
        """Convert Euclidean distances to the metric: 1 - cos = d^2 / 2 on unit rows."""
        distances = euclidean**2 / 2 if self.params.metric == "cosine" else euclidean
        return distances / self.params.alpha


@dataclass(frozen=True, slots=True)
class _FittedTree:
    """The condensed tree over all n rows; the m distinct ones, `rows`, in the order of their keys, with their numbers
    of `copies` and Euclidean `core` distances; and the recall of approximate neighbour lists."""

    tree: CondensedTree
    rows: Rows
    copies: Rows
    core: Floats
    recall: float | None


def _build_tree(
    space: Space, min_samples: int, smallest: int, approximate: bool, threads: int, progress: Progress
) -> _FittedTree:
    # Rows are numbered by key up to the tree, so that nothing depends on their order.
    by_key, rows, distinct_number = sort_by_key(space.points, threads)
    copies = np.bincount(distinct_number)
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
    sequence = np.argsort(heights, kind="stable")  # unstable sorts order equal heights differently on other processors
    linkage = single_linkage(order[:-1][sequence], order[1:][sequence], heights[sequence])
    tree = condense(linkage, smallest, copies, space.to_metric(edges.core))
    back = np.empty(len(by_key), np.int64)
    back[by_key] = distinct_number
    tree = replace(tree, cluster=tree.cluster[back], leaving=tree.leaving[back])
    return _FittedTree(tree, rows, copies, edges.core, edges.recall)


def _find_max_lambdas(tree: CondensedTree, chosen: list[int]) -> Floats:
    """(k,) the largest finite lambda at which a row or a child leaves each selected cluster; 0 if nothing does."""
    top = np.zeros(len(tree.parent))
    finite = np.isfinite(tree.leaving)
    np.maximum.at(top, tree.cluster[finite], tree.leaving[finite])
    np.maximum.at(top, tree.parent[1:], tree.birth[1:])
    return top[np.array(chosen, np.int64)]


def _compute_strengths(labels: Rows, leaving: Floats, densest: Floats) -> NDArray[np.float32]:
    """Lambda of each member relative to the maximum of its cluster, 1 in the core: the probabilities of scikit-learn
    and hdbscan. Rows that never leave count as core and do not set the maximum."""
    strengths = np.zeros(len(labels), np.float32)
    inside = np.flatnonzero(labels >= 0)
    lambdas, max_lambdas = leaving[inside], densest[labels[inside]]
    is_positive = max_lambdas > 0
    strengths[inside] = np.where(
        is_positive, np.minimum(lambdas, max_lambdas) / np.where(is_positive, max_lambdas, 1.0), 1.0
    )
    return strengths


def _find_reaches(tree: CondensedTree, chosen: list[int], labels: Rows) -> Floats:
    """(k,) the distance at which each cluster splits from the rest; for the root that of the first member to leave."""
    births = tree.birth[np.array(chosen, np.int64)] if chosen else np.zeros(0)
    if chosen == [0]:
        births = np.array([tree.leaving[labels == 0].min(initial=np.inf)])
    return 1.0 / births


@dataclass(frozen=True)
class Members:
    """State needed to assign new rows: the m distinct fitted rows `space.points[rows]` with core distances and labels,
    and the reach and maximum lambda of each cluster.

    A row joins the cluster of the member at the smallest mutual reachability, with its own core distance computed among
    the fitted rows; ties go to the nearest member. It is noise if that exceeds the distance at which the cluster splits
    from the rest: there it would have joined something larger.
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
        """Labels of rows that were not fitted; each is independent of the other rows. Reports to `progress`."""
        return self._join(self.reach, points, threads, progress)

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """As `assign`, at any distance from the cluster."""
        return self._join(np.full(len(self.reach), np.inf), points, threads, progress)

    def _join(self, reach: Floats, points: Points, threads: int, progress: Progress) -> Assignments:
        result = all_noise(len(points))
        if len(points) == 0 or not np.any(self.labels >= 0):
            return result
        farthest = self.space.to_euclidean(float(reach.max()))
        nearest_rows = self._core_points.join(self.space.transform(points), farthest, threads, progress)
        near = np.flatnonzero(nearest_rows.rows >= 0)
        labels, away = self.labels[nearest_rows.rows[near]], self.space.to_metric(nearest_rows.away[near])
        labels = np.where(away > reach[labels], NOISE, labels)
        with np.errstate(divide="ignore"):
            leaving = 1.0 / away
        result.labels[near], result.strengths[near] = labels, _compute_strengths(labels, leaving, self.densest)
        return result

    @cached_property
    def _core_points(self) -> CorePoints:
        # Built on first use: it holds a copy of the rows.
        fitted = self.space.points[self.rows]
        return CorePoints.of(fitted, self.copies, self.core, self.labels >= 0, self.min_samples)

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


HDBSCAN: Final = Algorithm(HDBSCANParams, fit)

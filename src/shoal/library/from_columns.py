"""From columns in memory to named clusters: the common path of `shoal.cluster` and `shoal cluster` after reading."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from shoal.analysis.analyse import analyse
from shoal.analysis.named_clusters import Analysis
from shoal.columns import Points
from shoal.engine.algorithms import canonicalize_count, check_params, count_parameter, parameter_names
from shoal.engine.algorithms.base import check_seed
from shoal.engine.cost import Cost, estimate_choice_cost, estimate_cluster_count, estimate_cost, estimate_layer_count
from shoal.engine.density.density_tree import reorder_density
from shoal.engine.kmeans.choose_k import choose_k
from shoal.engine.plan import CentroidMethod, Plan, Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.labeling import PhraseEncoder, Volume
from shoal.library.checksums import row_checksums
from shoal.library.clustering import Clustering
from shoal.library.input.document_ids import DocumentIds
from shoal.library.namers import Naming
from shoal.library.parameter_names import unknown_parameter_error
from shoal.precision import center_on_mean, is_rest_significant

if TYPE_CHECKING:
    from shoal.labeling.providers import Estimate

__all__ = ["ClusterOptions", "Clustering", "cluster_columns", "estimate_clustering_cost", "estimate_naming"]

_AUTO: Final = "auto"
_KMEANS: Final = "kmeans"
_RESTARTS: Final = ((5_000, 10), (20_000, 4))
"""Default restarts of k-means by number of rows: with few rows a single start depends on the last digits of the
vectors, and ten are cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """The caller's options, not yet validated."""

    algorithm: str = _AUTO
    n_clusters: int | None = None
    """None chooses it from the data."""
    params: Mapping[str, object] = field(default_factory=dict)
    normalize: bool = True
    centroid_method: CentroidMethod = "mean"
    sample_size: int | None = None
    seed: int = 42
    threads: int = 0
    map: bool = True
    """Whether to compute a map, and near-duplicates with it."""
    stop_words: frozenset[str] = frozenset()
    """Case-folded words that no name contains."""
    naming: Naming = field(default_factory=Naming)
    """What names the clusters."""


def cluster_columns(
    points: Points,
    ids: Sequence[str],
    texts: Sequence[str] | None,
    options: ClusterOptions,
    progress: Progress = ignore_progress,
    *,
    sort: bool = True,
    like: Clustering | None = None,
    rest: Points | None = None,
    whole_ids: bool = False,
    encoder: PhraseEncoder | None = None,
) -> Clustering:
    """Cluster validated columns, and name the clusters.

    Parameters
    ----------
    points : (n, d) float32
        The vectors.
    ids : sequence of str
        (n,) The ids.
    texts : sequence of str or None
        (n,) The texts that name the clusters.
    options : ClusterOptions
        How to cluster.
    progress : callable
        Called with stage and fraction.
    sort : bool
        Cluster the rows in order of their ids, as a server does; the result is in the given order either way.
    like : Clustering, optional
        An earlier clustering, whose map is the warm start of the new one.
    rest : (n, d) float32, optional
        Residuals of rounding to float32. Where they matter, and distances rather than directions are compared, the rows
        are clustered about their mean.
    whole_ids : bool
        Whether the ids are integers to the caller, and are returned as such.
    encoder : PhraseEncoder, optional
        What made the points from the texts; it compares names with documents.

    Raises
    ------
    InvalidField
        For options that are invalid for these rows.
    """
    started = time.perf_counter()
    check_seed("seed", options.seed)
    if len(points) < 2:
        raise InvalidField("data", "holds one document", remedy="Clustering needs at least two.")
    order = _sort_by_id(ids) if sort else None
    if order is not None:
        points, rest = points[order], None if rest is None else rest[order]
        ids = [ids[row] for row in order]
        texts = None if texts is None else [texts[row] for row in order]
    points, origin, origin_warnings = _center_if_far(points, rest, options)
    checksums = row_checksums(points, normalize=options.normalize)
    plan, plan_warnings = _decide_plan(points, options, progress)
    places = None if like is None else _find_earlier_places(ids, like)
    naming = options.naming
    analysis = analyse(
        ids,
        points,
        texts,
        plan,
        progress,
        places,
        origin=origin,
        namer=naming.namer,
        budget=naming.budget,
        stop_words=options.stop_words,
        encoder=encoder,
    )
    if order is not None:
        analysis, checksums = _restore_order(analysis, order), checksums[np.argsort(order)]
    return Clustering(
        analysis=analysis,
        document_ids=DocumentIds.from_texts(analysis.ids, whole=whole_ids),
        plan=plan,
        warnings=[*origin_warnings, *plan_warnings, *analysis.outcome.warnings, *naming.warnings(analysis, texts)],
        seconds=time.perf_counter() - started,
        checksums=checksums,
        about={"naming": model} if (model := naming.describe()) else {},
    )


def _center_if_far(
    points: Points, rest: Points | None, options: ClusterOptions
) -> tuple[Points, NDArray[np.float64] | None, list[str]]:
    """Center the rows where float32 would lose their differences; return the rows, their mean, and warnings."""
    if rest is None or not is_rest_significant(points, rest):
        return points, None, []
    far = "The vectors lie so far from the origin that float32 loses the digits in which they differ"
    if options.normalize:
        remedy = "Their directions hardly differ either; normalize=False compares their distances about their mean."
        return points, None, [f"{far}. {remedy}"]
    if check_params(options.algorithm, _resolve_params(options, len(points)))[0].get("metric") == "cosine":
        remedy = "Their directions hardly differ either; another metric compares their distances about their mean."
        return points, None, [f"{far}. {remedy}"]
    moved, origin = center_on_mean(points, rest)
    return moved, origin, [f"{far}; they were clustered about their mean, taken in float64."]


def _find_earlier_places(ids: Sequence[str], like: Clustering) -> NDArray[np.float32] | None:
    """Return (n, c) where these ids are on the map of an earlier clustering, NaN for new ones; None without a map."""
    if like.coordinates is None:
        return None
    row = {str(id): number for number, id in enumerate(like.ids)}
    unknown = np.full((1, like.coordinates.shape[1]), np.nan, np.float32)
    rows = np.array([row.get(id, -1) for id in ids], np.int64)
    return np.ascontiguousarray(np.vstack([like.coordinates, unknown])[rows])


def _sort_by_id(ids: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the rows sorted by id, as the document store sorts them; None where they are sorted already."""
    rows = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    return None if np.array_equal(rows, np.arange(len(rows))) else rows


def _restore_order(analysis: Analysis, order: NDArray[np.int64]) -> Analysis:
    """Undo the sorting: row i of the result is row i of the input."""
    outcome, inverse = analysis.outcome, np.argsort(order)
    restored = replace(
        outcome,
        labels=outcome.labels[inverse],
        strengths=outcome.strengths[inverse],
        distances=outcome.distances[inverse],
        coordinates=None if outcome.coordinates is None else outcome.coordinates[inverse],
        medoids=order[outcome.medoids],
        representatives=[order[rows] for rows in outcome.representatives],
        density=None if outcome.density is None else reorder_density(outcome.density, order),
        layers=None if outcome.layers is None else outcome.layers.take(inverse),
        duplicates=None if outcome.duplicates is None else outcome.duplicates.take(inverse, order),
    )
    layers = [replace(layer, labels=layer.labels[inverse]) for layer in analysis.layers]
    return replace(analysis, ids=[analysis.ids[row] for row in inverse], outcome=restored, layers=layers)


def _decide_plan(points: Points, options: ClusterOptions, progress: Progress) -> tuple[Plan, list[str]]:
    """Return the complete plan, and notes on what was chosen. Raises InvalidField."""
    params, notes = _resolve_params(options, len(points)), list[str]()
    if options.algorithm == _KMEANS and params.get("n_clusters") is None:
        choice = choose_k(points, normalize=options.normalize, threads=options.threads, progress=progress)
        params["n_clusters"] = choice.k
        notes.append(choice.reason)
    checked = _check_all_params(options, params)
    _check_cluster_count(checked.get(count_parameter(options.algorithm) or ""), len(points))
    return _to_plan(options, params), notes


def estimate_clustering_cost(options: ClusterOptions, rows: int, dimension: int, text: Volume) -> Cost:
    """Estimate the cost of `cluster_columns` for this many rows with these texts, beside rows and texts themselves.

    Memory for naming is added to that for clustering, since freed memory is seldom returned to the system. Raises
    InvalidField.
    """
    params, choosing = _resolve_params(options, rows), Cost(0, 0)
    if options.algorithm == _KMEANS and params.get("n_clusters") is None:
        params["n_clusters"] = max(2, min(int(rows**0.5), 300))
        choosing = estimate_choice_cost(rows, dimension)
    clusters = _check_all_params(options, params).get(count_parameter(options.algorithm) or "")
    cost = choosing + estimate_cost(_to_plan(options, params), rows, dimension)
    naming = Cost(
        text.naming_seconds(
            estimate_cluster_count(options.algorithm, params, rows), estimate_layer_count(options.algorithm)
        ),
        text.naming_bytes(clusters if isinstance(clusters, int) else None),
    )
    return Cost(cost.cpu_seconds + naming.cpu_seconds, cost.bytes + naming.bytes)


def estimate_naming(options: ClusterOptions, rows: int) -> "Estimate | None":
    """Estimate what names by a language model would take for this many rows; None without one."""
    params = dict(options.params) if options.n_clusters is None else {"n_clusters": options.n_clusters}
    clusters = estimate_cluster_count(options.algorithm, params, rows)
    return options.naming.estimate(clusters, estimate_layer_count(options.algorithm), rows)


def _to_plan(options: ClusterOptions, params: Mapping[str, object]) -> Plan:
    return Plan(
        algorithm=options.algorithm,
        params=params,
        normalize=options.normalize,
        centroid_method=options.centroid_method,
        sample_size=options.sample_size,
        seed=options.seed,
        threads=options.threads,
        components=2 if options.map else 0,
        layout_stability="transform",
        keep_model=True,
    )


def _check_all_params(options: ClusterOptions, params: Mapping[str, object]) -> dict[str, object]:
    """Return all parameters. Raises InvalidField that names the number of clusters as the caller does."""
    try:
        return check_params(options.algorithm, params)[0]
    except InvalidField as error:
        if options.n_clusters is None or error.field != f"algorithm_params.{count_parameter(options.algorithm)}":
            raise
        raise InvalidField("n_clusters", error.problem, value=options.n_clusters) from None


def _check_cluster_count(requested: object, documents: int) -> None:
    """Raise InvalidField where more clusters are requested than there are documents."""
    if isinstance(requested, int) and requested > documents > 0:
        problem = f"is more than the {documents:,} documents that can be clustered"
        raise InvalidField("n_clusters", problem, value=requested, remedy=f"Use at most {documents:,}.")


def _resolve_params(options: ClusterOptions, rows: int) -> dict[str, object]:
    """Return the given parameters, and the default restarts of k-means for this many rows.

    Raises InvalidField for a name that the algorithm does not have: a silently ignored parameter would mislead.
    """
    names = parameter_names(options.algorithm)
    params = dict(options.params)
    if options.n_clusters is not None:
        params[count_parameter(options.algorithm) or "n_clusters"] = options.n_clusters
    for name, value in params.items():
        if name not in names:
            raise unknown_parameter_error(options.algorithm, name, value)
    params = canonicalize_count(options.algorithm, params)
    starts = next((starts for most, starts in _RESTARTS if rows <= most), 1)
    return {"n_init": starts, **params} if options.algorithm == _KMEANS else params

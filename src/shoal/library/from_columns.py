"""From columns in memory to named clusters: what `shoal.cluster` and `shoal cluster` do once they have read."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.analysis.analyse import analyse
from shoal.analysis.named_clusters import Analysis
from shoal.columns import Points
from shoal.engine.algorithms import canonicalize_count, check_params, count_parameter, parameter_names
from shoal.engine.algorithms.base import check_seed
from shoal.engine.cost import Cost, estimate_choice_cost, estimate_cluster_count, estimate_cost
from shoal.engine.density.density_tree import reorder_density
from shoal.engine.kmeans.choose_k import choose_k
from shoal.engine.plan import CentroidMethod, Plan, Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.labeling import Volume
from shoal.library.checksums import row_checksums
from shoal.library.clustering import Clustering
from shoal.library.input.document_ids import DocumentIds
from shoal.library.parameter_names import unknown_parameter
from shoal.precision import center_on_mean, is_rest_significant

__all__ = ["Clustering", "How", "cluster_columns", "expected_cost"]

_AUTO: Final = "auto"
_KMEANS: Final = "kmeans"
_STARTS: Final = ((5_000, 10), (20_000, 4))
"""Rows up to which k-means takes so many starts unless it is told: of few rows one start depends on the last digits of
the vectors, and ten cost little."""
_NAMING_SECONDS: Final = 3e-5
"""Of a document with text. The layers of `auto` take as long again."""
_APART_SECONDS: Final = 1.2e-8
"""Of a document and a cluster: the more clusters, the more words are weighed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The choices of a caller, not yet checked."""

    algorithm: str = _AUTO
    n_clusters: int | None = None
    """None lets the data say."""
    params: Mapping[str, object] = field(default_factory=dict)
    normalize: bool = True
    centroid_method: CentroidMethod = "mean"
    sample_size: int | None = None
    seed: int = 42
    threads: int = 0
    map: bool = True
    """Whether to draw a map, and to look for near-duplicates on the way."""


def cluster_columns(
    points: Points,
    ids: Sequence[str],
    texts: Sequence[str] | None,
    how: How,
    progress: Progress = ignore_progress,
    *,
    sort: bool = True,
    like: Clustering | None = None,
    rest: Points | None = None,
    whole_ids: bool = False,
) -> Clustering:
    """Cluster columns that were checked, and name the clusters.

    `sort` clusters the rows in the order of their ids, as a server does; the result is in the order given either way.
    `rest` (n, d) is what rounding to float32 left of the points: where that matters, and distances and not directions
    are compared, the rows are clustered about their mean. `whole_ids` says that the ids are whole numbers to the
    caller, and come back as such.
    """
    started = time.perf_counter()
    check_seed("seed", how.seed)
    if len(points) < 2:
        raise InvalidField("data", "holds one document", remedy="Clustering needs at least two.")
    order = _order(ids) if sort else None
    if order is not None:
        points, rest = points[order], None if rest is None else rest[order]
        ids = [ids[row] for row in order]
        texts = None if texts is None else [texts[row] for row in order]
    points, origin, lost = _near_origin(points, rest, how)
    checksums = row_checksums(points, normalize=how.normalize)
    plan, told = _plan(points, how, progress)
    places = None if like is None else _places(ids, like)
    analysis = analyse(ids, points, texts, plan, progress, places, origin=origin)
    if order is not None:
        analysis, checksums = _in_order_given(analysis, order), checksums[np.argsort(order)]
    return Clustering(
        analysis=analysis,
        document_ids=DocumentIds.of(analysis.ids, whole=whole_ids),
        plan=plan,
        warnings=[*lost, *told, *analysis.outcome.warnings],
        seconds=time.perf_counter() - started,
        checksums=checksums,
    )


def _near_origin(points: Points, rest: Points | None, how: How) -> tuple[Points, NDArray[np.float64] | None, list[str]]:
    """The rows, about their mean where float32 would lose their differences; that mean; and what to say of it."""
    if rest is None or not is_rest_significant(points, rest):
        return points, None, []
    far = "The vectors lie so far from the origin that float32 loses the digits in which they differ"
    if how.normalize:
        remedy = "Their directions hardly differ either; normalize=False compares their distances about their mean."
        return points, None, [f"{far}. {remedy}"]
    if check_params(how.algorithm, _own_params(how, len(points)))[0].get("metric") == "cosine":
        remedy = "Their directions hardly differ either; another metric compares their distances about their mean."
        return points, None, [f"{far}. {remedy}"]
    moved, origin = center_on_mean(points, rest)
    return moved, origin, [f"{far}; they were clustered about their mean, taken in float64."]


def _places(ids: Sequence[str], like: Clustering) -> NDArray[np.float32] | None:
    """(n, c) where these ids are on the map of an earlier clustering, NaN for new ones; None without a map."""
    if like.coordinates is None:
        return None
    row = {str(id): number for number, id in enumerate(like.ids)}
    unknown = np.full((1, like.coordinates.shape[1]), np.nan, np.float32)
    found = np.array([row.get(id, -1) for id in ids], np.int64)
    return np.ascontiguousarray(np.vstack([like.coordinates, unknown])[found])


def _order(ids: Sequence[str]) -> NDArray[np.int64] | None:
    """The rows sorted by id, as the document store sorts them; None where they are sorted already."""
    rows = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    return None if np.array_equal(rows, np.arange(len(rows))) else rows


def _in_order_given(analysis: Analysis, order: NDArray[np.int64]) -> Analysis:
    """Undo the sorting: row i of the result is row i of what was given."""
    outcome, back = analysis.outcome, np.argsort(order)
    given = replace(
        outcome,
        labels=outcome.labels[back],
        strengths=outcome.strengths[back],
        distances=outcome.distances[back],
        coordinates=None if outcome.coordinates is None else outcome.coordinates[back],
        medoids=order[outcome.medoids],
        representatives=[order[rows] for rows in outcome.representatives],
        density=None if outcome.density is None else reorder_density(outcome.density, order),
        layers=None if outcome.layers is None else outcome.layers.take(back),
        duplicates=None if outcome.duplicates is None else outcome.duplicates.take(back, order),
    )
    layers = [replace(layer, labels=layer.labels[back]) for layer in analysis.layers]
    return replace(analysis, ids=[analysis.ids[row] for row in back], outcome=given, layers=layers)


def _plan(points: Points, how: How, progress: Progress) -> tuple[Plan, list[str]]:
    """Everything decided, and what to tell about it. Raises InvalidField."""
    params, told = _own_params(how, len(points)), list[str]()
    if how.algorithm == _KMEANS and params.get("n_clusters") is None:
        chosen = choose_k(points, normalize=how.normalize, threads=how.threads, progress=progress)
        params["n_clusters"] = chosen.k
        told.append(chosen.reason)
    checked = _checked(how, params)
    _check_enough(checked.get(count_parameter(how.algorithm) or ""), len(points))
    return _plan_of(how, params), told


def expected_cost(how: How, rows: int, dimension: int, text: Volume) -> Cost:
    """What `cluster_columns` would take for so many rows with these texts, beside rows and texts themselves.

    The memory of naming comes on top of that of clustering, since what was freed is seldom given back to the system.
    Raises InvalidField.
    """
    params, choosing = _own_params(how, rows), Cost(0, 0)
    if how.algorithm == _KMEANS and params.get("n_clusters") is None:
        params["n_clusters"] = max(2, min(int(rows**0.5), 300))
        choosing = estimate_choice_cost(rows, dimension)
    clusters = _checked(how, params).get(count_parameter(how.algorithm) or "")
    cost = choosing + estimate_cost(_plan_of(how, params), rows, dimension)
    naming = text.naming_bytes(clusters if isinstance(clusters, int) else None)
    return Cost(cost.cpu_seconds + _naming_seconds(how, params, rows, text), cost.bytes + naming)


def _naming_seconds(how: How, params: Mapping[str, object], rows: int, text: Volume) -> float:
    if not text.documents:
        return 0.0
    layers = 2 if how.algorithm in ("auto", "evoc") else 1
    return rows * (_NAMING_SECONDS * layers + _APART_SECONDS * estimate_cluster_count(how.algorithm, params, rows))


def _plan_of(how: How, params: Mapping[str, object]) -> Plan:
    return Plan(
        algorithm=how.algorithm,
        params=params,
        normalize=how.normalize,
        centroid_method=how.centroid_method,
        sample_size=how.sample_size,
        seed=how.seed,
        threads=how.threads,
        components=2 if how.map else 0,
        layout_stability="transform",
        keep_model=True,
    )


def _checked(how: How, params: Mapping[str, object]) -> dict[str, object]:
    """All parameters. Raises InvalidField, which names a number of clusters as the caller does."""
    try:
        return check_params(how.algorithm, params)[0]
    except InvalidField as error:
        if how.n_clusters is None or error.field != f"algorithm_params.{count_parameter(how.algorithm)}":
            raise
        raise InvalidField("n_clusters", error.problem, value=how.n_clusters) from None


def _check_enough(asked: object, documents: int) -> None:
    """Raises InvalidField where more clusters are asked for than there are documents."""
    if isinstance(asked, int) and asked > documents > 0:
        problem = f"is more than the {documents:,} documents that can be clustered"
        raise InvalidField("n_clusters", problem, value=asked, remedy=f"Use at most {documents:,}.")


def _own_params(how: How, rows: int) -> dict[str, object]:
    """The parameters that were given, and how many starts k-means takes of so many rows. Raises InvalidField for a name
    the algorithm does not know: people who type one want to hear of it."""
    known = parameter_names(how.algorithm)
    params = dict(how.params)
    if how.n_clusters is not None:
        params[count_parameter(how.algorithm) or "n_clusters"] = how.n_clusters
    for name, value in params.items():
        if name not in known:
            raise unknown_parameter(how.algorithm, name, value)
    params = canonicalize_count(how.algorithm, params)
    starts = next((starts for most, starts in _STARTS if rows <= most), 1)
    return {"n_init": starts, **params} if how.algorithm == _KMEANS else params

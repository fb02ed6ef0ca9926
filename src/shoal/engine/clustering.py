"""One clustering from rows to outcome: scale, fit, assign, number, describe, lay out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points, Rows
from shoal.engine.algorithms import Fit, check_params, find_algorithm
from shoal.engine.algorithms.base import check_seed
from shoal.engine.assignments import Assignments
from shoal.engine.clusters.centroids import (
    cluster_means,
    compute_centroids,
    find_medoids,
    measure_memberships,
    member_rows,
    nearest_members,
)
from shoal.engine.clusters.labels import number_by_size
from shoal.engine.clusters.quality import Grouping, measure
from shoal.engine.density.density_tree import Density, renumber_density
from shoal.engine.known_rows import KnownRows
from shoal.engine.layers.hierarchy import build_levels, levels_from_layers
from shoal.engine.layers.layers import Layers
from shoal.engine.map.stability import RevisedMap, revise_map
from shoal.engine.model import Model
from shoal.engine.neighbors.near_duplicates import NearDuplicates, find_near_duplicates
from shoal.engine.neighbors.neighborhood import COUNT, Neighborhood, find_neighborhood
from shoal.engine.outcome import Outcome
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import (
    CentroidMethod,
    DistanceMetric,
    Plan,
    Progress,
    StageCache,
    bypass_cache,
    ignore_progress,
    make_monotonic,
    scale_progress,
)
from shoal.engine.prediction import Reach
from shoal.engine.rows.geometry import MAX_COORDINATE, check_points, unit_rows
from shoal.engine.rows.sampling import sample_rows
from shoal.engine.size_warnings import size_warning
from shoal.errors import InvalidField

__all__ = ["Clustered", "compute"]


def compute(
    points: NDArray[np.floating],
    plan: Plan,
    progress: Progress = ignore_progress,
    places_before: NDArray[np.float32] | None = None,
    cache: StageCache = bypass_cache,
    *,
    origin: NDArray[np.float64] | None = None,
) -> Outcome:
    """Cluster the rows of `points`.

    The result depends only on the rows and the plan, not on the number of threads.

    Parameters
    ----------
    points
        (n, d), n may be 0; float32 in C order is used in place and never written to.
    plan
        What to compute.
    progress
        Called with the stages "cluster", "describe" and "layout"; may raise Cancelled.
    places_before
        (n, 2 or 3) coordinates of the rows on a previous map, NaN for rows new to it.
    cache
        Asked for the stage "layout" (an `Outcome`) and, inside it, for "cluster" (a `Clustered`).
    origin
        (d,) offset that the caller subtracted from the rows; added back before cosines are computed.

    Raises
    ------
    InvalidField
        For rows that are not finite, zero rows with `normalize`, coordinates beyond 1e15 without it, a seed out of
        range, an unknown algorithm, and invalid parameter values.
    """
    check_seed("seed", plan.seed)
    progress = make_monotonic(progress)
    with one_blas_thread():
        space = _scale_points(check_points(points), plan)

        def describe() -> Outcome:
            clustered = cache("cluster", lambda: _cluster(space, plan, progress))
            return _describe(space, plan, clustered, places_before, origin, progress)

        return cache("layout", describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """The clusters of n rows and how they were obtained."""

    labels: Labels
    strengths: NDArray[np.float32]
    """(n,) in 0..1."""
    params: dict[str, object]
    warnings: Sequence[str]
    fitted: Rows | None
    exact: bool
    density: Density | None
    layers: Layers | None
    neighborhood: Neighborhood | None
    """The neighbours of all rows, if the algorithm computed them."""
    fit: Fit | None
    """Assigns new rows, where the plan keeps a model."""


def _cluster(space: Points, plan: Plan, progress: Progress) -> Clustered:
    params, param_warnings = check_params(plan.algorithm, plan.params)
    fitted = sample_rows(len(space), _check_sample_size(plan), plan.seed)
    fit, labelled = _fit_and_assign(space, fitted, plan, params, progress)
    labels = number_by_size(labelled.labels)
    sample_warnings = [] if fitted is None else [_sampling_warning(len(fitted), len(space))]
    params |= fit.params
    sizes = size_warning(plan.algorithm, params, labels)
    return Clustered(
        labels=labels,
        strengths=labelled.strengths,
        params=params,
        warnings=[*param_warnings, *sample_warnings, *fit.warnings, *([] if sizes is None else [sizes])],
        fitted=fitted,
        exact=fit.exact and fitted is None,
        density=renumber_density(fit.density, fit.assignments.labels, labels, fitted) if fit.density else None,
        layers=fit.layers.extend(fitted, labels, space, plan.threads) if fit.layers else None,
        neighborhood=fit.neighborhood if fitted is None and plan.components else None,
        fit=fit if plan.keep_model else None,
    )


def _scale_points(points: Points, plan: Plan) -> Points:
    if plan.normalize:
        return unit_rows(points, plan.threads)
    largest = float(max(points.max(initial=0.0), -points.min(initial=0.0)))
    if largest > MAX_COORDINATE:
        raise InvalidField(
            "vectors",
            f"hold numbers beyond {MAX_COORDINATE:g}",
            value=largest,
            remedy="Scale them down or set normalize.",
        )
    return points


def _check_sample_size(plan: Plan) -> int | None:
    if plan.sample_size is not None and plan.sample_size < 1:
        raise InvalidField("sample_size", "must be at least 1", value=plan.sample_size)
    return plan.sample_size


def _sampling_warning(fitted: int, total: int) -> str:
    return (
        f"Fitted on a sample of {fitted:,} of {total:,} rows; the others were assigned to the clusters found. A "
        "smaller sample shows fewer, coarser clusters."
    )


def _fit_and_assign(
    space: Points, sample: Rows | None, plan: Plan, params: dict[str, object], progress: Progress
) -> tuple[Fit, Assignments]:
    """Fit the algorithm, on a sample if there is one, and label every row."""
    algorithm = find_algorithm(plan.algorithm)
    checked = algorithm.params(**params)
    progress("cluster", 0.0)
    if sample is None:
        fit = algorithm.fit(space, checked, seed=plan.seed, threads=plan.threads, progress=progress)
        progress("cluster", 1.0)
        return fit, fit.assignments
    part = scale_progress(progress, "cluster", 0, 0.7)
    fit = algorithm.fit(space[sample], checked, seed=plan.seed, threads=plan.threads, progress=part)
    rest = np.setdiff1d(np.arange(len(space)), sample, assume_unique=True)
    assigned = fit.assign(space[rest], plan.threads, scale_progress(progress, "cluster", 0.7, 1))
    known_rows = KnownRows.of(space[sample], fit.assignments, plan.threads)
    assigned = known_rows.recall(space[rest], assigned, plan.threads)  # equal rows are together
    progress("cluster", 1.0)
    labels, strengths = np.empty(len(space), np.int64), np.empty(len(space), np.float32)
    labels[sample], labels[rest] = fit.assignments.labels, assigned.labels
    strengths[sample], strengths[rest] = fit.assignments.strengths, assigned.strengths
    return fit, Assignments(labels, strengths)


def _describe(
    space: Points,
    plan: Plan,
    clustered: Clustered,
    places_before: NDArray[np.float32] | None,
    origin: NDArray[np.float64] | None,
    progress: Progress,
) -> Outcome:
    labels = clustered.labels
    clusters = int(labels.max(initial=-1)) + 1
    metric: DistanceMetric = "cosine" if plan.normalize else "euclidean"
    progress("describe", 0.0)
    members = member_rows(labels, clusters)
    means = cluster_means(space, labels, clusters, scale_progress(progress, "describe", 0, 0.1))
    medoids = find_medoids(
        space, members, means, metric, plan.seed, plan.threads, scale_progress(progress, "describe", 0.1, 0.4)
    )
    targets = compute_centroids(space, members, means, medoids, _check_centroid_method(plan.centroid_method))
    part = scale_progress(progress, "describe", 0.4, 0.5)
    memberships = measure_memberships(space, labels, targets, metric, origin, threads=plan.threads, progress=part)
    grouping = Grouping(space, labels, means, memberships, metric)
    metrics = measure(grouping, plan.seed, plan.threads, scale_progress(progress, "describe", 0.5, 1))
    progress("describe", 1.0)
    progress("layout", 0.0)
    neighborhood = _find_or_reuse_neighborhood(space, plan, clustered, scale_progress(progress, "layout", 0, 0.5))
    revised_map = _draw_map(space, plan, places_before, neighborhood, scale_progress(progress, "layout", 0.5, 1))
    duplicates = None if neighborhood is None else find_near_duplicates(space, neighborhood, unit=plan.normalize)
    progress("layout", 1.0)
    return Outcome(
        labels=labels,
        strengths=clustered.strengths,
        distances=memberships.distance.astype(np.float32),
        centroids=targets,
        medoids=medoids,
        representatives=nearest_members(memberships.distance, members),
        coordinates=None if revised_map is None else revised_map.places,
        metrics={**metrics, **_map_metrics(revised_map, duplicates)},
        cohesion=memberships.cohesion(members),
        origin=origin,
        distance_metric=metric,
        params=clustered.params,
        fitted=len(space) if clustered.fitted is None else len(clustered.fitted),
        exact=clustered.exact,
        warnings=[*clustered.warnings, *([] if revised_map is None else revised_map.warnings)],
        density=clustered.density,
        hierarchy=_build_hierarchy(targets, members, labels, plan, clustered),
        layers=clustered.layers,
        duplicates=duplicates,
        model=None
        if clustered.fit is None
        else _build_model(space, plan, clustered.fit, clustered, targets, memberships.distance),
    )


def _find_or_reuse_neighborhood(
    space: Points, plan: Plan, clustered: Clustered, progress: Progress
) -> Neighborhood | None:
    """Neighbours for the map, reusing those of the algorithm where it searched as many."""
    if plan.components == 0:
        return None
    available = clustered.neighborhood
    enough = available is not None and available.lists.rows.shape[1] >= min(COUNT, len(available.values.rows) - 1)
    return available if enough else find_neighborhood(space, plan.threads, progress)


def _draw_map(
    space: Points,
    plan: Plan,
    previous: NDArray[np.float32] | None,
    neighborhood: Neighborhood | None,
    progress: Progress,
) -> RevisedMap | None:
    if neighborhood is None:
        return None
    stability = "none" if previous is None else plan.layout_stability
    places = np.empty((len(space), 0), np.float32) if previous is None else previous
    return revise_map(space, places, stability, plan.components, plan.seed, plan.threads, progress, near=neighborhood)


def _map_metrics(revised_map: RevisedMap | None, duplicates: NearDuplicates | None) -> dict[str, float]:
    moved = None if revised_map is None else revised_map.moved
    return {
        **({} if moved is None else {"map_moved": moved}),
        **({} if duplicates is None else {"near_duplicates": float(duplicates.spare)}),
    }


def _build_model(
    space: Points, plan: Plan, fit: Fit, clustered: Clustered, targets: Points, distances: NDArray[np.floating]
) -> Model:
    metric: DistanceMetric = "cosine" if plan.normalize else "euclidean"
    own = clustered.labels if clustered.fitted is None else clustered.labels[clustered.fitted]
    reach = Reach.of(targets, distances, clustered.labels, metric) if fit.assigns_all else None
    known_rows = KnownRows.of(space, Assignments(clustered.labels.astype(np.int64), clustered.strengths), plan.threads)
    return Model.of(fit, own, targets.shape[1], plan.normalize, reach, known_rows)


def _build_hierarchy(
    targets: Points, members: Sequence[Rows], labels: Labels, plan: Plan, clustered: Clustered
) -> list[NDArray[np.int32]]:
    if plan.hierarchy_depth < 2:
        return []
    if clustered.layers is not None and clustered.layers.chosen > 0:
        return levels_from_layers(clustered.layers, labels, plan.hierarchy_depth)
    return build_levels(targets, np.array([len(rows) for rows in members], np.int64), plan.hierarchy_depth)


def _check_centroid_method(name: CentroidMethod) -> CentroidMethod:
    if name not in get_args(CentroidMethod):
        raise InvalidField("centroid_method", f"must be {' or '.join(get_args(CentroidMethod))}", value=name)
    return name

"""Reassigns noise rows to their nearest cluster."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points, Rows
from shoal.engine.assignments import Assignments
from shoal.engine.clusters.centroids import Memberships, cluster_means, measure_memberships, member_rows
from shoal.engine.clusters.quality import Grouping, measure
from shoal.engine.known_rows import KnownRows
from shoal.engine.layers.layers import Layers, find_nearest_parts, find_parents
from shoal.engine.outcome import Outcome
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import Plan, Progress, ignore_progress
from shoal.engine.prediction import Assigner

__all__ = ["assign_noise"]


def assign_noise(outcome: Outcome, points: Points, plan: Plan, progress: Progress = ignore_progress) -> Outcome:
    """Return the outcome with every row in a cluster; unchanged if there is no noise or no cluster.

    `points` (n, d) are the rows as they were clustered. A row joins the cluster that is nearest by the algorithm's own
    rule (HDBSCAN: the member at the smallest mutual reachability; DBSCAN: the nearest core row; graph methods: the vote
    of the nearest clustered rows), else that of the nearest centroid. Clusters keep their numbers, centroids, medoids
    and representatives; distances, cohesion, metrics and layers include the reassigned rows. Reports to `progress` as
    "cluster" and "describe".
    """
    noise = np.flatnonzero(outcome.labels == NOISE)
    if len(noise) == 0 or outcome.clusters == 0:
        return outcome
    with one_blas_thread():
        reassigned = _assign_rows(outcome, np.ascontiguousarray(points[noise]), plan, progress)
        labels, strengths = outcome.labels.copy(), outcome.strengths.copy()
        labels[noise], strengths[noise] = reassigned.labels, reassigned.strengths
        means = cluster_means(points, labels, outcome.clusters)
        memberships = measure_memberships(
            points, labels, outcome.centroids, outcome.distance_metric, outcome.origin, threads=plan.threads
        )
        layers, model = outcome.layers, outcome.model
        return replace(
            outcome,
            labels=labels,
            strengths=strengths,
            distances=memberships.distance.astype(np.float32),
            metrics=_update_metrics(outcome, points, labels, means, memberships, plan, progress),
            cohesion=memberships.cohesion(member_rows(labels, outcome.clusters)),
            layers=None if layers is None else _extend_layers(layers, noise, labels, points, plan.threads),
            model=None if model is None else replace(model, known=_build_known_rows(points, labels, strengths, plan)),
        )


def _assign_rows(outcome: Outcome, rows: Points, plan: Plan, progress: Progress) -> Assignments:
    result = Assignments(np.full(len(rows), NOISE, np.int64), np.zeros(len(rows), np.float32))
    if outcome.model is not None:
        result = outcome.model.nearest(rows, plan.threads, progress)
    unassigned = np.flatnonzero(result.labels < 0)
    if len(unassigned):
        nearest = Assigner.of(outcome.centroids, metric=outcome.distance_metric)
        placed = nearest.assign(np.ascontiguousarray(rows[unassigned]), plan.threads, progress)
        labels, strengths = result.labels.copy(), result.strengths.copy()
        labels[unassigned], strengths[unassigned] = placed.labels, placed.strengths
        result = Assignments(labels, strengths)
    return result


def _update_metrics(
    outcome: Outcome,
    points: Points,
    labels: Labels,
    means: NDArray[np.float64],
    memberships: Memberships,
    plan: Plan,
    progress: Progress,
) -> dict[str, float | None]:
    grouping = Grouping(points, labels, means, memberships, outcome.distance_metric)
    return {**outcome.metrics, **measure(grouping, plan.seed, plan.threads, progress)}


def _build_known_rows(points: Points, labels: Labels, strengths: NDArray[np.float32], plan: Plan) -> KnownRows:
    return KnownRows.of(points, Assignments(labels.astype(np.int64), strengths), plan.threads)


def _extend_layers(layers: Layers, noise: Rows, labels: Labels, points: Points, threads: int) -> Layers:
    """Layers including the reassigned rows: in coarser layers they follow their cluster, in finer ones they join the
    part with the nearest mean. Clusters of every layer keep their numbers."""
    own = [layer.labels.copy() for layer in layers.layers]
    before = own[layers.chosen].copy()
    own[layers.chosen] = labels
    for coarser in own[: layers.chosen]:
        coarser[noise] = _find_majority_groups(before, coarser)[labels[noise]]
    for place in range(layers.chosen + 1, len(own)):
        finer, above = own[place], own[place - 1]
        means = cluster_means(points, finer, layers.layers[place].clusters).astype(np.float32)
        finer[noise] = find_nearest_parts(find_parents(finer, above), means, above[noise], points, noise, threads)
    placed = [replace(layer, labels=of_layer) for layer, of_layer in zip(layers.layers, own, strict=True)]
    return replace(layers, layers=placed)


def _find_majority_groups(labels: Labels, coarser: Labels) -> Labels:
    """(k,) the coarser cluster that holds most rows of each cluster, -1 for none."""
    inside = labels >= 0
    pairs, counts = np.unique(np.stack([labels[inside], coarser[inside]]), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the most common last
    groups = np.full(int(labels.max()) + 1, NOISE, np.int32)
    groups[pairs[0, order]] = pairs[1, order]
    return groups

"""Assignment: the documents of a run join the groups of the visible run, or none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.analysis.naming import LayerNames
from shoal.columns import NOISE, Labels, Points
from shoal.engine.clusters.centroids import Memberships, cluster_means, measure_memberships
from shoal.engine.clusters.quality import Grouping, measure
from shoal.engine.map.stability import revise_map
from shoal.engine.plan import DistanceMetric, Progress
from shoal.engine.prediction import Assigner, compute_reaches
from shoal.engine.rows.geometry import unit_rows
from shoal.errors import RunFailed
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.ids import NOISE_ID
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.runs.config.engine_plan import SEED
from shoal.runs.grouping.earlier_map import rows_in
from shoal.runs.grouping.feature_space import feature_space
from shoal.runs.grouping.groups import Clustering, GroupTables, above, tree_of
from shoal.runs.grouping.ranks import RunIds
from shoal.runs.grouping.vector_groups import feature_vectors
from shoal.runs.input import RunInput
from shoal.storage.protocols.artifacts import ArtifactStore

__all__ = ["AssignedGroups", "Earlier", "group_assigned"]

_MOVED = 1e-4
"""A document whose distance to its centroid changed by more than this has a new vector."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The run to assign to, with its tables: `centroids` are the groups with documents, `above` the groups of
    groups."""

    run: Execution
    members: pa.Table
    centroids: pa.Table
    above: pa.Table

    @staticmethod
    def of(artifacts: ArtifactStore, scope: Scope, run: Execution) -> "Earlier":
        """Raises NotFound, Corrupt."""
        members, centroids = (artifacts.read(scope, run.run_id, name) for name in ("members", "centroids"))
        higher = above(centroids)
        return Earlier(run, members, centroids.filter(pa.array(~higher)), centroids.filter(pa.array(higher)))

    @property
    def vectors(self) -> Points:
        """(k, d) vectors of the groups."""
        flat = self.centroids["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(flat.reshape(self.centroids.num_rows, -1), np.float32)

    @property
    def labels(self) -> Labels:
        """(m,) the row in `centroids` of each member, -1 for noise."""
        ids = self.centroids["cluster_id"].cast(pa.string()).combine_chunks()
        rows = pc.index_in(self.members["cluster_id"].cast(pa.string()), value_set=ids)
        return np.asarray(pc.fill_null(rows, NOISE).to_numpy(), np.int32)

    @property
    def distances(self) -> NDArray[np.float64]:
        """(m,) of the members to their centroid, NaN for noise."""
        return np.asarray(self.members["distance_to_centroid"].to_numpy(), np.float64)


@dataclass(frozen=True, slots=True)
class _Placement:
    """The groups of n documents, -1 for none, and their membership strengths; `fresh` documents were assigned,
    `changed` of them because of a new vector."""

    labels: Labels
    strengths: NDArray[np.float32]
    fresh: NDArray[np.bool_]
    changed: int


@dataclass(frozen=True, slots=True)
class AssignedGroups:
    """The groups of an earlier run, with its ids and names."""

    assigned: GroupTables

    def clusterings(self, source: RunInput) -> list[Clustering]:
        """None: the names are those of the earlier run."""
        return []

    def tables(self, source: RunInput, ids: RunIds, names: Sequence[Sequence[LayerNames]]) -> GroupTables:
        """See `Groups`."""
        return self.assigned


def group_assigned(
    source: RunInput, cluster: Cluster, run: Execution, earlier: Earlier, threads: int, progress: Progress
) -> AssignedGroups:
    """Assign documents to the groups of the earlier run.

    Known documents stay in their groups unless their vector changed. New ones join the group of the nearest centroid,
    if they are as near as its ordinary members (`compute_reaches`) and, with cosine distances, similar enough for the
    `assignment_threshold` of the run.

    Raises RunFailed if the dimensions of the vectors changed, and Cancelled.
    """
    space = _space(source, cluster, threads, progress)
    vectors = earlier.vectors
    if space.shape[1] != vectors.shape[1]:
        raise RunFailed(
            f"The vectors have {space.shape[1]} dimensions, those of run {earlier.run.run_id} had {vectors.shape[1]}. "
            "Execute the cluster in full."
        )
    metric: DistanceMetric = "cosine" if cluster.normalize_features else "euclidean"
    threshold = float(run.request.get("assignment_threshold", 0.0))
    placed = _place_documents(space, source, earlier, metric, threshold, threads, progress)
    memberships = measure_memberships(space, placed.labels, vectors, metric)
    progress("describe", 0.0)
    metrics = _metrics(space, placed.labels, memberships, metric, threads)
    progress("layout", 0.0)
    before = source.places_before
    places = np.full((len(space), 2), np.nan, np.float32) if before is None else before
    drawn = revise_map(space, places, "transform", places.shape[1], SEED, threads, progress)
    sizes = np.bincount(placed.labels[placed.labels >= 0], minlength=len(vectors))
    centroids = _centroids(earlier, placed.labels, memberships, drawn.places, sizes)
    centroids = pa.concat_tables([centroids, _above(earlier, centroids)], promote_options="permissive")
    tables = GroupTables(
        members=source.add_collections(_members(source, earlier, placed, memberships, drawn.places)),
        centroids=centroids,
        labels=placed.labels,
        metrics={**metrics, **({} if drawn.moved is None else {"map_moved": drawn.moved})},
        params=earlier.run.algorithm_params,
        warnings=[_describe(placed, earlier, metric, threshold), *drawn.warnings],
        learned_weights=cluster.learned_weights,
        learning_quality=cluster.learning_quality_score,
        distance_metric=metric,
        exact=bool(earlier.run.exact),
        seed=earlier.run.seed,
        vectors=feature_vectors(source, cluster, placed.labels, vectors),
        relationships=tree_of(centroids, _levels(cluster)),
    )
    return AssignedGroups(tables)


def _space(source: RunInput, cluster: Cluster, threads: int, progress: Progress) -> Points:
    """Build the feature space of the earlier run, with its learned weights."""
    if cluster.multi_feature_strategy == "weighted" and cluster.learned_weights:
        learned = cluster.learned_weights
        uris = zip(source.blocks, cluster.feature_uris or source.blocks, strict=True)
        # Earlier versions stored weights by the name of the vector, not by URI.
        by_name = {name: learned.get(uri, learned.get(name, 0.0)) for name, uri in uris}
        settings = {"multi_feature_strategy": "concatenate", "feature_weights": by_name}
        cluster = cluster.with_changes(**settings)
    points = feature_space(source, cluster, SEED, threads, progress).points
    return unit_rows(points) if cluster.normalize_features else points


def _place_documents(
    space: Points,
    source: RunInput,
    earlier: Earlier,
    metric: DistanceMetric,
    threshold: float,
    threads: int,
    progress: Progress,
) -> _Placement:
    vectors, old = earlier.vectors, rows_in(earlier.members, source)
    was = np.where(old >= 0, earlier.labels[old], NOISE).astype(np.int32)
    moved = _has_moved(space, was, vectors, metric, earlier.distances[old])
    fresh = (old < 0) | moved
    reach = compute_reaches(earlier.distances, earlier.labels, len(vectors), metric=metric)
    assignment = Assigner.of(vectors, metric=metric, reach=reach).assign(space[fresh], threads, progress)
    labels, strengths = was, earlier.members["membership_strength"].to_numpy().astype(np.float32)[old]
    labels[fresh], strengths[fresh] = assignment.labels, assignment.strengths
    if metric == "cosine":
        similar = measure_memberships(space[fresh], labels[fresh], vectors, metric).cosine
        unlike = np.flatnonzero(fresh)[similar < threshold]
        labels[unlike], strengths[unlike] = NOISE, 0.0
    return _Placement(labels, strengths, fresh, int(moved.sum()))


def _has_moved(
    space: Points, labels: Labels, vectors: Points, metric: DistanceMetric, before: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return (n,) the rows of groups whose vector changed; it is unknown for rows in no group."""
    now = measure_memberships(space, labels, vectors, metric).distance
    with np.errstate(invalid="ignore"):
        return (labels >= 0) & (np.abs(now - before) > _MOVED * np.maximum(1.0, np.abs(before)))


def _metrics(
    space: Points, labels: Labels, memberships: Memberships, metric: DistanceMetric, threads: int
) -> Mapping[str, float | None]:
    """Compute the metrics of the groups that have members."""
    used, dense = np.unique(labels[labels >= 0], return_inverse=True)
    own = np.full(len(labels), NOISE, np.int32)
    own[labels >= 0] = dense
    return measure(Grouping(space, own, cluster_means(space, own, len(used)), memberships, metric), SEED, threads)


def _members(
    source: RunInput, earlier: Earlier, placed: _Placement, memberships: Memberships, places: Points
) -> pa.Table:
    table = earlier.centroids
    ids = pa.array([*table["cluster_id"].to_pylist(), NOISE_ID], pa.string())
    at = np.where(placed.labels >= 0, placed.labels, table.num_rows)
    noise = placed.labels < 0
    axes = {axis: pa.array(np.ascontiguousarray(own)) for axis, own in zip("xyz", places.T, strict=False)}
    names = table["cluster_label"].cast(pa.string()).combine_chunks()
    return pa.table(
        {
            "document_id": pa.array(source.ids, pa.string()),
            "cluster_id": pa.DictionaryArray.from_arrays(pa.array(at, pa.int32()), ids),
            "cluster_label": pa.DictionaryArray.from_arrays(pa.array(at, pa.int32(), mask=noise), names),
            "distance_to_centroid": pa.array(memberships.distance.astype(np.float32), from_pandas=True),
            "membership_strength": pa.array(placed.strengths, pa.float32()),
            **axes,
        }
    )


def _centroids(
    earlier: Earlier, labels: Labels, memberships: Memberships, places: Points, sizes: NDArray[np.int64]
) -> pa.Table:
    """Update the earlier table for the new members; a group without members keeps its place on the map."""
    inside, some = labels >= 0, np.maximum(sizes, 1)
    cosine = memberships.cosine[inside]
    least = np.full(len(sizes), np.inf)
    np.minimum.at(least, labels[inside], cosine)
    mean = np.bincount(labels[inside], cosine, len(sizes)) / some
    none = sizes == 0
    columns = {
        "num_members": pa.array(sizes, pa.int64()),
        "mean_cosine_similarity": pa.array(mean, pa.float64(), mask=none),
        "min_cosine_similarity": pa.array(least, pa.float64(), mask=none),
    }
    for axis, own in zip("xyz", places.T, strict=False):
        middle = np.bincount(labels[inside], own[inside], len(sizes)) / some
        old = earlier.centroids[axis].to_numpy() if axis in earlier.centroids.column_names else middle
        columns[axis] = pa.array(np.where(none, old, middle).astype(np.float32))
    table = earlier.centroids
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, values) if at >= 0 else table.append_column(name, values)
    return table


def _above(earlier: Earlier, centroids: pa.Table) -> pa.Table:
    """Return the groups of groups with their current sizes."""
    table = earlier.above
    if not table.num_rows:
        return table
    parents = {id: parent for part in (centroids, table) for id, parent in _pairs(part, "parent_cluster_id")}
    size = dict.fromkeys(table["cluster_id"].to_pylist(), 0)
    for id, count in _pairs(centroids, "num_members"):
        place = parents[id]
        while place is not None:
            size[place] += count
            place = parents[place]
    sizes = pa.array(size.values(), pa.int64())
    return table.set_column(table.schema.get_field_index("num_members"), "num_members", sizes)


def _pairs(table: pa.Table, name: str) -> Iterator[tuple[str, Any]]:
    return zip(table["cluster_id"].to_pylist(), table[name].to_pylist(), strict=True)


def _levels(cluster: Cluster) -> dict[str, int]:
    links = cluster.hierarchy_relationships or []
    return {link["parent_cluster_id"]: link["level"] for link in links if link.get("level")}


def _describe(placed: _Placement, earlier: Earlier, metric: DistanceMetric, threshold: float) -> str:
    examined = int(placed.fresh.sum())
    joined = int((placed.labels[placed.fresh] >= 0).sum())
    condition = f" (cosine similarity of at least {threshold:g})" if metric == "cosine" and threshold > 0 else ""
    return (
        f"Assigned to the clusters of {earlier.run.run_id}{condition}: of {examined - placed.changed:,} new documents "
        f"and {placed.changed:,} whose vectors changed, {joined:,} joined a cluster and {examined - joined:,} fit none."
    )

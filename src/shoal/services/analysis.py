"""From points and words to named clusters: the middle of every execution, on the server and in the library alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.engine import compute
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan, Progress, silent
from shoal.labeling import Name, name_clusters

__all__ = ["NOISE_ID", "Analysis", "Group", "NamedCluster", "analyse", "centroids_table", "cluster_ids"]
__all__ += ["condensed_tree_table", "members_table"]

NOISE_ID = "cl_noise"
"""The cluster id of documents that belong to no cluster (contract 6, row 9)."""
_EXEMPLARS: Final = 10
"""Exemplars of a cluster told by id; there may be thousands."""


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """One cluster as people see it. `share` is of all rows, noise included; similarities are cosines to the
    centroid."""

    cluster_id: str
    label: str
    keywords: tuple[str, ...]
    size: int
    share: float
    mean_similarity: float
    min_similarity: float
    medoid: str
    representatives: tuple[str, ...]
    parent: str | None = None
    """The group of clusters it belongs to, where a hierarchy was asked for."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters that belong together on some level above them; `children` are clusters on level 1, groups above."""

    group_id: str
    label: str
    keywords: tuple[str, ...]
    level: int
    size: int
    children: tuple[str, ...]
    parent: str | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """A clustering with names. `ids[i]` is the document of row i of `outcome.labels`."""

    ids: Sequence[str]
    outcome: Outcome
    clusters: Sequence[NamedCluster]
    groups: Sequence[Group] = ()
    """Of all levels, nearest to the clusters first."""

    @property
    def noise(self) -> int:
        """Rows that belong to no cluster."""
        return int(np.count_nonzero(self.outcome.labels == NOISE))


def analyse(
    ids: Sequence[str],
    points: Points,
    texts: Sequence[str] | None,
    plan: Plan,
    progress: Progress = silent,
    places_before: NDArray[np.float32] | None = None,
) -> Analysis:
    """Cluster the points and name the clusters from the texts. `places_before` is as for `compute`.

    `ids` and `texts` are aligned with the (n, d) float32 rows of `points`; without texts the names are "Cluster N".
    Raises InvalidField for parameters or points the algorithm cannot take, Cancelled from `progress`.
    """
    outcome = compute(points, plan, progress, places_before)
    progress("name", 0.0)
    names = _names(texts, outcome.labels, outcome.clusters, outcome.centroids, progress)
    groups = _groups(texts, outcome, progress)
    parents = _parents(groups)
    clusters = [_named(number, name, ids, outcome, parents) for number, name in enumerate(names)]
    return Analysis(ids, outcome, clusters, groups)


def _names(
    texts: Sequence[str] | None, labels: Labels, clusters: int, centroids: Points, progress: Progress
) -> Sequence[Name]:
    if texts is None:
        return [Name(f"Cluster {number}", ()) for number in range(clusters)]
    tick: Callable[[float], None] = partial(progress, "name")
    return name_clusters(texts, labels, clusters, centroids=centroids, progress=tick)


def _groups(texts: Sequence[str] | None, outcome: Outcome, progress: Progress) -> list[Group]:
    """The groups of all levels, named by the documents in them."""
    found, below = list[Group](), [f"cl_{number}" for number in range(outcome.clusters)]
    parts = [np.array([number], np.int64) for number in range(outcome.clusters)]
    for level, of_cluster in enumerate(outcome.hierarchy, start=1):
        count = int(of_cluster.max()) + 1
        labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
        sizes = np.bincount(of_cluster, outcome.sizes, count)
        middles = np.zeros((count, outcome.centroids.shape[1]))
        np.add.at(middles, of_cluster, outcome.centroids * outcome.sizes[:, None])
        names = _names(texts, labels, count, (middles / sizes[:, None]).astype(np.float32), progress)
        ids = [f"cl_l{level}_{number}" for number in range(count)]
        inside = [int(of_cluster[rows[0]]) for rows in parts]
        for number, name in enumerate(names):
            children = tuple(child for child, place in zip(below, inside, strict=True) if place == number)
            label = f"Group {number}" if texts is None else name.label
            found.append(Group(ids[number], label, name.keywords, level, int(sizes[number]), children, None))
        below, parts = ids, [np.flatnonzero(of_cluster == number) for number in range(count)]
    parents = _parents(found)
    return [replace(group, parent=parents.get(group.group_id)) for group in found]


def _parents(groups: Sequence[Group]) -> dict[str, str]:
    return {child: group.group_id for group in groups for child in group.children}


def _named(number: int, name: Name, ids: Sequence[str], outcome: Outcome, parents: Mapping[str, str]) -> NamedCluster:
    size = int(outcome.sizes[number])
    mean, smallest = outcome.cohesion[number]
    return NamedCluster(
        cluster_id=f"cl_{number}",
        label=name.label,
        keywords=name.keywords,
        size=size,
        share=size / len(outcome.labels),
        mean_similarity=mean,
        min_similarity=smallest,
        medoid=ids[int(outcome.medoids[number])],
        representatives=tuple(ids[int(row)] for row in outcome.representatives[number]),
        parent=parents.get(f"cl_{number}"),
    )


def cluster_ids(analysis: Analysis) -> pa.Array:
    """The cluster id of every row, `cl_noise` for noise; dictionary-encoded."""
    return _by_label(analysis, [cluster.cluster_id for cluster in analysis.clusters], NOISE_ID)


def members_table(analysis: Analysis) -> pa.Table:
    """One row a document: id, cluster id and label, distance to the centroid (null for noise), strength, with HDBSCAN
    the outlier score (null where not fitted), x, y (z)."""
    outcome = analysis.outcome
    columns: dict[str, pa.Array] = {
        "document_id": pa.array(analysis.ids, pa.string()),
        "cluster_id": cluster_ids(analysis),
        "cluster_label": _by_label(analysis, [cluster.label for cluster in analysis.clusters], None),
        "distance_to_centroid": pa.array(outcome.distances, pa.float32(), from_pandas=True),
        "membership_strength": pa.array(outcome.strengths, pa.float32()),
    }
    if outcome.density is not None:
        columns["outlier_score"] = pa.array(outcome.density.outlier_scores, pa.float32(), from_pandas=True)
    if outcome.coordinates is not None:
        for axis, values in zip("xyz", outcome.coordinates.T, strict=False):
            columns[axis] = pa.array(np.ascontiguousarray(values), pa.float32())
    return pa.table(columns)


def condensed_tree_table(analysis: Analysis) -> pa.Table | None:
    """HDBSCAN's condensed tree, one row for each document and each cluster of the tree but the root: what it leaves
    (`parent`), its own number (`child`: documents by their row of the members, n the root, then clusters), the density
    at which it does (`lambda_val`, infinite for equal documents), how many documents it holds (`child_size`), and the
    id of clusters that were chosen (`cluster_id`). Only documents that were fitted are in it. The schema's metadata
    tells `root` and `selected`, the numbers of the chosen clusters by id: the root may be one, and has no row of its
    own. None where there is no tree."""
    density = analysis.outcome.density
    if density is None:
        return None
    tree = density.tree
    chosen = dict(zip(tree.selected.tolist(), tree.label.tolist(), strict=True))
    first = len(analysis.outcome.labels)
    selected = {analysis.clusters[label].cluster_id: number for number, label in sorted(chosen.items())}
    total = int(tree.child.max(initial=first)) + 1 - first
    names = [analysis.clusters[chosen[first + n]].cluster_id if first + n in chosen else None for n in range(total)]
    of_cluster = pa.DictionaryArray.from_arrays(
        pa.array(np.maximum(tree.child - first, 0), pa.int32(), mask=tree.child < first), pa.array(names, pa.string())
    )
    return pa.table(
        {
            "parent": pa.array(tree.parent, pa.int64()),
            "child": pa.array(tree.child, pa.int64()),
            "lambda_val": pa.array(tree.density, pa.float64()),
            "child_size": pa.array(tree.child_size, pa.int64()),
            "cluster_id": of_cluster.cast(pa.string()),
        }
    ).replace_schema_metadata({"root": str(first), "selected": orjson.dumps(selected).decode()})


def centroids_table(analysis: Analysis) -> pa.Table:
    """One row a cluster: id, label, keywords, size, similarities, medoid and representative ids, vector, with HDBSCAN
    up to 10 exemplar ids, x, y (z)."""
    outcome, clusters = analysis.outcome, analysis.clusters
    vectors = pa.array(np.ascontiguousarray(outcome.centroids).ravel(), pa.float32())
    columns: dict[str, pa.Array] = {
        "cluster_id": pa.array([c.cluster_id for c in clusters], pa.string()),
        "cluster_label": pa.array([c.label for c in clusters], pa.string()),
        "keywords": pa.array([list(c.keywords) for c in clusters], pa.list_(pa.string())),
        "num_members": pa.array([c.size for c in clusters], pa.int64()),
        "mean_cosine_similarity": pa.array([c.mean_similarity for c in clusters], pa.float64()),
        "min_cosine_similarity": pa.array([c.min_similarity for c in clusters], pa.float64()),
        "medoid_id": pa.array([c.medoid for c in clusters], pa.string()),
        "representative_ids": pa.array([list(c.representatives) for c in clusters], pa.list_(pa.string())),
        "vector": pa.FixedSizeListArray.from_arrays(vectors, max(outcome.centroids.shape[1], 1)),
    }
    if analysis.groups:
        columns["parent_cluster_id"] = pa.array([c.parent for c in clusters], pa.string())
    if outcome.density is not None:
        columns["exemplar_ids"] = pa.array(
            [[analysis.ids[row] for row in rows[:_EXEMPLARS].tolist()] for rows in outcome.density.exemplars],
            pa.list_(pa.string()),
        )
    if outcome.coordinates is not None:
        for axis, values in zip("xyz", _centres(outcome).T, strict=False):
            columns[axis] = pa.array(np.ascontiguousarray(values), pa.float32())
    return pa.table(columns)


def _centres(outcome: Outcome) -> Points:
    """Mean map coordinates of each cluster's members, (k, 2 or 3) float32."""
    coordinates = outcome.coordinates
    if coordinates is None:
        return np.zeros((outcome.clusters, 0), np.float32)
    inside = outcome.labels >= 0
    sums = np.zeros((outcome.clusters, coordinates.shape[1]))
    np.add.at(sums, outcome.labels[inside], coordinates[inside])
    return (sums / np.maximum(outcome.sizes, 1)[:, None]).astype(np.float32)


def _by_label(analysis: Analysis, values: Sequence[str], noise: str | None) -> pa.Array:
    """A dictionary-encoded column with `values[label]`, `noise` for noise."""
    labels = analysis.outcome.labels
    known = [*values, noise] if noise is not None else list(values)
    indices = np.where(labels == NOISE, len(values), labels)
    mask = None if noise is not None else labels == NOISE
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32(), mask=mask), pa.array(known, pa.string()))

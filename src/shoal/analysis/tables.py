"""A named clustering as Arrow tables: the artifacts of runs, and the output of the library."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import orjson
import pyarrow as pa

from shoal.analysis.name_columns import name_columns
from shoal.analysis.named_clusters import Analysis, NamedLayer
from shoal.columns import NOISE, Points
from shoal.engine.clusters.centroids import weighted_means
from shoal.engine.outcome import Outcome
from shoal.records.clusters.ids import NOISE_ID

__all__ = [
    "MEMBER_BYTES",
    "centroids_table",
    "cluster_ids",
    "condensed_tree_table",
    "further_tables",
    "hierarchy_table",
]
__all__ += ["layers_table", "members_table", "near_duplicates_table"]

MEMBER_BYTES: Final = 90
"""Disk space of a document in the table of members, besides its id."""
_EXEMPLARS: Final = 10
"""Exemplars of a cluster listed by id; there may be thousands."""
_REPRESENTATIVES: Final = 5


def cluster_ids(analysis: Analysis) -> pa.Array:
    """Return the cluster id of every row, `cl_noise` for noise; dictionary-encoded."""
    return _by_label(analysis, [cluster.cluster_id for cluster in analysis.clusters], NOISE_ID)


def members_table(analysis: Analysis) -> pa.Table:
    """Return one row for each document: id, cluster id and label, distance to the centroid (null for noise), strength,
    with HDBSCAN the outlier score (null if not fitted), x, y (z)."""
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
    """Return HDBSCAN's condensed tree: one row for each fitted document and each cluster of the tree except the root.

    Columns: the cluster it leaves (`parent`), its own number (`child`: documents by their row of the members, n for the
    root, then clusters), the density at which it leaves (`lambda_val`, infinite for equal documents), its number of
    documents (`child_size`), and the id of selected clusters (`cluster_id`). The metadata of the schema has `root`, and
    `selected`, the numbers of the selected clusters by id: the root may be one, and has no row. None if there is no
    tree.
    """
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


def near_duplicates_table(analysis: Analysis) -> pa.Table | None:
    """Return one row for each near-duplicate: its `duplicate_group` (0 is the largest), the document that represents
    the group, and the distance to it in the metric of the clustering; sorted by group, then by distance.

    None without a map: both need the nearest neighbours of the documents.
    """
    duplicates, ids = analysis.outcome.duplicates, analysis.ids
    if duplicates is None:
        return None
    away = duplicates.away**2 / 2 if analysis.outcome.distance_metric == "cosine" else duplicates.away
    rows = np.flatnonzero(duplicates.labels >= 0)
    stands = duplicates.representatives[duplicates.labels[rows]]
    order = np.lexsort((rows, away[rows], rows != stands, duplicates.labels[rows]))
    return pa.table(
        {
            "document_id": pa.array([ids[row] for row in rows[order]], pa.string()),
            "duplicate_group": pa.array(duplicates.labels[rows][order], pa.int32()),
            "representative_id": pa.array([ids[row] for row in stands[order]], pa.string()),
            "distance": pa.array(away[rows][order], pa.float32()),
        }
    )


def layers_table(analysis: Analysis) -> pa.Table | None:
    """Return one row for each document: the id of its cluster in each layer, `layer_0` the coarsest, null for none.

    The metadata of the schema has the `chosen` layer and the `reason`. None if the method has one granularity.
    """
    layers = analysis.outcome.layers
    if layers is None:
        return None
    columns = {f"layer_{number}": _ids_of_rows(layer) for number, layer in enumerate(analysis.layers)}
    table = pa.table({"document_id": pa.array(analysis.ids, pa.string()), **columns})
    return table.replace_schema_metadata({"chosen": str(layers.chosen), "reason": layers.reason})


def hierarchy_table(analysis: Analysis) -> pa.Table | None:
    """Return one row for each cluster of each layer, coarse to fine and largest first: `layer`, `cluster_id`, `label`,
    `keywords`, `size`, `share` of all documents, `parent` (an id of the layer above, null at the top), whether the
    layer is the `chosen` one, and representative documents, with short texts. None if the method has one
    granularity."""
    layers = analysis.outcome.layers
    if layers is None:
        return None
    rows = [
        (number, layer.chosen, cluster) for number, layer in enumerate(analysis.layers) for cluster in layer.clusters
    ]
    texts = pa.list_(pa.string())
    table = pa.table(
        {
            "layer": pa.array([number for number, _, _ in rows], pa.int32()),
            "cluster_id": pa.array([cluster.cluster_id for _, _, cluster in rows], pa.string()),
            "label": pa.array([cluster.label for _, _, cluster in rows], pa.string()),
            "keywords": pa.array([list(cluster.keywords) for _, _, cluster in rows], texts),
            "size": pa.array([cluster.size for _, _, cluster in rows], pa.int64()),
            "share": pa.array([cluster.share for _, _, cluster in rows], pa.float64()),
            "parent": pa.array([cluster.parent for _, _, cluster in rows], pa.string()),
            "chosen": pa.array([chosen for _, chosen, _ in rows], pa.bool_()),
            "representative_ids": pa.array([list(cluster.representatives) for _, _, cluster in rows], texts),
            "examples": pa.array([list(cluster.examples) for _, _, cluster in rows], texts),
            **name_columns([cluster for _, _, cluster in rows]),
        }
    )
    return table.replace_schema_metadata({"reason": layers.reason})


def _ids_of_rows(layer: NamedLayer) -> pa.Array:
    """Return (n,) cluster ids, dictionary-encoded; null if a row is in no cluster of the layer."""
    ids = pa.array([cluster.cluster_id for cluster in layer.clusters], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(layer.labels, pa.int32(), mask=layer.labels < 0), ids)


def further_tables(analysis: Analysis) -> dict[str, pa.Table]:
    """Return the tables besides members and centroids, by name."""
    tables = {
        "condensed_tree": condensed_tree_table(analysis),
        "near_duplicates": near_duplicates_table(analysis),
        "layers": layers_table(analysis),
        "hierarchy": hierarchy_table(analysis),
    }
    return {name: table for name, table in tables.items() if table is not None}


def centroids_table(analysis: Analysis) -> pa.Table:
    """Return one row for each cluster: id, label, keywords, size, similarities, medoid and representative ids, vector,
    with HDBSCAN up to 10 exemplar ids, x, y (z); then one row for each group above them."""
    outcome, clusters = analysis.outcome, analysis.clusters
    vectors = pa.array(outcome.input_centroids().ravel())
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
        **name_columns(clusters),
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
    table = pa.table(columns)
    return pa.concat_tables([table, _groups_table(analysis, table)]) if analysis.groups else table


def _groups_table(analysis: Analysis, clusters: pa.Table) -> pa.Table:
    """Return one row for each group above the clusters, with the same columns: means of the vectors and coordinates,
    and representatives of its clusters, largest first."""
    outcome, groups = analysis.outcome, analysis.groups
    parts = [group.clusters for group in groups]
    vectors = pa.array(weighted_means(outcome.centroids, outcome.sizes, parts).ravel(), pa.float32())
    filled: dict[str, pa.Array] = {
        "cluster_id": pa.array([group.group_id for group in groups], pa.string()),
        "cluster_label": pa.array([group.label for group in groups], pa.string()),
        "keywords": pa.array([list(group.keywords) for group in groups], pa.list_(pa.string())),
        "num_members": pa.array([group.size for group in groups], pa.int64()),
        "representative_ids": pa.array(
            [
                [id for n in part for id in analysis.clusters[n].representatives[:1]][:_REPRESENTATIVES]
                for part in parts
            ],
            pa.list_(pa.string()),
        ),
        "vector": pa.FixedSizeListArray.from_arrays(vectors, max(outcome.centroids.shape[1], 1)),
        "parent_cluster_id": pa.array([group.parent for group in groups], pa.string()),
        **name_columns(groups),
    }
    for axis, values in zip("xyz", weighted_means(_centres(outcome), outcome.sizes, parts).T, strict=False):
        filled[axis] = pa.array(np.ascontiguousarray(values), pa.float32())
    empty = pa.nulls(len(groups))
    columns = [filled.get(field.name, empty).cast(field.type) for field in clusters.schema]
    return pa.table(columns, schema=clusters.schema)


def _centres(outcome: Outcome) -> Points:
    """Return the mean map coordinates of the members of each cluster, (k, 2 or 3) float32."""
    coordinates = outcome.coordinates
    if coordinates is None:
        return np.zeros((outcome.clusters, 0), np.float32)
    inside = outcome.labels >= 0
    sums = np.zeros((outcome.clusters, coordinates.shape[1]))
    np.add.at(sums, outcome.labels[inside], coordinates[inside])
    return (sums / np.maximum(outcome.sizes, 1)[:, None]).astype(np.float32)


def _by_label(analysis: Analysis, values: Sequence[str], noise: str | None) -> pa.Array:
    """Return a dictionary-encoded column with `values[label]`, and `noise` for noise."""
    labels = analysis.outcome.labels
    dictionary = [*values, noise] if noise is not None else list(values)
    indices = np.where(labels == NOISE, len(values), labels)
    mask = None if noise is not None else labels == NOISE
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32(), mask=mask), pa.array(dictionary, pa.string()))

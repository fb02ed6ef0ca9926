"""A clustering as tables to join: one row per document, per cluster, or per representative."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.analysis.named_clusters import Analysis, NamedCluster
from shoal.analysis.tables import members_table
from shoal.errors import ShoalError
from shoal.library.input.document_ids import DocumentIds
from shoal.library.input.pandas_index import restore_index
from shoal.tables import decode_dictionaries

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = [
    "as_pandas",
    "as_polars",
    "clusters_table",
    "documents_table",
    "representatives_table",
]


def documents_table(analysis: Analysis, ids: DocumentIds) -> pa.Table:
    """Return one row per document, in input order: document_id, cluster_id (`cl_noise` for noise), cluster_label
    (null there), strength, x, y."""
    members = ids.restore_table(members_table(analysis))
    names = {"membership_strength": "strength"}
    columns = [name for name in members.column_names if name not in ("distance_to_centroid", "outlier_score")]
    return members.select(columns).rename_columns([names.get(name, name) for name in columns])


def clusters_table(clusters: Sequence[NamedCluster], ids: DocumentIds) -> pa.Table:
    """Return one row per cluster, largest first.

    The columns are cluster_id, cluster_label, keywords, summary, source, score and coverage of the label, size, share
    of all documents, similarities to the centroid, examples, medoid_id, representative_ids.
    """
    texts, id = pa.list_(pa.string()), ids.type
    return pa.table(
        {
            "cluster_id": pa.array([cluster.cluster_id for cluster in clusters], pa.string()),
            "cluster_label": pa.array([cluster.label for cluster in clusters], pa.string()),
            "keywords": pa.array([list(cluster.keywords) for cluster in clusters], texts),
            "summary": pa.array([cluster.summary for cluster in clusters], pa.string()),
            "source": pa.array([cluster.source for cluster in clusters], pa.string()),
            "score": pa.array([cluster.score for cluster in clusters], pa.float64()),
            "coverage": pa.array([cluster.coverage for cluster in clusters], pa.float64()),
            "size": pa.array([cluster.size for cluster in clusters], pa.int64()),
            "share": pa.array([cluster.share for cluster in clusters], pa.float64()),
            "mean_cosine_similarity": pa.array([cluster.mean_similarity for cluster in clusters], pa.float64()),
            "min_cosine_similarity": pa.array([cluster.min_similarity for cluster in clusters], pa.float64()),
            "examples": pa.array([list(cluster.examples) for cluster in clusters], texts),
            "medoid_id": pa.array([cluster.medoid for cluster in clusters], id),
            "representative_ids": pa.array([list(cluster.representatives) for cluster in clusters], pa.list_(id)),
        }
    )


def representatives_table(analysis: Analysis, ids: DocumentIds, texts: Sequence[str] | None) -> pa.Table:
    """Return one row per representative, nearest to the centroid first.

    The columns are cluster_id, cluster_label, rank from 1, document_id, and its whole text, null where no texts were
    kept.
    """
    chosen = [rows.tolist() for rows in analysis.outcome.representatives]
    numbers = [number for number, rows in enumerate(chosen) for _ in rows]
    rows = [row for rows in chosen for row in rows]
    clusters = analysis.clusters
    return pa.table(
        {
            "cluster_id": pa.array([clusters[number].cluster_id for number in numbers], pa.string()),
            "cluster_label": pa.array([clusters[number].label for number in numbers], pa.string()),
            "rank": pa.array([rank for rows in chosen for rank in range(1, len(rows) + 1)], pa.int32()),
            "document_id": pa.array([ids.values[row] for row in rows], ids.type),
            "text": pa.array([None if texts is None else texts[row] for row in rows], pa.string()),
        }
    )


def as_pandas(table: pa.Table, index: object = None) -> "pd.DataFrame":
    """Convert to a pandas data frame, with this index where it has as many rows.

    Raises ShoalError where pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ShoalError("to_pandas needs pandas, which is not installed: pip install pandas.") from None
    frame: pd.DataFrame = decode_dictionaries(table).to_pandas()  # categoricals reject the values of fillna
    if isinstance(index, pa.Table):
        index = restore_index(index)
    if isinstance(index, pd.Index) and len(index) == len(frame):
        frame.index = index
    return frame


def as_polars(table: pa.Table) -> "pl.DataFrame":
    """Convert to a polars data frame. Raises ShoalError where polars is not installed."""
    try:
        import polars as pl
    except ImportError:
        raise ShoalError("to_polars needs polars, which is not installed: pip install polars.") from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame), "a table has columns"
    return frame

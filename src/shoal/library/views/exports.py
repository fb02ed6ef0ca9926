"""A clustering as tables that data frames join: one row a document, a cluster, or a document that stands for one."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.analysis.named_clusters import Analysis, NamedCluster
from shoal.analysis.tables import members_table
from shoal.errors import ShoalError
from shoal.library.input.document_ids import DocumentIds
from shoal.tables import decode_dictionaries

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = [
    "as_pandas",
    "as_polars",
    "clusters_table",
    "documents_table",
    "index_of",
    "index_table",
    "representatives_table",
]


def documents_table(analysis: Analysis, ids: DocumentIds) -> pa.Table:
    """One row a document, in the order given: document_id, cluster_id (`cl_noise` for noise), cluster_label (null
    there), strength, x, y."""
    members = ids.table(members_table(analysis))
    names = {"membership_strength": "strength"}
    kept = [name for name in members.column_names if name not in ("distance_to_centroid", "outlier_score")]
    return members.select(kept).rename_columns([names.get(name, name) for name in kept])


def clusters_table(clusters: Sequence[NamedCluster], ids: DocumentIds) -> pa.Table:
    """One row a cluster, largest first: cluster_id, cluster_label, keywords, size, share of all documents, similarities
    to the centroid, examples, medoid_id, representative_ids."""
    texts, id = pa.list_(pa.string()), ids.type
    return pa.table(
        {
            "cluster_id": pa.array([one.cluster_id for one in clusters], pa.string()),
            "cluster_label": pa.array([one.label for one in clusters], pa.string()),
            "keywords": pa.array([list(one.keywords) for one in clusters], texts),
            "size": pa.array([one.size for one in clusters], pa.int64()),
            "share": pa.array([one.share for one in clusters], pa.float64()),
            "mean_cosine_similarity": pa.array([one.mean_similarity for one in clusters], pa.float64()),
            "min_cosine_similarity": pa.array([one.min_similarity for one in clusters], pa.float64()),
            "examples": pa.array([list(one.examples) for one in clusters], texts),
            "medoid_id": pa.array([one.medoid for one in clusters], id),
            "representative_ids": pa.array([list(one.representatives) for one in clusters], pa.list_(id)),
        }
    )


def representatives_table(analysis: Analysis, ids: DocumentIds, texts: Sequence[str] | None) -> pa.Table:
    """One row a document that stands for a cluster, nearest to the centroid first: cluster_id, cluster_label, rank from
    1, document_id, and its whole text, null where no texts were kept."""
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


def index_table(index: Any) -> pa.Table | None:
    """The index of a pandas data frame as columns, to be saved; None where there is none, or it is of no Arrow type."""
    if index is None or isinstance(index, pa.Table):
        return index
    try:
        levels = [pa.array(index.get_level_values(level), from_pandas=True) for level in range(index.nlevels)]
        names = json.dumps([name if isinstance(name, str) else None for name in index.names])
        return pa.table(dict(zip(map(str, range(len(levels))), levels, strict=True)), metadata={"names": names})
    except (pa.ArrowException, TypeError, ValueError):
        return None


def index_of(table: pa.Table) -> "pd.Index[Any]":
    import pandas as pd

    names, frame = json.loads(table.schema.metadata[b"names"]), table.to_pandas()
    found: pd.Index[Any] = pd.Index(frame["0"]).rename(names[0])
    return pd.MultiIndex.from_frame(frame, names=names) if len(names) > 1 else found


def as_pandas(table: pa.Table, index: object = None) -> "pd.DataFrame":
    """The table as a data frame of pandas, under this index where it has as many rows. Raises ShoalError where pandas
    is not installed."""
    try:
        import pandas as pd
    except ImportError:
        raise ShoalError("to_pandas needs pandas, which is not installed: pip install pandas.") from None
    frame: pd.DataFrame = decode_dictionaries(table).to_pandas()  # categories refuse what fillna gives them
    if isinstance(index, pa.Table):
        index = index_of(index)
    if isinstance(index, pd.Index) and len(index) == len(frame):
        frame.index = index
    return frame


def as_polars(table: pa.Table) -> "pl.DataFrame":
    """The table as a data frame of polars. Raises ShoalError where polars is not installed."""
    try:
        import polars as pl
    except ImportError:
        raise ShoalError("to_polars needs polars, which is not installed: pip install polars.") from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame), "a table has columns"
    return frame

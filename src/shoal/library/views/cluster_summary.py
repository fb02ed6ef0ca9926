"""The records of a clustering's summary: a cluster as JSON, and the caller's columns beside its members."""

from typing import Any

import pyarrow as pa

from shoal.analysis.named_clusters import NamedCluster

__all__ = ["append_columns", "summarize_cluster", "summarize_link"]


def append_columns(members: pa.Table, columns: pa.Table) -> pa.Table:
    """Append columns to the members; one with a name in use becomes `file_NAME`."""
    for name, values in zip(columns.column_names, columns.columns, strict=True):
        members = members.append_column(f"file_{name}" if name in members.column_names else name, values)
    return members


def summarize_link(cluster: NamedCluster) -> dict[str, Any]:
    """Return what links a cluster to others."""
    return {"cluster_id": cluster.cluster_id, "label": cluster.label, "size": cluster.size, "parent": cluster.parent}


def summarize_cluster(cluster: NamedCluster) -> dict[str, Any]:
    """Return everything about a cluster, ready for JSON."""
    return {
        "cluster_id": cluster.cluster_id,
        "label": cluster.label,
        "keywords": list(cluster.keywords),
        "parent": cluster.parent,
        "size": cluster.size,
        "share": round(cluster.share, 6),
        "mean_cosine_similarity": round(cluster.mean_similarity, 6),
        "min_cosine_similarity": round(cluster.min_similarity, 6),
        "medoid": cluster.medoid,
        "representatives": list(cluster.representatives),
        "examples": list(cluster.examples),
    }

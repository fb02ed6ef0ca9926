"""Parts of what a clustering says of itself: a cluster in its summary, the caller's columns beside its members."""

from typing import Any

import pyarrow as pa

from shoal.analysis.named_clusters import NamedCluster

__all__ = ["described", "linked", "with_columns"]


def with_columns(members: pa.Table, kept: pa.Table) -> pa.Table:
    """The members with further columns; one that is called like another is `file_NAME`."""
    for name, column in zip(kept.column_names, kept.columns, strict=True):
        members = members.append_column(f"file_{name}" if name in members.column_names else name, column)
    return members


def linked(one: NamedCluster) -> dict[str, Any]:
    """What links a cluster to others."""
    return {"cluster_id": one.cluster_id, "label": one.label, "size": one.size, "parent": one.parent}


def described(one: NamedCluster) -> dict[str, Any]:
    """All that is known of a cluster, ready for JSON."""
    return {
        "cluster_id": one.cluster_id,
        "label": one.label,
        "keywords": list(one.keywords),
        "parent": one.parent,
        "size": one.size,
        "share": round(one.share, 6),
        "mean_cosine_similarity": round(one.mean_similarity, 6),
        "min_cosine_similarity": round(one.min_similarity, 6),
        "medoid": one.medoid,
        "representatives": list(one.representatives),
        "examples": list(one.examples),
    }

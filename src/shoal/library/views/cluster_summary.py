"""The records of a clustering's summary: a cluster as JSON, and the caller's columns beside its members."""

import platform
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from shoal.analysis.named_clusters import NamedCluster
from shoal.engine.layers.layers import Layers
from shoal.library.views.exploration import Exploration

__all__ = ["append_columns", "summarize_clustering"]


def append_columns(members: pa.Table, columns: pa.Table) -> pa.Table:
    """Append columns to the members; one with a name in use becomes `file_NAME`."""
    for name, values in zip(columns.column_names, columns.columns, strict=True):
        members = members.append_column(f"file_{name}" if name in members.column_names else name, values)
    return members


def _summarize_link(cluster: NamedCluster) -> dict[str, Any]:
    """Return what links a cluster to others."""
    return {"cluster_id": cluster.cluster_id, "label": cluster.label, "size": cluster.size, "parent": cluster.parent}


def _summarize_cluster(cluster: NamedCluster) -> dict[str, Any]:
    """Return everything about a cluster, ready for JSON."""
    return {
        "cluster_id": cluster.cluster_id,
        "label": cluster.label,
        "keywords": list(cluster.keywords),
        "summary": cluster.summary,
        "source": cluster.source,
        "score": _round(cluster.score),
        "coverage": _round(cluster.coverage),
        "evidence": list(cluster.evidence),
        "parent": cluster.parent,
        "size": cluster.size,
        "share": round(cluster.share, 6),
        "mean_cosine_similarity": round(cluster.mean_similarity, 6),
        "min_cosine_similarity": round(cluster.min_similarity, 6),
        "medoid": cluster.medoid,
        "representatives": list(cluster.representatives),
        "examples": list(cluster.examples),
    }


def summarize_clustering(clustering: Exploration) -> dict[str, object]:
    """Return the content of `Clustering.summary`."""
    outcome, plan, encoder = clustering.analysis.outcome, clustering.plan, clustering.encoder
    columns = {"vector": clustering.vector_column, "encoder": encoder, "id": clustering.id_column}
    return {
        "documents": len(outcome.labels),
        "num_clusters": len(clustering.clusters),
        "noise": clustering.analysis.noise,
        **{name: column for name, column in columns.items() if column},
        "text": list(clustering.text_columns),
        "algorithm": plan.algorithm,
        "parameters": dict(outcome.params),
        "normalize": plan.normalize,
        "centroid_method": plan.centroid_method,
        "sample_size": plan.sample_size,
        "fitted": outcome.fitted,
        "seed": plan.seed,
        "distance_metric": outcome.distance_metric,
        "exact": outcome.exact,
        **({} if outcome.layers is None else {"layers": _describe_layers(clustering, outcome.layers)}),
        "metrics": dict(outcome.metrics),
        "warnings": list(clustering.warnings),
        "seconds": round(clustering.seconds, 3),
        "versions": {
            "shoal": version("shoal"),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        },
        "clusters": [_summarize_cluster(cluster) for cluster in clustering.clusters],
    }


def _describe_layers(clustering: Exploration, layers: Layers) -> dict[str, Any]:
    """Why there are these layers, and the clusters of each; of those of the chosen one what links them to others,
    since the rest stands under `clusters`."""
    named = [
        [_summarize_cluster(cluster) if not layer.chosen else _summarize_link(cluster) for cluster in layer.clusters]
        for layer in clustering.layers
    ]
    return {**layers.summary(), "named": named}


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 4)

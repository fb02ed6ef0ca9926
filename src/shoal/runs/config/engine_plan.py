"""The engine's plan for a run."""

from collections.abc import Mapping
from typing import Any, Final

from shoal.engine.plan import Plan
from shoal.records.clusters.cluster import Cluster
from shoal.records.queries.filters import Filter, parse_filter

__all__ = ["SEED", "documents_of", "plan_of"]

SEED: Final = 42
"""The default seed of runs (contract.md#sampling-and-seed)."""


def documents_of(cluster: Cluster, request: Mapping[str, Any]) -> Filter:
    """Return the filter of a run: its own, else that of the cluster."""
    raw = request.get("filters")
    return parse_filter(cluster.filters if raw is None else raw)


def plan_of(cluster: Cluster, request: Mapping[str, Any], *, normalize: bool, threads: int) -> Plan:
    """Build the engine's plan for a run of a cluster, with the overrides of `request`."""
    return Plan(
        algorithm=cluster.algorithm,
        params=cluster.algorithm_params,
        normalize=normalize,
        centroid_method=cluster.effective_feature_method or "mean",
        sample_size=request.get("sample_size", cluster.sample_size),
        hierarchy_depth=(cluster.max_hierarchy_depth or 3) if cluster.hierarchical_vector else 1,
        components=request.get("vis_n_components") or cluster.vis_n_components or 2,
        layout_stability=request.get("layout_stability") or cluster.layout_stability or "none",
        seed=SEED,
        threads=threads,
    )

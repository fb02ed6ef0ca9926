"""The request of a run: its differences from the cluster, as they are stored with the run."""

from collections.abc import Mapping
from typing import Any, Final

from shoal.engine.features.preprocessing import check_steps
from shoal.errors import InvalidField
from shoal.records.clusters.cluster import Cluster
from shoal.records.queries.filters import parse_filter
from shoal.records.runs.execution import ExecuteCluster

__all__ = ["build_request"]

_OVERRIDES: Final = (
    "filters",
    "sample_size",
    "vis_n_components",
    "defer_visualization",
    "layout_stability",
    "text_fields",
)
_SDK_THRESHOLD: Final = 0.5
"""The default that the official SDK sends with every execution."""


def build_request(cluster: Cluster, body: ExecuteCluster, visible: Mapping[str, Any]) -> dict[str, Any]:
    """Build the request of a run; `visible` is that of the run whose results are visible. Raises InvalidField."""
    if body.mode != "assign" and body.assignment_threshold not in (None, _SDK_THRESHOLD):
        value = body.assignment_threshold
        raise InvalidField("assignment_threshold", "needs mode 'assign'", value=value, remedy="Leave it out.")
    if cluster.cluster_type == "attribute":
        for name in ("sample_size", "vis_n_components", "layout_stability"):
            if getattr(body, name) is not None:
                problem = "is for vector clusters alone: groups by values take every document and have no map"
                raise InvalidField(name, problem, value=getattr(body, name), remedy="Leave it out.")
    return {
        **_override_fields(cluster, body),
        **(_assignment_fields(cluster, body, visible) if body.mode == "assign" else {}),
    }


def _override_fields(cluster: Cluster, body: ExecuteCluster) -> dict[str, Any]:
    """Return the fields of a run that override the cluster's. Raises InvalidField."""
    if body.mode == "composite":
        problem = "is not available in this version"
        raise InvalidField("mode", problem, value=body.mode, remedy="Use 'full' or 'assign'.")
    if body.source_execution_ids:
        raise InvalidField("source_execution_ids", "composite runs are not available in this version")
    parse_filter(body.filters)
    request = {name: value for name in _OVERRIDES if (value := getattr(body, name)) is not None}
    facets = cluster.facets if body.facets is None else body.facets
    if body.mode != "assign" and (facets or body.facets is not None):  # what the run was asked for, whatever changes
        request["facets"] = [facet.model_dump() for facet in facets or ()]
    if body.llm_labeling is not None:
        request["llm_labeling"] = body.llm_labeling.readable_by_sdk().as_sent()
    return request


def _assignment_fields(cluster: Cluster, body: ExecuteCluster, visible: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run that assigns documents to the visible results. Raises InvalidField where it cannot."""
    problem = None
    if cluster.current_run_id is None:
        problem = "needs results to assign to"
    elif cluster.cluster_type == "attribute":
        problem = "is for vector clusters: groups by values take new documents with every execution"
    elif cluster.multi_feature_strategy == "independent" or check_steps(cluster.preprocessing_steps or [], "steps"):
        problem = "does not go with independent features or preprocessing steps"
    elif visible.get("facets"):
        problem = "does not go with facets, by which the visible results were made"
    if problem is not None:
        raise InvalidField("mode", problem, value="assign", remedy="Execute with mode 'full'.")
    for name in ("filters", "sample_size", "vis_n_components", "layout_stability", "text_fields", "facets"):
        if getattr(body, name) is not None:
            raise InvalidField(name, "has no meaning with mode 'assign'", value=getattr(body, name), remedy="Omit it.")
    threshold = body.assignment_threshold or 0.0
    return {"mode": "assign", "assignment_threshold": threshold, "assigned_to": cluster.current_run_id}

"""The groups of a cluster as they are answered, in one layer or in several."""

from typing import Any

from pydantic import Field

from shoal.records.base import Record
from shoal.records.clusters.label_source import LabelSource, Representative

__all__ = ["ClusterGroup", "ClusterGroups", "ClusterLayer"]


class ClusterGroup(Record):
    """One group of the visible run."""

    cluster_id: str
    label: str | None = None
    summary: str | None = None
    keywords: list[str] | None = None
    member_count: int
    parent_cluster_id: str | None = None
    """The group that this one is in, where there is a hierarchy."""
    feature: str | None = None
    """The feature that was clustered, where features are clustered apart."""
    attributes: dict[str, Any] | None = None
    """The values that make the group, where fields are grouped."""
    label_source: LabelSource = "words"
    label_model: str | None = None
    label_score: float | None = None
    label_coverage: float | None = None
    label_evidence: list[Representative] = Field(default_factory=list)
    label_details: dict[str, Any] | None = None


class ClusterLayer(Record):
    """One granularity that `auto` found: its groups, each in one of the layer before (`parent_cluster_id`)."""

    layer: int
    """0 is the coarsest."""
    chosen: bool
    """Whether its groups are those of the run."""
    feature: str | None = None
    groups: list[ClusterGroup]


class ClusterGroups(Record):
    """ClusterGroupsResponse, with `layers` beside it."""

    cluster_id: str
    run_id: str | None
    total_groups: int
    total_documents: int
    groups: list[ClusterGroup]
    layers: list[ClusterLayer] | None = None
    """Of `auto`, from coarse to fine; null for other methods, and for runs that assigned documents."""

"""What came out of a run, as the routes of executions answer it: members, centroids, maps, exports."""

from typing import Literal

from pydantic import ConfigDict, Field

from shoal.records.base import Record, Timestamp
from shoal.records.queries.paging import Pagination
from shoal.records.runs.execution import Centroid, Execution, RunStatus

__all__ = [
    "CancelledRun",
    "ExecutionList",
    "ExecutionListStats",
    "ExportedTable",
    "LabelledRun",
    "MapCentroid",
    "MapMember",
    "MapMembers",
    "Member",
    "NamedRun",
    "RunData",
    "Visualization",
]


class ExecutionListStats(Record):
    """Numbers about all runs of the cluster."""

    total_executions: int
    executions_by_status: dict[str, int]
    avg_execution_time_ms: float
    total_documents_clustered: int
    avg_num_clusters: float


class ExecutionList(Record):
    """ListClusterExecutionsResponse."""

    results: list[Execution]
    pagination: Pagination
    total_count: int
    stats: ExecutionListStats | None = None


class CancelledRun(Record):
    """The answer to a cancel."""

    success: bool
    cluster_id: str
    run_id: str
    status: RunStatus
    task_id: str


class LabelledRun(Record):
    """PatchExecutionLabelsResponse: all labels that people gave."""

    cluster_id: str
    run_id: str
    label_overrides: dict[str, str]
    documents_relabelled: int
    """Documents of enriched and output collections that hold the new labels by now."""
    warnings: list[str]


class NamedRun(Record):
    """PatchExecutionRunNameResponse."""

    cluster_id: str
    run_id: str
    run_name: str | None


class ExportedTable(Record):
    """Where to download an export."""

    url: str
    download_url: str
    format: Literal["parquet"]
    expires_at: Timestamp
    size_bytes: int
    row_count: int


class Member(Record):
    """A document and the cluster it is in: a row of the table `members`. Which columns there are depends on the method:
    groups by values have neither distances nor places."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    document_id: str
    collection_id: str
    cluster_id: str
    cluster_label: str | None
    distance_to_centroid: float | None = None
    membership_strength: float | None = None
    outlier_score: float | None = None
    feature: str | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    coordinates: list[float]


class RunData(Record):
    """Centroids and members of a run."""

    cluster_id: str
    run_id: str
    parquet_path: str
    members_key: str
    centroids: list[Centroid]
    members: list[Member]
    total_clusters: int
    total_members: int
    next_cursor: str | None


class MapCentroid(Record):
    """A cluster on the map."""

    cluster_id: str
    cluster_label: str | None
    num_members: int
    x: float | None
    y: float | None
    z: float | None


class MapMember(Record):
    """A document on the map."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    document_id: str
    cluster_id: str
    x: float | None = None
    y: float | None = None
    z: float | None = None


class MapMembers(Record):
    """The same as columns, with `compact`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    document_ids: list[str]
    cluster_ids: list[str]
    x: list[float] = Field(default_factory=list)
    y: list[float] = Field(default_factory=list)
    z: list[float] = Field(default_factory=list)


class Visualization(Record):
    """The map of a run; `feature` and `features` only where features were clustered apart."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    cluster_id: str
    run_id: str
    dimensions: int
    feature: str = ""
    features: list[str] = Field(default_factory=list)
    total_points: int
    sampled_points: int
    centroids: list[MapCentroid]
    members: list[MapMember] | MapMembers

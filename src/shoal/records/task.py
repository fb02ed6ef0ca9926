"""Tasks: the upstream API's view of long-running work."""

from typing import Any, Final, Literal

from pydantic import Field

from shoal.records.base import Record, Timestamp

__all__ = ["TERMINAL", "Status", "Task", "TaskType"]

Status = Literal["PENDING", "PROCESSING", "COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"]
"""The upper-case states of clusters and tasks that Shoal emits: a subset every SDK version knows."""

TaskType = Literal["engine_cluster_build", "api_collections_documents_bulk_update"]
"""The closed enum of the SDK, as far as Shoal makes such tasks."""

TERMINAL: Final[frozenset[Status]] = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"})


class Task(Record):
    """A TaskResponse (contract.md#the-records). It belongs to the organisation (contract.md#addresses-and-headers)."""

    schema_version: int = 1
    task_id: str
    task_type: TaskType
    status: Status = "PENDING"
    inputs: list[Any] = Field(default_factory=list)
    outputs: list[Any] = Field(default_factory=list)
    additional_data: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    error_message: str | None = None
    created_at: Timestamp
    updated_at: Timestamp

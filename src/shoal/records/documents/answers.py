"""What the document routes answer. These models only describe: documents stay plain objects on their way."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from shoal.records.base import Effect, Record
from shoal.records.queries.paging import Pagination

__all__ = [
    "AggregatedGroups",
    "BatchDeleted",
    "BatchUpdated",
    "BulkUpdated",
    "DistinctList",
    "Document",
    "DocumentCount",
    "DocumentGroup",
    "DocumentList",
]


class Internal(Record):
    """What Shoal keeps beside a document's own fields; with `select` only what was chosen."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    internal_id: str = ""
    namespace_id: str = ""
    document_id: str = ""
    collection_id: str = ""
    created_at: str = Field("", json_schema_extra={"format": "date-time"})
    updated_at: str = Field("", json_schema_extra={"format": "date-time"})
    lineage: dict[str, Any] = Field(default_factory=dict)


class Document(Record):
    """DocumentResponse: the document's own fields stand beside these. `vectors` only where they were asked for."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    document_id: str
    collection_id: str
    vectors: dict[str, list[float]] = Field(default_factory=dict)
    internal: Internal = Field(default_factory=Internal, alias="_internal")


class DocumentGroup(Record):
    """The documents of one page that share a value."""

    group_key: Any
    documents: list[Document]
    count: int


class DocumentListStats(Record):
    """Numbers about a page; those of groups only where documents were grouped."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    total_documents: int | None
    total_groups: int = 0
    avg_documents_per_group: float = 0.0


class DocumentList(Record):
    """ListDocumentsResponse; `groups` and `group_by_field` only where documents were grouped."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    results: list[Document]
    pagination: Pagination
    total_documents: int | None
    stats: DocumentListStats
    groups: list[DocumentGroup] = Field(default_factory=list)
    group_by_field: str = ""


class DocumentCount(Record):
    """How many documents a collection holds."""

    collection_id: str
    count: int


class DistinctValue(Record):
    """A value of a field, and how many documents have it."""

    value: Any
    count: int


class DistinctList(Record):
    """DistinctValuesResponse."""

    field: str
    values: list[DistinctValue]
    total_distinct: int


class AggregatedGroup(Record):
    """One group and the numbers about it, each by its alias."""

    group: dict[str, Any]
    metrics: dict[str, Any]


class AggregatedGroups(Record):
    """DocumentAggregationResponse."""

    results: list[AggregatedGroup]
    total_groups: int


class Outcome(Record):
    """What became of one document of a batch."""

    document_id: str
    success: bool
    error: str | None


class BatchUpdated(Record):
    """BatchUpdateDocumentsResponse; `results` only where documents were named by id."""

    updated_count: int
    failed_count: int
    results: list[Outcome] | None
    message: str


class BatchDeleted(Record):
    """BatchDeleteDocumentsResponse; `results` only where documents were named by id."""

    status: Literal["COMPLETED"]
    deleted_count: int
    failed_count: int
    results: list[Outcome] | None
    message: str


class BulkUpdated(Effect):
    """BulkUpdateDocumentsResponse. It is done when it is answered, so there is no task."""

    task_id: None
    status: Literal["COMPLETED"]
    updated_count: int
    message: str

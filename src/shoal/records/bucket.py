"""Buckets and their objects: where documents come from. Shoal keeps them for lineage and extracts nothing from them."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from shoal.records.base import Body, Done, Flag, Kept, Record, Timestamp
from shoal.records.queries.paging import Pagination

__all__ = [
    "OWN_FIELDS",
    "BatchObject",
    "Blob",
    "Bucket",
    "BucketList",
    "BucketObject",
    "BucketSchema",
    "CreateBlob",
    "CreateBucket",
    "CreateObject",
    "CreateObjects",
    "CreatedObjects",
    "DeletedBucket",
    "FieldType",
    "ObjectList",
    "ObjectStats",
    "PatchBucket",
    "PatchObject",
    "SchemaField",
]

FieldType = Literal[
    "string", "number", "integer", "float", "boolean", "object", "array", "date", "datetime", "text", "image", "audio",
    "video", "pdf", "excel",
]  # fmt: skip
"""BucketSchemaFieldType; the SDK refuses any other in an answer."""


class SchemaField(Body):
    """BucketSchemaField. What else was sent is kept."""

    model_config = ConfigDict(extra="allow")

    type: FieldType
    required: Flag | None = False
    default: Any = None
    items: "SchemaField | None" = None
    properties: "dict[str, SchemaField] | None" = Field(None, max_length=1000)
    examples: list[Any] | None = None
    description: str | None = None
    enum: list[Any] | None = None


class BucketSchema(Body):
    """The fields that objects of a bucket may have; shown, not enforced."""

    model_config = ConfigDict(extra="allow")

    properties: dict[str, SchemaField] = Field(max_length=1000)


class UniqueKey(Body):
    """UniqueKeyConfig: kept and shown; not enforced: objects may have the same key."""

    fields: list[str] = Field(min_length=1, max_length=100)
    default_policy: Literal["insert", "update", "upsert"] | None = None


class Bucket(Record):
    """BucketResponse. The counters change in the same transaction as the objects they count."""

    schema_version: int = 1
    bucket_id: str
    bucket_name: str
    description: str | None = None
    bucket_schema: Kept[BucketSchema] = None
    unique_key: Kept[UniqueKey] = None
    metadata: dict[str, Any] | None = None
    storage_class: str | None = None
    object_count: int = 0
    failed_object_count: int = 0
    total_size_bytes: int = 0
    status: Literal["ACTIVE"] = "ACTIVE"
    is_locked: bool = False
    created_at: Timestamp
    updated_at: Timestamp
    last_upload_at: Timestamp | None = None
    warnings: list[str] = Field(default_factory=list)
    """What was tolerated in the request that made or changed this bucket."""


class BucketList(Record):
    """ListBucketsResponse."""

    results: list[Bucket]
    pagination: Pagination
    total_count: int
    stats: dict[str, Any] | None = None


class DeletedBucket(Done):
    """The answer to `DELETE /buckets/{id or name}`."""

    bucket_id: str


class _BucketBody(Body):
    UNUSED: ClassVar[Mapping[str, str]] = {
        "destination": "Shoal keeps what it stores in its own data folder",
        "ingest_filter": "Shoal has no retrievers",
        "source_adapter": "Shoal fetches nothing by itself",
    }

    description: str | None = Field(None, max_length=2000)
    metadata: dict[str, Any] | None = None
    storage_class: Literal["standard", "nearline", "coldline", "archive"] | None = None
    unique_key: UniqueKey | None = None


class CreateBucket(_BucketBody):
    """Body of `POST /buckets`."""

    bucket_name: str
    bucket_schema: BucketSchema


class PatchBucket(_BucketBody):
    """Body of `PATCH` and `PUT /buckets/{id or name}`; only what is sent changes."""

    bucket_name: str | None = None
    bucket_schema: BucketSchema | None = None


_NO_DUPLICATES: Final = "is not available; an idempotency_key makes an object once, however often it is sent"
_NO_MIRROR: Final = "is not available: Shoal stores addresses as they were sent and mirrors nothing"
OWN_FIELDS: Final = frozenset(
    {"bucket_id", "consistency", "created_at", "document_count", "error", "object_id", "object_index", "replayed",
     "replayed_by", "schema_version", "size_bytes", "source_details", "status", "updated_at"}
)  # fmt: skip
"""Names that an object's own fields cannot have: Shoal or the official SDK gives them a meaning."""


class CreateBlob(Body):
    """CreateBlobRequest: a piece of content, given as a value or an address. Shoal stores it as given."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = {"force_remirror": _NO_MIRROR}

    property: str = Field(min_length=1, max_length=100)
    type: FieldType
    key_prefix: str | None = None
    data: Any = None
    upload_id: str | None = None
    checksum: str | None = None
    metadata: dict[str, Any] | None = None
    canonicalize_source: Flag | None = None


class Edge(Body):
    """EdgeModel: a relation to another object. What else was sent is kept."""

    model_config = ConfigDict(extra="allow")

    type: str
    target_object_id: str
    target_collection_id: str | None = None
    direction: Literal["out", "in"] | None = None
    attributes: dict[str, Any] | None = None


class Blob(Record):
    """BlobModel: `properties` holds data and metadata together."""

    blob_id: str
    property: str
    type: FieldType
    key_prefix: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)


class BucketObject(Record):
    """ObjectResponse; the object's own fields stand beside these."""

    model_config = ConfigDict(extra="allow")

    schema_version: int = 1
    object_id: str
    bucket_id: str
    key_prefix: str | None = None
    blobs: list[Blob] = Field(default_factory=list)
    edges: Kept[list[Edge]] = None
    status: Literal["COMPLETED"] = "COMPLETED"
    error: str | None = None
    idempotency_key: str | None = None
    size_bytes: int = 0
    created_at: Timestamp
    updated_at: Timestamp


class ObjectStats(Record):
    """Numbers about one page of objects."""

    total_objects: int
    total_blobs: int
    avg_blobs_per_object: float


class ObjectList(Record):
    """ListObjectsResponse."""

    results: list[BucketObject]
    pagination: Pagination
    stats: ObjectStats | None = None


class BatchObject(BucketObject):
    """An object of a batch and its place there."""

    object_index: int


class CreatedObjects(Record):
    """The answer to `POST /buckets/{b}/objects/batch`. All or none are stored, so nothing ever fails alone."""

    succeeded: list[BatchObject]
    failed: list[dict[str, Any]]
    total_requested: int
    succeeded_count: int
    failed_count: int


class CreateObject(Body):
    """Body of `POST /buckets/{b}/objects`. Unknown keys are the object's own fields."""

    model_config = ConfigDict(extra="allow")
    UNAVAILABLE: ClassVar[Mapping[str, str]] = {"force_remirror": _NO_MIRROR, "skip_duplicates": _NO_DUPLICATES}

    key_prefix: str | None = Field(None, max_length=1024)
    blobs: list[CreateBlob] | None = Field(None, max_length=1000)
    edges: list[Edge] | None = Field(None, max_length=1000)
    canonicalize_source: Flag | None = None
    idempotency_key: str | None = Field(None, max_length=255)


class CreateObjects(Body):
    """Body of `POST /buckets/{b}/objects/batch`."""

    objects: list[CreateObject] = Field(max_length=1000)


class PatchObject(Body):
    """Body of `PATCH` and `PUT /buckets/{b}/objects/{o}`: `metadata` and unknown keys are merged into the object."""

    model_config = ConfigDict(extra="allow")
    UNAVAILABLE: ClassVar[Mapping[str, str]] = {"skip_duplicates": _NO_DUPLICATES}

    key_prefix: str | None = Field(None, max_length=1024)
    blobs: list[CreateBlob] | None = Field(None, max_length=1000)
    edges: list[Edge] | None = Field(None, max_length=1000)

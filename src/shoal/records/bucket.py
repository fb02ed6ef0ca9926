"""Buckets and their objects: where documents come from. Shoal keeps them for lineage and extracts nothing from them."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from shoal.records.base import Body, Done, Flag, Record, Timestamp
from shoal.records.paging import Pagination

__all__ = [
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


class BucketSchema(Body):
    """The fields objects of a bucket may have; told, not enforced."""

    model_config = ConfigDict(extra="allow")

    properties: dict[str, SchemaField] = Field(max_length=1000)


class Bucket(Record):
    """BucketResponse. The counters change in the same transaction as the objects they count."""

    schema_version: int = 1
    bucket_id: str
    bucket_name: str
    description: str | None = None
    bucket_schema: BucketSchema | None = None
    unique_key: dict[str, Any] | None = None
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
    description: str | None = Field(None, max_length=2000)
    metadata: dict[str, Any] | None = None
    storage_class: Literal["standard", "nearline", "coldline", "archive"] | None = None


class CreateBucket(_BucketBody):
    """Body of `POST /buckets`."""

    bucket_name: str
    bucket_schema: BucketSchema
    unique_key: dict[str, Any] | None = None


class PatchBucket(_BucketBody):
    """Body of `PATCH` and `PUT /buckets/{id or name}`; only what is sent changes."""

    bucket_name: str | None = None
    bucket_schema: BucketSchema | None = None


class CreateBlob(Body):
    """CreateBlobRequest: a piece of content, given as a value or an address. Shoal stores it as told."""

    property: str = Field(min_length=1, max_length=100)
    type: FieldType
    key_prefix: str | None = None
    data: Any = None
    upload_id: str | None = None
    metadata: dict[str, Any] | None = None


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

    key_prefix: str | None = Field(None, max_length=1024)
    blobs: list[CreateBlob] | None = Field(None, max_length=1000)
    skip_duplicates: Flag | None = None
    canonicalize_source: Flag | None = None
    force_remirror: Flag | None = None
    idempotency_key: str | None = Field(None, max_length=255)


class CreateObjects(Body):
    """Body of `POST /buckets/{b}/objects/batch`."""

    objects: list[CreateObject] = Field(max_length=1000)


class PatchObject(Body):
    """Body of `PATCH` and `PUT /buckets/{b}/objects/{o}`: `metadata` and unknown keys are merged into the object."""

    model_config = ConfigDict(extra="allow")

    key_prefix: str | None = Field(None, max_length=1024)
    skip_duplicates: Flag | None = None

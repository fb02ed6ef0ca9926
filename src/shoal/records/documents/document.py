"""Documents on the wire: the bodies that create and change them, and the JSON object they are stored as.

Stored: `{...own fields at the root, "metadata": {...}, "_internal": {"lineage": {...}}}` (contract.md#filters). Vectors
are stored separately. `_internal` is never taken from a caller.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError, WithJsonSchema

from shoal.errors import InvalidField
from shoal.records.base import Body, Described, Flag, Integral
from shoal.records.queries.filter_body import Filters
from shoal.records.queries.paging import ListBody

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "RESERVED",
    "RESULT_FIELDS",
    "TYPED_FIELDS",
    "AggregateDocuments",
    "Aggregation",
    "BatchDelete",
    "BatchUpdate",
    "BulkUpdate",
    "CreateDocument",
    "DistinctValues",
    "DocumentUpdate",
    "GroupField",
    "Having",
    "ListDocuments",
    "UpsertDocuments",
    "byo_payload",
    "check_fields",
    "check_lineage",
    "check_typed",
    "internal_of",
    "own_fields",
]

RESERVED: Final = frozenset({"document_id", "collection_id", "vectors", "_internal", "_shoal"})
"""Payload keys reserved by Shoal; values that a caller sends under them are ignored."""

RESULT_FIELDS: Final = frozenset({"cluster_id", "cluster_label", "label_source", "label_model", "label_details"})
"""Fields with results of a clustering by their names alone: their text never names clusters."""

MAX_PAYLOAD_BYTES: Final = 2**20
"""Maximum size of a document's JSON, in bytes."""


class BlobUrl(Body):
    """BlobURLRef, one of a document's `document_blobs`. What else was sent is kept."""

    model_config = ConfigDict(extra="allow")

    field: str
    role: Literal["source", "processed", "thumbnail", "artifact", "aux"] | None = None
    type: Literal["video", "image", "audio", "text", "pdf", "other"] | None = None
    url: str
    filename: str | None = None
    size_bytes: Annotated[int, Strict(), Field(ge=0)] | None = None
    content_type: str | None = None
    checksum: str | None = None
    created_at: datetime | None = None
    source_blob_id: str | None = None
    presigned_url: str | None = Field(None, min_length=1)
    unavailable_reason: str | None = None


TYPED_FIELDS: Final[Mapping[str, TypeAdapter[Any]]] = MappingProxyType(
    {
        "document_blobs": TypeAdapter(list[BlobUrl] | None),
        "vector_hydration_incomplete": TypeAdapter(Flag | None),
        "searchable_at": TypeAdapter(str | None),
        "_vectors": TypeAdapter(list[str] | None),
    }
)
"""Fields of a document that the official SDK parses with a type: any other value would break its parser."""

LineageSource = Literal["bucket", "collection", "direct_upsert", "signal"]
_LINEAGE: Final[Mapping[str, str]] = {
    "root_object_id": "root_object_id",
    "root_bucket_id": "root_bucket_id",
    "source_type": "source_type",
    "source_object_id": "source_object_id",
    "source_document_id": "source_document_id",
    "source_collection_id": "source_collection_id",
    "lineage_path": "path",
    "lineage_chain": "chain",
}
_KEPT: Final = ("content_hash", "document_schema_version", "features")
_LISTED: Final = frozenset({"lineage_chain", "features"})
"""Lists of objects; every other field of a document's lineage is text."""


class _Lineage(Body):
    root_object_id: str | None = None
    root_bucket_id: str | None = None
    source_type: LineageSource | None = None
    source_object_id: str | None = None
    source_document_id: str | None = None
    source_collection_id: str | None = None
    lineage_path: str | None = None
    lineage_chain: list[dict[str, Any]] | None = None
    content_hash: str | None = None
    document_schema_version: str | None = None
    features: list[dict[str, Any]] | None = None


_VECTORS: Final = {
    "type": "object",
    "description": "Numbers by the name of the vector; they are kept as float32.",
    "additionalProperties": {"type": "array", "items": {"type": "number"}, "minItems": 1},
}
Vectors = Annotated[Any, WithJsonSchema(_VECTORS)]
"""Checked by `records/documents/vectors.py`, a whole batch at once."""


class CreateDocument(_Lineage):
    """DocumentCreateRequest. Unknown keys are the document's own fields; `document_id` is our extension."""

    model_config = ConfigDict(extra="allow")

    document_id: str | None = None
    metadata: dict[str, Any] | None = None
    vectors: Vectors | None = None


class SentDocument(_Lineage):
    """BYODocument. `payload` holds its own fields, and so do unknown keys; `acl` is accepted and not stored."""

    model_config = ConfigDict(extra="allow")

    document_id: str = Field(min_length=1, max_length=255)
    vectors: Vectors
    payload: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    acl: Any = None


class UpsertOptions(Body):
    """`idempotency_key` is another place for the header Idempotency-Key; `write_token` is accepted for the SDK's sake,
    since an upsert is visible once it was answered."""

    write_token: Flag | None = None
    idempotency_key: str | None = Field(None, max_length=255)


class UpsertDocuments(Body):
    """BYOUpsertRequest. The documents stay plain objects, since a model each would cost more than storing them."""

    collection_id: str | None = None
    documents: list[Annotated[Any, Described(SentDocument)]] = Field(max_length=1000)
    options: UpsertOptions | None = None


class ListDocuments(ListBody):
    """ListDocumentsRequest."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = {
        **ListBody.UNAVAILABLE,
        "expand": "is not available: Shoal has no references between documents",
        "return_presigned_urls": "is not available: Shoal stores addresses as they were sent",
    }

    return_vectors: Flag | None = None
    return_vector_names: Flag | list[str] | None = None
    select: list[str] | None = Field(None, max_length=1000)
    group_by: str | None = Field(None, max_length=512)
    partition: dict[str, Any] | None = None


class DocumentUpdate(Body):
    document_id: str
    update_data: dict[str, Any]


class BatchUpdate(Body):
    """BatchUpdateDocumentsRequest: either `updates`, or `filters` and `update_data`."""

    updates: list[DocumentUpdate] | None = Field(None, min_length=1, max_length=1000)
    filters: Filters | None = None
    update_data: dict[str, Any] | None = None


class BulkUpdate(Body):
    """BulkUpdateDocumentsRequest; without filters every document is meant."""

    filters: Filters | None = None
    update_data: dict[str, Any]


class BatchDelete(Body):
    """BatchDeleteDocumentsRequest: either ids or filters."""

    document_ids: list[str] | None = Field(None, min_length=1, max_length=1000)
    filters: Filters | None = None
    reason: str | None = Field(None, max_length=500)


class DistinctValues(Body):
    """DistinctValuesRequest."""

    field: str = Field(min_length=1, max_length=512)
    filters: Filters | None = None
    limit: Annotated[int, Field(ge=1, le=10_000), Integral] | None = None


class GroupField(Body):
    """A field to group by; `alias` is its name in the answer."""

    field: str = Field(min_length=1, max_length=512)
    alias: str | None = None
    date_trunc: str | None = None
    date_part: str | None = None


class Aggregation(Body):
    """One number (or list) per group. `field` may be left out for `count` only."""

    function: Literal[
        "count", "count_distinct", "sum", "avg", "min", "max", "first", "last", "push", "add_to_set"
    ]  # fmt: skip
    field: str | None = Field(None, max_length=512)
    alias: str = Field(min_length=1, max_length=255)
    distinct_field: str | None = Field(None, max_length=512)


class Having(Body):
    """A test on an aggregated value, named by its alias."""

    field: str
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte"]
    value: int | float | str | bool


class AggregateDocuments(Body):
    """DocumentAggregationRequest."""

    group_by: list[GroupField] | None = Field(None, max_length=16)
    aggregations: list[Aggregation] = Field(min_length=1, max_length=64)
    filters: Filters | None = None
    having: list[Having] | None = Field(None, max_length=16)
    unwind: str | None = Field(None, max_length=512)
    range_buckets: list[Any] | None = None
    sort_by: str | None = None
    sort_direction: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=100_000), Integral] | None = None


def internal_of(sent: Mapping[str, Any], default_source: str | None = None) -> dict[str, Any]:
    """Build `_internal` of a new document: its lineage, and the fields that upstream stores beside it."""
    lineage = {other: sent[name] for name, other in _LINEAGE.items() if sent.get(name) is not None}
    if default_source is not None:
        lineage.setdefault("source_type", default_source)
    other = {name: sent[name] for name in _KEPT if sent.get(name) is not None}
    return {"lineage": lineage, **other} if lineage else other


def check_lineage(sent: Mapping[str, Any], path: str) -> None:
    """Raise InvalidField for lineage fields with the wrong type of value."""
    for name in {*_LINEAGE, *_KEPT} & sent.keys():
        value, listed = sent[name], name in _LISTED
        if value is None:
            continue
        if not isinstance(value, list if listed else str):
            raise InvalidField(f"{path}.{name}", "must be a list" if listed else "must be text", value=value)
        for position, item in enumerate(value if listed else ()):
            if not isinstance(item, dict):
                raise InvalidField(f"{path}.{name}[{position}]", "must be an object", value=item)
    if sent.get("source_type") not in (None, *get_args(LineageSource)):
        raise InvalidField(
            f"{path}.source_type",
            "is unknown",
            value=sent["source_type"],
            remedy=f"Use one of: {', '.join(get_args(LineageSource))}.",
        )


def check_typed(fields: Mapping[str, Any], path: str = "") -> None:
    """Raise InvalidField if a field that the official SDK parses with a type has another one.

    `path` is the prefix of the name in the message, with its dot.
    """
    for name in TYPED_FIELDS.keys() & fields.keys():
        try:
            TYPED_FIELDS[name].validate_python(fields[name])
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            raise InvalidField(
                f"{path}{name}{place}",
                f"{fault['msg']}: the official clients parse this field with a fixed type",
                value=fault["input"],
                remedy=f"Give the field another name, or put it under metadata, if it is not what they call {name}.",
            ) from None


def check_fields(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return the fields without reserved keys, checked by `check_typed`. Raises InvalidField."""
    own = own_fields(fields)
    check_typed(own, path)
    return own


def own_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without reserved keys."""
    return {name: value for name, value in fields.items() if name not in RESERVED}


def byo_payload(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Build the stored form of a BYODocument: `payload` at the root, `metadata`, and lineage under `_internal`.

    Unknown keys beside `payload` are fields of the document too; those of `payload` take precedence.
    """
    beside = {name: value for name, value in own_fields(sent).items() if name not in SentDocument.model_fields}
    fields = beside | own_fields(sent.get("payload") or {})
    if sent.get("metadata"):
        fields["metadata"] = {**(fields.get("metadata") or {}), **sent["metadata"]}
    return {**fields, "_internal": internal_of(sent, "direct_upsert")}

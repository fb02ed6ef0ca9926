"""Namespaces: the border within an organisation. Documents, collections and clusters live in exactly one."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from shoal.records.base import Body, Done, Flag, Integral, Record, Timestamp
from shoal.records.paging import Pagination

__all__ = [
    "CreateNamespace",
    "CreateStandaloneNamespace",
    "DeletedNamespace",
    "Metric",
    "Namespace",
    "NamespaceList",
    "NamespaceMode",
    "PatchNamespace",
    "VectorConfigSpec",
]

Metric = Literal["cosine", "euclidean", "dot_product"]
_METRIC_NAMES: Final = {"dot": "dot_product", "dotproduct": "dot_product", "ip": "dot_product", "l2": "euclidean"}
NamespaceMode = Literal["managed", "standalone"]
NamespaceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]
NamespaceName = Annotated[str, Field(min_length=3, max_length=64)]


class VectorConfigSpec(Body):
    """A vector index: its name, its dimensions, and how distances on it are meant."""

    name: str = Field(min_length=1, max_length=255)
    dimension: Annotated[int, Field(ge=1), Integral]
    metric: Metric = "cosine"

    @field_validator("metric", mode="before")
    @classmethod
    def accept_short_names(cls, value: object) -> object:
        """`dot`, as other vector stores and older pages call it, is `dot_product`."""
        return _METRIC_NAMES.get(value, value) if isinstance(value, str) else value


class Namespace(Record):
    """A namespace as stored and shown; a superset of NamespaceModel and StandaloneNamespaceResponseModel.

    The counts are filled where one namespace is asked for, null in lists.
    """

    schema_version: int = 1
    object: Literal["namespace"] = "namespace"
    namespace_id: str
    namespace_name: str
    organization_id: str
    mode: NamespaceMode = "managed"
    status: Literal["active"] = "active"
    description: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    feature_extractors: list[dict[str, Any]] = Field(default_factory=list)
    payload_indexes: list[dict[str, Any]] = Field(default_factory=list)
    vector_configs: list[VectorConfigSpec] = Field(default_factory=list)
    vector_inference_map: dict[str, str] = Field(default_factory=dict)
    auto_create_indexes: bool = False
    adaptive_indexing: bool = False
    namespace_ready: bool = True
    document_count: int | None = None
    bucket_count: int | None = None
    collection_count: int | None = None
    cluster_count: int | None = None
    created_at: Timestamp
    updated_at: Timestamp


class NamespaceList(Record):
    """The answer to both list routes."""

    results: list[Namespace]
    pagination: Pagination
    total_count: int


class DeletedNamespace(Done):
    """The answer to `DELETE /namespaces/{id or name}`."""

    namespace_id: str


class _NamespaceBody(Body):
    description: str | None = Field(None, max_length=2000)
    metadata: dict[str, Any] | None = None
    feature_extractors: list[dict[str, Any]] | None = Field(None, max_length=100)
    payload_indexes: list[dict[str, Any]] | None = Field(None, max_length=1000)
    vector_configs: list[VectorConfigSpec] | None = Field(None, max_length=100)
    auto_create_indexes: Flag | None = None
    adaptive_indexing: Flag | None = None


class CreateNamespace(_NamespaceBody):
    """Body of `POST /namespaces`."""

    namespace_id: NamespaceId | None = None
    namespace_name: NamespaceName
    mode: NamespaceMode = "managed"


class CreateStandaloneNamespace(_NamespaceBody):
    """Body of `POST /namespaces/standalone`: an id or a name, since one official client sends only the other."""

    namespace_id: NamespaceId | None = None
    namespace_name: NamespaceName | None = None


class PatchNamespace(_NamespaceBody):
    """Body of `PATCH` and `PUT /namespaces/{id or name}`; only what is sent changes."""

    namespace_name: NamespaceName | None = None

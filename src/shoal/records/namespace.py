"""Namespaces: the border within an organisation. Documents, collections and clusters live in exactly one."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from shoal.records.base import Body, Done, Flag, Integral, Readable, Record, Timestamp, Whole
from shoal.records.queries.paging import Pagination

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


class NamespaceExtractor(Body):
    """BaseFeatureExtractorModel: kept and shown. Its id is made from name and version, as upstream does."""

    feature_extractor_name: str = Field(min_length=1, max_length=255)
    version: str = Field(min_length=1, max_length=64)
    params: dict[str, Any] | None = None
    feature_extractor_id: str | None = None

    @model_validator(mode="after")
    def name_it(self) -> "NamespaceExtractor":
        """Whatever id was sent, it is that of name and version."""
        self.feature_extractor_id = f"{self.feature_extractor_name}_{self.version}"
        return self


class FieldSchema(Body):
    """The parameters of one payload index, as upstream's eight models have them together."""

    type: str | None = None
    tokenizer: Literal["word", "whitespace", "prefix", "multilingual"] | None = None
    min_token_len: Whole | None = None
    max_token_len: Whole | None = None
    lowercase: Flag | None = None
    lookup: Flag | None = None
    range: Flag | None = None
    is_tenant: Flag | None = None


class PayloadIndex(Body):
    """PayloadIndexConfig: kept and shown. Shoal filters by every field, so none has to be declared."""

    field_name: str = Field(min_length=1, max_length=512)
    type: Literal["keyword", "integer", "float", "bool", "geo", "datetime", "text", "uuid"]
    field_schema: FieldSchema | None = None
    is_protected: Flag | None = None


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
    feature_extractors: Annotated[list[NamespaceExtractor], Readable(NamespaceExtractor)] = Field(default_factory=list)
    payload_indexes: Annotated[list[PayloadIndex], Readable(PayloadIndex)] = Field(default_factory=list)
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
    warnings: list[str] = Field(default_factory=list)
    """What was tolerated in the request that made or changed this namespace."""


class NamespaceList(Record):
    """The answer to both list routes."""

    results: list[Namespace]
    pagination: Pagination
    total_count: int


class DeletedNamespace(Done):
    """The answer to `DELETE /namespaces/{id or name}`."""

    namespace_id: str


_ONE_MACHINE: Final = "Shoal keeps everything on its own machine, and all of it ready"
_NO_BILLS: Final = "Shoal counts no costs"


class _NamespaceBody(Body):
    UNUSED: ClassVar[Mapping[str, str]] = {
        "config": _ONE_MACHINE,
        "cost_cap_override": _NO_BILLS,
        "expires_at": "namespaces stay until they are deleted",
        "features": "Shoal extracts nothing: documents bring their vectors",
        "infrastructure": _ONE_MACHINE,
        "namespace_type": "all namespaces are of one kind",
        "pinned": _ONE_MACHINE,
        "repair_vectors": "there is nothing to repair; `shoal doctor` looks for damage",
        "scope": "a namespace belongs to its organisation",
        "spend_budget": _NO_BILLS,
        "storage": _ONE_MACHINE,
        "tiering": _ONE_MACHINE,
        "ttl_seconds": "namespaces stay until they are deleted",
    }
    UNAVAILABLE: ClassVar[Mapping[str, str]] = {
        "trusted_issuers": "is not available: callers are known by their API keys alone",
    }

    description: str | None = Field(None, max_length=2000)
    metadata: dict[str, Any] | None = None
    feature_extractors: list[NamespaceExtractor] | None = Field(None, max_length=100)
    payload_indexes: list[PayloadIndex] | None = Field(None, max_length=1000)
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

"""Collections: the documents that are clustered together, and what is known about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from shoal.records.base import Body, Done, Flag, Integral, Kept, Record, Timestamp, Whole
from shoal.records.bucket import BucketSchema
from shoal.records.queries.paging import Pagination
from shoal.records.text_encoding import EXTRACTOR, TextEncoding

__all__ = [
    "Collection",
    "CollectionFeatures",
    "CollectionList",
    "CollectionSource",
    "CollectionStats",
    "CollectionVectorIndex",
    "CreateCollection",
    "DeletedCollection",
    "FeatureDescriptor",
    "FeatureExtractor",
    "FeatureIndex",
    "PatchCollection",
    "SourceType",
]

SourceType = Literal["bucket", "collection", "taxonomy", "cluster", "direct_upsert", "signals", "none"]
_PLACEHOLDER: Final = "bring_your_own_vectors"


_USUAL_SOURCE: Final = 'Say {"type": "direct_upsert"} for a collection that documents are sent to.'


class CollectionSource(Body):
    """SourceConfig: what feeds a collection."""

    UNUSED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("source_namespace_id", "source_filters", "field_map"), "Shoal fills no collection by itself"
    )

    REQUIRED: ClassVar[Mapping[str, str]] = {"type": f"is required. {_USUAL_SOURCE}"}

    type: SourceType
    bucket_ids: list[str] | None = Field(None, min_length=1, max_length=1000)
    collection_id: str | None = None
    collection_ids: list[str] | None = Field(None, min_length=1, max_length=1000)
    inherited_bucket_ids: list[str] | None = None

    def buckets(self) -> list[str]:
        """Return its own and inherited buckets, without duplicates."""
        return list(dict.fromkeys([*(self.bucket_ids or []), *(self.inherited_bucket_ids or [])]))

    def collections(self) -> list[str]:
        """Return the collections it is fed from, without duplicates."""
        single = [] if self.collection_id is None else [self.collection_id]
        return list(dict.fromkeys([*single, *(self.collection_ids or [])]))


class FeatureExtractor(Body):
    """A FeatureExtractorConfig. `text_extractor` encodes texts; without one, a placeholder says that vectors are
    brought. Of `params`, `encoder` is the URI of an encoder that the operator permits, and `vector_name` the name of
    the vectors; `input_mappings` names the fields that are encoded."""

    UNUSED: ClassVar[Mapping[str, str]] = {
        "parameters": "say params",
        "field_passthrough": "documents keep all of their fields",
        "include_all_source_fields": "documents keep all of their fields",
    }

    feature_extractor_name: str = Field(_PLACEHOLDER, min_length=1, max_length=255)
    version: str = Field("v1", min_length=1, max_length=64)
    feature_extractor_id: str = f"{_PLACEHOLDER}_v1"
    params: dict[str, Any] | None = None
    input_mappings: dict[str, Any] | list[dict[str, Any]] | None = None

    @property
    def encodes(self) -> bool:
        """Whether it is the one that Shoal has."""
        return self.feature_extractor_name == EXTRACTOR

    def input_fields(self) -> list[str]:
        """Return the fields that `input_mappings` names: values of an object, or paths of a list."""
        mappings = self.input_mappings or {}
        if isinstance(mappings, list):
            sent = [item.get("path") for item in mappings]
        else:
            sent = [path for value in mappings.values() for path in (value if isinstance(value, list) else [value])]
        return [path.removeprefix("payload.") for path in dict.fromkeys(sent) if isinstance(path, str) and path]


class CollectionVectorIndex(Record):
    """A vector name of the namespace as a collection shows it; its feature URI is the bare name."""

    name: str
    feature_uri: str
    type: Literal["dense"] = "dense"
    index: dict[str, Any]
    source: Literal["namespace_vector_config"] = "namespace_vector_config"


class Collection(Record):
    """CollectionResponse. `vector_indexes` and `document_count` are filled in for answers and not kept."""

    schema_version: int = 1
    collection_id: str
    collection_name: str
    description: str | None = None
    source: CollectionSource
    feature_extractor: FeatureExtractor = FeatureExtractor()
    text_encoding: Kept[TextEncoding] = None
    """What encodes the texts of documents that come without the vector; null where documents bring their vectors."""
    input_schema: Kept[BucketSchema] = None
    output_schema: Kept[BucketSchema] = None
    enabled: bool = True
    metadata: dict[str, Any] | None = None
    lifecycle_state: Literal["active"] = "active"
    taxonomy_applications: list[dict[str, Any]] | None = None
    cluster_applications: list[dict[str, Any]] = Field(default_factory=list)
    generation: str = ""
    """The run whose documents an output collection shows; empty for collections that people fill."""
    superseded: dict[str, Timestamp] = Field(default_factory=dict)
    """Earlier generations that readers may still be paging through, and since when they are not shown."""
    vector_indexes: list[CollectionVectorIndex] | None = None
    document_count: int | None = None
    created_at: Timestamp
    updated_at: Timestamp
    warnings: list[str] = Field(default_factory=list)
    """What was tolerated in the request that made or changed this collection."""

    @property
    def storage_key(self) -> str:
        """The name of its documents in the document store."""
        return self.key_of(self.generation)

    def key_of(self, generation: str) -> str:
        """Return the storage key of one of its generations."""
        return f"{self.collection_id}@{generation}" if generation else self.collection_id

    def with_generation(self, generation: str, now: datetime) -> "Collection":
        """Return the collection with another visible generation."""
        same = not self.generation or generation == self.generation
        left = self.superseded if same else {**self.superseded, self.generation: now}
        return self.with_changes(generation=generation, superseded=left, updated_at=now)


class CollectionStats(Record):
    """Numbers about one page of collections."""

    total_documents: int
    avg_documents_per_collection: float


class CollectionList(Record):
    """ListCollectionsResponse."""

    results: list[Collection]
    pagination: Pagination
    total_count: int
    stats: CollectionStats | None = None


class DeletedCollection(Done):
    """The answer to `DELETE /collections/{id or name}`."""

    collection_id: str
    documents_deleted: int
    warnings: list[str]
    """A sentence for each cluster over the collection; none for a key that may not read."""


class FeatureIndex(Record):
    """The vectors behind a feature."""

    name: str
    description: str
    dimensions: int
    type: Literal["dense"]


class FeatureDescriptor(Record):
    """CollectionFeatureDescriptor: something documents can be clustered by."""

    feature_address: str
    feature_uri: str
    feature_extractor_name: str
    version: str
    vector_index: FeatureIndex
    primary: bool


class CollectionFeatures(Record):
    """The answer to `GET /collections/{id or name}/features`."""

    features: list[FeatureDescriptor]


class ClusterApplication(Body):
    """ClusterApplicationConfig, kept as sent."""

    cluster_id: str
    auto_execute_on_batch: Flag | None = True
    min_document_threshold: Whole | None = None
    cooldown_seconds: Whole | None = 3600
    execution_phase: Annotated[int, Field(ge=1, le=3), Integral] | None = 2
    priority: Annotated[int, Field(ge=0, le=1000), Integral] | None = 0


class _CollectionBody(Body):
    UNUSED: ClassVar[Mapping[str, str]] = {
        "alert_applications": "Shoal has no alerts",
        "embedding_task": "Shoal extracts nothing",
        "features": "Shoal extracts nothing: documents bring their vectors",
        "retriever_enrichments": "Shoal has no retrievers",
        "retriever_transform": "Shoal has no retrievers",
        "schedule": "triggers are not available yet",
        "taxonomy_applications": "taxonomies are not available yet",
    }

    description: str | None = Field(None, max_length=2000)
    metadata: dict[str, Any] | None = None
    enabled: Flag | None = None
    cluster_applications: list[ClusterApplication] | None = Field(None, max_length=100)


class CreateCollection(_CollectionBody):
    """Body of `POST /collections`. `metadata.vector_configs` declares vectors, as the SDK sends them."""

    REQUIRED: ClassVar[Mapping[str, str]] = {"source": f"is required. {_USUAL_SOURCE}"}

    collection_name: str
    source: CollectionSource
    feature_extractor: FeatureExtractor | None = None
    input_schema: BucketSchema | None = None


class PatchCollection(_CollectionBody):
    """Body of `PATCH /collections/{id or name}`; only what is sent changes."""

    collection_name: str | None = None

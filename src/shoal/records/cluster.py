"""A cluster: the job that groups documents, its configuration and the state of its latest run.

One record serves `ClusterMetadata` and `ClusterModel` of the contract (appendix): it is the superset of both, and the
SDK ignores keys it does not know.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, computed_field, model_validator

from shoal.records.base import Body, Done, Flag, Integral, Number, Record, Timestamp, Whole
from shoal.records.guide_names import specified_spelling
from shoal.records.labeling import Labeling, StoredLabeling, TextFields
from shoal.records.queries.filter_body import Filters
from shoal.records.queries.paging import Pagination
from shoal.records.queries.parameter_places import right_place
from shoal.records.task import Status

__all__ = [
    "RESERVED_NAMES",
    "AttributeConfig",
    "Cluster",
    "ClusterList",
    "ClusterListStats",
    "CreateCluster",
    "DeletedCluster",
    "EnrichClusters",
    "Enriched",
    "EnrichmentMapping",
    "PatchCluster",
    "SourceEnrichment",
    "VectorConfig",
]

RESERVED_NAMES: Final = frozenset({"list", "enrich", "triggers", "execute", "jobs", "templates"})
"""Words the routes use where a cluster's name could stand (contract 2)."""

ClusteringMethod = Literal[
    "kmeans", "dbscan", "hdbscan", "agglomerative", "spectral", "gaussian_mixture", "mean_shift", "optics", "leiden",
    "evoc", "attribute_based", "auto",
]  # fmt: skip


SampleSize = Annotated[int, Field(ge=2, le=1_000_000), Integral]


class EnrichmentMapping(Body):
    """Copy a result field into a field of the source document."""

    source_field: str = Field(min_length=1, max_length=255)
    target_field: str = Field(min_length=1, max_length=255)


class SourceEnrichment(Body):
    field_mappings: list[EnrichmentMapping] | None = None


class FaceClusterMerge(Body):
    """FaceClusterMergeConfig: kept and shown, and not carried out."""

    enabled: Flag | None = True
    centroid_cosine_threshold: Number | None = Field(0.55, ge=0, le=1)
    bbox_iou_threshold: Number | None = Field(0.4, ge=0, le=1)
    scene_jaccard_threshold: Number | None = Field(0.3, ge=0, le=1)
    bbox_field: str | None = "bbox"
    frame_field: str | None = "frame_number"
    scene_field: str | None = "scene_id"


class VectorConfig(Body):
    """VectorBasedConfig: which vectors, which method, how the result is described."""

    REQUIRED: ClassVar[Mapping[str, str]] = {
        "clustering_method": 'is required. Say "auto", which needs no parameters, or another method by its name.'
    }

    feature_uri: str | None = None
    feature_uris: list[str] | None = Field(default=None, min_length=1)
    feature_extractor_name: str | None = None
    version: str | None = None
    output_name: str | None = None
    """With the two before: a feature URI in its three parts, as older clients send it."""
    clustering_method: ClusteringMethod
    sample_size: SampleSize | None = None
    kmeans_parameters: dict[str, Any] | None = None
    dbscan_parameters: dict[str, Any] | None = None
    hdbscan_parameters: dict[str, Any] | None = None
    algorithm_params: dict[str, Any] | None = None
    multi_feature_strategy: Literal["concatenate", "independent", "weighted"] | None = "concatenate"
    normalize_features: Flag | None = True
    feature_weights: dict[str, Number] | None = None
    weight_learning_config: dict[str, Any] | None = None
    output_strategy: Literal["single", "per_feature"] | None = "single"
    effective_feature_method: Literal["mean", "median", "medoid"] | None = "mean"
    enrich_source: Flag | None = False
    face_cluster_merge: FaceClusterMerge | None = None
    preprocessing_steps: list[dict[str, Any]] | None = None
    hierarchical: Flag | None = False
    max_hierarchy_depth: Annotated[int, Field(ge=1, le=5), Integral] | None = 3
    vis_n_components: Literal[2, 3] | None = 2
    layout_stability: Literal["none", "transform", "align"] | None = None

    @classmethod
    def unknown(cls, name: str, value: object, known: list[str]) -> str:
        return right_place(name, known) or super().unknown(name, value, known)

    def features(self) -> list[str]:
        """The feature URIs as sent; the deprecated single one counts, whole or in parts."""
        if self.feature_uris or self.feature_uri:
            return self.feature_uris or [self.feature_uri or ""]
        if self.output_name is None:
            return []
        extractor, version = self.feature_extractor_name, self.version
        whole = extractor is not None and version is not None
        return [f"mixpeek://{extractor}@{version}/{self.output_name}" if whole else self.output_name]

    def params_of(self, method: str) -> dict[str, Any]:
        """The four places where parameters can stand, folded into one mapping; the method's own place wins."""
        own = {"kmeans": self.kmeans_parameters, "hdbscan": self.hdbscan_parameters, "dbscan": self.dbscan_parameters}
        return {**(self.algorithm_params or {}), **(own.get(method) or {})}


class AttributeConfig(Body):
    """AttributeBasedConfig: group by the values of fields."""

    attributes: list[str] = Field(min_length=1, max_length=10)
    hierarchical_grouping: Flag | None = False
    aggregation_method: Literal["most_frequent", "first", "last"] | None = "most_frequent"


class CreateCluster(Body):
    """CreateClusterRequest, with the names that guides use accepted as aliases (contract 5.4)."""

    collection_ids: list[str] | None = Field(default=None, min_length=1, max_length=100)
    source_cluster_ids: list[str] | None = None
    cluster_name: str | None = None
    description: str | None = Field(default=None, max_length=10_000)
    metadata: dict[str, Any] | None = None
    cluster_type: Literal["vector", "attribute"] | None = "vector"
    vector_config: VectorConfig | None = None
    attribute_config: AttributeConfig | None = None
    filters: Filters | None = None
    llm_labeling: Labeling | None = None
    text_fields: TextFields | None = None
    """The fields that name the clusters; None lets the server choose those that read most like text."""
    enrich_source_collection: Flag | None = False
    source_enrichment_config: SourceEnrichment | None = None
    auto_execute_on_batch: Flag | None = False
    auto_execute_min_documents: Whole | None = None
    auto_execute_cooldown_seconds: Whole | None = 3600

    @classmethod
    def unknown(cls, name: str, value: object, known: list[str]) -> str:
        if name in VectorConfig.model_fields:
            return f"is not known. Did you mean vector_config.{name}?"
        return right_place(name, known, "vector_config.algorithm_params") or super().unknown(name, value, known)

    @classmethod
    def translated(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fold the names of the guide pages into those of the specification."""
        return _spoken_as_specified(dict(raw))


_VECTOR_ALIASES: Final = {
    "feature_addresses": "feature_uris",
    "algorithm": "clustering_method",
    "algorithm_config": "algorithm_params",
    "hierarchical": "hierarchical",
    "sample_size": "sample_size",
}


def _spoken_as_specified(raw: dict[str, Any]) -> dict[str, Any]:
    raw = specified_spelling(raw)
    for alias, name in (("source_collection_ids", "collection_ids"), ("input_collections", "collection_ids")):
        if alias in raw:
            raw.setdefault(name, raw.pop(alias))
    if raw.get("cluster_type") == "attribute":
        config = raw.get("attribute_config")
        if "hierarchical" in raw and isinstance(config, Mapping):
            raw["attribute_config"] = {"hierarchical_grouping": raw.pop("hierarchical"), **config}
        return raw
    given = {name: raw.pop(alias) for alias, name in _VECTOR_ALIASES.items() if alias in raw}
    config = raw.get("vector_config")
    if given and (config is None or isinstance(config, Mapping)):
        params = given.get("algorithm_params")
        if isinstance(params, Mapping) and "num_clusters" in params:
            given["algorithm_params"] = {"n_clusters": params["num_clusters"]} | {
                name: value for name, value in params.items() if name != "num_clusters"
            }
        raw["vector_config"] = {**given, **(config or {})}
    return raw


class EnrichClusters(Body):
    """ApplyClusterEnrichmentRequest (contract 2, row 20). `batch_size` and `parallelism` are accepted for older
    clients; batches are written in order."""

    clustering_ids: list[str] | None = Field(default=None, min_length=1, max_length=100)
    clustering_id: str | None = None
    source_collection_id: str
    target_collection_id: str | None = None
    batch_size: Annotated[int, Field(ge=1), Integral] = 1000
    parallelism: Annotated[int, Field(ge=1), Integral] = 1

    def clusters(self) -> list[str]:
        """Ids or names, each once."""
        single = [] if self.clustering_id is None else [self.clustering_id]
        return list(dict.fromkeys([*(self.clustering_ids or []), *single]))

    @model_validator(mode="after")
    def name_a_cluster(self) -> "EnrichClusters":
        """At least one cluster has to be named."""
        if not self.clusters():
            raise ValueError("clustering_ids is required: name at least one cluster")
        return self


_MAKE_ANEW: Final = "cannot be changed: make another cluster"
_FIXED: Final[Mapping[str, str]] = {
    "vector_config": f"{_MAKE_ANEW}, or send algorithm_params, sample_size, layout_stability or filters by themselves",
    **dict.fromkeys(
        ("attribute_config", "auto_execute_on_batch", "auto_execute_min_documents", "auto_execute_cooldown_seconds",
         "cluster_type", "collection_ids", "enrich_source_collection", "input_collections", "source_enrichment_config"),
        _MAKE_ANEW,
    ),
}  # fmt: skip


class PatchCluster(Body):
    """PatchClusterRequest. A key that is absent leaves its field alone; null clears, but leaves `sample_size` and
    `face_cluster_merge` (contract 6, row 23)."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = _FIXED

    cluster_name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    llm_labeling: Labeling | None = None
    text_fields: TextFields | None = None
    filters: Filters | None = None
    face_cluster_merge: FaceClusterMerge | None = None
    sample_size: SampleSize | None = None
    algorithm_params: dict[str, Any] | None = None
    source_cluster_ids: list[str] | None = None
    layout_stability: Literal["none", "transform", "align"] | None = None

    @classmethod
    def unknown(cls, name: str, value: object, known: list[str]) -> str:
        return right_place(name, known) or super().unknown(name, value, known)


class Cluster(Record):
    """All fields of the contract's seed page (5.1), those version E added, and ClusterModel's names for the same."""

    schema_version: int = 1
    cluster_id: str
    cluster_name: str
    description: str | None = None
    namespace_id: str
    organization_id: str
    input_collections: list[str]
    source_cluster_ids: list[str] | None = None
    source_bucket_ids: list[str] = Field(default_factory=list)
    filters: Filters | None = None
    cluster_type: Literal["vector", "attribute"]
    feature_uris: list[str] | None = None
    multi_feature_strategy: str | None = None
    feature_weights: dict[str, float] | None = None
    weight_learning_config: dict[str, Any] | None = None
    output_strategy: Literal["single", "per_feature"] | None = None
    output_features: list[str] | None = None
    """With `per_feature` the feature of each output collection."""
    learned_weights: dict[str, float] | None = None
    learning_quality_score: float | None = None
    effective_feature_method: Literal["mean", "median", "medoid"] | None = None
    normalize_features: bool = True
    face_cluster_merge: dict[str, Any] | None = None
    sample_size: int | None = None
    preprocessing_steps: list[dict[str, Any]] | None = None
    hierarchical_vector: bool | None = None
    max_hierarchy_depth: int | None = None
    vis_n_components: Literal[2, 3] | None = None
    layout_stability: Literal["none", "transform", "align"] | None = None
    clustered_attributes: list[str] | None = None
    hierarchical_grouping: bool | None = None
    aggregation_method: Literal["most_frequent", "first", "last"] | None = None
    output_collection_ids: list[str] = Field(default_factory=list)
    output_collection_names: list[str] = Field(default_factory=list)
    algorithm: str
    algorithm_params: dict[str, Any] = Field(default_factory=dict)
    enrich_source: bool = False
    source_enrichment_config: SourceEnrichment | None = None
    llm_labeling: StoredLabeling | None = None
    text_fields: list[str] | None = None
    num_clusters: int | None = None
    num_documents_clustered: int | None = None
    execution_time_seconds: float | None = None
    quality_metrics: dict[str, Any] | None = None
    hierarchy_detected: bool = False
    parent_cluster_id: str | None = None
    child_cluster_ids: list[str] | None = None
    hierarchy_relationships: list[dict[str, Any]] | None = None
    status: Status = "PENDING"
    error: str | None = None
    failure_category: str | None = None
    last_execution_task_id: str | None = None
    last_run_id: str | None = None
    created_at: Timestamp
    updated_at: Timestamp
    last_executed_at: Timestamp | None = None
    runs_started: int = 0
    """How many runs it has had, also those that failed: the `sequence` of the last one."""
    completed_at: Timestamp | None = None
    llm_labeling_errors: list[str] | None = None
    metadata: dict[str, Any] | None = None
    auto_execute_on_batch: bool = False
    auto_execute_min_documents: int | None = None
    auto_execute_cooldown_seconds: int | None = 3600
    warnings: list[str] = Field(default_factory=list)
    """What was tolerated in the request that made or changed this cluster."""
    current_run_id: str | None = None
    """The run whose results are visible: the one pointer that publishing flips."""
    noise_points: int | None = None

    def outputs(self) -> list[tuple[str, str | None]]:
        """The output collections, each with the feature whose groups it takes; None for all of them."""
        if self.output_strategy == "per_feature":
            return list(zip(self.output_collection_ids, self.output_features or [], strict=True))
        return [(id, None) for id in self.output_collection_ids]

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def internal_id(self) -> str:
        """The organisation, under the name some readers know."""
        return self.organization_id

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def collection_ids(self) -> list[str]:
        return self.input_collections

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def enrich_source_collection(self) -> bool:
        return self.enrich_source

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def task_id(self) -> str | None:
        return self.last_execution_task_id

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def cluster_stats(self) -> dict[str, Any] | None:
        """ClusterStats of ClusterModel; None before the first completed run."""
        if self.num_clusters is None:
            return None
        silhouette = (self.quality_metrics or {}).get("silhouette_score")
        return {
            "num_clusters": self.num_clusters,
            "noise_points": self.noise_points,
            "silhouette_score": silhouette,
        }

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def vector_config(self) -> dict[str, Any] | None:
        """The configuration in the shape in which it was sent."""
        if self.cluster_type != "vector":
            return None
        return {
            "feature_uris": self.feature_uris,
            "clustering_method": self.algorithm,
            "algorithm_params": self.algorithm_params,
            "sample_size": self.sample_size,
            "multi_feature_strategy": self.multi_feature_strategy,
            "normalize_features": self.normalize_features,
            "effective_feature_method": self.effective_feature_method,
            "enrich_source": self.enrich_source,
            "hierarchical": self.hierarchical_vector,
            "max_hierarchy_depth": self.max_hierarchy_depth,
            "vis_n_components": self.vis_n_components,
            "layout_stability": self.layout_stability,
        }

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def attribute_config(self) -> dict[str, Any] | None:
        """The configuration in the shape in which it was sent."""
        if self.cluster_type != "attribute":
            return None
        return {
            "attributes": self.clustered_attributes,
            "hierarchical_grouping": self.hierarchical_grouping,
            "aggregation_method": self.aggregation_method,
        }


class ClusterListStats(Record):
    """Numbers about all clusters of the namespace."""

    total_clusters: int
    total_documents: int
    avg_documents_per_cluster: float
    clusters_by_status: dict[str, int]


class ClusterList(Record):
    """ListClustersResponse."""

    results: list[Cluster]
    pagination: Pagination
    total_count: int
    stats: ClusterListStats | None = None


class DeletedCluster(Done):
    """The answer to `DELETE /clusters/{id or name}`; `deleted` counts what went with it."""

    cluster_id: str
    deleted: dict[str, int]


class Enriched(Record):
    """ApplyClusterEnrichmentResponse: how many members there were, and how many documents changed."""

    processed: int
    enriched: int
    failed: int
    batches: int

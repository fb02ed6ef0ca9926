"""A cluster: the job that groups documents, its configuration, and the state of its latest run.

One record serves `ClusterMetadata` and `ClusterModel` (contract.md#the-records): it is the superset of both, and the
SDK ignores keys it does not know.
"""

from typing import Any, Final, Literal

from pydantic import Field, computed_field

from shoal.records.base import Done, Record, Timestamp
from shoal.records.clusters.facets import Facet
from shoal.records.clusters.labeling import StoredLabeling
from shoal.records.clusters.requests import SourceEnrichment
from shoal.records.queries.filter_body import Filters
from shoal.records.queries.paging import Pagination
from shoal.records.task import Status

__all__ = [
    "RESERVED_NAMES",
    "Cluster",
    "ClusterList",
    "ClusterListStats",
    "DeletedCluster",
    "Enriched",
]

RESERVED_NAMES: Final = frozenset({"list", "enrich", "triggers", "execute", "jobs", "templates"})
"""Words the routes use where a cluster's name could stand (contract.md#cluster-routes)."""


class Cluster(Record):
    """What ClusterMetadata and ClusterModel hold, under all names (contract.md#the-records)."""

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
    llm_labeling: StoredLabeling = None
    facets: list[Facet] | None = None
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

"""Requests about clusters: to create, change and enrich them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from shoal.records.base import Body, Flag, Integral, Number, Whole
from shoal.records.clusters.facets import Facets
from shoal.records.clusters.guide_names import translate_guide_names
from shoal.records.clusters.labeling import Labeling, TextFields
from shoal.records.queries.filter_body import Filters
from shoal.records.queries.parameter_places import right_place

__all__ = [
    "AttributeConfig",
    "CreateCluster",
    "EnrichClusters",
    "EnrichmentMapping",
    "PatchCluster",
    "SourceEnrichment",
    "VectorConfig",
]

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
    def unknown(cls, name: str, value: object, accepted: list[str]) -> str:
        return right_place(name, accepted) or super().unknown(name, value, accepted)

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
    """CreateClusterRequest, with the names that guides use accepted as aliases (contract.md#names-from-the-guides)."""

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
    facets: Facets | None = None
    """Extension: questions that a language model answers about each document, to cluster the answers."""
    text_fields: TextFields | None = None
    """The fields that name the clusters; None lets the server choose those that read most like text."""
    enrich_source_collection: Flag | None = False
    source_enrichment_config: SourceEnrichment | None = None
    auto_execute_on_batch: Flag | None = False
    auto_execute_min_documents: Whole | None = None
    auto_execute_cooldown_seconds: Whole | None = 3600

    @classmethod
    def unknown(cls, name: str, value: object, accepted: list[str]) -> str:
        if name in VectorConfig.model_fields:
            return f"is not known. Did you mean vector_config.{name}?"
        return right_place(name, accepted, "vector_config.algorithm_params") or super().unknown(name, value, accepted)

    @classmethod
    def translate_names(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fold the names of the guide pages into those of the specification."""
        return _translate_guide_names(dict(raw))


_VECTOR_ALIASES: Final = {
    "feature_addresses": "feature_uris",
    "algorithm": "clustering_method",
    "algorithm_config": "algorithm_params",
    "hierarchical": "hierarchical",
    "sample_size": "sample_size",
}


def _translate_guide_names(raw: dict[str, Any]) -> dict[str, Any]:
    raw = translate_guide_names(raw)
    for alias, name in (("source_collection_ids", "collection_ids"), ("input_collections", "collection_ids")):
        if alias in raw:
            raw.setdefault(name, raw.pop(alias))
    if raw.get("cluster_type") == "attribute":
        config = raw.get("attribute_config")
        if "hierarchical" in raw and isinstance(config, Mapping):
            raw["attribute_config"] = {"hierarchical_grouping": raw.pop("hierarchical"), **config}
        return raw
    moved = {name: raw.pop(alias) for alias, name in _VECTOR_ALIASES.items() if alias in raw}
    config = raw.get("vector_config")
    if moved and (config is None or isinstance(config, Mapping)):
        params = moved.get("algorithm_params")
        if isinstance(params, Mapping) and "num_clusters" in params:
            moved["algorithm_params"] = {"n_clusters": params["num_clusters"]} | {
                name: value for name, value in params.items() if name != "num_clusters"
            }
        raw["vector_config"] = {**moved, **(config or {})}
    return raw


class EnrichClusters(Body):
    """ApplyClusterEnrichmentRequest (contract.md#enrichment). `batch_size` and `parallelism` are accepted for older
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
    `face_cluster_merge` (contract.md#changing-a-cluster)."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = _FIXED

    cluster_name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    llm_labeling: Labeling | None = None
    facets: Facets | None = None
    text_fields: TextFields | None = None
    filters: Filters | None = None
    face_cluster_merge: FaceClusterMerge | None = None
    sample_size: SampleSize | None = None
    algorithm_params: dict[str, Any] | None = None
    source_cluster_ids: list[str] | None = None
    layout_stability: Literal["none", "transform", "align"] | None = None

    @classmethod
    def unknown(cls, name: str, value: object, accepted: list[str]) -> str:
        return right_place(name, accepted) or super().unknown(name, value, accepted)

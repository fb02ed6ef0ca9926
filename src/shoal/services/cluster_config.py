"""From what a caller sent to what a cluster keeps: every choice checked at once, not when a run starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.engine import ALGORITHMS, check_params
from shoal.errors import InvalidField
from shoal.records.cluster import AttributeConfig, CreateCluster, EnrichmentMapping, SourceEnrichment, VectorConfig

__all__ = [
    "DEFAULT_MAPPINGS",
    "ENRICHABLE",
    "ClusterConfig",
    "check_config",
    "check_labeling",
    "check_mappings",
    "feature_name",
]

ENRICHABLE: Final = frozenset(
    {"cluster_id", "cluster_label", "distance_to_centroid", "member_count", "keywords", "x", "y", "z"}
)
"""What a field mapping may copy to a source document; also `metadata.<key>` of the cluster's metadata."""

DEFAULT_MAPPINGS: Final = tuple(
    EnrichmentMapping(source_field=name, target_field=name)
    for name in ("cluster_id", "cluster_label", "distance_to_centroid")
)
_RESERVED_TARGETS: Final = frozenset({"document_id", "collection_id", "vectors", "_internal", "_shoal"})
_SDK_MODELS: Final = frozenset(
    [
        "gpt-4o-2024-08-06",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-2025-04-14",
        "gpt-4.1-mini-2025-04-14",
        "o3-mini-2025-01-31",
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3.1-flash-lite",
        "gemini-3.5-flash-lite",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5-20251001",
        "claude-3-5-sonnet-20241022",
        "claude-3-5-haiku-20241022",
        "jev-latest",
        "jev-preview",
        "jev-1.13.0",
    ]
)
_SDK_PROVIDERS: Final = frozenset({"openai", "google", "anthropic", "typesafe"})


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Fields of the Cluster record that the configuration decides, and what was tolerated."""

    fields: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)


def check_config(body: CreateCluster, dimensions: Mapping[str, int]) -> ClusterConfig:
    """The checked configuration. `dimensions` are the namespace's vector names. Raises InvalidField."""
    if body.cluster_type == "attribute":
        if body.attribute_config is None:
            raise InvalidField("attribute_config", "is required for cluster_type 'attribute'")
        return _attribute(body.attribute_config)
    if body.vector_config is None:
        raise InvalidField("vector_config", "is required for cluster_type 'vector'")
    return _vector(body.vector_config, dimensions)


def _vector(config: VectorConfig, dimensions: Mapping[str, int]) -> ClusterConfig:
    method = config.clustering_method
    if method not in ALGORITHMS:
        raise InvalidField(
            "vector_config.clustering_method",
            "is not available in this version",
            value=method,
            remedy=f"Use one of {', '.join(sorted(ALGORITHMS))}.",
        )
    feature = _one_feature(config.features(), dimensions)
    _refuse_unbuilt(config)
    params, warnings = check_params(method, config.params_of(method))
    if config.face_cluster_merge is not None:
        warnings = [*warnings, "face_cluster_merge is kept and shown, but not executed."]
    return ClusterConfig(
        {
            "feature_uris": [feature],
            "algorithm": method,
            "algorithm_params": dict(params),
            "sample_size": config.sample_size,
            "multi_feature_strategy": config.multi_feature_strategy or "concatenate",
            "normalize_features": config.normalize_features is not False,
            "effective_feature_method": config.effective_feature_method or "mean",
            "face_cluster_merge": config.face_cluster_merge,
            "preprocessing_steps": config.preprocessing_steps,
            "hierarchical_vector": bool(config.hierarchical),
            "max_hierarchy_depth": config.max_hierarchy_depth or 3,
            "vis_n_components": config.vis_n_components or 2,
            "layout_stability": config.layout_stability,
        },
        list(warnings),
    )


def _refuse_unbuilt(config: VectorConfig) -> None:
    """Choices the contract knows and this version cannot honour are refused, never silently dropped."""
    for step in config.preprocessing_steps or []:
        if step.get("method", "none") != "none":
            raise InvalidField(
                "vector_config.preprocessing_steps", "are not available in this version", value=step.get("method")
            )


def _one_feature(features: list[str], dimensions: Mapping[str, int]) -> str:
    """The URI of the one feature, its vector known to the namespace."""
    path = "vector_config.feature_uris"
    known = ", ".join(sorted(dimensions)) or "none yet: store documents with vectors or declare vector_configs first"
    if not features:
        raise InvalidField(path, "is required for cluster_type 'vector'", remedy=f"Known features: {known}.")
    if len(features) > 1:
        raise InvalidField(path, "takes one feature in this version", value=features)
    if feature_name(features[0], dimensions) not in dimensions:
        raise InvalidField(path, "is no feature of this namespace", value=features[0], remedy=f"Known: {known}.")
    return features[0]


def feature_name(uri: str, dimensions: Mapping[str, int]) -> str:
    """The vector name a feature URI means: itself, or its last segment (contract 3.1)."""
    return uri if uri in dimensions else uri.rsplit("/", 1)[-1]


def _attribute(config: AttributeConfig) -> ClusterConfig:
    for position, name in enumerate(config.attributes):
        if not all(name.split(".")):
            raise InvalidField(f"attribute_config.attributes[{position}]", "must be a dotted path", value=name)
    if len(set(config.attributes)) < len(config.attributes):
        raise InvalidField("attribute_config.attributes", "names a field twice", value=config.attributes)
    return ClusterConfig(
        {
            "algorithm": "attribute_based",
            "clustered_attributes": config.attributes,
            "hierarchical_grouping": bool(config.hierarchical_grouping),
            "aggregation_method": config.aggregation_method or "most_frequent",
        }
    )


def check_mappings(body: CreateCluster) -> SourceEnrichment | None:
    """The field mappings, the default ones where none are given; None for a cluster that neither enriches by itself
    nor tells how it would. Raises InvalidField."""
    enrich = body.enrich_source_collection or (body.vector_config is not None and body.vector_config.enrich_source)
    config = body.source_enrichment_config
    if config is None and not enrich:
        return None
    mappings = (config.field_mappings if config else None) or list(DEFAULT_MAPPINGS)
    for position, mapping in enumerate(mappings):
        where = f"source_enrichment_config.field_mappings[{position}]"
        if mapping.source_field not in ENRICHABLE and not mapping.source_field.startswith("metadata."):
            raise InvalidField(
                f"{where}.source_field",
                "is nothing a cluster can give",
                value=mapping.source_field,
                remedy=f"Use one of {', '.join(sorted(ENRICHABLE))} or metadata.<key>.",
            )
        parts = mapping.target_field.split(".")
        if not all(parts) or parts[0] in _RESERVED_TARGETS:
            raise InvalidField(f"{where}.target_field", "is no field a document may have", value=mapping.target_field)
    return SourceEnrichment(field_mappings=mappings)


def check_labeling(raw: dict[str, Any] | None) -> dict[str, Any] | None:
    """The labelling configuration as it may be shown: values the SDK cannot parse move to `parameters` (contract 6,
    row 27). Raises InvalidField."""
    if raw is None:
        return None
    kept = {name: value for name, value in raw.items() if name != "description"}
    if not isinstance(kept.get("enabled", False), bool):
        raise InvalidField("llm_labeling.enabled", "must be true or false", value=kept["enabled"])
    inputs = kept.get("labeling_inputs")
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidField("llm_labeling.labeling_inputs", "must be an object", value=inputs)
    for name, known in (("provider", _SDK_PROVIDERS), ("model_name", _SDK_MODELS)):
        value = kept.get(name)
        if value is not None and value not in known:
            parameters = kept.get("parameters")
            kept["parameters"] = {
                **(parameters if isinstance(parameters, Mapping) else {}),
                f"shoal_{name.removesuffix('_name')}": value,
            }
            kept[name] = None
    return kept

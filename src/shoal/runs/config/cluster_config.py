"""Validation of a cluster's configuration when it is created, so that no run fails for it later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from shoal.engine import ALGORITHMS, check_params
from shoal.engine.features.preprocessing import check_steps
from shoal.engine.features.spaces import check_weights
from shoal.engine.features.weights import WeightLearning
from shoal.errors import InvalidField
from shoal.records.clusters.requests import (
    AttributeConfig,
    CreateCluster,
    EnrichmentMapping,
    SourceEnrichment,
    VectorConfig,
)
from shoal.records.documents.document import RESERVED, TYPED_FIELDS
from shoal.records.text_encoding import EXTRACTOR, VECTOR

__all__ = [
    "DEFAULT_MAPPINGS",
    "ENRICHABLE",
    "ClusterConfig",
    "check_config",
    "check_mappings",
    "feature_name",
    "of_feature",
]

ENRICHABLE: Final = frozenset(
    {"cluster_id", "cluster_label", "distance_to_centroid", "member_count", "keywords", "x", "y", "z"}
)
"""Fields that a mapping may copy to a source document; also `metadata.<key>` of the cluster's metadata."""

DEFAULT_MAPPINGS: Final = tuple(
    EnrichmentMapping(source_field=name, target_field=name)
    for name in ("cluster_id", "cluster_label", "distance_to_centroid")
)
_RESERVED_TARGETS: Final = RESERVED | TYPED_FIELDS.keys()


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The fields of the Cluster record that the configuration determines, and warnings."""

    fields: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)


def check_config(body: CreateCluster, dimensions: Mapping[str, int]) -> ClusterConfig:
    """Check a configuration. `dimensions` are those of the vector names of the namespace. Raises InvalidField."""
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
    features = _features(config.features(), dimensions)
    names = [feature_name(feature, dimensions) for feature in features]
    _check_strategy(config)
    check_steps(config.preprocessing_steps or [], "vector_config.preprocessing_steps")
    learning = _learning(config)
    params, warnings = check_params(method, config.params_of(method))
    merge = config.face_cluster_merge
    return ClusterConfig(
        {
            "feature_uris": features,
            "feature_weights": _weights(config, names, dimensions),
            "weight_learning_config": learning,
            "algorithm": method,
            "algorithm_params": dict(params),
            "sample_size": config.sample_size,
            "multi_feature_strategy": config.multi_feature_strategy or "concatenate",
            "output_strategy": config.output_strategy or "single",
            "output_features": names if config.output_strategy == "per_feature" else None,
            "normalize_features": config.normalize_features is not False,
            "effective_feature_method": config.effective_feature_method or "mean",
            "face_cluster_merge": None if merge is None else merge.model_dump(exclude_unset=True),
            "preprocessing_steps": config.preprocessing_steps,
            "hierarchical_vector": bool(config.hierarchical),
            "max_hierarchy_depth": config.max_hierarchy_depth or 3,
            "vis_n_components": config.vis_n_components or 2,
            "layout_stability": config.layout_stability,
        },
        list(warnings),
    )


def _check_strategy(config: VectorConfig) -> None:
    """Refuse contradictory choices instead of dropping one silently."""
    independent = config.multi_feature_strategy == "independent"
    if config.output_strategy == "per_feature" and not independent:
        raise InvalidField(
            "vector_config.output_strategy",
            "needs multi_feature_strategy 'independent': features that are clustered together have one result",
            value="per_feature",
            remedy="Set multi_feature_strategy to 'independent', or leave output_strategy out.",
        )
    if independent and config.feature_weights:
        raise InvalidField(
            "vector_config.feature_weights",
            "have no meaning where each feature is clustered apart",
            value=config.feature_weights,
            remedy="Leave them out, or use concatenate.",
        )


def _learning(config: VectorConfig) -> dict[str, Any] | None:
    """Return the checked settings of weight learning; None if weights are not learned."""
    if config.multi_feature_strategy != "weighted":
        return None
    sent = {name: value for name, value in (config.weight_learning_config or {}).items() if value is not None}
    where = "vector_config.weight_learning_config"
    names = [field_of.name for field_of in fields(WeightLearning)]
    for name, value in sent.items():
        if name not in names:
            raise InvalidField(f"{where}.{name}", "is not known", value=value, remedy=f"Known: {', '.join(names)}.")
    try:
        return asdict(WeightLearning(**sent))
    except InvalidField as error:
        raise InvalidField(f"{where}.{error.field}", error.problem, value=sent.get(error.field)) from None


def _weights(config: VectorConfig, names: list[str], dimensions: Mapping[str, int]) -> dict[str, float] | None:
    """Return the weights of the features by vector name; keys may also be URIs."""
    if not config.feature_weights:
        return None
    by_name = {feature_name(uri, dimensions): weight for uri, weight in config.feature_weights.items()}
    return check_weights(by_name, names, "vector_config.feature_weights")


def _features(features: list[str], dimensions: Mapping[str, int]) -> list[str]:
    """Check that the features exist in the namespace, and that none is named twice."""
    path = "vector_config.feature_uris"
    listed = ", ".join(sorted(dimensions)) or "none yet: store documents with vectors or declare vector_configs first"
    if not features:
        raise InvalidField(path, "is required for cluster_type 'vector'", remedy=f"Known features: {listed}.")
    features = [_resolve_extractor(feature, dimensions) for feature in features]
    for feature in features:
        if feature_name(feature, dimensions) not in dimensions:
            raise InvalidField(path, "is not a feature of this namespace", value=feature, remedy=f"Known: {listed}.")
    if len({feature_name(feature, dimensions) for feature in features}) < len(features):
        raise InvalidField(path, "names a feature twice", value=features)
    return features


def _resolve_extractor(uri: str, dimensions: Mapping[str, int]) -> str:
    """Return the URI of the vectors that the text extractor makes, whatever model the output of `uri` names."""
    scheme, slash, output = uri.rpartition("/")
    if not slash or output in dimensions or VECTOR not in dimensions or f"://{EXTRACTOR}@" not in scheme:
        return uri
    return f"{scheme}/{VECTOR}"


def feature_name(uri: str, dimensions: Mapping[str, int]) -> str:
    """Return the vector name of a feature URI: itself, or its last segment (contract.md#feature-names)."""
    return uri if uri in dimensions else uri.rsplit("/", 1)[-1]


def of_feature(field: str, feature: str | None) -> str:
    """Return the field for results of one feature, if features are clustered separately."""
    return field if feature is None else f"{field}_{feature.replace('.', '_')}"


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
    """Check the field mappings, the default ones if none are given. Raises InvalidField.

    Returns None for a cluster that neither enriches its sources nor has mappings.
    """
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
                "is not a result of a cluster",
                value=mapping.source_field,
                remedy=f"Use one of {', '.join(sorted(ENRICHABLE))} or metadata.<key>.",
            )
        parts = mapping.target_field.split(".")
        if not all(parts) or parts[0] in _RESERVED_TARGETS:
            raise InvalidField(f"{where}.target_field", "is not a valid field name", value=mapping.target_field)
    _check_targets([mapping.target_field for mapping in mappings])
    return SourceEnrichment(field_mappings=mappings)


def _check_targets(targets: Sequence[str]) -> None:
    """Raise InvalidField if a target equals or lies inside another: only one of the two could be written."""
    for position, target in enumerate(targets):
        for earlier, other in enumerate(targets[:position]):
            if f"{target}.".startswith(f"{other}.") or f"{other}.".startswith(f"{target}."):
                raise InvalidField(
                    f"source_enrichment_config.field_mappings[{position}].target_field",
                    f"is where field_mappings[{earlier}] writes {other!r}",
                    value=target,
                    remedy="Give each mapping a field of its own.",
                )

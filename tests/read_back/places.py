"""Every route that stores its body: a rich body for it, and the routes that show the result."""

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["PLACES", "Place", "with_name"]

Json = dict[str, Any]
USER: Final = "reader@example.org"
_KEYS: Final = f"/organizations/users/{USER}/api-keys"
_NAME: Final = "@"


@dataclass(frozen=True)
class Place:
    """A route by method and path, as the SDK writes both; `{}` in the path is the id of a resource created by `first`.

    `reads` are the routes that show the resource, `removes` the one that deletes it. `id` is the path of its id in the
    answer to `first`, or to the body itself without `first`.
    """

    method: str
    path: str
    body: Json
    id: str
    reads: tuple[tuple[str, str], ...]
    removes: str
    first: "Place | None" = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def with_name(value: Any, name: str) -> Any:
    """Replace `@` by a name throughout a body."""
    if isinstance(value, dict):
        return {key: with_name(inner, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_name(inner, name) for inner in value]
    return name if value == _NAME else value


_FIELD: Final = {
    "type": "string",
    "required": False,
    "default": None,
    "description": "d",
    "enum": ["a"],
    "examples": [1],
}
_SCHEMA: Final = {
    "properties": {
        "title": _FIELD,
        "parts": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
}
_NAMESPACE: Final = {
    "description": "d",
    "metadata": {"team": "x"},
    "feature_extractors": [{"feature_extractor_name": "text", "version": "v1", "params": {"a": 1}}],
    "payload_indexes": [
        {
            "field_name": "title",
            "type": "text",
            "field_schema": {"type": "text", "tokenizer": "word", "min_token_len": 1, "lowercase": True},
            "is_protected": False,
        }
    ],
    "vector_configs": [{"name": "v", "dimension": 8, "metric": "cosine"}],
    "auto_create_indexes": False,
    "adaptive_indexing": False,
    "namespace_name": _NAME,
}
_LABELING: Final = {
    "enabled": True,
    "labeling_inputs": {
        "input_mappings": [{"input_key": "text", "source_type": "payload", "path": "text", "override": None}]
    },
    "provider": "openai",
    "model_name": "gpt-4o-mini-2024-07-18",
    "include_summary": True,
    "include_keywords": True,
    "max_samples_per_cluster": 5,
    "sample_text_max_length": 200,
    "sample_selection_strategy": "nearest",
    "use_embedding_dedup": True,
    "embedding_similarity_threshold": 0.8,
    "cache_ttl_seconds": 60,
    "labeling_context": "c",
    "custom_prompt": "p",
    "response_shape": {"label": "string"},
    "parameters": {"temperature": 0},
    "candidate_labels": ["a", "b"],
}
_MERGE: Final = {
    "enabled": True,
    "centroid_cosine_threshold": 0.5,
    "bbox_iou_threshold": 0.4,
    "scene_jaccard_threshold": 0.3,
    "bbox_field": "bbox",
    "frame_field": "frame",
    "scene_field": "scene",
}
_FILTERS: Final = {
    "AND": [{"field": "kind", "operator": "in", "value": ["a"], "case_sensitive": False}],
    "NOT": {"field": "row", "operator": "gt", "value": 5},
    "even": True,
    "case_sensitive": False,
}
_FACETS: Final = [{"name": "fault", "question": "What went wrong?", "use": "beside"}]
_CLUSTER: Final = {
    "collection_ids": ["docs"],
    "cluster_name": _NAME,
    "description": "d",
    "metadata": {"team": "x"},
    "cluster_type": "vector",
    "vector_config": {
        "feature_uris": ["v"],
        "clustering_method": "kmeans",
        "sample_size": 100,
        "kmeans_parameters": {"n_clusters": 3, "n_init": 1},
        "algorithm_params": {"n_clusters": 3},
        "multi_feature_strategy": "weighted",
        "normalize_features": True,
        "feature_weights": {"v": 1.0},
        "weight_learning_config": {"method": "bayesian", "max_iterations": 5, "metric": "silhouette"},
        "output_strategy": "single",
        "effective_feature_method": "mean",
        "enrich_source": False,
        "face_cluster_merge": _MERGE,
        "preprocessing_steps": [{"method": "none"}],
        "hierarchical": False,
        "max_hierarchy_depth": 3,
        "vis_n_components": 2,
        "layout_stability": "none",
    },
    "filters": _FILTERS,
    "llm_labeling": _LABELING,
    "facets": _FACETS,
    "enrich_source_collection": False,
    "source_enrichment_config": {"field_mappings": [{"source_field": "cluster_id", "target_field": "category"}]},
    "auto_execute_on_batch": False,
    "auto_execute_min_documents": 3,
    "auto_execute_cooldown_seconds": 3600,
}
_BY_VALUE: Final = {
    "collection_ids": ["docs"],
    "cluster_name": _NAME,
    "cluster_type": "attribute",
    "attribute_config": {"attributes": ["kind"], "hierarchical_grouping": False, "aggregation_method": "first"},
}
_BUCKET: Final = {
    "bucket_name": _NAME,
    "description": "d",
    "bucket_schema": _SCHEMA,
    "metadata": {"team": "x"},
    "storage_class": "standard",
    "unique_key": {"fields": ["title"], "default_policy": "insert"},
}
_OBJECT: Final = {
    "key_prefix": "p",
    "blobs": [
        {"property": "text", "type": "text", "key_prefix": "p", "data": "hello", "checksum": "c", "metadata": {"a": 1}}
    ],
    "edges": [{"type": "of", "target_object_id": "obj_1", "direction": "out", "attributes": {"w": 1}}],
    "title": "t",
    "metadata": {"lang": "en"},
}
_COLLECTION: Final = {
    "collection_name": _NAME,
    "description": "d",
    "source": {"type": "bucket", "bucket_ids": ["things"]},
    "input_schema": _SCHEMA,
    "feature_extractor": {"feature_extractor_name": "text", "version": "v1", "params": {"a": 1}},
    "enabled": True,
    "metadata": {"team": "x"},
    "cluster_applications": [
        {
            "cluster_id": "groups",
            "auto_execute_on_batch": True,
            "min_document_threshold": 1,
            "cooldown_seconds": 60,
            "execution_phase": 2,
            "priority": 0,
        }
    ],
}
_LINEAGE: Final = {
    "root_object_id": "obj_1",
    "root_bucket_id": "bkt_1",
    "source_type": "direct_upsert",
    "source_object_id": "obj_1",
    "source_document_id": "doc_1",
    "source_collection_id": "col_1",
    "lineage_path": "a/b",
    "lineage_chain": [{"collection_id": "col_1"}],
    "content_hash": "h",
    "document_schema_version": "1",
    "features": [{"name": "v"}],
}
_FIELDS: Final = {
    "metadata": {"lang": "en"},
    "title": "t",
    "document_blobs": [{"field": "f", "role": "source", "type": "image", "url": "u", "size_bytes": 1}],
    "vector_hydration_incomplete": False,
    "searchable_at": "2026-01-01",
    "_vectors": ["v"],
}
_AT_CREATION: Final = ("source", "input_schema", "feature_extractor")
_DOCUMENTS: Final = "/collections/docs/documents"

_create_namespace = Place(
    "POST", "/namespaces", {**_NAMESPACE, "mode": "managed"}, "namespace_id",
    (("GET", "/namespaces/{}"), ("POST", "/namespaces/list"), ("GET", "/namespaces")), "/namespaces/{}",
)  # fmt: skip
_create_bucket = Place(
    "POST", "/buckets", _BUCKET, "bucket_id",
    (("GET", "/buckets/{}"), ("POST", "/buckets/list"), ("GET", "/buckets")), "/buckets/{}",
)  # fmt: skip
_OBJECTS: Final = "/buckets/things/objects"
_create_object = Place(
    "POST", _OBJECTS, _OBJECT, "object_id",
    (("GET", _OBJECTS + "/{}"), ("POST", _OBJECTS + "/list"), ("GET", _OBJECTS)), _OBJECTS + "/{}",
)  # fmt: skip
_create_collection = Place(
    "POST", "/collections", _COLLECTION, "collection_id",
    (("GET", "/collections/{}"), ("POST", "/collections/list"), ("GET", "/collections")), "/collections/{}",
)  # fmt: skip
_create_document = Place(
    "POST", _DOCUMENTS, {"document_id": _NAME, "vectors": {"v": [1.0] * 8}, **_LINEAGE, **_FIELDS}, "document_id",
    (("GET", _DOCUMENTS + "/{}"), ("POST", _DOCUMENTS + "/list"), ("GET", _DOCUMENTS)), _DOCUMENTS + "/{}",
)  # fmt: skip
_create_cluster = Place(
    "POST", "/clusters", _CLUSTER, "cluster_id",
    (("GET", "/clusters/{}"), ("POST", "/clusters/list"), ("GET", "/clusters")), "/clusters/{}",
)  # fmt: skip
_create_key = Place(
    "POST", _KEYS,
    {"name": _NAME, "description": "d", "permissions": ["read"], "expires_at": "2999-01-01T00:00:00Z"}, "key_id",
    (("GET", _KEYS + "/{}"), ("GET", _KEYS)), _KEYS + "/{}",
)  # fmt: skip


def _update_of(first: Place, method: str, body: Json) -> Place:
    """Return a route that changes the resource that `first` creates."""
    return Place(method, first.removes, body, first.id, first.reads, first.removes, first)


_CLUSTER_PATCH: Final = {
    "cluster_name": _NAME,
    "description": "d",
    "metadata": {"team": "y"},
    "llm_labeling": _LABELING,
    "filters": _FILTERS,
    "face_cluster_merge": _MERGE,
    "sample_size": 50,
    "algorithm_params": {"n_clusters": 4},
    "layout_stability": "align",
    "facets": _FACETS,
}
_RUNS: Final = "/clusters/{}/executions"

PLACES: Final = (
    _create_namespace,
    Place(
        "POST", "/namespaces/standalone", {**_NAMESPACE, "namespace_id": _NAME}, "namespace_id",
        _create_namespace.reads, "/namespaces/{}",
    ),
    *(_update_of(_create_namespace, method, _NAMESPACE) for method in ("PATCH", "PUT")),
    _create_bucket,
    *(_update_of(_create_bucket, method, _BUCKET) for method in ("PATCH", "PUT")),
    _create_object,
    Place(
        "POST", _OBJECTS + "/batch", {"objects": [_OBJECT]}, "succeeded.0.object_id", _create_object.reads,
        _create_object.removes,
    ),
    *(_update_of(_create_object, method, _OBJECT) for method in ("PATCH", "PUT")),
    _create_collection,
    _update_of(
        _create_collection,
        "PATCH",
        {name: value for name, value in _COLLECTION.items() if name not in _AT_CREATION},
    ),
    _create_document,
    *(_update_of(_create_document, method, {"vectors": {"v": [0.5] * 8}, **_FIELDS}) for method in ("PATCH", "PUT")),
    Place(
        "POST", "/namespaces/default/documents/upsert",
        {
            "collection_id": "docs",
            "documents": [
                {"document_id": _NAME, "vectors": {"v": [1.0] * 8}, "payload": _FIELDS, **_LINEAGE}
            ],
            "options": {"write_token": False, "idempotency_key": None},
        },
        "document_ids.0", _create_document.reads, _create_document.removes,
    ),
    Place(
        "POST", _DOCUMENTS + "/batch", {"updates": [{"document_id": "{}", "update_data": _FIELDS}]}, "document_id",
        _create_document.reads, _create_document.removes, _create_document,
    ),
    Place(
        "PATCH", _DOCUMENTS + "/bulk", {"filters": {"title": "t"}, "update_data": _FIELDS}, "document_id",
        _create_document.reads, _create_document.removes, _create_document,
    ),
    _create_cluster,
    Place("POST", "/clusters", _BY_VALUE, "cluster_id", _create_cluster.reads, _create_cluster.removes),
    _update_of(_create_cluster, "PATCH", _CLUSTER_PATCH),
    Place(
        "POST", "/clusters/{}/execute",
        {
            "mode": "full",
            "assignment_threshold": 0.5,
            "filters": {"kind": "a"},
            "sample_size": 50,
            "vis_n_components": 2,
            "defer_visualization": False,
            "layout_stability": "none",
            "llm_labeling": _LABELING,
        },
        "cluster_id",
        (("GET", _RUNS), ("POST", _RUNS + "/list"), ("GET", "/clusters/{}"), ("POST", "/tasks/list")), "/clusters/{}",
        Place("POST", "/clusters", {**_CLUSTER, "filters": None, "facets": None}, "cluster_id", (), "/clusters/{}"),
    ),
    _create_key,
    _update_of(_create_key, "PATCH", {**_create_key.body, "status": "active"}),
)  # fmt: skip
"""Every route that stores a JSON body, apart from labels and names of runs, which are texts."""

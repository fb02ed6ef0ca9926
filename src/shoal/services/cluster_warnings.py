"""Warnings about parts of a request that have no effect: one sentence each, for the cluster's `warnings`."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from shoal.labeling import trim_payload
from shoal.records.clusters.labeling import InputMapping, Labeling
from shoal.records.clusters.requests import CreateCluster, PatchCluster, VectorConfig
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.queries.paging import Page
from shoal.records.runs.execution import ExecuteCluster
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Query

__all__ = [
    "warn_about_labeling",
    "warn_about_missing_fields",
    "warn_about_overrides",
    "warn_about_patch",
    "warn_about_request",
]

_SAMPLE_SIZE: Final = 100
"""The number of documents of each collection in which a field is searched."""
_PAGE_SIZE: Final = 20
_OWN_PARAMS: Final = ("kmeans", "dbscan", "hdbscan")
_COOLDOWN, _DEPTH = 3600, 3
"""The defaults that the official SDK sends."""
_NO_TRIGGERS: Final = (
    "auto_execute_on_batch is stored, but triggers are not available yet: until they are, execute the cluster "
    "after documents were added."
)
_NOT_EXECUTED: Final = "face_cluster_merge is stored, but not executed."


def warn_about_request(body: CreateCluster) -> list[str]:
    """Warn about everything in the request for a new cluster that has no effect."""
    warnings = [*body.describe_ignored(), *_warn_about_type(body), *_warn_about_automation(body)]
    if body.vector_config is not None and body.cluster_type != "attribute":
        warnings += _warn_about_vectors(body.vector_config)
    if body.source_enrichment_config is not None and not _is_enriching(body):
        warnings.append(
            "source_enrichment_config is kept for POST /clusters/enrich; runs write nothing into source documents, "
            "because enrich_source_collection is not true."
        )
    if body.text_fields and body.cluster_type == "attribute":
        warnings.append("text_fields has no effect: groups of values are called by their values.")
    return warnings + warn_about_labeling(body.llm_labeling)


def warn_about_labeling(labeling: Labeling | None) -> list[str]:
    """Warn about naming inputs that are not fields of documents."""
    inputs = labeling.labeling_inputs if labeling else None
    return [
        f"llm_labeling.labeling_inputs.input_mappings[{position}] has no effect: {problem}"
        for position, mapping in enumerate(inputs.input_mappings if inputs else [])
        if (problem := _problem_of_input(mapping, bool(labeling and labeling.enabled)))
    ]


def _problem_of_input(mapping: InputMapping, enabled: bool) -> str | None:
    kind = mapping.source_type or "payload"
    if kind == "payload":
        return None if mapping.path else "it has no path."
    if not enabled:
        return f"source_type {kind!r} is for language models, and llm_labeling is not enabled."
    return "it has no override." if kind == "literal" and mapping.override is None else None


def warn_about_patch(body: PatchCluster) -> list[str]:
    """Warn about everything in a change of a cluster that has no effect."""
    merge = [_NOT_EXECUTED] if body.face_cluster_merge is not None else []
    return [*body.describe_ignored(), *merge, *warn_about_labeling(body.llm_labeling)]


def warn_about_overrides(body: ExecuteCluster) -> list[str]:
    """Warn about everything in the request for a run that has no effect."""
    deferred = ["defer_visualization has no effect: the map is there when the run is over."] * bool(
        body.defer_visualization
    )
    return [*deferred, *warn_about_labeling(body.llm_labeling)]


def warn_about_missing_fields(
    store: DocumentReader, scope: Scope, keys: Sequence[str], attributes: Sequence[str]
) -> list[str]:
    """Warn about attributes that none of the first documents of each collection has; not about empty collections."""
    sample = _sample(store, scope, keys) if attributes else []
    if not sample:
        return []
    missing = [name for name in attributes if not any(_has_field(document, name) for document in sample)]
    fields = sorted({name for document in sample for name in _field_names(document)})
    return [_missing_field_warning(name, fields) for name in missing]


def _warn_about_type(body: CreateCluster) -> Iterator[str]:
    other = "vector_config" if body.cluster_type == "attribute" else "attribute_config"
    if getattr(body, other) is not None:
        yield f"{other} has no effect: cluster_type is {body.cluster_type or 'vector'!r}."


def _warn_about_automation(body: CreateCluster) -> Iterator[str]:
    if body.auto_execute_on_batch:
        yield _NO_TRIGGERS
    elif body.auto_execute_min_documents is not None or body.auto_execute_cooldown_seconds not in (None, _COOLDOWN):
        yield "auto_execute_min_documents and auto_execute_cooldown_seconds do nothing without auto_execute_on_batch."


def _warn_about_vectors(config: VectorConfig) -> Iterator[str]:
    method = config.clustering_method
    for other in _OWN_PARAMS:
        if other != method and getattr(config, f"{other}_parameters"):
            own_block = f"{method}_parameters or algorithm_params" if method in _OWN_PARAMS else "algorithm_params"
            yield (
                f"vector_config.{other}_parameters has no effect: clustering_method is {method!r}, whose parameters "
                f"stand in {own_block}."
            )
    own = getattr(config, f"{method}_parameters", None) or {}
    conflicting = sorted(name for name in own if (config.algorithm_params or {}).get(name, own[name]) != own[name])
    if conflicting:
        names = ", ".join(conflicting)
        yield f"vector_config.algorithm_params: {names} are also set in {method}_parameters, which take precedence."
    if config.feature_uri and config.feature_uris and config.feature_uri not in config.feature_uris:
        yield "vector_config.feature_uri has no effect beside feature_uris."
    if config.weight_learning_config and config.multi_feature_strategy != "weighted":
        yield "vector_config.weight_learning_config has no effect: multi_feature_strategy is not 'weighted'."
    if config.max_hierarchy_depth not in (None, _DEPTH) and not config.hierarchical:
        yield "vector_config.max_hierarchy_depth has no effect without hierarchical."
    if config.face_cluster_merge is not None:
        yield _NOT_EXECUTED


def _is_enriching(body: CreateCluster) -> bool:
    return bool(body.enrich_source_collection or (body.vector_config and body.vector_config.enrich_source))


def _sample(store: DocumentReader, scope: Scope, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the fields of the first documents with truncated texts: a page of whole payloads may take 100 MB."""
    windows = [Query(filter=MATCH_ALL, page=Page(_PAGE_SIZE, start)) for start in range(0, _SAMPLE_SIZE, _PAGE_SIZE)]
    return [
        trim_payload(document.payload)
        for key in keys
        for window in windows
        for document in store.find(scope, key, window).items
    ]


def _has_field(document: Mapping[str, Any], path: str) -> bool:
    """Whether a document has a field; `category` also matches `metadata.category` and vice versa, as in filters."""
    other = path.removeprefix("metadata.") if path.startswith("metadata.") else f"metadata.{path}"
    return _has_path(document, path) or _has_path(document, other)


def _has_path(document: object, path: str) -> bool:
    for part in path.split("."):
        if not isinstance(document, Mapping) or part not in document:
            return False
        document = document[part]
    return True


def _field_names(document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if name == "metadata" and isinstance(value, Mapping):
            yield from (f"metadata.{inner}" for inner in value)
        elif not name.startswith("_"):
            yield name


def _missing_field_warning(name: str, fields: list[str]) -> str:
    near = get_close_matches(name, fields, n=1) or get_close_matches(f"metadata.{name}", fields, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(fields[:20])}." if fields else ""
    return (
        f"None of the sampled documents ({_SAMPLE_SIZE} a collection) has the field {name!r}: those without it go to "
        f"the group '__missing__'.{hint}"
    )

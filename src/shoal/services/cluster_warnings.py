"""What a request for a cluster asks for and does not get: one sentence each, for the cluster's `warnings`."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from shoal.labeling import trim_payload
from shoal.records.cluster_requests import CreateCluster, PatchCluster, VectorConfig
from shoal.records.execution import ExecuteCluster
from shoal.records.labeling import Labeling
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Query

__all__ = ["ignored_fields", "ignored_labeling", "ignored_overrides", "ignored_params", "ignored_parts"]

_LOOKED_AT: Final = 100
"""Documents of each collection that a field is looked for in."""
_AT_ONCE: Final = 20
_OWN_PARAMS: Final = ("kmeans", "dbscan", "hdbscan")
_COOLDOWN, _DEPTH = 3600, 3
"""What the official SDK sends where its user set nothing."""
_NO_TRIGGERS: Final = (
    "auto_execute_on_batch is kept and shown, but triggers are not available yet: until they are, execute the cluster "
    "after documents were added."
)
_NOT_EXECUTED: Final = "face_cluster_merge is kept and shown, but not executed."


def ignored_parts(body: CreateCluster) -> list[str]:
    """For everything that a new cluster keeps, or drops, and does not act on."""
    sentences = [*body.describe_ignored(), *_of_type(body), *_of_automation(body)]
    if body.vector_config is not None and body.cluster_type != "attribute":
        sentences += _of_vectors(body.vector_config)
    if body.source_enrichment_config is not None and not _enriches(body):
        sentences.append(
            "source_enrichment_config is kept for POST /clusters/enrich; runs write nothing into source documents, "
            "because enrich_source_collection is not true."
        )
    if body.text_fields and body.cluster_type == "attribute":
        sentences.append("text_fields has no effect: groups of values are called by their values.")
    return sentences + ignored_labeling(body.llm_labeling)


def ignored_labeling(labeling: Labeling | None) -> list[str]:
    """For inputs of names that are no fields of documents."""
    inputs = labeling.labeling_inputs if labeling else None
    return [
        f"llm_labeling.labeling_inputs.input_mappings[{position}] has no effect: "
        + (f"source_type {one.source_type!r} is not available." if one.path else "it has no path.")
        for position, one in enumerate(inputs.input_mappings if inputs else [])
        if one.source_type not in (None, "payload") or not one.path
    ]


def ignored_params(body: PatchCluster) -> list[str]:
    """For what a change of a cluster keeps and does not act on."""
    merge = [_NOT_EXECUTED] if body.face_cluster_merge is not None else []
    return [*body.describe_ignored(), *merge, *ignored_labeling(body.llm_labeling)]


def ignored_overrides(body: ExecuteCluster) -> list[str]:
    """For what one run is asked for and does not do."""
    later = ["defer_visualization has no effect: the map is there when the run is over."] * bool(
        body.defer_visualization
    )
    return [*later, *ignored_labeling(body.llm_labeling)]


def ignored_fields(store: DocumentReader, scope: Scope, keys: Sequence[str], attributes: Sequence[str]) -> list[str]:
    """For attributes that no document among the first of each collection has. Nothing is said of collections that are
    empty."""
    looked = _sample(store, scope, keys) if attributes else []
    if not looked:
        return []
    missing = [name for name in attributes if not any(_has(document, name) for document in looked)]
    known = sorted({name for document in looked for name in _names(document)})
    return [_no_field(name, known) for name in missing]


def _of_type(body: CreateCluster) -> Iterator[str]:
    other = "vector_config" if body.cluster_type == "attribute" else "attribute_config"
    if getattr(body, other) is not None:
        yield f"{other} has no effect: cluster_type is {body.cluster_type or 'vector'!r}."


def _of_automation(body: CreateCluster) -> Iterator[str]:
    if body.auto_execute_on_batch:
        yield _NO_TRIGGERS
    elif body.auto_execute_min_documents is not None or body.auto_execute_cooldown_seconds not in (None, _COOLDOWN):
        yield "auto_execute_min_documents and auto_execute_cooldown_seconds do nothing without auto_execute_on_batch."


def _of_vectors(config: VectorConfig) -> Iterator[str]:
    method = config.clustering_method
    for other in _OWN_PARAMS:
        if other != method and getattr(config, f"{other}_parameters"):
            own_block = f"{method}_parameters or algorithm_params" if method in _OWN_PARAMS else "algorithm_params"
            yield (
                f"vector_config.{other}_parameters has no effect: clustering_method is {method!r}, whose parameters "
                f"stand in {own_block}."
            )
    own = getattr(config, f"{method}_parameters", None) or {}
    both = sorted(name for name in own if (config.algorithm_params or {}).get(name, own[name]) != own[name])
    if both:
        yield f"vector_config.algorithm_params: {', '.join(both)} stand in {method}_parameters as well, which count."
    if config.feature_uri and config.feature_uris and config.feature_uri not in config.feature_uris:
        yield "vector_config.feature_uri has no effect beside feature_uris."
    if config.weight_learning_config and config.multi_feature_strategy != "weighted":
        yield "vector_config.weight_learning_config has no effect: multi_feature_strategy is not 'weighted'."
    if config.max_hierarchy_depth not in (None, _DEPTH) and not config.hierarchical:
        yield "vector_config.max_hierarchy_depth has no effect without hierarchical."
    if config.face_cluster_merge is not None:
        yield _NOT_EXECUTED


def _enriches(body: CreateCluster) -> bool:
    return bool(body.enrich_source_collection or (body.vector_config and body.vector_config.enrich_source))


def _sample(store: DocumentReader, scope: Scope, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The fields of the first documents, their texts cut: a page of whole payloads may take a hundred megabytes."""
    windows = [Query(filter=MATCH_ALL, page=Page(_AT_ONCE, start)) for start in range(0, _LOOKED_AT, _AT_ONCE)]
    return [
        trim_payload(document.payload)
        for key in keys
        for window in windows
        for document in store.find(scope, key, window).items
    ]


def _has(document: Mapping[str, Any], path: str) -> bool:
    """`category` also finds `metadata.category`, and the other way round, as in filters."""
    other = path.removeprefix("metadata.") if path.startswith("metadata.") else f"metadata.{path}"
    return _at(document, path) or _at(document, other)


def _at(document: object, path: str) -> bool:
    for part in path.split("."):
        if not isinstance(document, Mapping) or part not in document:
            return False
        document = document[part]
    return True


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if name == "metadata" and isinstance(value, Mapping):
            yield from (f"metadata.{inner}" for inner in value)
        elif not name.startswith("_"):
            yield name


def _no_field(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1) or get_close_matches(f"metadata.{name}", known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(known[:20])}." if known else ""
    return (
        f"None of the documents looked at ({_LOOKED_AT} a collection) has the field {name!r}: those without it go to "
        f"the group '__missing__'.{hint}"
    )

"""Answers for the official SDK before version 1 (0.81.1), whose models are closed where later ones are open.

It is known by its User-Agent, `OpenAPI-Generator/0.81.1/python`. It raises for a run that is `canceled`, a collection
without schemas or with a source it has not heard of, and some more: those values are replaced by the nearest that it
reads, or by null. All others get answers as they are; nothing that is stored differs.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

import orjson
from fastapi import Request, Response

from shoal.records.cluster import Cluster, ClusterList
from shoal.records.cluster_ids import format_cluster_id, top_number
from shoal.records.collection import Collection, CollectionList
from shoal.records.document_answers import Document, DocumentList
from shoal.records.execution import Execution
from shoal.records.key import CreatedKey, Key
from shoal.records.run_results import CancelledRun, ExecutionList

__all__ = ["for_older_client", "is_older"]

Json = dict[str, Any]
Adapt = Callable[[Json], Json]

_AGENT: Final = re.compile(r"OpenAPI-Generator/0\.")
_METHODS: Final = frozenset(
    {"agglomerative", "attribute_based", "dbscan", "gaussian_mixture", "hdbscan", "kmeans", "mean_shift", "optics",
     "spectral"}
)  # fmt: skip
_MODELS: Final = frozenset(
    {"claude-3-5-haiku-20241022", "claude-3-5-sonnet-20241022", "gemini-2.5-flash", "gemini-2.5-pro",
     "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18",
     "o3-mini-2025-01-31"}
)  # fmt: skip
_PROVIDERS: Final = frozenset({"anthropic", "google", "openai"})
_INPUTS: Final = frozenset({"literal", "payload", "vector"})
_SOURCES: Final = frozenset({"bucket", "cluster", "collection", "taxonomy"})
_LINEAGES: Final = frozenset({"bucket", "collection"})
_SHORTEST_PREFIX: Final = 10


def is_older(request: Request) -> bool:
    """Whether the caller is the official SDK before version 1."""
    return _AGENT.match(request.headers.get("user-agent", "")) is not None


def for_older_client(model: Any, answer: Response) -> Response:
    """The answer as that SDK can read it. `model` is what the route promises."""
    adapt = _adapter(model)
    if adapt is None or answer.media_type != "application/json" or answer.status_code >= 400:
        return answer
    value = orjson.loads(answer.body)
    if not isinstance(value, dict):
        return answer
    headers = {name: text for name, text in answer.headers.items() if name not in ("content-length", "content-type")}
    return Response(orjson.dumps(adapt(value)), answer.status_code, headers, answer.media_type)


def _adapter(model: Any) -> Adapt | None:
    """That of the model, or of the one that may be null."""
    return next((_ADAPTERS[kind] for kind in (model, *get_args(model)) if kind in _ADAPTERS), None)


def _only(value: Any, known: frozenset[str], otherwise: str | None = None) -> Any:
    return value if value in known else otherwise


def _cluster(cluster: Json) -> Json:
    config = cluster.get("vector_config")
    readable = config is None or config["clustering_method"] in _METHODS
    labeling = cluster.get("llm_labeling")
    return {
        **cluster,
        "vector_config": config if readable else None,
        "llm_labeling": None if labeling is None else _labeling(labeling),
    }


def _labeling(labeling: Json) -> Json:
    adapted = {**labeling}
    for name, known in (("provider", _PROVIDERS), ("model_name", _MODELS)):
        if name in adapted:
            adapted[name] = _only(adapted[name], known)
    if inputs := adapted.get("labeling_inputs"):
        mappings = [
            {**mapping, "source_type": _only(mapping.get("source_type"), _INPUTS)}
            for mapping in inputs["input_mappings"]
        ]
        adapted["labeling_inputs"] = {**inputs, "input_mappings": mappings}
    return adapted


def _run(run: Json) -> Json:
    adapted = {**run}
    if run.get("status") == "canceled":
        adapted |= {"status": "failed", "error_message": run.get("error_message") or "The run was canceled."}
    if run.get("centroids"):
        adapted["centroids"] = _numbered(run["centroids"])
    return adapted


def _numbered(centroids: list[Json]) -> list[Json]:
    """Centroids whose ids are all `cl_<number>`: the others get the numbers after the largest."""
    numbers = {one["cluster_id"]: top_number(one["cluster_id"]) for one in centroids}
    first = 1 + max((number for number in numbers.values() if number is not None), default=-1)
    others = (id for id, number in numbers.items() if number is None)
    ids = {id: format_cluster_id((number,)) for number, id in enumerate(others, start=first)}
    return [
        {
            **one,
            "cluster_id": ids.get(one["cluster_id"], one["cluster_id"]),
            "parent_cluster_id": ids.get(one.get("parent_cluster_id"), one.get("parent_cluster_id")),
        }
        for one in centroids
    ]


def _collection(collection: Json) -> Json:
    source = collection["source"]
    return {
        **collection,
        "input_schema": collection.get("input_schema") or {"properties": {}},
        "output_schema": collection.get("output_schema") or {"properties": {}},
        "source": {**source, "type": _only(source["type"], _SOURCES, "bucket")},
    }


def _document(document: Json) -> Json:
    internal = document.get("_internal") or {}
    lineage = internal.get("lineage")
    if not isinstance(lineage, dict) or lineage.get("source_type") in (None, *_LINEAGES):
        return document
    return {**document, "_internal": {**internal, "lineage": {**lineage, "source_type": None}}}


def _key(key: Json) -> Json:
    prefix = key.get("key_prefix") or ""
    return {**key, "key_prefix": prefix if len(prefix) >= _SHORTEST_PREFIX else None}


def _listed(adapt: Adapt) -> Adapt:
    def adapted(answer: Json) -> Json:
        both = {**answer, "results": [adapt(item) for item in answer["results"]]}
        if answer.get("groups"):
            both["groups"] = [
                {**one, "documents": [adapt(item) for item in one["documents"]]} for one in answer["groups"]
            ]
        return both

    return adapted


_ADAPTERS: Final[Mapping[Any, Adapt]] = MappingProxyType(
    {
        CancelledRun: _run,
        Cluster: _cluster,
        ClusterList: _listed(_cluster),
        Collection: _collection,
        CollectionList: _listed(_collection),
        CreatedKey: _key,
        Document: _document,
        DocumentList: _listed(_document),
        Execution: _run,
        ExecutionList: _listed(_run),
        Key: _key,
    }
)

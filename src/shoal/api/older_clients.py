"""Answers for the official SDK before version 1 (0.81.1), whose models reject values that later ones accept.

That SDK is recognised by its User-Agent, `OpenAPI-Generator/0.81.1/python`. It raises for a run that is `canceled`, a
collection without schemas or with an unknown source, and a few other values; those are replaced by the nearest value
that it accepts, or by null. All other clients get the answers unchanged, and so does the store.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

import orjson
from fastapi import Request, Response

from shoal.records.clusters.cluster import Cluster, ClusterList
from shoal.records.clusters.ids import format_cluster_id, top_number
from shoal.records.collection import Collection, CollectionList
from shoal.records.documents.answers import Document, DocumentList
from shoal.records.key import CreatedKey, Key
from shoal.records.runs.execution import Execution
from shoal.records.runs.results import CancelledRun, ExecutionList

__all__ = ["adapt_for_older_client", "is_older"]

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


def adapt_for_older_client(model: Any, answer: Response) -> Response:
    """Return the answer in the form that the SDK accepts. `model` is the response model of the route."""
    adapt = _find_adapter(model)
    if adapt is None or answer.media_type != "application/json" or answer.status_code >= 400:
        return answer
    value = orjson.loads(answer.body)
    if not isinstance(value, dict):
        return answer
    headers = {name: text for name, text in answer.headers.items() if name not in ("content-length", "content-type")}
    return Response(orjson.dumps(adapt(value)), answer.status_code, headers, answer.media_type)


def _find_adapter(model: Any) -> Adapt | None:
    """Return the adapter of a model, or of its non-null variant."""
    return next((_ADAPTERS[kind] for kind in (model, *get_args(model)) if kind in _ADAPTERS), None)


def _keep_known(value: Any, values: frozenset[str], otherwise: str | None = None) -> Any:
    return value if value in values else otherwise


def _adapt_cluster(cluster: Json) -> Json:
    config = cluster.get("vector_config")
    readable = config is None or config["clustering_method"] in _METHODS
    labeling = cluster.get("llm_labeling")
    return {
        **cluster,
        "vector_config": config if readable else None,
        "llm_labeling": None if labeling is None else _adapt_labeling(labeling),
    }


def _adapt_labeling(labeling: Json) -> Json:
    answer = {**labeling}
    for name, values in (("provider", _PROVIDERS), ("model_name", _MODELS)):
        if name in answer:
            answer[name] = _keep_known(answer[name], values)
    if inputs := answer.get("labeling_inputs"):
        mappings = [
            {**mapping, "source_type": _keep_known(mapping.get("source_type"), _INPUTS)}
            for mapping in inputs["input_mappings"]
        ]
        answer["labeling_inputs"] = {**inputs, "input_mappings": mappings}
    return answer


def _adapt_run(run: Json) -> Json:
    answer = {**run}
    if run.get("status") == "canceled":
        answer |= {"status": "failed", "error_message": run.get("error_message") or "The run was canceled."}
    if run.get("centroids"):
        answer["centroids"] = _renumber(run["centroids"])
    return answer


def _renumber(centroids: list[Json]) -> list[Json]:
    """Give all centroids ids of the form `cl_<number>`: other ids get the numbers after the largest one in use."""
    numbers = {item["cluster_id"]: top_number(item["cluster_id"]) for item in centroids}
    first = 1 + max((number for number in numbers.values() if number is not None), default=-1)
    others = (id for id, number in numbers.items() if number is None)
    ids = {id: format_cluster_id((number,)) for number, id in enumerate(others, start=first)}
    return [
        {
            **item,
            "cluster_id": ids.get(item["cluster_id"], item["cluster_id"]),
            "parent_cluster_id": ids.get(item.get("parent_cluster_id"), item.get("parent_cluster_id")),
        }
        for item in centroids
    ]


def _adapt_collection(collection: Json) -> Json:
    source = collection["source"]
    return {
        **collection,
        "input_schema": collection.get("input_schema") or {"properties": {}},
        "output_schema": collection.get("output_schema") or {"properties": {}},
        "source": {**source, "type": _keep_known(source["type"], _SOURCES, "bucket")},
    }


def _adapt_document(document: Json) -> Json:
    internal = document.get("_internal") or {}
    lineage = internal.get("lineage")
    if not isinstance(lineage, dict) or lineage.get("source_type") in (None, *_LINEAGES):
        return document
    return {**document, "_internal": {**internal, "lineage": {**lineage, "source_type": None}}}


def _adapt_key(key: Json) -> Json:
    prefix = key.get("key_prefix") or ""
    return {**key, "key_prefix": prefix if len(prefix) >= _SHORTEST_PREFIX else None}


def _adapt_list(adapt: Adapt) -> Adapt:
    def adapt_list(answer: Json) -> Json:
        result = {**answer, "results": [adapt(item) for item in answer["results"]]}
        if answer.get("groups"):
            result["groups"] = [
                {**item, "documents": [adapt(item) for item in item["documents"]]} for item in answer["groups"]
            ]
        return result

    return adapt_list


_ADAPTERS: Final[Mapping[Any, Adapt]] = MappingProxyType(
    {
        CancelledRun: _adapt_run,
        Cluster: _adapt_cluster,
        ClusterList: _adapt_list(_adapt_cluster),
        Collection: _adapt_collection,
        CollectionList: _adapt_list(_adapt_collection),
        CreatedKey: _adapt_key,
        Document: _adapt_document,
        DocumentList: _adapt_list(_adapt_document),
        Execution: _adapt_run,
        ExecutionList: _adapt_list(_adapt_run),
        Key: _adapt_key,
    }
)

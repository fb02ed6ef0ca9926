"""The table of the route matrix: for each API operation, a valid request and the slots for foreign ids.

A new route needs an entry here; `test_matrix.py` does the rest, and `test_coverage.py` fails until the entry exists.
Paths omit their mount. `make` receives the calling tenant: `t.ref(kind)` is one of its permanent resources,
`t.fresh(kind)` one that the call may modify or consume. Every path parameter, and every body field and query parameter
named like an id, is listed in a `Slot` (its value is looked up, and a foreign id must behave like a missing one) or in
`free` (with the reason why nothing is looked up).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tenancy.calls import Call, Kind, Slot, equals, one_of
from tenancy.tenants import DIMENSION, Tenant

__all__ = ["TABLE", "Operation"]

Make = Callable[[Tenant], Call]


@dataclass(frozen=True)
class Operation:
    """`slots` excludes the X-Namespace header, which the OpenAPI declares. `free` maps names of fields and parameters
    to reasons."""

    make: Make
    slots: tuple[Slot, ...] = ()
    free: Mapping[str, str] = field(default_factory=dict)


_NOTHING: Final = Call()
_BY_CLUSTER: Final = (Slot("path.cluster_identifier", "cluster"),)
_BY_RUN: Final = (*_BY_CLUSTER, Slot("path.run_id", "run"))
_BY_COLLECTION: Final = (Slot("path.collection", "collection"),)
_BY_DOCUMENT: Final = (*_BY_COLLECTION, Slot("path.document_id", "document"))
_BY_BUCKET: Final = (Slot("path.bucket", "bucket"),)
_BY_OBJECT: Final = (*_BY_BUCKET, Slot("path.object_id", "object"))
_BY_NAMESPACE: Final = (Slot("path.namespace", "namespace"),)
_BY_TASK: Final = (Slot("path.task_id", "task"),)
_BY_KEY: Final = (Slot("path.key_name", "key"),)

_LINEAGE: Final = {
    name: "lineage is kept as told"
    for name in ("root_object_id", "root_bucket_id", "source_object_id", "source_document_id", "source_collection_id")
}
_OF_OBJECTS: Final = {
    "upload_id": "kept as told",
    "target_object_id": "edges are kept as sent, nothing is looked up",
    "target_collection_id": "edges are kept as sent, nothing is looked up",
}
_OF_EXTRACTORS: Final = {"feature_extractor_id": "made from name and version, whatever is sent"}
_EMAIL: Final = {"user_email": "an address; keys are looked up within the caller's organisation"}
_GROUP: Final = {"cluster_id": "a group such as cl_0 within the run that the path names"}
_ANSWERED: Final = "answered for each id, the same for all that are not there"


def _nothing(_: Tenant) -> Call:
    return _NOTHING


def _at(*kinds: tuple[str, Kind], body: Any = None) -> Make:
    """A call whose path refers to permanent resources."""
    return lambda t: Call(path={name: t.ref(kind) for name, kind in kinds}, body=body)


def _listed(kind: Kind, id_field: str, *more: Slot) -> tuple[Slot, ...]:
    """The slots in the body of a list request: filters and search find nothing of other tenants."""
    return (
        *more,
        Slot("body.filters", kind, 200, equals(id_field)),
        Slot("body.filters", kind, 200, one_of(id_field)),
        Slot("body.search", kind, 200),
    )


def _searched(kind: Kind, *more: Slot) -> tuple[Slot, ...]:
    return (*more, Slot("query.search", kind, 200))


_CLUSTER: Final = _at(("cluster_identifier", "cluster"))
_RUN: Final = _at(("cluster_identifier", "cluster"), ("run_id", "run"))
_COLLECTION: Final = _at(("collection", "collection"))
_BUCKET: Final = _at(("bucket", "bucket"))


def _email(t: Tenant, **more: str) -> dict[str, str]:
    return {"user_email": t.email, **more}


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _vector(t: Tenant) -> dict[str, Any]:
    return {"document_id": t.name(), "vectors": {"v": [0.5] * DIMENSION}}


def _create_collection(t: Tenant) -> Call:
    source = {"type": "collection", "collection_ids": [t.ref("collection")], "bucket_ids": [t.ref("bucket")]}
    return Call(body={"collection_name": t.name(), "source": source})


def _create_cluster(t: Tenant) -> Call:
    config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
    return Call(body={"cluster_name": t.name(), "collection_ids": [t.ref("collection")], "vector_config": config})


def _enrich(t: Tenant) -> Call:
    return Call(body={"clustering_ids": [t.ref("cluster")], "source_collection_id": t.ref("collection")})


def _import(t: Tenant) -> Call:
    row = f'{{"document_id": "{t.name()}", "v": {[0.25] * DIMENSION}}}\n'.encode()
    media = {"Content-Type": "application/x-ndjson"}
    return Call(path={"collection": t.ref("collection")}, headers=media, content=row)


def _upsert(t: Tenant) -> Call:
    body = {"collection_id": t.ref("collection"), "documents": [_vector(t)]}
    return Call(path={"namespace": t.ref("namespace")}, body=body)


def _batch_update(t: Tenant) -> Call:
    updates = [{"document_id": t.ref("document"), "update_data": {"note": "n"}}]
    return Call(path={"collection": t.ref("collection")}, body={"updates": updates})


def _one_document(body: Any = None, *, fresh: bool = False) -> Make:
    def make(t: Tenant) -> Call:
        id = t.fresh("document") if fresh else t.ref("document")
        return Call(path={"collection": t.ref("collection"), "document_id": id}, body=body)

    return make


def _one_object(body: Any = None, *, fresh: bool = False) -> Make:
    def make(t: Tenant) -> Call:
        id = t.fresh("object") if fresh else t.ref("object")
        return Call(path={"bucket": t.ref("bucket"), "object_id": id}, body=body)

    return make


def _one_key(body: Any = None) -> Make:
    return lambda t: Call(path=_email(t, key_name=t.fresh("key")), body=body)


def _as_text(ref: str) -> str:
    return json.dumps(equals("document_id")(ref))


_SCHEMA: Final = {"properties": {"title": {"type": "string"}}}
_AGGREGATE: Final = {"aggregations": [{"function": "count", "alias": "n"}]}
_DOCUMENTS: Final = "/collections/{collection}/documents"
_KEYS: Final = "/organizations/users/{user_email}/api-keys"
_C: Final = "/clusters/{cluster_identifier}"

# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

_HEALTH: Final = {
    f"GET {path}": Operation(_nothing)
    for path in ("/health", "/health/beat", "/health/deep", "/health/liveness", "/livez", "/readyz")
}

_ORGANIZATION: Final = {
    "GET /me": Operation(_nothing),
    "GET /organizations": Operation(_nothing),
    "GET /organizations/audit": Operation(_nothing, _searched("key", Slot("query.key", "key", 200))),
    f"POST {_KEYS}": Operation(
        lambda t: Call(path=_email(t), body={"name": t.open_name()}),
        free=_EMAIL | {"principal_id": "refused: Shoal knows no such restriction"},
    ),
    f"GET {_KEYS}": Operation(lambda t: Call(path=_email(t)), _searched("key"), _EMAIL),
    f"GET {_KEYS}/{{key_name}}": Operation(lambda t: Call(path=_email(t, key_name=t.ref("key"))), _BY_KEY, _EMAIL),
    f"PATCH {_KEYS}/{{key_name}}": Operation(
        _one_key({"description": "d"}), _BY_KEY, _EMAIL | {"principal_id": "refused"}
    ),
    f"DELETE {_KEYS}/{{key_name}}": Operation(_one_key(), _BY_KEY, _EMAIL),
    f"POST {_KEYS}/{{key_name}}/rotate": Operation(_one_key(), _BY_KEY, _EMAIL),
}

_NAMESPACES: Final = {
    "POST /namespaces": Operation(
        lambda t: Call(body={"namespace_name": t.open_name()}),
        free={"namespace_id": "a new id; two organisations may choose the same", **_OF_EXTRACTORS},
    ),
    "POST /namespaces/standalone": Operation(
        lambda t: Call(body={"namespace_name": t.open_name()}),
        free={"namespace_id": "a new id, as above", **_OF_EXTRACTORS},
    ),
    "GET /namespaces": Operation(_nothing, _searched("namespace")),
    "POST /namespaces/list": Operation(lambda t: Call(body={}), _listed("namespace", "namespace_id")),
    "GET /namespaces/{namespace}": Operation(_at(("namespace", "namespace")), _BY_NAMESPACE),
    "PATCH /namespaces/{namespace}": Operation(
        _at(("namespace", "namespace"), body={"description": "d"}), _BY_NAMESPACE, _OF_EXTRACTORS
    ),
    "PUT /namespaces/{namespace}": Operation(
        _at(("namespace", "namespace"), body={"description": "d"}), _BY_NAMESPACE, _OF_EXTRACTORS
    ),
    "DELETE /namespaces/{namespace}": Operation(
        lambda t: Call(path={"namespace": t.fresh("namespace")}), _BY_NAMESPACE
    ),
    "POST /namespaces/{namespace}/documents/upsert": Operation(
        _upsert,
        (*_BY_NAMESPACE, Slot("body.collection_id", "collection")),
        {
            "document_id": "free: the caller's own",
            **dict.fromkeys(
                ("root_bucket_id", "root_object_id", "source_collection_id", "source_document_id", "source_object_id"),
                "free: lineage is kept as it is told, and nothing is looked up",
            ),
        },
    ),
}

_BUCKETS: Final = {
    "POST /buckets": Operation(lambda t: Call(body={"bucket_name": t.name(), "bucket_schema": _SCHEMA})),
    "GET /buckets": Operation(_nothing, _searched("bucket")),
    "POST /buckets/list": Operation(lambda t: Call(body={}), _listed("bucket", "bucket_id")),
    "GET /buckets/{bucket}": Operation(_BUCKET, _BY_BUCKET),
    "PATCH /buckets/{bucket}": Operation(_at(("bucket", "bucket"), body={"description": "d"}), _BY_BUCKET),
    "PUT /buckets/{bucket}": Operation(_at(("bucket", "bucket"), body={"description": "d"}), _BY_BUCKET),
    "DELETE /buckets/{bucket}": Operation(lambda t: Call(path={"bucket": t.fresh("bucket")}), _BY_BUCKET),
    "POST /buckets/{bucket}/objects": Operation(
        _at(("bucket", "bucket"), body={"title": "t"}), _BY_BUCKET, _OF_OBJECTS
    ),
    "POST /buckets/{bucket}/objects/batch": Operation(
        _at(("bucket", "bucket"), body={"objects": [{"title": "t"}]}), _BY_BUCKET, _OF_OBJECTS
    ),
    "GET /buckets/{bucket}/objects": Operation(_BUCKET, _searched("object", *_BY_BUCKET)),
    "POST /buckets/{bucket}/objects/list": Operation(
        _at(("bucket", "bucket"), body={}), _listed("object", "object_id", *_BY_BUCKET)
    ),
    "GET /buckets/{bucket}/objects/{object_id}": Operation(_one_object(), _BY_OBJECT),
    "PATCH /buckets/{bucket}/objects/{object_id}": Operation(_one_object({"title": "u"}), _BY_OBJECT, _OF_OBJECTS),
    "PUT /buckets/{bucket}/objects/{object_id}": Operation(_one_object({"title": "u"}), _BY_OBJECT, _OF_OBJECTS),
    "DELETE /buckets/{bucket}/objects/{object_id}": Operation(_one_object(fresh=True), _BY_OBJECT),
}

_COLLECTIONS: Final = {
    "POST /collections": Operation(
        _create_collection,
        (
            Slot("body.source.collection_ids.0", "collection"),
            Slot("body.source.collection_ids.1", "collection"),
            Slot("body.source.collection_id", "collection"),
            Slot("body.source.bucket_ids.0", "bucket"),
        ),
        {
            "inherited_bucket_ids": "computed; what is sent is dropped",
            "feature_extractor_id": "a name for people",
            "cluster_id": "cluster_applications are kept as sent, nothing acts on them",
        },
    ),
    "GET /collections": Operation(_nothing, _searched("collection")),
    "POST /collections/list": Operation(lambda t: Call(body={}), _listed("collection", "collection_id")),
    "GET /collections/{collection}": Operation(_COLLECTION, _BY_COLLECTION),
    "PATCH /collections/{collection}": Operation(
        _at(("collection", "collection"), body={"description": "d"}),
        _BY_COLLECTION,
        {"cluster_id": "cluster_applications are kept as sent, nothing acts on them"},
    ),
    "DELETE /collections/{collection}": Operation(
        lambda t: Call(path={"collection": t.fresh("collection")}), _BY_COLLECTION
    ),
    "GET /collections/{collection}/features": Operation(_COLLECTION, _BY_COLLECTION),
}

_OF_DOCUMENTS: Final = {
    f"POST {_DOCUMENTS}": Operation(
        lambda t: Call(path={"collection": t.ref("collection")}, body=_vector(t)),
        _BY_COLLECTION,
        _LINEAGE | {"document_id": "a new id, within the collection"},
    ),
    f"GET {_DOCUMENTS}": Operation(
        _COLLECTION, _searched("document", *_BY_COLLECTION, Slot("query.filters", "document", 200, _as_text))
    ),
    f"POST {_DOCUMENTS}/list": Operation(
        _at(("collection", "collection"), body={}), _listed("document", "document_id", *_BY_COLLECTION)
    ),
    f"GET {_DOCUMENTS}/count": Operation(_COLLECTION, _BY_COLLECTION),
    f"POST {_DOCUMENTS}/distinct": Operation(
        _at(("collection", "collection"), body={"field": "text"}),
        (*_BY_COLLECTION, Slot("body.filters", "document", 200, equals("document_id"))),
    ),
    f"POST {_DOCUMENTS}/aggregate": Operation(
        _at(("collection", "collection"), body=_AGGREGATE),
        (*_BY_COLLECTION, Slot("body.filters", "document", 200, equals("document_id"))),
    ),
    f"POST {_DOCUMENTS}/batch": Operation(
        _batch_update, (*_BY_COLLECTION, Slot("body.updates.0.document_id", "document", 200))
    ),
    f"PATCH {_DOCUMENTS}/bulk": Operation(
        _at(("collection", "collection"), body={"update_data": {"note": "n"}}),
        (*_BY_COLLECTION, Slot("body.filters", "document", 200, equals("document_id"))),
    ),
    f"DELETE {_DOCUMENTS}/batch": Operation(
        lambda t: Call(path={"collection": t.ref("collection")}, body={"document_ids": [t.fresh("document")]}),
        (*_BY_COLLECTION, Slot("body.document_ids", "document", 200, lambda ref: [ref])),
    ),
    f"POST {_DOCUMENTS}/import": Operation(_import, _BY_COLLECTION),
    f"GET {_DOCUMENTS}/{{document_id}}": Operation(_one_document(), _BY_DOCUMENT),
    f"PATCH {_DOCUMENTS}/{{document_id}}": Operation(_one_document({"note": "n"}), _BY_DOCUMENT),
    f"PUT {_DOCUMENTS}/{{document_id}}": Operation(_one_document({"note": "n"}, fresh=True), _BY_DOCUMENT),
    f"DELETE {_DOCUMENTS}/{{document_id}}": Operation(_one_document(fresh=True), _BY_DOCUMENT),
}

_CLUSTERS: Final = {
    "POST /clusters": Operation(
        _create_cluster,
        (Slot("body.collection_ids.0", "collection"), Slot("body.collection_ids.1", "collection")),
        {"source_cluster_ids": "refused: composite clusters are not available"},
    ),
    "GET /clusters": Operation(_nothing, _searched("cluster")),
    "POST /clusters/list": Operation(lambda t: Call(body={}), _listed("cluster", "cluster_id")),
    "POST /clusters/enrich": Operation(
        _enrich,
        (
            Slot("body.clustering_ids.0", "cluster"),
            Slot("body.clustering_ids.1", "cluster"),
            Slot("body.clustering_id", "cluster"),
            Slot("body.source_collection_id", "collection"),
            Slot("body.target_collection_id", "collection"),
        ),
    ),
    f"GET {_C}": Operation(_CLUSTER, _BY_CLUSTER),
    f"PATCH {_C}": Operation(
        _at(("cluster_identifier", "cluster"), body={"description": "d"}),
        _BY_CLUSTER,
        {"source_cluster_ids": "refused: composite clusters are not available"},
    ),
    f"DELETE {_C}": Operation(lambda t: Call(path={"cluster_identifier": t.fresh("cluster")}), _BY_CLUSTER),
    f"POST {_C}/execute": Operation(
        lambda t: Call(path={"cluster_identifier": t.fresh("cluster")}, body={}),
        _BY_CLUSTER,
        {"source_execution_ids": "refused: composite runs are not available"},
    ),
    f"POST {_C}/plan": Operation(
        _at(("cluster_identifier", "cluster"), body={}),
        _BY_CLUSTER,
        {"source_execution_ids": "refused: composite runs are not available"},
    ),
    f"GET {_C}/groups": Operation(_CLUSTER, _BY_CLUSTER),
}

_EXECUTIONS: Final = {
    f"GET {_C}/executions": Operation(_CLUSTER, _BY_CLUSTER),
    f"GET {_C}/execution": Operation(_CLUSTER, _BY_CLUSTER),
    f"POST {_C}/executions/list": Operation(
        _at(("cluster_identifier", "cluster"), body={}), _listed("run", "run_id", *_BY_CLUSTER)
    ),
    f"GET {_C}/executions/{{run_id}}": Operation(_RUN, _BY_RUN),
    f"POST {_C}/executions/{{run_id}}/cancel": Operation(lambda t: Call(path=t.fresh_run()), _BY_RUN),
    f"PATCH {_C}/executions/{{run_id}}/labels": Operation(
        _at(("cluster_identifier", "cluster"), ("run_id", "run"), body={"labels": {"cl_0": "mine"}}), _BY_RUN
    ),
    f"PATCH {_C}/executions/{{run_id}}/name": Operation(
        _at(("cluster_identifier", "cluster"), ("run_id", "run"), body={"run_name": "mine"}), _BY_RUN
    ),
    f"GET {_C}/executions/{{run_id}}/export": Operation(_RUN, _BY_RUN),
    f"GET {_C}/executions/{{run_id}}/download": Operation(_RUN, _BY_RUN),
    f"GET {_C}/visualization": Operation(_CLUSTER, (*_BY_CLUSTER, Slot("query.run_id", "run"))),
    f"GET {_C}/artifacts": Operation(_CLUSTER, (*_BY_CLUSTER, Slot("query.run_id", "run"))),
    f"GET {_C}/executions/{{run_id}}/artifacts": Operation(_RUN, _BY_RUN),
    f"POST {_C}/data": Operation(_CLUSTER, (*_BY_CLUSTER, Slot("query.run_id", "run")), _GROUP),
    f"POST {_C}/executions/{{run_id}}/data": Operation(_RUN, _BY_RUN, _GROUP),
}

_TASKS: Final = {
    "GET /tasks/{task_id}": Operation(_at(("task_id", "task")), _BY_TASK),
    "DELETE /tasks/{task_id}": Operation(lambda t: Call(path={"task_id": t.fresh("task")}), _BY_TASK),
    "POST /tasks/{task_id}/kill": Operation(lambda t: Call(path={"task_id": t.fresh("task")}), _BY_TASK),
    "POST /tasks/list": Operation(lambda t: Call(body={}), _listed("task", "task_id")),
}

TABLE: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        **_HEALTH,
        **_ORGANIZATION,
        **_NAMESPACES,
        **_BUCKETS,
        **_COLLECTIONS,
        **_OF_DOCUMENTS,
        **_CLUSTERS,
        **_EXECUTIONS,
        **_TASKS,
    }
)
"""Every operation of the API, as `METHOD /path`."""

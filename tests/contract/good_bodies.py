"""One body for each operation that takes one and is seldom guessed: what a sensible caller sends."""

from typing import Any, Final

from cluster_steps import vector_body

__all__ = ["GOOD"]

GOOD: Final[dict[str, Any]] = {
    "POST /v1/clusters": vector_body(name="good"),
    "POST /v1/clusters/enrich": {"clustering_ids": ["groups"], "source_collection_id": "docs"},
    "PATCH /v1/clusters/{cluster_identifier}": {"description": "good"},
    "POST /v1/clusters/{cluster_identifier}/execute": {"mode": "full", "filters": {"kind": ["a", "b", "c"]}},
    "PATCH /v1/clusters/{cluster_identifier}/executions/{run_id}/labels": {"labels": {"cl_0": "Luggage"}},
    "POST /v1/collections": {"collection_name": "good", "source": {"type": "direct_upsert"}},
    "POST /v1/collections/{collection}/documents": {"document_id": "good", "vectors": {"v": [1.0] * 8}, "n": 1},
    "POST /v1/collections/{collection}/documents/aggregate": {
        "group_by": [{"field": "kind"}],
        "aggregations": [{"function": "avg", "field": "row", "alias": "mean"}],
    },
    "POST /v1/collections/{collection}/documents/batch": {
        "updates": [{"document_id": "d0000", "update_data": {"seen": True}}]
    },
    "DELETE /v1/collections/{collection}/documents/batch": {"document_ids": ["d0020", "missing"]},
    "POST /v1/collections/{collection}/documents/list": {"group_by": "kind", "return_vectors": True},
    "POST /v1/collections/{collection}/documents/distinct": {"field": "kind"},
    "PATCH /v1/clusters/{cluster_identifier}/executions/{run_id}/name": {"run_name": "good"},
    "PATCH /v1/collections/{collection}/documents/bulk": {"update_data": {"seen": True}, "filters": {"kind": "a"}},
    "POST /v1/namespaces": {"namespace_name": "good"},
    "POST /v1/namespaces/standalone": {
        "namespace_name": "good-one",
        "vector_configs": [{"name": "v", "dimension": 2}],
    },
    "POST /v1/namespaces/{namespace}/documents/upsert": {
        "collection_id": "docs",
        "documents": [{"document_id": "sent", "vectors": {"v": [0.5] * 8}, "payload": {"kind": "a"}}],
    },
    "POST /v1/buckets": {"bucket_name": "good", "bucket_schema": {"properties": {"title": {"type": "text"}}}},
    "POST /v1/buckets/{bucket}/objects/batch": {
        "objects": [{"title": "good", "blobs": [{"property": "text", "type": "text", "data": "hello"}]}]
    },
    "POST /v1/organizations/users/{user_email}/api-keys": {"name": "good", "expires_at": "2999-01-01T00:00:00Z"},
}

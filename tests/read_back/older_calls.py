"""The calls of the older SDK (0.81.1) on a served installation. A program, since both versions have one name.

    python older_calls.py URL KEY

PYTHONPATH says where the older version is. The installation is that of `contract.planted`. One JSON line a step,
`{"step": …, "error": null}`, and a last one, `{"calls": n, "routes": ["GET /v1/clusters/{}", …]}`.
"""

import importlib
import json
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import mixpeek

from sdk.calls import Calls, official_routes

_STEPS: list[Callable[["Older"], None]] = []
_USER: Final = "older@example.org"
_SCHEMA: Final = {"properties": {"title": {"type": "string"}}}


def step(function: Callable[["Older"], None]) -> Callable[["Older"], None]:
    """A step of the program; they run in the order in which they stand."""
    _STEPS.append(function)
    return function


class Older:
    """The older client; a key and a namespace go with every call."""

    def __init__(self, url: str, key: str) -> None:
        self.calls = Calls()
        self._client = mixpeek.ApiClient(mixpeek.Configuration(host=url))
        self._client.default_headers |= {"Authorization": f"Bearer {key}", "X-Namespace": "default"}
        self.calls.watch(self._client.rest_client.pool_manager)
        self.run_id = self.object_id = ""

    def __getattr__(self, name: str) -> Any:
        """`older.clusters` is its ClustersApi."""
        made = getattr(mixpeek, f"{name}Api")(self._client)
        setattr(self, name, made)
        return made


def new(model: str, **fields: Any) -> Any:
    """A request model, made as its documentation does."""
    module = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", model).lower()
    return getattr(importlib.import_module(f"mixpeek.models.{module}"), model).from_dict(fields)


@step
def asks_for_health_and_itself(older: Older) -> None:
    older.Health.healthcheck_health_0()
    older.Health.liveness_health_0()
    older.Health.celery_beat_health()
    assert older.Organizations.get_organization().organization_name


@step
def makes_and_changes_a_namespace(older: Older) -> None:
    made = older.Namespaces.create_namespace(
        new("CreateNamespaceRequest", namespace_name="older-space", feature_extractors=_extractors())
    )
    assert made.feature_extractors[0].feature_extractor_id == "text_v1"
    older.Namespaces.patch_namespace(
        "older-space", new("PatchNamespaceRequest", namespace_name="older-two", description="d")
    )
    older.Namespaces.update_namespace("older-two", new("UpdateNamespaceRequest", payload_indexes=[]))
    assert older.Namespaces.get_namespace("older-two").description == "d"
    assert older.Namespaces.list_namespaces().results
    older.Namespaces.delete_namespace("older-two", force=True)


def _extractors() -> list[dict[str, Any]]:
    return [{"feature_extractor_name": "text", "version": "v1"}]


@step
def makes_buckets_and_objects(older: Older) -> None:
    older.Buckets.create_bucket(new("BucketCreateRequest", bucket_name="older", bucket_schema=_SCHEMA))
    older.Buckets.patch_bucket("older", new("BucketPatchRequest", description="d"))
    older.Buckets.update_bucket("older", new("BucketUpdateRequest", bucket_name="older"))
    assert older.Buckets.get_bucket("older").description == "d"
    assert older.Buckets.list_buckets().results
    blob = {"property": "text", "type": "text", "data": "hello"}
    objects = older.BucketObjects
    made = objects.create_object_buckets("older", new("CreateObjectRequest", title="t", blobs=[blob]))
    objects.create_objects_batch_buckets("older", new("CreateObjectsBatchRequest", objects=[{"title": "u"}]))
    objects.patch_object_buckets("older", made.object_id, new("PatchObjectRequest", title="v"))
    objects.update_object_buckets("older", made.object_id, new("UpdateObjectRequest", metadata={"a": 1}))
    shown = objects.get_object_buckets("older", made.object_id)
    assert shown.additional_properties["title"] == "v" and shown.additional_properties["metadata"] == {"a": 1}
    assert len(objects.list_objects_buckets("older", limit=5).results) == 2
    objects.delete_object_buckets("older", made.object_id)


@step
def makes_collections_without_schemas(older: Older) -> None:
    source = {"type": "bucket", "bucket_ids": ["older"]}
    made = older.Collections.create_collection(
        new("CreateCollectionRequest", collection_name="older_docs", source=source, feature_extractor=_extractors()[0])
    )
    assert made.input_schema.properties == made.output_schema.properties == {}
    older.Collections.update_collection("older_docs", {"description": "d"})
    assert older.Collections.get_collection("older_docs").description == "d"
    older.Collections.describe_collection_features("older_docs")


@step
def reads_collections_that_are_fed_by_upserts(older: Older) -> None:
    assert older.Collections.get_collection("docs").source.type.value == "bucket"
    listed = {one.collection_name: one for one in older.Collections.list_collections(limit=100).results}
    assert "docs" in listed


@step
def makes_and_changes_documents(older: Older) -> None:
    id = older.Collections.get_collection("older_docs").collection_id
    documents = older.CollectionDocuments
    for number in range(4):
        vectors = {"v": [float(number == axis) for axis in range(8)]}
        made = documents.create_document(
            "older_docs", new("DocumentCreateRequest", collection_id=id, title=f"t{number}", vectors=vectors)
        )
    documents.patch_document("older_docs", made.document_id, {"title": "patched"})
    documents.update_document("older_docs", made.document_id, {"title": "put"})
    updates = [{"document_id": made.document_id, "update_data": {"seen": 1}}]
    documents.batch_update("older_docs", new("BatchUpdateDocumentsRequest", updates=updates))
    documents.bulk_update("older_docs", new("BulkUpdateDocumentsRequest", update_data={"all": 1}))
    shown = documents.get_document("older_docs", made.document_id, return_vectors=True)
    assert shown.additional_properties["title"] == "put" and shown.additional_properties["all"] == 1
    counted = {"aggregations": [{"function": "count", "alias": "n"}], "group_by": [{"field": "all"}]}
    assert documents.aggregate_documents("older_docs", new("DocumentAggregationRequest", **counted)).total_groups == 1
    documents.delete_document("older_docs", made.document_id)
    gone = documents.list_documents("older_docs", limit=5).results[0].document_id
    documents.batch_delete("older_docs", new("BatchDeleteDocumentsRequest", document_ids=[gone]))


@step
def reads_documents_that_were_upserted(older: Older) -> None:
    found = older.CollectionDocuments.list_documents("docs", limit=5).results
    assert len(found) == 5
    one = older.CollectionDocuments.get_document("docs", found[0].document_id)
    assert one.document_id == found[0].document_id


@step
def makes_clusters_of_every_method(older: Older) -> None:
    for method in ("kmeans", "hdbscan", "agglomerative"):
        config = {"feature_uris": ["v"], "clustering_method": method}
        made = older.Clusters.create_cluster(
            new("CreateClusterRequest", collection_ids=["docs"], cluster_name=f"older_{method}", vector_config=config)
        )
        assert made.algorithm == method
    by_value = {"attributes": ["kind"]}
    older.Clusters.create_cluster(
        new(
            "CreateClusterRequest",
            collection_ids=["docs"],
            cluster_name="older_values",
            cluster_type="attribute",
            attribute_config=by_value,
        )
    )
    older.Clusters.patch_cluster("older_kmeans", new("PatchClusterRequest", metadata={"a": 1}))
    assert older.Clusters.get_cluster("older_kmeans").metadata == {"a": 1}
    assert older.Clusters.list_clusters(limit=100).results


@step
def executes_and_cancels(older: Older) -> None:
    task = older.Clusters.execute_clustering_clusters("older_kmeans")
    run_id = task.additional_data["run_id"]
    assert older.ClusterExecutions.get_cluster_execution("older_kmeans").status == "pending"
    older.ClusterExecutions.cancel_execution_clusters_id_run("older_kmeans", run_id)
    run = older.ClusterExecutions.get_cluster_execution_by_run("older_kmeans", run_id)
    assert run.status == "failed" and "canceled" in run.error_message
    assert older.ClusterExecutions.list_cluster_executions("older_kmeans").results[0].status == "failed"
    assert older.Tasks.get_task(task.task_id).status.value == "CANCELED"
    assert older.Tasks.list_tasks(limit=100).results
    older.Tasks.kill_task(task.task_id)


@step
def reads_a_finished_run(older: Older) -> None:
    run = older.ClusterExecutions.get_cluster_execution("groups")
    assert run.status == "completed" and len(run.centroids) == run.num_clusters == 3
    older.Clusters.apply_cluster_enrichment_enrich(
        new("ApplyClusterEnrichmentRequest", clustering_ids=["groups"], source_collection_id="docs")
    )


@step
def makes_and_rotates_keys(older: Older) -> None:
    keys = older.OrganizationAPIKeys
    made = keys.create_key_organizations_users_email(_USER, new("APIKeyCreateRequest", name="older"))
    assert made.key.startswith(made.key_prefix)
    keys.update_key_organizations_users_email_name(_USER, "older", new("APIKeyUpdateRequest", description="d"))
    keys.list_keys_organizations_users_email(_USER, include_revoked=True)
    keys.rotate_key_organizations_users_email_name(_USER, "older")
    keys.delete_key_organizations_users_email_name(_USER, "older")


@step
def removes_what_it_made(older: Older) -> None:
    for name in ("older_kmeans", "older_hdbscan", "older_agglomerative", "older_values"):
        older.Clusters.delete_cluster(name)
    older.Collections.delete_collection("older_docs")
    older.Buckets.delete_bucket("older")


def main() -> None:
    """All steps, each with its outcome."""
    older = Older(sys.argv[1], sys.argv[2])
    for one in _STEPS:
        error = None
        try:
            one(older)
        except Exception:  # noqa: BLE001  # whatever it raises is the finding
            error = traceback.format_exc()
        _say({"step": one.__name__, "error": error})
    _say({"calls": older.calls.total(), "routes": sorted(map(str, older.calls.routes(official_routes())))})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

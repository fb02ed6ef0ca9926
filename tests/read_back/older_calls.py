"""The calls of the older SDK (0.81.1) on a served installation. A program, since both versions share one package name.

    python older_calls.py URL KEY

PYTHONPATH locates the older version. The installation is that of `contract.planted`. One JSON line per step,
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
    """Register a step of the program; steps run in source order."""
    _STEPS.append(function)
    return function


class Older:
    """The older client; every call sends a key and a namespace."""

    def __init__(self, url: str, key: str) -> None:
        self.calls = Calls()
        self._client = mixpeek.ApiClient(mixpeek.Configuration(host=url))
        self._client.default_headers |= {"Authorization": f"Bearer {key}", "X-Namespace": "default"}
        self.calls.watch(self._client.rest_client.pool_manager)
        self.run_id = self.object_id = ""

    def __getattr__(self, name: str) -> Any:
        """`older.clusters` is its ClustersApi."""
        created = getattr(mixpeek, f"{name}Api")(self._client)
        setattr(self, name, created)
        return created


def build_model(model: str, **fields: Any) -> Any:
    """Build a request model as the SDK documentation does."""
    module = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", model).lower()
    return getattr(importlib.import_module(f"mixpeek.models.{module}"), model).from_dict(fields)


@step
def get_health_and_organization(older: Older) -> None:
    older.Health.healthcheck_health_0()
    older.Health.liveness_health_0()
    older.Health.celery_beat_health()
    assert older.Organizations.get_organization().organization_name


@step
def create_and_change_namespace(older: Older) -> None:
    created = older.Namespaces.create_namespace(
        build_model("CreateNamespaceRequest", namespace_name="older-space", feature_extractors=_extractors())
    )
    assert created.feature_extractors[0].feature_extractor_id == "text_v1"
    older.Namespaces.patch_namespace(
        "older-space", build_model("PatchNamespaceRequest", namespace_name="older-two", description="d")
    )
    older.Namespaces.update_namespace("older-two", build_model("UpdateNamespaceRequest", payload_indexes=[]))
    assert older.Namespaces.get_namespace("older-two").description == "d"
    assert older.Namespaces.list_namespaces().results
    older.Namespaces.delete_namespace("older-two", force=True)


def _extractors() -> list[dict[str, Any]]:
    return [{"feature_extractor_name": "text", "version": "v1"}]


@step
def create_buckets_and_objects(older: Older) -> None:
    older.Buckets.create_bucket(build_model("BucketCreateRequest", bucket_name="older", bucket_schema=_SCHEMA))
    older.Buckets.patch_bucket("older", build_model("BucketPatchRequest", description="d"))
    older.Buckets.update_bucket("older", build_model("BucketUpdateRequest", bucket_name="older"))
    assert older.Buckets.get_bucket("older").description == "d"
    assert older.Buckets.list_buckets().results
    blob = {"property": "text", "type": "text", "data": "hello"}
    objects = older.BucketObjects
    created = objects.create_object_buckets("older", build_model("CreateObjectRequest", title="t", blobs=[blob]))
    objects.create_objects_batch_buckets("older", build_model("CreateObjectsBatchRequest", objects=[{"title": "u"}]))
    objects.patch_object_buckets("older", created.object_id, build_model("PatchObjectRequest", title="v"))
    objects.update_object_buckets("older", created.object_id, build_model("UpdateObjectRequest", metadata={"a": 1}))
    current = objects.get_object_buckets("older", created.object_id)
    assert current.additional_properties["title"] == "v" and current.additional_properties["metadata"] == {"a": 1}
    assert len(objects.list_objects_buckets("older", limit=5).results) == 2
    objects.delete_object_buckets("older", created.object_id)


@step
def create_collections_without_schemas(older: Older) -> None:
    source = {"type": "bucket", "bucket_ids": ["older"]}
    created = older.Collections.create_collection(
        build_model(
            "CreateCollectionRequest", collection_name="older_docs", source=source, feature_extractor=_extractors()[0]
        )
    )
    assert created.input_schema.properties == created.output_schema.properties == {}
    older.Collections.update_collection("older_docs", {"description": "d"})
    assert older.Collections.get_collection("older_docs").description == "d"
    older.Collections.describe_collection_features("older_docs")


@step
def read_collections_fed_by_upserts(older: Older) -> None:
    assert older.Collections.get_collection("docs").source.type.value == "bucket"
    listed = {
        collection.collection_name: collection for collection in older.Collections.list_collections(limit=100).results
    }
    assert "docs" in listed


@step
def create_and_change_documents(older: Older) -> None:
    id = older.Collections.get_collection("older_docs").collection_id
    documents = older.CollectionDocuments
    for number in range(4):
        vectors = {"v": [float(number == axis) for axis in range(8)]}
        created = documents.create_document(
            "older_docs", build_model("DocumentCreateRequest", collection_id=id, title=f"t{number}", vectors=vectors)
        )
    documents.patch_document("older_docs", created.document_id, {"title": "patched"})
    documents.update_document("older_docs", created.document_id, {"title": "put"})
    updates = [{"document_id": created.document_id, "update_data": {"seen": 1}}]
    documents.batch_update("older_docs", build_model("BatchUpdateDocumentsRequest", updates=updates))
    documents.bulk_update("older_docs", build_model("BulkUpdateDocumentsRequest", update_data={"all": 1}))
    current = documents.get_document("older_docs", created.document_id, return_vectors=True)
    assert current.additional_properties["title"] == "put" and current.additional_properties["all"] == 1
    counted = {"aggregations": [{"function": "count", "alias": "n"}], "group_by": [{"field": "all"}]}
    assert (
        documents.aggregate_documents("older_docs", build_model("DocumentAggregationRequest", **counted)).total_groups
        == 1
    )
    documents.delete_document("older_docs", created.document_id)
    gone = documents.list_documents("older_docs", limit=5).results[0].document_id
    documents.batch_delete("older_docs", build_model("BatchDeleteDocumentsRequest", document_ids=[gone]))


@step
def read_upserted_documents(older: Older) -> None:
    documents = older.CollectionDocuments.list_documents("docs", limit=5).results
    assert len(documents) == 5
    document = older.CollectionDocuments.get_document("docs", documents[0].document_id)
    assert document.document_id == documents[0].document_id


@step
def create_clusters_of_every_method(older: Older) -> None:
    for method in ("kmeans", "hdbscan", "agglomerative"):
        config = {"feature_uris": ["v"], "clustering_method": method}
        created = older.Clusters.create_cluster(
            build_model(
                "CreateClusterRequest", collection_ids=["docs"], cluster_name=f"older_{method}", vector_config=config
            )
        )
        assert created.algorithm == method
    by_value = {"attributes": ["kind"]}
    older.Clusters.create_cluster(
        build_model(
            "CreateClusterRequest",
            collection_ids=["docs"],
            cluster_name="older_values",
            cluster_type="attribute",
            attribute_config=by_value,
        )
    )
    older.Clusters.patch_cluster("older_kmeans", build_model("PatchClusterRequest", metadata={"a": 1}))
    assert older.Clusters.get_cluster("older_kmeans").metadata == {"a": 1}
    assert older.Clusters.list_clusters(limit=100).results


@step
def execute_and_cancel(older: Older) -> None:
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
def read_finished_run(older: Older) -> None:
    run = older.ClusterExecutions.get_cluster_execution("groups")
    assert run.status == "completed" and len(run.centroids) == run.num_clusters == 3
    older.Clusters.apply_cluster_enrichment_enrich(
        build_model("ApplyClusterEnrichmentRequest", clustering_ids=["groups"], source_collection_id="docs")
    )


@step
def create_and_rotate_keys(older: Older) -> None:
    keys = older.OrganizationAPIKeys
    created = keys.create_key_organizations_users_email(_USER, build_model("APIKeyCreateRequest", name="older"))
    assert created.key.startswith(created.key_prefix)
    keys.update_key_organizations_users_email_name(_USER, "older", build_model("APIKeyUpdateRequest", description="d"))
    keys.list_keys_organizations_users_email(_USER, include_revoked=True)
    keys.rotate_key_organizations_users_email_name(_USER, "older")
    keys.delete_key_organizations_users_email_name(_USER, "older")


@step
def remove_everything(older: Older) -> None:
    for name in ("older_kmeans", "older_hdbscan", "older_agglomerative", "older_values"):
        older.Clusters.delete_cluster(name)
    older.Collections.delete_collection("older_docs")
    older.Buckets.delete_bucket("older")


def main() -> None:
    """Run all steps and print their outcomes."""
    older = Older(sys.argv[1], sys.argv[2])
    for step_function in _STEPS:
        error = None
        try:
            step_function(older)
        except Exception:  # noqa: BLE001  # any error is the result
            error = traceback.format_exc()
        _print_line({"step": step_function.__name__, "error": error})
    _print_line({"calls": older.calls.total(), "routes": sorted(map(str, older.calls.routes(official_routes())))})


def _print_line(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

"""Routes of clusters."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Body, Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQueryDep, NamespaceDep, ServicesDep
from shoal.api.handler_threads import mark_polled
from shoal.api.idempotency import IdempotentCallDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.clusters.cluster import Cluster, ClusterList, DeletedCluster, Enriched
from shoal.records.clusters.groups import ClusterGroups
from shoal.records.clusters.requests import CreateCluster, EnrichClusters, PatchCluster
from shoal.records.queries.paging import ListBody
from shoal.records.runs.execution import ExecuteCluster
from shoal.records.runs.plan import RunPlan
from shoal.records.task import Task
from shoal.storage.protocols.transactions import Transaction

__all__ = ["router"]

router = Resource(
    "/clusters",
    tag="Clusters",
    about="Definitions of clusterings, and their execution.",
    path_parameters={
        "cluster_identifier": "Id or name of the cluster.",
    },
)
_SEARCHED = ("cluster_id", "cluster_name", "description")


@router.post("", response_model=Cluster, openapi_extra=WRITE)
def create_cluster(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, body: CreateCluster
) -> Response:
    """Create a cluster; executing it is a separate call."""
    return call.once(scope, lambda: services.clusters.creation(scope, body))


@router.get("", response_model=ClusterList, openapi_extra=READ)
def list_clusters(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep) -> Response:
    """List the clusters of the namespace, newest first."""
    return _list(services, scope, list_query, None)


@router.post("/list", response_model=ClusterList, openapi_extra=READ)
def search_clusters(
    services: ServicesDep,
    scope: NamespaceDep,
    list_query: ListQueryDep,
    body: Annotated[ListBody | None, Body()] = None,
) -> Response:
    """List clusters with filters, sorting and search."""
    return _list(services, scope, list_query, body)


def _list(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep, body: ListBody | None) -> Response:
    listing = services.clusters.search(scope, list_query.query(body, _SEARCHED))
    return reply(
        {
            "results": listing.items,
            "pagination": list_query.pagination(listing, body),
            "total_count": listing.total,
            "stats": services.clusters.stats(scope),
        }
    )


@router.post("/enrich", response_model=Enriched, openapi_extra=WRITE)
def enrich_collection(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, body: EnrichClusters
) -> Response:
    """Copy the visible results of clusters into the documents of a collection."""
    return call.once_repeatable(scope, lambda: reply(services.enrichment.enrich_collection(scope, body)))


@router.get("/{cluster_identifier}", response_model=Cluster, openapi_extra=READ)
@mark_polled
def get_cluster(services: ServicesDep, scope: NamespaceDep, cluster_identifier: str) -> Response:
    """Get a cluster by id or name, with the state of its latest run."""
    return reply(services.clusters.get(scope, cluster_identifier))


@router.patch("/{cluster_identifier}", response_model=Cluster, openapi_extra=WRITE)
def patch_cluster(services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, body: PatchCluster) -> Response:
    """Change the fields that are sent; nothing is executed."""
    return reply(services.clusters.patch(scope, cluster_identifier, body))


@router.delete("/{cluster_identifier}", response_model=DeletedCluster, openapi_extra=DELETE)
def delete_cluster(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    cascade_output_collections: bool = True,
    remove_enrichment: bool = False,
) -> Response:
    """Delete a cluster with its runs, artifacts and, by default, its output collections; with `remove_enrichment` also
    the results that it wrote into documents."""
    cluster = services.clusters.get(scope, cluster_identifier)
    deleted = services.clusters.delete(
        scope, cluster.cluster_id, cascade=cascade_output_collections, clear_results=remove_enrichment
    )
    return reply(
        {
            "success": True,
            "message": f"The cluster {cluster.cluster_name!r} is deleted.",
            "cluster_id": cluster.cluster_id,
            "deleted": deleted,
        }
    )


@router.post("/{cluster_identifier}/execute", response_model=Task, openapi_extra=WRITE)
@router.post("/{cluster_identifier}/execute/submit", response_model=Task, include_in_schema=False, openapi_extra=WRITE)
def execute_cluster(
    services: ServicesDep,
    scope: NamespaceDep,
    call: IdempotentCallDep,
    cluster_identifier: str,
    body: Annotated[ExecuteCluster | None, Body()] = None,
) -> Response:
    """Queue a run and return its task at once; the run's id is in `additional_data.run_id`."""

    def execution() -> Callable[[Transaction], Task]:
        run = services.clusters.admit(scope, cluster_identifier, body or ExecuteCluster())
        return services.clusters.execution(scope, run)

    return call.once(scope, execution)


@router.post("/{cluster_identifier}/plan", response_model=RunPlan, openapi_extra=READ)
def plan_run(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    body: Annotated[ExecuteCluster | None, Body()] = None,
) -> Response:
    """Estimate the cost of an execution with the same body: documents, time, memory, disk, calls of a language model.
    Nothing is queued."""
    return reply(services.clusters.plan(scope, cluster_identifier, body or ExecuteCluster()))


@router.get("/{cluster_identifier}/groups", response_model=ClusterGroups, openapi_extra=READ)
def get_groups(services: ServicesDep, scope: NamespaceDep, cluster_identifier: str) -> Response:
    """Get the groups of the visible run, largest first."""
    return reply(services.executions.groups(scope, cluster_identifier))

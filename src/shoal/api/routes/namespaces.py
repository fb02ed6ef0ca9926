"""Routes of namespaces, which are named in the path: the X-Namespace header is not used here."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQuery, ListQueryDep, OrganizationDep, ServicesDep
from shoal.api.idempotency import IdempotentCallDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.records.namespace import (
    CreateNamespace,
    CreateStandaloneNamespace,
    DeletedNamespace,
    Namespace,
    NamespaceList,
    PatchNamespace,
)
from shoal.records.queries.paging import ListBody
from shoal.records.scope import Scope

__all__ = ["router"]

router = Resource(
    "/namespaces",
    tag="namespaces",
    about="Isolated parts of an organisation.",
    path_parameters={
        "namespace": "Id or name of the namespace.",
    },
)

_SEARCHED = ("namespace_id", "namespace_name", "description")


@router.post("", response_model=Namespace, openapi_extra=WRITE)
def create_namespace(
    services: ServicesDep, organization: OrganizationDep, call: IdempotentCallDep, body: CreateNamespace
) -> Response:
    """Create a namespace; `mode: standalone` for your own vectors."""
    return call.once(organization, lambda: services.namespaces.creation(organization, body))


@router.post("/standalone", response_model=Namespace, openapi_extra=WRITE)
def create_standalone_namespace(
    services: ServicesDep, organization: OrganizationDep, call: IdempotentCallDep, body: CreateStandaloneNamespace
) -> Response:
    """Create a namespace for your own vectors, by id or by name."""
    return call.once(organization, lambda: services.namespaces.standalone_creation(organization, body))


@router.get("", response_model=NamespaceList, openapi_extra=READ)
def list_namespaces(services: ServicesDep, organization: OrganizationDep, list_query: ListQueryDep) -> Response:
    """List the namespaces of the organisation, newest first."""
    return _listing(services, organization, list_query, None)


@router.post("/list", response_model=NamespaceList, openapi_extra=READ)
def query_namespaces(
    services: ServicesDep, organization: OrganizationDep, list_query: ListQueryDep, body: ListBody
) -> Response:
    """List namespaces with filters, sorting and search."""
    return _listing(services, organization, list_query, body)


@router.get("/{namespace}", response_model=Namespace, openapi_extra=READ)
def get_namespace(services: ServicesDep, organization: OrganizationDep, namespace: str) -> Response:
    """Get a namespace by id or name."""
    return reply(services.namespaces.get(organization, namespace))


@router.patch("/{namespace}", response_model=Namespace, openapi_extra=WRITE)
def patch_namespace(
    services: ServicesDep, organization: OrganizationDep, namespace: str, body: PatchNamespace
) -> Response:
    """Change the fields that are sent."""
    return reply(services.namespaces.change(organization, namespace, body))


@router.put("/{namespace}", response_model=Namespace, openapi_extra=WRITE)
def put_namespace(
    services: ServicesDep, organization: OrganizationDep, namespace: str, body: PatchNamespace
) -> Response:
    """The same as PATCH, as in the upstream API."""
    return reply(services.namespaces.change(organization, namespace, body))


@router.delete("/{namespace}", response_model=DeletedNamespace, openapi_extra=DELETE)
def delete_namespace(services: ServicesDep, organization: OrganizationDep, namespace: str) -> Response:
    """Delete a namespace with everything in it."""
    removed = services.namespaces.remove(organization, namespace)
    message = f"The namespace {removed.namespace_name!r} and everything inside is gone."
    return reply({"success": True, "message": message, "namespace_id": removed.namespace_id})


def _listing(services: Services, organization: Scope, list_query: ListQuery, body: ListBody | None) -> Response:
    listing = services.namespaces.search(organization, list_query.query(body, _SEARCHED))
    return reply(
        NamespaceList(results=listing.items, pagination=list_query.pagination(listing, body), total_count=listing.total)
    )

"""Namespaces. The X-Namespace header plays no part here: the namespace is in the path."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Listed, ListQuery, Organized, Wired
from shoal.api.idempotency import Keyed
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
    about="The border within an organisation.",
    path_parameters={
        "namespace": "Id or name of the namespace.",
    },
)

_SEARCHED = ("namespace_id", "namespace_name", "description")


@router.post("", response_model=Namespace, openapi_extra=WRITE)
def create_namespace(services: Wired, organization: Organized, keyed: Keyed, body: CreateNamespace) -> Response:
    """A namespace; `mode: standalone` for own vectors."""
    return keyed.once(organization, lambda: services.namespaces.creation(organization, body))


@router.post("/standalone", response_model=Namespace, openapi_extra=WRITE)
def create_standalone_namespace(
    services: Wired, organization: Organized, keyed: Keyed, body: CreateStandaloneNamespace
) -> Response:
    """A namespace for own vectors, by id or by name."""
    return keyed.once(organization, lambda: services.namespaces.standalone_creation(organization, body))


@router.get("", response_model=NamespaceList, openapi_extra=READ)
def list_namespaces(services: Wired, organization: Organized, listed: Listed) -> Response:
    """The organisation's namespaces, newest first."""
    return _listing(services, organization, listed, None)


@router.post("/list", response_model=NamespaceList, openapi_extra=READ)
def query_namespaces(services: Wired, organization: Organized, listed: Listed, body: ListBody) -> Response:
    """Namespaces, filtered, sorted and searched."""
    return _listing(services, organization, listed, body)


@router.get("/{namespace}", response_model=Namespace, openapi_extra=READ)
def get_namespace(services: Wired, organization: Organized, namespace: str) -> Response:
    """One namespace by id or name."""
    return reply(services.namespaces.get(organization, namespace))


@router.patch("/{namespace}", response_model=Namespace, openapi_extra=WRITE)
def patch_namespace(services: Wired, organization: Organized, namespace: str, body: PatchNamespace) -> Response:
    """Change what is sent."""
    return reply(services.namespaces.change(organization, namespace, body))


@router.put("/{namespace}", response_model=Namespace, openapi_extra=WRITE)
def put_namespace(services: Wired, organization: Organized, namespace: str, body: PatchNamespace) -> Response:
    """The same as PATCH, as upstream has it."""
    return reply(services.namespaces.change(organization, namespace, body))


@router.delete("/{namespace}", response_model=DeletedNamespace, openapi_extra=DELETE)
def delete_namespace(services: Wired, organization: Organized, namespace: str) -> Response:
    """Remove a namespace with everything inside."""
    removed = services.namespaces.remove(organization, namespace)
    message = f"The namespace {removed.namespace_name!r} and everything inside is gone."
    return reply({"success": True, "message": message, "namespace_id": removed.namespace_id})


def _listing(services: Services, organization: Scope, listed: ListQuery, body: ListBody | None) -> Response:
    found = services.namespaces.search(organization, listed.query(body, _SEARCHED))
    return reply(NamespaceList(results=found.items, pagination=listed.pagination(found, body), total_count=found.total))

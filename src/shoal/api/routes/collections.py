"""Routes of collections."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import CallerDep, ListQuery, ListQueryDep, NamespaceDep, ServicesDep
from shoal.api.idempotency import IdempotentCallDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.records.collection import (
    Collection,
    CollectionFeatures,
    CollectionList,
    CollectionStats,
    CreateCollection,
    DeletedCollection,
    PatchCollection,
)
from shoal.records.queries.paging import ListBody
from shoal.records.scope import Scope

__all__ = ["router"]

router = Resource(
    "/collections",
    tag="collections",
    about="Containers of documents.",
    path_parameters={
        "collection": "Id or name of the collection.",
    },
)

_SEARCHED = ("collection_id", "collection_name", "description")


@router.post("", response_model=Collection, openapi_extra=WRITE)
def create_collection(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, body: CreateCollection
) -> Response:
    """Create a collection; `metadata.vector_configs` declares vectors."""
    return call.once(scope, lambda: services.collections.creation(scope, body))


@router.get("", response_model=CollectionList, openapi_extra=READ)
def list_collections(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep) -> Response:
    """List the collections of the namespace, newest first."""
    return _listing(services, scope, list_query, None)


@router.post("/list", response_model=CollectionList, openapi_extra=READ)
def query_collections(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep, body: ListBody) -> Response:
    """List collections with filters, sorting and search."""
    return _listing(services, scope, list_query, body)


@router.get("/{collection}", response_model=Collection, openapi_extra=READ)
def get_collection(services: ServicesDep, scope: NamespaceDep, collection: str) -> Response:
    """Get a collection by id or name, with document count and vector indexes."""
    return reply(services.collections.get(scope, collection))


@router.patch("/{collection}", response_model=Collection, openapi_extra=WRITE)
def patch_collection(services: ServicesDep, scope: NamespaceDep, collection: str, body: PatchCollection) -> Response:
    """Change the fields that are sent."""
    return reply(services.collections.patch(scope, collection, body))


@router.delete("/{collection}", response_model=DeletedCollection, openapi_extra=DELETE)
def delete_collection(services: ServicesDep, scope: NamespaceDep, caller: CallerDep, collection: str) -> Response:
    """Delete a collection with its documents; `warnings` names the clusters that read it, which stay."""
    removed = services.collections.delete(scope, collection)
    return reply(removed if caller.may("read") else removed.with_changes(warnings=[]))


@router.get("/{collection}/features", response_model=CollectionFeatures, openapi_extra=READ)
def describe_features(services: ServicesDep, scope: NamespaceDep, collection: str) -> Response:
    """List the features by which documents of the collection can be clustered."""
    return reply({"features": services.collections.features(scope, collection)})


def _listing(services: Services, scope: Scope, list_query: ListQuery, body: ListBody | None) -> Response:
    listing = services.collections.search(scope, list_query.query(body, _SEARCHED))
    documents = sum(item.document_count or 0 for item in listing.items)
    stats = CollectionStats(
        total_documents=documents,
        avg_documents_per_collection=documents / len(listing.items) if listing.items else 0.0,
    )
    return reply(
        CollectionList(
            results=listing.items,
            pagination=list_query.pagination(listing, body),
            total_count=listing.total,
            stats=stats,
        )
    )

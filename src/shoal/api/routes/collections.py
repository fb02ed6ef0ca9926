"""Collections."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Called, Listed, ListQuery, Namespaced, Wired
from shoal.api.idempotency import Keyed
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
    about="Where documents live.",
    path_parameters={
        "collection": "Id or name of the collection.",
    },
)

_SEARCHED = ("collection_id", "collection_name", "description")


@router.post("", response_model=Collection, openapi_extra=WRITE)
def create_collection(services: Wired, scope: Namespaced, keyed: Keyed, body: CreateCollection) -> Response:
    """A collection for documents; `metadata.vector_configs` declares vectors."""
    return keyed.once(scope, lambda: services.collections.creation(scope, body))


@router.get("", response_model=CollectionList, openapi_extra=READ)
def list_collections(services: Wired, scope: Namespaced, listed: Listed) -> Response:
    """The collections of the namespace, newest first."""
    return _listing(services, scope, listed, None)


@router.post("/list", response_model=CollectionList, openapi_extra=READ)
def query_collections(services: Wired, scope: Namespaced, listed: Listed, body: ListBody) -> Response:
    """Collections, filtered, sorted and searched."""
    return _listing(services, scope, listed, body)


@router.get("/{collection}", response_model=Collection, openapi_extra=READ)
def get_collection(services: Wired, scope: Namespaced, collection: str) -> Response:
    """One collection by id or name, with document count and vector indexes."""
    return reply(services.collections.get(scope, collection))


@router.patch("/{collection}", response_model=Collection, openapi_extra=WRITE)
def patch_collection(services: Wired, scope: Namespaced, collection: str, body: PatchCollection) -> Response:
    """Change what is sent."""
    return reply(services.collections.patch(scope, collection, body))


@router.delete("/{collection}", response_model=DeletedCollection, openapi_extra=DELETE)
def delete_collection(services: Wired, scope: Namespaced, caller: Called, collection: str) -> Response:
    """Remove a collection with its documents; `warnings` names the clusters over it, which stay."""
    removed = services.collections.delete(scope, collection)
    return reply(removed if caller.may("read") else removed.with_changes(warnings=[]))


@router.get("/{collection}/features", response_model=CollectionFeatures, openapi_extra=READ)
def describe_features(services: Wired, scope: Namespaced, collection: str) -> Response:
    """What documents of the namespace can be clustered by."""
    return reply({"features": services.collections.features(scope, collection)})


def _listing(services: Services, scope: Scope, listed: ListQuery, body: ListBody | None) -> Response:
    found = services.collections.search(scope, listed.query(body, _SEARCHED))
    documents = sum(item.document_count or 0 for item in found.items)
    stats = CollectionStats(
        total_documents=documents,
        avg_documents_per_collection=documents / len(found.items) if found.items else 0.0,
    )
    return reply(
        CollectionList(
            results=found.items, pagination=listed.pagination(found, body), total_count=found.total, stats=stats
        )
    )

"""Routes of the objects of a bucket."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQuery, ListQueryDep, MayReadDep, NamespaceDep, ServicesDep
from shoal.api.idempotency import IdempotentCallDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.records.bucket import (
    BucketObject,
    CreatedObjects,
    CreateObject,
    CreateObjects,
    ObjectList,
    ObjectStats,
    PatchObject,
)
from shoal.records.queries.paging import ListBody
from shoal.records.scope import Scope

__all__ = ["router"]

router = Resource(
    "/buckets/{bucket}/objects",
    tag="objects",
    about="Source objects of documents.",
    path_parameters={
        "bucket": "Id or name of the bucket.",
        "object_id": "Id of the object.",
    },
)

_SEARCHED = ("object_id", "key_prefix", "title", "name", "text", "description")


@router.post("", response_model=BucketObject, openapi_extra=WRITE)
def create_object(
    services: ServicesDep,
    scope: NamespaceDep,
    call: IdempotentCallDep,
    may_read: MayReadDep,
    bucket: str,
    body: CreateObject,
) -> Response:
    """Create an object with custom fields; blobs are stored as they are sent."""
    return call.once(
        scope,
        lambda: services.objects.creation(scope, bucket, [body]),
        lambda created: _reply_object(created[0], body, may_read),
    )


@router.post("/batch", response_model=CreatedObjects, openapi_extra=WRITE)
def create_objects(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, bucket: str, body: CreateObjects
) -> Response:
    """Create up to 1,000 objects, all or none."""

    def show(created: list[BucketObject]) -> Response:
        rows = [{**item.model_dump(mode="json"), "object_index": i} for i, item in enumerate(created)]
        counts = {"total_requested": len(rows), "succeeded_count": len(rows), "failed_count": 0}
        return reply({"succeeded": rows, "failed": [], **counts})

    return call.once(scope, lambda: services.objects.creation(scope, bucket, body.objects), show)


@router.get("", response_model=ObjectList, openapi_extra=READ)
def list_objects(services: ServicesDep, scope: NamespaceDep, bucket: str, list_query: ListQueryDep) -> Response:
    """List the objects of a bucket, newest first."""
    return _listing(services, scope, bucket, list_query, None)


@router.post("/list", response_model=ObjectList, openapi_extra=READ)
def query_objects(
    services: ServicesDep, scope: NamespaceDep, bucket: str, list_query: ListQueryDep, body: ListBody
) -> Response:
    """List objects with filters, sorting and search."""
    return _listing(services, scope, bucket, list_query, body)


@router.get("/{object_id}", response_model=BucketObject, openapi_extra=READ)
def get_object(services: ServicesDep, scope: NamespaceDep, bucket: str, object_id: str) -> Response:
    """Get an object."""
    return reply(services.objects.get(scope, bucket, object_id))


@router.patch("/{object_id}", response_model=BucketObject, openapi_extra=WRITE)
def patch_object(
    services: ServicesDep, scope: NamespaceDep, may_read: MayReadDep, bucket: str, object_id: str, body: PatchObject
) -> Response:
    """Merge the fields that are sent. A key without the permission to read gets only what it sent."""
    return _reply_object(services.objects.patch(scope, bucket, object_id, body), body, may_read)


@router.put("/{object_id}", response_model=BucketObject, openapi_extra=WRITE)
def put_object(
    services: ServicesDep, scope: NamespaceDep, may_read: MayReadDep, bucket: str, object_id: str, body: PatchObject
) -> Response:
    """The same as PATCH, as in the upstream API."""
    return _reply_object(services.objects.patch(scope, bucket, object_id, body), body, may_read)


def _reply_object(stored: BucketObject, body: CreateObject | PatchObject, may_read: bool) -> Response:
    """Return an object, limited to what was sent for a key without the permission to read."""
    if may_read:
        return reply(stored)
    content = {"blobs", "key_prefix", "idempotency_key"}
    own = stored.model_dump(mode="json", include=set(BucketObject.model_fields) - content)
    return reply({**body.model_dump(mode="json", exclude_unset=True), **own})


@router.delete("/{object_id}", status_code=204, response_class=Response, openapi_extra=DELETE)
def delete_object(services: ServicesDep, scope: NamespaceDep, bucket: str, object_id: str) -> Response:
    """Delete an object; documents made from it stay."""
    services.objects.delete(scope, bucket, object_id)
    return reply(None, 204)


def _listing(services: Services, scope: Scope, bucket: str, list_query: ListQuery, body: ListBody | None) -> Response:
    listing = services.objects.search(scope, bucket, list_query.query(body, _SEARCHED))
    blobs = sum(len(item.blobs) for item in listing.items)
    stats = ObjectStats(
        total_objects=len(listing.items),
        total_blobs=blobs,
        avg_blobs_per_object=blobs / len(listing.items) if listing.items else 0.0,
    )
    return reply(ObjectList(results=listing.items, pagination=list_query.pagination(listing, body), stats=stats))

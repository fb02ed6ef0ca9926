"""The objects of a bucket."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Listed, ListQuery, MayRead, Namespaced, Wired
from shoal.api.idempotency import Keyed
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
    about="What documents are made from.",
    path_parameters={
        "bucket": "Id or name of the bucket.",
        "object_id": "Id of the object.",
    },
)

_SEARCHED = ("object_id", "key_prefix", "title", "name", "text", "description")


@router.post("", response_model=BucketObject, openapi_extra=WRITE)
def create_object(
    services: Wired, scope: Namespaced, keyed: Keyed, may_read: MayRead, bucket: str, body: CreateObject
) -> Response:
    """An object with fields of its own; blobs are kept as told."""
    return keyed.once(
        scope,
        lambda: services.objects.creation(scope, bucket, [body]),
        lambda made: _shown(made[0], body, may_read),
    )


@router.post("/batch", response_model=CreatedObjects, openapi_extra=WRITE)
def create_objects(services: Wired, scope: Namespaced, keyed: Keyed, bucket: str, body: CreateObjects) -> Response:
    """Up to 1,000 objects, all or none."""

    def show(made: list[BucketObject]) -> Response:
        rows = [{**item.model_dump(mode="json"), "object_index": i} for i, item in enumerate(made)]
        counts = {"total_requested": len(rows), "succeeded_count": len(rows), "failed_count": 0}
        return reply({"succeeded": rows, "failed": [], **counts})

    return keyed.once(scope, lambda: services.objects.creation(scope, bucket, body.objects), show)


@router.get("", response_model=ObjectList, openapi_extra=READ)
def list_objects(services: Wired, scope: Namespaced, bucket: str, listed: Listed) -> Response:
    """The objects of a bucket, newest first."""
    return _listing(services, scope, bucket, listed, None)


@router.post("/list", response_model=ObjectList, openapi_extra=READ)
def query_objects(services: Wired, scope: Namespaced, bucket: str, listed: Listed, body: ListBody) -> Response:
    """Objects, filtered, sorted and searched."""
    return _listing(services, scope, bucket, listed, body)


@router.get("/{object_id}", response_model=BucketObject, openapi_extra=READ)
def get_object(services: Wired, scope: Namespaced, bucket: str, object_id: str) -> Response:
    """One object."""
    return reply(services.objects.get(scope, bucket, object_id))


@router.patch("/{object_id}", response_model=BucketObject, openapi_extra=WRITE)
def patch_object(
    services: Wired, scope: Namespaced, may_read: MayRead, bucket: str, object_id: str, body: PatchObject
) -> Response:
    """Merge the fields that are sent. A key that may not read is answered what it sent."""
    return _shown(services.objects.patch(scope, bucket, object_id, body), body, may_read)


@router.put("/{object_id}", response_model=BucketObject, openapi_extra=WRITE)
def put_object(
    services: Wired, scope: Namespaced, may_read: MayRead, bucket: str, object_id: str, body: PatchObject
) -> Response:
    """The same as PATCH, as upstream has it."""
    return _shown(services.objects.patch(scope, bucket, object_id, body), body, may_read)


def _shown(stored: BucketObject, body: CreateObject | PatchObject, may_read: bool) -> Response:
    """The object, or of its content no more than was sent."""
    if may_read:
        return reply(stored)
    content = {"blobs", "key_prefix", "idempotency_key"}
    own = stored.model_dump(mode="json", include=set(BucketObject.model_fields) - content)
    return reply({**body.model_dump(mode="json", exclude_unset=True), **own})


@router.delete("/{object_id}", status_code=204, response_class=Response, openapi_extra=DELETE)
def delete_object(services: Wired, scope: Namespaced, bucket: str, object_id: str) -> Response:
    """Remove an object; documents made from it stay."""
    services.objects.delete(scope, bucket, object_id)
    return reply(None, 204)


def _listing(services: Services, scope: Scope, bucket: str, listed: ListQuery, body: ListBody | None) -> Response:
    found = services.objects.search(scope, bucket, listed.query(body, _SEARCHED))
    blobs = sum(len(item.blobs) for item in found.items)
    stats = ObjectStats(
        total_objects=len(found.items),
        total_blobs=blobs,
        avg_blobs_per_object=blobs / len(found.items) if found.items else 0.0,
    )
    return reply(ObjectList(results=found.items, pagination=listed.pagination(found, body), stats=stats))

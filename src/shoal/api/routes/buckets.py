"""Buckets."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Listed, ListQuery, Namespaced, Wired
from shoal.api.idempotency import Keyed
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.records.bucket import Bucket, BucketList, CreateBucket, DeletedBucket, PatchBucket
from shoal.records.queries.paging import ListBody
from shoal.records.scope import Scope

__all__ = ["router"]

router = Resource(
    "/buckets",
    tag="buckets",
    about="Named places that objects come from.",
    path_parameters={
        "bucket": "Id or name of the bucket.",
    },
)

_SEARCHED = ("bucket_id", "bucket_name", "description")


@router.post("", response_model=Bucket, openapi_extra=WRITE)
def create_bucket(services: Wired, scope: Namespaced, keyed: Keyed, body: CreateBucket) -> Response:
    """A named place that objects come from."""
    return keyed.once(scope, lambda: services.buckets.creation(scope, body))


@router.get("", response_model=BucketList, openapi_extra=READ)
def list_buckets(services: Wired, scope: Namespaced, listed: Listed) -> Response:
    """The buckets of the namespace, newest first."""
    return _listing(services, scope, listed, None)


@router.post("/list", response_model=BucketList, openapi_extra=READ)
def query_buckets(services: Wired, scope: Namespaced, listed: Listed, body: ListBody) -> Response:
    """Buckets, filtered, sorted and searched."""
    return _listing(services, scope, listed, body)


@router.get("/{bucket}", response_model=Bucket, openapi_extra=READ)
def get_bucket(services: Wired, scope: Namespaced, bucket: str) -> Response:
    """One bucket by id or name."""
    return reply(services.buckets.get(scope, bucket))


@router.patch("/{bucket}", response_model=Bucket, openapi_extra=WRITE)
def patch_bucket(services: Wired, scope: Namespaced, bucket: str, body: PatchBucket) -> Response:
    """Change what is sent."""
    return reply(services.buckets.patch(scope, bucket, body))


@router.put("/{bucket}", response_model=Bucket, openapi_extra=WRITE)
def put_bucket(services: Wired, scope: Namespaced, bucket: str, body: PatchBucket) -> Response:
    """The same as PATCH, as upstream has it."""
    return reply(services.buckets.patch(scope, bucket, body))


@router.delete("/{bucket}", response_model=DeletedBucket, openapi_extra=DELETE)
def delete_bucket(services: Wired, scope: Namespaced, bucket: str) -> Response:
    """Remove a bucket with its objects; documents made from them stay."""
    removed = services.buckets.delete(scope, bucket)
    message = f"The bucket {removed.bucket_name!r} and its objects are gone."
    return reply({"success": True, "message": message, "bucket_id": removed.bucket_id})


def _listing(services: Services, scope: Scope, listed: ListQuery, body: ListBody | None) -> Response:
    found = services.buckets.search(scope, listed.query(body, _SEARCHED))
    return reply(BucketList(results=found.items, pagination=listed.pagination(found, body), total_count=found.total))

"""Routes of buckets."""

from fastapi import Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQuery, ListQueryDep, NamespaceDep, ServicesDep
from shoal.api.idempotency import IdempotentCallDep
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
    about="Named containers of objects.",
    path_parameters={
        "bucket": "Id or name of the bucket.",
    },
)

_SEARCHED = ("bucket_id", "bucket_name", "description")


@router.post("", response_model=Bucket, openapi_extra=WRITE)
def create_bucket(services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, body: CreateBucket) -> Response:
    """Create a bucket."""
    return call.once(scope, lambda: services.buckets.creation(scope, body))


@router.get("", response_model=BucketList, openapi_extra=READ)
def list_buckets(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep) -> Response:
    """List the buckets of the namespace, newest first."""
    return _listing(services, scope, list_query, None)


@router.post("/list", response_model=BucketList, openapi_extra=READ)
def query_buckets(services: ServicesDep, scope: NamespaceDep, list_query: ListQueryDep, body: ListBody) -> Response:
    """List buckets with filters, sorting and search."""
    return _listing(services, scope, list_query, body)


@router.get("/{bucket}", response_model=Bucket, openapi_extra=READ)
def get_bucket(services: ServicesDep, scope: NamespaceDep, bucket: str) -> Response:
    """Get a bucket by id or name."""
    return reply(services.buckets.get(scope, bucket))


@router.patch("/{bucket}", response_model=Bucket, openapi_extra=WRITE)
def patch_bucket(services: ServicesDep, scope: NamespaceDep, bucket: str, body: PatchBucket) -> Response:
    """Change the fields that are sent."""
    return reply(services.buckets.patch(scope, bucket, body))


@router.put("/{bucket}", response_model=Bucket, openapi_extra=WRITE)
def put_bucket(services: ServicesDep, scope: NamespaceDep, bucket: str, body: PatchBucket) -> Response:
    """The same as PATCH, as in the upstream API."""
    return reply(services.buckets.patch(scope, bucket, body))


@router.delete("/{bucket}", response_model=DeletedBucket, openapi_extra=DELETE)
def delete_bucket(services: ServicesDep, scope: NamespaceDep, bucket: str) -> Response:
    """Delete a bucket with its objects; documents made from them stay."""
    removed = services.buckets.delete(scope, bucket)
    message = f"The bucket {removed.bucket_name!r} and its objects are gone."
    return reply({"success": True, "message": message, "bucket_id": removed.bucket_id})


def _listing(services: Services, scope: Scope, list_query: ListQuery, body: ListBody | None) -> Response:
    listing = services.buckets.search(scope, list_query.query(body, _SEARCHED))
    return reply(
        BucketList(results=listing.items, pagination=list_query.pagination(listing, body), total_count=listing.total)
    )

"""Buckets and their objects through both clients."""

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import ConflictException, NotFoundException
from mixpeek.models.bucket_create_request import BucketCreateRequest
from mixpeek.models.bucket_patch_request import BucketPatchRequest
from mixpeek.models.bucket_update_request import BucketUpdateRequest
from mixpeek.models.create_object_request import CreateObjectRequest
from mixpeek.models.create_objects_batch_request import CreateObjectsBatchRequest
from mixpeek.models.list_buckets_request import ListBucketsRequest
from mixpeek.models.list_objects_request import ListObjectsRequest
from mixpeek.models.patch_object_request import PatchObjectRequest
from mixpeek.models.update_object_request import UpdateObjectRequest

from sdk.official import Official, request

_SCHEMA = {"properties": {"title": {"type": "string"}, "price": {"type": "number"}, "page": {"type": "text"}}}


def _bucket(official: Official, name: str) -> str:
    bucket = official.buckets.create_bucket(request(BucketCreateRequest, bucket_name=name, bucket_schema=_SCHEMA))
    assert bucket.bucket_id is not None and bucket.bucket_id.startswith("bkt_")
    return bucket.bucket_id


def test_a_bucket_is_found_by_id_and_by_name(official: Official) -> None:
    bucket_id = _bucket(official, "shelf")
    for ref in (bucket_id, "shelf"):
        bucket = official.buckets.get_bucket(ref)
        assert (bucket.bucket_id, bucket.bucket_name) == (bucket_id, "shelf")
        assert (bucket.object_count, bucket.total_size_bytes) == (0, 0)
        assert bucket.bucket_schema is not None and bucket.bucket_schema.properties["price"].type.value == "number"
    with pytest.raises(ConflictException):
        _bucket(official, "shelf")


def test_buckets_are_listed_changed_and_deleted(official: Official) -> None:
    bucket_id = _bucket(official, "list-me")
    page = official.buckets.list_buckets_get(search="list-me", include_total=True)
    assert [result.bucket_id for result in page.results] == [bucket_id] and page.total_count == 1
    posted = official.buckets.list_buckets(
        list_buckets_request=request(ListBucketsRequest, filters={"bucket_name": "list-me"})
    )
    assert [result.bucket_id for result in posted.results] == [bucket_id]
    patched = official.buckets.patch_bucket("list-me", request(BucketPatchRequest, description="patched"))
    assert patched.description == "patched"
    put = official.buckets.update_bucket(bucket_id, request(BucketUpdateRequest, bucket_name="listed"))
    assert (put.bucket_name, put.description) == ("listed", "patched")
    official.buckets.delete_bucket("listed")
    with pytest.raises(NotFoundException):
        official.buckets.get_bucket(bucket_id)


def test_an_object_lives_from_creation_to_deletion(official: Official) -> None:
    bucket_id = _bucket(official, "lives")
    object_ = official.objects.create_object_buckets(bucket_id, request(CreateObjectRequest, title="hello", price=1.5))
    assert object_.object_id is not None and object_.bucket_id == bucket_id
    assert object_.additional_properties["title"] == "hello"
    result = official.objects.get_object_buckets("lives", object_.object_id)
    assert result.additional_properties["price"] == 1.5 and result.created_at == object_.created_at
    patched = official.objects.patch_object_buckets("lives", object_.object_id, request(PatchObjectRequest, price=2.5))
    assert (patched.additional_properties["title"], patched.additional_properties["price"]) == ("hello", 2.5)
    put = official.objects.update_object_buckets(
        bucket_id, object_.object_id, request(UpdateObjectRequest, title="bye")
    )
    assert put.additional_properties["title"] == "bye"
    official.objects.delete_object_buckets(bucket_id, object_.object_id)
    with pytest.raises(NotFoundException):
        official.objects.get_object_buckets(bucket_id, object_.object_id)


def test_objects_come_in_batches_and_lists(official: Official) -> None:
    bucket_id = _bucket(official, "many")
    batch = official.objects.create_objects_batch_buckets(
        bucket_id, request(CreateObjectsBatchRequest, objects=[{"title": f"t{i}", "price": i} for i in range(5)])
    )
    assert (batch.total_requested, batch.succeeded_count, batch.failed_count) == (5, 5, 0)
    listed = official.objects.list_objects_buckets(
        "many",
        limit=2,
        include_total=True,
        list_objects_request=request(
            ListObjectsRequest, filters={"AND": [{"field": "price", "operator": "gte", "value": 2}]},
            sort={"field": "price", "direction": "desc"},
        ),
    )  # fmt: skip
    assert [result.additional_properties["price"] for result in listed.results] == [4, 3]
    assert listed.pagination.total == 3 and listed.pagination.next_cursor is not None
    assert len(official.objects.list_objects_get_buckets(bucket_id, limit=10).results) == 5
    assert official.buckets.get_bucket("many").object_count == 5


def test_the_high_level_client_keeps_blobs_and_lists_them(official: Official) -> None:
    high = official.high
    bucket = high.buckets.create(name="high-shelf", bucket_schema=_SCHEMA)
    uploaded = high.buckets.upload(bucket.bucket_id, data="a page of text", metadata={"lang": "en"})
    assert uploaded.blobs[0].property == "page" and uploaded.blobs[0].properties.data == "a page of text"
    assert [object.object_id for object in high.buckets.list_objects(bucket.bucket_id).results] == [uploaded.object_id]
    assert high.buckets.get("high-shelf").object_count == 1
    assert "high-shelf" in [bucket.bucket_name for bucket in high.buckets.list().results]
    high.buckets.delete(bucket.bucket_id)
    with pytest.raises(MixpeekAPIError) as gone:
        high.buckets.get(bucket.bucket_id)
    assert gone.value.status == 404

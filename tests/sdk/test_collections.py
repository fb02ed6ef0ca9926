"""Collections through both clients, by id and by name."""

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import ConflictException, NotFoundException
from mixpeek.models.bucket_create_request import BucketCreateRequest
from mixpeek.models.create_collection_request import CreateCollectionRequest
from mixpeek.models.list_collections_request import ListCollectionsRequest

from sdk.official import Official, request
from sdk.topics import Fill


def test_a_collection_is_found_by_id_and_by_name(official: Official, fill: Fill) -> None:
    result = fill()
    assert result.collection_id is not None and result.collection_id.startswith("col_")
    for ref in (result.collection_id, result.collection_name):
        collection = official.collections.get_collection(ref)
        assert (collection.collection_id, collection.collection_name) == (result.collection_id, result.collection_name)
        assert collection.document_count == 36
        assert [index.name for index in collection.vector_indexes or []] == ["text"]
        assert collection.feature_extractor.feature_extractor_id
        assert collection.source.type.value == "direct_upsert"


def test_a_collection_may_be_fed_from_a_bucket_and_declare_vectors(official: Official) -> None:
    bucket = official.buckets.create_bucket(
        request(BucketCreateRequest, bucket_name="feeds", bucket_schema={"properties": {"title": {"type": "string"}}})
    )
    collection = official.collections.create_collection(
        request(
            CreateCollectionRequest,
            collection_name="fed",
            source={"type": "bucket", "bucket_ids": [bucket.bucket_id]},
            metadata={"vector_configs": [{"name": "small", "dimension": 3}]},
        )
    )
    assert collection.source.bucket_ids == [bucket.bucket_id]
    features = official.collections.describe_collection_features("fed")
    assert {"text", "small"} <= {feature.feature_uri for feature in features.features}
    with pytest.raises(ConflictException):
        official.collections.create_collection(
            request(CreateCollectionRequest, collection_name="fed", source={"type": "direct_upsert"})
        )


def test_collections_are_listed_changed_and_deleted(official: Official, fill: Fill) -> None:
    created = fill([], description="unchanged", metadata={"team": "x"})
    listed = official.collections.list_collections(
        limit=1,
        include_total=True,
        list_collections_request=request(ListCollectionsRequest, filters={"collection_id": created.collection_id}),
    )
    assert [result.collection_name for result in listed.results] == [created.collection_name]
    assert (listed.total_count, listed.pagination.total) == (1, 1)
    page = official.collections.list_collections_get(search=created.collection_name)
    assert created.collection_id in [result.collection_id for result in page.results]
    changed = official.collections.update_collection(
        created.collection_name, {"collection_name": "renamed", "metadata": {"team": "y"}}
    )
    assert (changed.collection_name, changed.metadata, changed.description) == ("renamed", {"team": "y"}, "unchanged")
    official.collections.delete_collection("renamed")
    with pytest.raises(NotFoundException):
        official.collections.get_collection("renamed")


def test_the_high_level_client_does_the_same(official: Official) -> None:
    high = official.high
    result = high.collections.create(name="high-level", source={"type": "direct_upsert"})
    assert high.collections.get("high-level").collection_id == result.collection_id
    assert high.collections.update(result.collection_id, description="probe").description == "probe"
    assert "high-level" in [collection.collection_name for collection in high.collections.list().results]
    assert high.collections.delete("high-level").success is True
    with pytest.raises(MixpeekAPIError) as gone:
        high.collections.get("high-level")
    assert gone.value.status == 404

"""Sources deleted between the validation of a request and its transaction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_stores import memory_stores
from shoal.assemble import Services, assemble, utc_now
from shoal.errors import NotFound
from shoal.records.bucket import BucketSchema, CreateBucket
from shoal.records.clusters.requests import CreateCluster
from shoal.records.collection import CollectionSource, CreateCollection
from shoal.records.namespace import CreateNamespace
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.storage.protocols.records import Query
from shoal.storage.stores import open_stores


@pytest.fixture(params=[open_stores, memory_stores])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    settings = Settings(data=tmp_path / "data", workers=0)
    opened = assemble(settings, utc_now, request.param(settings))
    yield opened
    opened.close()


@pytest.fixture
def scope(services: Services) -> Scope:
    organization = Scope(services.keys.create_organization("one").organization_id)
    services.namespaces.create(organization, CreateNamespace(namespace_name="shop", namespace_id="ns_shop"))
    return Scope(organization.organization_id, "ns_shop")


def create_collection(services: Services, scope: Scope, name: str, **source: object) -> str:
    body = CreateCollection(collection_name=name, source=CollectionSource.model_validate(source))
    return services.collections.create(scope, body).collection_id


def by_kind(*collections: str) -> CreateCluster:
    attributes = {"attributes": ["kind"], "hierarchical_grouping": False}
    body = {"collection_ids": collections, "cluster_type": "attribute", "attribute_config": attributes}
    return CreateCluster.model_validate(body)


def test_a_cluster_of_a_collection_deleted_concurrently_is_not_created(services: Services, scope: Scope) -> None:
    for name in ("docs", "other"):
        create_collection(services, scope, name, type="direct_upsert")
    create = services.clusters.creation(scope, by_kind("docs", "other"))
    services.collections.delete(scope, "docs")

    with pytest.raises(NotFound, match="docs"):
        services.metadata.transact(create)

    assert services.clusters.search(scope, Query()).total == 0
    assert [item.collection_name for item in services.collections.search(scope, Query()).items] == ["other"]


def test_a_cluster_follows_a_collection_renamed_concurrently(services: Services, scope: Scope) -> None:
    id = create_collection(services, scope, "docs", type="direct_upsert")
    create = services.clusters.creation(scope, by_kind("docs"))
    services.collections.records.change(scope, id, lambda found: found.with_changes(collection_name="renamed"))

    assert services.metadata.transact(create).input_collections == [id]


@pytest.mark.parametrize("kind", ["bucket", "collection"])
def test_a_collection_of_a_source_deleted_concurrently_is_not_created(
    kind: str, services: Services, scope: Scope
) -> None:
    services.buckets.create(scope, CreateBucket(bucket_name="files", bucket_schema=BucketSchema(properties={})))
    create_collection(services, scope, "upstream", type="direct_upsert")
    sources = {
        "bucket": CollectionSource(type="bucket", bucket_ids=["files"]),
        "collection": CollectionSource(type="collection", collection_id="upstream"),
    }
    body = CreateCollection(collection_name="late", source=sources[kind])
    create = services.collections.creation(scope, body)
    if kind == "bucket":
        services.buckets.delete(scope, "files")
    else:
        services.collections.delete(scope, "upstream")

    with pytest.raises(NotFound, match=r"files|upstream"):
        services.metadata.transact(create)

    assert services.collections.records.find_one(scope, "late") is None

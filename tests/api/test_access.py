"""Keys and namespaces are cached between requests, and their changes take effect with the next request."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from cluster_steps import create, grouped_documents, put_documents
from shoal.assemble import Services, assemble
from shoal.records.namespace import CreateNamespace, PatchNamespace
from shoal.records.scope import Scope
from store_calls import watched_stores

ClientMaker = Callable[..., httpx.Client]


@pytest.fixture
def other(services: Services) -> Iterator[Services]:
    """Another process on the same data folder."""
    opened = assemble(services.settings)
    yield opened
    opened.close()


@pytest.fixture
def organization(services: Services, admin_key: str) -> Scope:
    return Scope(services.keys.authenticate(admin_key).organization_id)


@pytest.mark.parametrize("header", ["default", None])
def test_reading_a_cluster_costs_two_store_calls_the_access_clock_and_the_cluster(
    header: str | None, services: Services, client: httpx.Client
) -> None:
    put_documents(client, grouped_documents(4))
    path = f"/clusters/{create(client)['cluster_id']}"
    if header is not None:
        client.headers["X-Namespace"] = header
    client.get(path).raise_for_status()

    with watched_stores(services) as calls:
        client.get(path).raise_for_status()

    assert [name.rpartition(".")[2] for name in calls.names] == ["get", "get"]


def test_a_namespace_removed_by_another_process_disappears_at_once(
    client: httpx.Client, other: Services, organization: Scope
) -> None:
    client.post("/namespaces", json={"namespace_name": "brief"}).raise_for_status()
    client.headers["X-Namespace"] = "brief"
    assert client.get("/clusters").status_code == 200

    other.namespaces.remove(organization, "brief")

    assert client.get("/clusters").status_code == 404


def test_a_name_transferred_to_another_namespace_resolves_to_it_at_once(
    client: httpx.Client, other: Services, organization: Scope
) -> None:
    client.post("/namespaces", json={"namespace_name": "current"}).raise_for_status()
    client.headers["X-Namespace"] = "current"
    bucket = {"bucket_name": "in the first", "bucket_schema": {"properties": {}}}
    client.post("/buckets", json=bucket).raise_for_status()
    assert client.get("/buckets").json()["total_count"] == 1

    other.namespaces.change(organization, "current", PatchNamespace(namespace_name="earlier"))
    other.namespaces.create(organization, CreateNamespace(namespace_name="current"))

    assert client.get("/buckets").json()["total_count"] == 0
    client.headers["X-Namespace"] = "earlier"
    assert client.get("/buckets").json()["total_count"] == 1


def test_the_header_may_be_omitted_until_another_process_creates_a_second_namespace(
    client: httpx.Client, other: Services, organization: Scope
) -> None:
    assert client.get("/clusters").status_code == 200

    other.namespaces.create(organization, CreateNamespace(namespace_name="second"))
    needed = client.get("/clusters")
    other.namespaces.remove(organization, "second")

    assert needed.status_code == 400 and "X-Namespace" in needed.json()["error"]["message"]
    assert client.get("/clusters").status_code == 200


def test_a_namespace_of_another_organisation_is_never_found_in_the_cache(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    id = client.post("/namespaces", json={"namespace_name": "mine"}).json()["namespace_id"]
    for ref in ("mine", id):
        assert client.get("/clusters", headers={"X-Namespace": ref}).status_code == 200
        assert stranger.get("/clusters", headers={"X-Namespace": ref}).status_code == 404


def test_unknown_names_use_no_memory_however_many(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, services: Services
) -> None:
    for number in range(5):
        assert client.get("/clusters", headers={"X-Namespace": f"unknown {number}"}).status_code == 404
        client.post("/namespaces", json={"namespace_name": f"known-{number}"}).raise_for_status()
    monkeypatch.setattr("shoal.api.callers.access._MAX_NAMESPACES", 2)
    for number in (0, 1, 2, 3, 4, 0):
        assert client.get("/clusters", headers={"X-Namespace": f"known-{number}"}).status_code == 200

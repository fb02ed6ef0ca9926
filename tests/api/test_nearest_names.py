"""Errors about unknown names suggest the nearest existing name, but only to callers who may read it."""

from typing import Any

import httpx
import pytest

from api.conftest import ClientMaker
from cluster_steps import create, grouped_documents, put_documents, vector_body
from shoal.assemble import Services
from shoal.records.key import CreateKey
from shoal.records.scope import Scope
from shoal.services.keys.keys import LOCAL_USER


@pytest.fixture(autouse=True)
def cluster(client: httpx.Client) -> None:
    put_documents(client, grouped_documents(12))
    create(client)
    bucket = {"bucket_name": "files", "bucket_schema": {"properties": {}}}
    client.post("/buckets", json=bucket).raise_for_status()


def error(reply: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = reply.json()["error"]
    return found


@pytest.mark.parametrize(
    ("path", "near"),
    [("/clusters/group", "groups"), ("/collections/dosc", "docs"), ("/buckets/file", "files"),
     ("/namespaces/defalt", "default")],
)  # fmt: skip
def test_a_wrong_name_is_reported_with_the_nearest(client: httpx.Client, path: str, near: str) -> None:
    reply = client.get(path)

    assert reply.status_code == 404
    assert error(reply)["message"].endswith(f"Did you mean {near!r}?")
    assert error(reply)["details"]["did_you_mean"] == near


def test_a_wrong_namespace_in_the_header_is_reported_with_the_nearest(client: httpx.Client) -> None:
    reply = client.get("/clusters/groups", headers={"X-Namespace": "defalt"})

    assert (reply.status_code, error(reply)["details"]["did_you_mean"]) == (404, "default")


def test_names_of_another_organisation_or_kind_are_never_suggested(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    for path in ("/clusters/group", "/collections/dosc", "/buckets/file"):
        assert "did_you_mean" not in error(stranger.get(path))["details"]
    assert "did_you_mean" not in error(client.get("/collections/group"))["details"]


def test_a_key_that_may_not_read_gets_no_suggestion(
    client: httpx.Client, services: Services, client_for: ClientMaker
) -> None:
    scope = Scope(services.keys.organizations()[0].organization_id)
    body = CreateKey(name="writer", permissions=["write"])
    writer = client_for(services.keys.create(scope, LOCAL_USER, body).key)

    reply = writer.patch("/collections/dosc", json={"description": "x"})

    assert reply.status_code == 404
    assert "docs" not in reply.text


@pytest.mark.slow
def test_the_official_sdk_shows_the_nearest_name(server: str, admin_key: str) -> None:
    import mixpeek  # takes seconds
    from mixpeek.exceptions import NotFoundException

    configuration = mixpeek.Configuration(host=server, access_token=admin_key, api_key={"NamespaceHeader": "default"})
    with mixpeek.ApiClient(configuration) as api, pytest.raises(NotFoundException) as raised:
        mixpeek.ClustersApi(api).get_cluster("group")

    assert "Did you mean 'groups'?" in str(raised.value.body)


def test_the_error_about_a_duplicated_v1_says_to_omit_it(client: httpx.Client) -> None:
    reply = client.get("/v1/clusters/groups")

    assert reply.status_code == 404
    assert "leave it out of the host" in error(reply)["details"]["hint"]


def test_the_error_about_a_missing_method_suggests_auto(client: httpx.Client) -> None:
    body = vector_body(name="other")
    del body["vector_config"]["clustering_method"]

    reply = client.post("/clusters", json=body)

    assert reply.status_code == 422
    assert error(reply)["message"].startswith('vector_config.clustering_method: is required. Say "auto"')
    assert error(reply)["details"]["validation_errors"][0]["location"][-1] == "clustering_method"


@pytest.mark.parametrize(("method", "near"), [("hdbscn", "hdbscan"), ("kmean", "kmeans"), ("AUTO", "auto")])
def test_a_misspelt_method_is_reported_with_the_nearest(client: httpx.Client, method: str, near: str) -> None:
    reply = client.post("/clusters", json=vector_body(method, name="other"))

    assert reply.status_code == 422
    assert error(reply)["message"].endswith(f"got {method!r}. Did you mean {near!r}?")


def test_every_enumerated_option_suggests_its_nearest_value(client: httpx.Client) -> None:
    reply = client.post("/clusters/groups/execute", json={"layout_stability": "aling"})

    assert error(reply)["message"].endswith("Did you mean 'align'?")

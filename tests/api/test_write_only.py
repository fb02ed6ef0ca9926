"""A key that may write but not read changes resources, and is shown only their ids and what it sent itself."""

from typing import Any

import httpx
import pytest

from api.conftest import ClientMaker
from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.api.resource import ResourceRoute
from shoal.api.routes import ROUTERS
from shoal.assemble import Services
from shoal.records.key import CreateKey
from shoal.records.scope import Scope
from shoal.services.keys.keys import LOCAL_USER

SECRET = "a-stored-secret"
REPLY_LIFETIME = {"description": SECRET, "metadata": {"note": SECRET}}


@pytest.fixture
def writer(services: Services, client_for: ClientMaker, client: httpx.Client) -> httpx.Client:
    scope = Scope(services.keys.organizations()[0].organization_id)
    return client_for(services.keys.create(scope, LOCAL_USER, CreateKey(name="writer", permissions=["write"])).key)


@pytest.fixture
def remover(services: Services, client_for: ClientMaker) -> httpx.Client:
    """A key that may write and delete but not read."""
    scope = Scope(services.keys.organizations()[0].organization_id)
    body = CreateKey(name="remover", permissions=["write", "delete"])
    return client_for(services.keys.create(scope, LOCAL_USER, body).key)


@pytest.fixture
def run(client: httpx.Client, services: Services) -> dict[str, Any]:
    """A run of the cluster `groups`, its collection `docs` and a bucket `files`, all containing data to hide."""
    put_documents(client, grouped_documents(60))
    create(client, **REPLY_LIFETIME)
    client.post(
        "/buckets", json={"bucket_name": "files", "bucket_schema": {"properties": {}}, **REPLY_LIFETIME}
    ).raise_for_status()
    client.patch("/collections/docs", json=REPLY_LIFETIME).raise_for_status()
    namespace = client.get("/namespaces").json()["results"][0]["namespace_id"]
    client.patch(f"/namespaces/{namespace}", json=REPLY_LIFETIME).raise_for_status()
    return execute(client, services) | {"namespace_id": namespace}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/clusters/groups"),
        ("PATCH", "/collections/docs"),
        ("PATCH", "/buckets/files"),
        ("PUT", "/buckets/files"),
        ("PATCH", "/namespaces/{namespace}"),
        ("PUT", "/namespaces/{namespace}"),
    ],
)
def test_a_change_shows_only_ids_and_sent_values_to_a_key_that_may_not_read(
    writer: httpx.Client, client: httpx.Client, run: dict[str, Any], method: str, path: str
) -> None:
    path = path.format(namespace=run["namespace_id"])

    nothing = writer.request(method, path, json={})
    something = writer.request(method, path, json={"description": "new"})

    assert nothing.status_code == something.status_code == 200
    assert all(name.endswith("_id") for name in nothing.json())
    assert f"{path.split('/')[1].removesuffix('s')}_id" in nothing.json()
    assert something.json() == {**nothing.json(), "description": "new"}
    stored = client.get(path).json()
    assert (stored["description"], stored["metadata"]) == ("new", {"note": SECRET})


def test_new_vectors_and_labels_are_shown_without_the_stored_ones_they_are_merged_with(
    writer: httpx.Client, client: httpx.Client, run: dict[str, Any]
) -> None:
    labels = f"/clusters/groups/executions/{run['run_id']}/labels"
    assert SECRET in client.patch(labels, json={"labels": {"cl_0": SECRET}}).text
    configs = [{"name": "more", "dimension": 3}]

    namespace = writer.patch(f"/namespaces/{run['namespace_id']}", json={"vector_configs": configs})
    labelled = writer.patch(labels, json={"labels": {"cl_1": "mine"}})
    named = writer.patch(labels.replace("labels", "name"), json={"run_name": "first"})

    assert namespace.json()["vector_configs"] == configs
    assert labelled.status_code == 200
    assert labelled.json() == {"cluster_id": run["cluster_id"], "run_id": run["run_id"]}
    assert named.json() == {**labelled.json(), "run_name": "first"}
    assert set(client.patch(labels, json={"labels": {}}).json()["label_overrides"]) == {"cl_0", "cl_1"}


def test_a_bulk_change_shows_only_counts_to_a_key_that_may_not_read(writer: httpx.Client, run: dict[str, Any]) -> None:
    changed = writer.patch("/collections/docs/documents/bulk", json={"update_data": {"seen": True}})

    assert changed.status_code == 200, changed.text
    assert changed.json()["updated_count"] == 60


def test_a_key_that_may_read_is_shown_the_whole_record(client: httpx.Client, run: dict[str, Any]) -> None:
    assert client.patch("/clusters/groups", json={}).json()["description"] == SECRET


SHOWN = {
    "Bucket", "Cluster", "Collection", "Namespace", "BucketObject", "CreatedObjects", "CreatedKey", "Document",
    "Upserted", "Imported",  # the sent values, with ids and times
    "BatchUpdated", "BatchDeleted", "Enriched", "CancelledRun", "Done",  # counts and ids
    "DeletedBucket", "DeletedCluster", "DeletedCollection", "DeletedNamespace", "None",  # without the name
    "Task",  # ids and the state
}  # fmt: skip


def test_every_response_to_a_key_that_may_not_read_is_reviewed_to_show_no_stored_data() -> None:
    """A new route that creates, acts or removes must be reviewed and then listed here."""
    models = {
        getattr(route.response_model, "__name__", str(route.response_model))
        for resource in ROUTERS
        for route in resource.routes
        if isinstance(route, ResourceRoute) and route.permission != "read"
        if {"POST", "DELETE"} & (route.methods or set())
    }

    assert models and models <= SHOWN


def test_starting_and_ending_runs_shows_only_ids_and_states_to_a_key_that_may_not_read(
    remover: httpx.Client, client: httpx.Client, run: dict[str, Any]
) -> None:
    started = remover.post("/clusters/groups/execute").json()
    about = started["additional_data"]
    cancelled = remover.post(f"/clusters/groups/executions/{about['run_id']}/cancel").json()
    task = client.get("/clusters/groups/executions/" + run["run_id"]).json()["task_id"]
    killed = [remover.post(f"/tasks/{task}/kill").json(), remover.delete(f"/tasks/{task}").json()]

    assert set(about) == {"run_id", "cluster_id", "namespace_id"}
    assert set(cancelled) == {"success", "cluster_id", "run_id", "task_id", "status"}
    for shown in (started, *killed):
        assert shown["inputs"] == shown["outputs"] == []
        assert shown["error"] is shown["error_message"] is None
        assert all(name.endswith("_id") for name in shown["additional_data"])
        assert shown["status"] in ("PENDING", "COMPLETED")


def test_neither_names_nor_fields_are_shown_to_a_key_that_may_not_read(
    remover: httpx.Client, client: httpx.Client, run: dict[str, Any]
) -> None:
    body = {
        "cluster_name": "mine", "collection_ids": ["docs"], "cluster_type": "attribute",
        "attribute_config": {"attributes": ["no_such_field"]},
    }  # fmt: skip
    fields = set(client.post("/collections/docs/documents/list", json={"limit": 1}).json()["results"][0])

    made = remover.post("/clusters", json=body)
    removed = remover.delete(f"/clusters/{run['cluster_id']}")

    assert made.status_code == removed.status_code == 200
    (warning,) = [one for one in made.json()["warnings"] if "no_such_field" in one]
    assert "There are" not in warning and "Did you mean" not in warning and fields
    assert "groups" not in removed.json()["message"]

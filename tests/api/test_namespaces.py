"""Namespaces over HTTP: created, found, listed, changed, removed, isolated."""

from collections.abc import Callable
from datetime import datetime

import httpx
import pyarrow as pa
import pytest

from shoal.assemble import Services
from shoal.columns import DocumentBatch
from shoal.errors import InvalidRequest, NotFound
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json, Kind

ClientMaker = Callable[..., httpx.Client]


def make(client: httpx.Client, name: str, **more: object) -> dict[str, object]:
    answer = client.post("/namespaces", json={"namespace_name": name, **more})
    assert answer.status_code == 200, answer.text
    made: dict[str, object] = answer.json()
    return made


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["namespace_name"] for item in answer.json()["results"]]


def test_a_namespace_is_found_by_id_and_by_name(client: httpx.Client) -> None:
    configs = [{"name": "text", "dimension": 4, "metric": "cosine"}, {"name": "image", "dimension": 3}]
    made = make(client, "products", mode="standalone", vector_configs=configs, description="d")

    by_id = client.get(f"/namespaces/{made['namespace_id']}").json()
    by_name = client.get("/namespaces/products").json()

    assert by_id == by_name
    assert str(made["namespace_id"]).startswith("ns_")
    assert by_name["mode"] == "standalone"
    assert by_name["vector_configs"] == [
        {"name": "text", "dimension": 4, "metric": "cosine"},
        {"name": "image", "dimension": 3, "metric": "cosine"},
    ]
    assert by_name["created_at"] == "2026-11-23T12:00:00.000Z"
    counts = ("document_count", "bucket_count", "collection_count", "cluster_count")
    assert [by_name[name] for name in counts] == [0, 0, 0, 0]


def test_declared_vectors_are_registered_with_the_document_store(services: Services, client: httpx.Client) -> None:
    made = make(client, "products", vector_configs=[{"name": "text", "dimension": 4}])
    scope = Scope(str(made["organization_id"]), str(made["namespace_id"]))

    assert services.documents_store.vector_dimensions(scope) == {"text": 4}


def test_a_standalone_namespace_accepts_an_id_or_a_name(client: httpx.Client) -> None:
    by_id = client.post("/namespaces/standalone", json={"namespace_id": "My-Own_1"}).json()
    by_name = client.post("/namespaces/standalone", json={"namespace_name": "named"}).json()
    neither = client.post("/namespaces/standalone", json={})

    assert (by_id["namespace_id"], by_id["namespace_name"], by_id["mode"]) == ("My-Own_1", "My-Own_1", "standalone")
    assert by_name["namespace_id"].startswith("ns_") and by_name["mode"] == "standalone"
    assert neither.status_code == 422


@pytest.mark.parametrize("taken", [{"namespace_name": "twice"}, {"namespace_name": "other", "namespace_id": "twice"}])
def test_a_name_is_unique(client: httpx.Client, taken: dict[str, str]) -> None:
    make(client, "twice")

    answer = client.post("/namespaces", json=taken)

    assert answer.status_code == 409
    assert answer.json()["error"]["type"] == "AlreadyExistsError"


BAD: list[dict[str, object]] = [
    {"namespace_name": "ab"},
    {"namespace_name": "x" * 65},
    {"namespace_name": "a/b"},
    {"namespace_name": "a\nb"},
    {"namespace_name": "ns_k3v9q0c2m1x7a8b4"},
    {"namespace_name": "list"},
    {"namespace_name": "standalone"},
    {"namespace_name": 7},
    {"namespace_name": "fine", "namespace_id": "../x"},
    {"namespace_name": "fine", "mode": "other"},
    {"namespace_name": "fine", "vector_configs": [{"name": "a", "dimension": 65_537}]},
    {"namespace_name": "fine", "vector_configs": [{"name": "a", "dimension": 2}, {"name": "a", "dimension": 2}]},
    {"namespace_name": "fine", "vector_configs": [{"name": "a", "dimension": 2, "metric": "hamming"}]},
    {"namespace_name": "fine", "vector_configs": [{"name": "a", "dimension": 2.5}]},
]


def test_an_invalid_namespace_is_a_422_and_nothing_is_stored(client: httpx.Client) -> None:
    for body in BAD:
        answer = client.post("/namespaces", json=body)
        assert answer.status_code == 422, body
    assert names(client.get("/namespaces")) == ["default"]


def test_response_fields_cannot_be_assigned(client: httpx.Client) -> None:
    for name, value in (("organization_id", "org_x"), ("created_at", "2000-01-01T00:00:00Z"), ("schema_version", 9)):
        refused = client.post("/namespaces", json={"namespace_name": "mine", name: value})
        assert refused.status_code == 422
        assert refused.json()["error"]["message"].startswith(f"{name}: is not known.")
    assert names(client.get("/namespaces")) == ["default"]


def test_lists_can_be_paginated_by_limit_offset_and_page(client: httpx.Client) -> None:
    for number in range(7):
        make(client, f"space{number}")
    by_name = {"sort": {"field": "namespace_name", "direction": "asc"}}

    first = client.post("/namespaces/list?limit=3&include_total=true", json=by_name)
    third = client.post("/namespaces/list", json=by_name | {"page_size": 3, "page": 3})
    offset = client.post("/namespaces/list?offset=5&limit=1", json=by_name | {"offset": 1})
    untold = client.post("/namespaces/list", json=by_name)

    assert names(first) == ["default", "space0", "space1"]
    assert first.json()["total_count"] == 8
    assert first.json()["pagination"] | {"next_cursor": None} == {
        "total": 8, "page": 1, "page_size": 3, "total_pages": 3, "next_page": "2", "previous_page": None,
        "next_cursor": None,
    }  # fmt: skip
    assert names(third) == ["space5", "space6"]
    assert third.json()["pagination"]["next_page"] is None and third.json()["pagination"]["next_cursor"] is None
    assert names(offset) == ["space0"]  # the body takes precedence over the query
    assert untold.json()["pagination"]["total"] is None and len(names(untold)) == 8


def test_a_cursor_traverses_the_whole_list(client: httpx.Client) -> None:
    for number in range(7):
        make(client, f"space{number}")
    body = {
        "sort": {"field": "namespace_name"},
        "filters": {"organization_id": make(client, "last")["organization_id"]},
    }
    seen, cursor = [], None

    while True:
        answer = client.post("/namespaces/list?limit=2", json=body | {"cursor": cursor})
        seen += names(answer)
        cursor = answer.json()["pagination"]["next_cursor"]
        if cursor is None:
            break

    assert seen == ["default", "last", *(f"space{number}" for number in range(7))]


def test_a_cursor_belongs_to_its_query(client: httpx.Client, stranger: httpx.Client) -> None:
    for number in range(3):
        make(client, f"space{number}")
    cursor = client.post("/namespaces/list?limit=1", json={"search": "space"}).json()["pagination"]["next_cursor"]

    same = client.post(f"/namespaces/list?limit=2&after={cursor}", json={"search": "space"})
    others = [
        client.post(f"/namespaces/list?cursor={cursor}", json={"search": "spac"}),
        client.post(f"/namespaces/list?cursor={cursor}", json={"search": "space", "sort": {"field": "namespace_id"}}),
        client.post(f"/namespaces/list?cursor={cursor}", json={"search": "space", "filters": {"mode": "managed"}}),
        stranger.post(f"/namespaces/list?cursor={cursor}", json={"search": "space"}),
        client.post("/namespaces/list?cursor=x", json={"search": "space"}),
        client.post("/namespaces/list?cursor=%C3%A4", json={"search": "space"}),
    ]

    assert len(names(same)) == 2
    assert [answer.status_code for answer in others] == [400] * len(others)


def test_pagination_outside_its_bounds_is_a_422(client: httpx.Client) -> None:
    wrong: dict[str, list[object]] = {
        "limit": [0, 1001, "x"],
        "page_size": [0, 1001],
        "offset": [-1, 10_001],
        "page": [0, 10**30],
    }
    for name, values in wrong.items():
        for value in values:
            assert client.get("/namespaces", params={name: str(value)}).status_code == 422, (name, value)
            assert client.post("/namespaces/list", json={name: value}).status_code in (400, 422), (name, value)


def test_lists_can_be_filtered_sorted_and_searched(client: httpx.Client) -> None:
    make(client, "alpha", description="first letters")
    make(client, "beta", mode="standalone")

    assert names(client.post("/namespaces/list", json={"filters": {"mode": "standalone"}})) == ["beta"]
    assert names(client.post("/namespaces/list", json={"search": "LETTERS"})) == ["alpha"]
    assert names(client.get("/namespaces?search=bet")) == ["beta"]
    bad = client.post("/namespaces/list", json={"filters": {"AND": [{"field": "a", "operator": "near", "value": 1}]}})
    assert bad.status_code == 422
    assert client.post("/namespaces/list", json={"sort": {"field": "a..b"}}).status_code == 422


def test_the_unusual_request_of_the_sdk_is_accepted(client: httpx.Client) -> None:
    assert client.post("/namespaces/list?limit=5", json={"case_sensitive": False}).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_affects_only_the_sent_fields(client: httpx.Client, method: str) -> None:
    made = make(client, "before", description="d", metadata={"a": 1}, vector_configs=[{"name": "t", "dimension": 2}])

    body = {"namespace_name": "after", "vector_configs": [{"name": "u", "dimension": 3}]}
    changed = client.request(method, "/namespaces/before", json=body).json()

    assert changed["namespace_name"] == "after"
    assert changed["namespace_id"] == made["namespace_id"]
    assert changed["description"] == "d" and changed["metadata"] == {"a": 1}
    assert [config["name"] for config in changed["vector_configs"]] == ["t", "u"]
    assert client.get("/namespaces/before").status_code == 404
    assert client.request(method, "/namespaces/after", json={"description": None}).json()["description"] is None


def test_a_change_cannot_use_a_taken_name_or_another_dimension(client: httpx.Client) -> None:
    make(client, "one", vector_configs=[{"name": "t", "dimension": 2}])
    make(client, "two")

    assert client.patch("/namespaces/one", json={"namespace_name": "two"}).status_code == 409
    resized = client.patch("/namespaces/one", json={"vector_configs": [{"name": "t", "dimension": 3}]})
    assert resized.status_code == 422
    assert client.get("/namespaces/one").json()["vector_configs"][0]["dimension"] == 2


def insert(services: Services, scope: Scope, kind: Kind, id: str, body: Json, name: str | None = None) -> None:
    services.metadata.transact(lambda tx: tx.insert(scope, kind, id, body, name=name))


def test_removal_deletes_all_contents_and_nothing_else(
    services: Services, client: httpx.Client, clock: Callable[[], datetime]
) -> None:
    scopes = []
    for name in ("gone", "stays"):
        made = make(client, name)
        scope = Scope(str(made["organization_id"]), str(made["namespace_id"]))
        insert(services, scope, "bucket", "bkt_1", {"bucket_name": "b"}, name="b")
        insert(services, scope, "collection", "col_1", {"collection_name": "c"}, name="c")
        batch = DocumentBatch(["d1"], [b'{"a": 1}'])
        services.documents_store.write(scope, "col_1", [batch], now=clock())
        services.artifacts.write(scope, "run_1", {"members": pa.table({"x": [1]})}, {})
        scopes.append(scope)
    gone, stays = scopes

    answer = client.delete("/namespaces/gone")

    assert answer.status_code == 200 and answer.json()["success"] is True
    assert client.delete("/namespaces/gone").status_code == 404
    assert services.metadata.get(gone, "bucket", "bkt_1") is None
    assert services.documents_store.count(gone, "col_1") == 0
    assert services.artifacts.manifest(gone, "run_1") is None
    assert services.metadata.get(stays, "bucket", "bkt_1") is not None
    assert services.documents_store.count(stays, "col_1") == 1
    assert services.artifacts.manifest(stays, "run_1") is not None


def test_a_removed_namespace_can_be_recreated_with_another_dimension(client: httpx.Client) -> None:
    for dimension in (2, 3):
        make(client, "again", namespace_id="own", vector_configs=[{"name": "t", "dimension": dimension}])
        assert client.delete("/namespaces/own").status_code == 200


def test_two_organisations_do_not_see_each_other(
    services: Services, client: httpx.Client, stranger: httpx.Client
) -> None:
    mine = make(client, "mine", namespace_id="shared-id")
    theirs = make(stranger, "theirs", namespace_id="shared-id")

    for ref in ("mine", str(make(client, "other")["namespace_id"])):
        foreign, missing = stranger.get(f"/namespaces/{ref}"), stranger.get("/namespaces/nobody")
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["error"]["message"] == missing.json()["error"]["message"].replace("nobody", ref)
        assert stranger.patch(f"/namespaces/{ref}", json={"description": "x"}).status_code == 404
        assert stranger.delete(f"/namespaces/{ref}").status_code == 404
    assert set(names(stranger.get("/namespaces"))) == {"default", "theirs"}
    assert set(names(client.get("/namespaces"))) == {"default", "mine", "other"}

    scope = Scope(str(mine["organization_id"]), "shared-id")
    insert(services, scope, "bucket", "bkt_1", {"bucket_name": "b"})
    assert stranger.delete("/namespaces/shared-id").json()["namespace_id"] == theirs["namespace_id"]
    assert services.metadata.get(scope, "bucket", "bkt_1") is not None


def test_the_header_accepts_a_namespace_id_or_name_and_is_optional_if_there_is_only_one(
    services: Services, client: httpx.Client
) -> None:
    organization = Scope(client.get("/me").json()["organization_id"])
    only = services.namespaces.scope(organization, None)
    made = make(client, "second")
    second = Scope(organization.organization_id, str(made["namespace_id"]))

    assert only == services.namespaces.scope(organization, "default")
    assert services.namespaces.scope(organization, "second") == second
    assert services.namespaces.scope(organization, second.namespace_id) == second
    with pytest.raises(InvalidRequest, match="X-Namespace"):
        services.namespaces.scope(organization, None)
    with pytest.raises(NotFound):
        services.namespaces.scope(organization, "nobody")


def test_an_unknown_namespace_in_the_header_is_ignored_here(client: httpx.Client) -> None:
    assert client.get("/namespaces", headers={"X-Namespace": "nobody"}).status_code == 200
    assert client.get("/me", headers={"X-Namespace": "nobody"}).status_code == 200


def test_a_trailing_slash_changes_nothing(client: httpx.Client) -> None:
    assert names(client.get("/namespaces/")) == ["default"]
    assert client.get("/namespaces/default/").status_code == 200
    assert client.post("/namespaces/list/").status_code == 200

"""API keys and the organisation over HTTP, and the responses of the probes."""

from collections.abc import Callable

import httpx

ClientMaker = Callable[..., httpx.Client]
KEYS = "/organizations/users/ann@example.org/api-keys"


def test_a_key_is_shown_once_and_works(client: httpx.Client, client_for: ClientMaker) -> None:
    created = client.post(KEYS, json={"name": "reader", "permissions": ["read"], "description": "d"}).json()
    listed = client.get(KEYS).json()["results"]

    assert client_for(created["key"]).get("/me").json()["user_email"] == "ann@example.org"
    assert [key["name"] for key in listed] == ["reader"]
    assert "key" not in listed[0] and listed[0]["key_prefix"] == created["key"][:10]
    assert created["key"] not in client.get(KEYS).text
    for field in ("key_hash", "internal_id", "user_id", "name", "organization_id", "key_id", "created_by"):
        assert isinstance(created[field], str)


def test_a_key_has_read_write_and_delete_by_default(client: httpx.Client) -> None:
    assert client.post(KEYS, json={"name": "plain"}).json()["permissions"] == ["read", "write", "delete"]


def test_a_name_is_unique_in_its_organisation_and_available_in_another(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    assert client.post(KEYS, json={"name": "twice"}).status_code == 200
    assert client.post(KEYS.replace("ann", "bob"), json={"name": "twice"}).status_code == 409
    assert stranger.post(KEYS, json={"name": "twice"}).status_code == 200


BAD: list[dict[str, object]] = [
    {},
    {"name": ""},
    {"name": "x" * 101},
    {"name": "a/b"},
    {"name": "x", "permissions": []},
    {"name": "x", "permissions": ["root"]},
    {"name": "x", "expires_at": "2000-01-01T00:00:00Z"},
    {"name": "x", "expires_at": "soon"},
    {"name": "x", "scopes": [{"resource_type": "namespace", "resource_id": "ns_1"}]},
    {"name": "x", "allowed_origins": ["https://example.org"]},
    {"name": "x", "rate_limit_override": 5},
    {"name": "x", "principal_id": "p"},
]


def test_an_invalid_key_is_a_422(client: httpx.Client) -> None:
    for body in BAD:
        assert client.post(KEYS, json=body).status_code == 422, body
    assert client.get(KEYS).json()["results"] == []


def test_the_user_is_an_email_address(client: httpx.Client) -> None:
    for email in ("nobody", "@x", "a@", "a b@c", "x" * 251 + "@abc"):
        answer = client.post(f"/organizations/users/{email}/api-keys", json={"name": "x"})
        assert answer.status_code == 422, email


def test_a_change_affects_only_the_sent_fields(client: httpx.Client) -> None:
    client.post(KEYS, json={"name": "old", "description": "d", "expires_at": "2027-01-01T00:00:00Z"})

    renamed = client.patch(f"{KEYS}/old", json={"name": "new", "permissions": ["admin", "read"]}).json()
    cleared = client.patch(f"{KEYS}/new", json={"expires_at": None}).json()

    assert renamed["description"] == "d" and renamed["expires_at"] == "2027-01-01T00:00:00.000Z"
    assert renamed["permissions"] == ["read", "admin"]
    assert cleared["expires_at"] is None
    assert client.get(f"{KEYS}/old").status_code == 404
    assert client.get(f"{KEYS}/{cleared['key_id']}").json()["name"] == "new"


def test_a_change_of_permissions_applies_to_the_next_call(client: httpx.Client, client_for: ClientMaker) -> None:
    limited = client_for(client.post(KEYS, json={"name": "x"}).json()["key"])
    assert limited.post("/namespaces", json={"namespace_name": "made"}).status_code == 200

    client.patch(f"{KEYS}/x", json={"permissions": ["read"]})

    assert limited.post("/namespaces", json={"namespace_name": "more"}).status_code == 403


def test_a_revoked_key_remains_visible_and_revoked(client: httpx.Client, client_for: ClientMaker) -> None:
    limited = client_for(client.post(KEYS, json={"name": "x"}).json()["key"])

    revoked = client.patch(f"{KEYS}/x", json={"status": "revoked"}).json()

    assert revoked["status"] == "revoked" and revoked["revoked_at"] and revoked["revoked_by"]
    assert limited.get("/me").status_code == 401
    assert client.patch(f"{KEYS}/x", json={"status": "active"}).status_code == 409
    assert client.post(f"{KEYS}/x/rotate").status_code == 409


def test_a_removed_key_stops_working_and_frees_its_name(client: httpx.Client, client_for: ClientMaker) -> None:
    limited = client_for(client.post(KEYS, json={"name": "x"}).json()["key"])
    assert limited.get("/me").status_code == 200

    assert client.delete(f"{KEYS}/x").json()["success"] is True

    assert limited.get("/me").status_code == 401
    assert client.delete(f"{KEYS}/x").status_code == 404
    assert client.post(KEYS, json={"name": "x"}).status_code == 200


def test_a_rotated_key_has_a_new_secret_and_the_old_one_stops_working(
    client: httpx.Client, client_for: ClientMaker
) -> None:
    old = client.post(KEYS, json={"name": "x"}).json()

    new = client.post(f"{KEYS}/x/rotate").json()

    assert new["key"] != old["key"] and new["key_id"] == old["key_id"]
    assert client_for(new["key"]).get("/me").status_code == 200
    assert client_for(old["key"]).get("/me").status_code == 401


def test_keys_of_another_user_or_organisation_are_not_found(client: httpx.Client, stranger: httpx.Client) -> None:
    client.post(KEYS, json={"name": "x"})

    assert client.get(f"{KEYS.replace('ann', 'bob')}/x").status_code == 404
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert stranger.request(method, f"{KEYS}/x{path}", json={}).status_code == 404
    assert stranger.get(KEYS).json()["results"] == []


def test_me_and_the_organisation_agree(client: httpx.Client) -> None:
    me, organization = client.get("/me").json(), client.get("/organizations").json()

    assert me["organization_id"] == organization["organization_id"]
    assert me["organization_name"] == organization["organization_name"] == "local"
    assert me["account_type"] == organization["account_type"]


def test_the_probes_report_which_parts_respond(server: str) -> None:
    health = httpx.get(f"{server}/v1/health", trust_env=False).json()

    assert health["status"] == "OK"
    assert health["data"] == {
        "cache": True, "metadata": True, "vector_store": True, "object_storage": True, "task_queue": True,
        "inference": True,
    }  # fmt: skip
    for probe in ("livez", "health/liveness"):
        assert httpx.get(f"{server}/{probe}", trust_env=False).json()["status"] == "OK"
    ready = httpx.get(f"{server}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (200, "DEGRADED")  # the server has no worker


def test_the_list_of_keys_is_paginated_and_limited_to_one_user(client: httpx.Client) -> None:
    for name in ("one", "two", "three"):
        client.post(KEYS, json={"name": name})
    client.post(KEYS.replace("ann", "bob"), json={"name": "four"})

    page = client.get(f"{KEYS}?limit=2&include_total=true").json()
    rest = client.get(f"{KEYS}?limit=2&cursor={page['pagination']['next_cursor']}").json()

    assert page["total_count"] == page["pagination"]["total"] == 3
    assert {key["name"] for key in page["results"] + rest["results"]} == {"one", "two", "three"}

"""Every operation that changes something adds a row to the audit log of its own organisation and to no other."""

from dataclasses import replace
from typing import Any, Final, get_args

import httpx
import pytest

from shoal.api.mounts import MOUNT
from shoal.api.route_table import find_permission
from shoal.records.audit import Action
from tenancy.calls import Call
from tenancy.conftest import World
from tenancy.operations import TABLE
from tenancy.tenants import Tenant, send

_LOG: Final = "/organizations/audit"
_READ: Final = ("read", "admin")


def _call(
    http: httpx.Client, tenant: Tenant, name: str, call: Call, key: str = "admin", id: str = ""
) -> httpx.Response:
    method, path = name.split(" ")
    headers = {"X-Namespace": tenant.ref("namespace")} | ({"X-Request-ID": id} if id else {})
    return send(http, method, f"/v1{path}", call, tenant.keys[key], headers)


def _rows(tenant: Tenant, **asked: str) -> list[dict[str, Any]]:
    answer = tenant.http.get(_LOG, params={"limit": "100", **asked})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def _changes(name: str) -> bool:
    method, path = name.split(" ")
    return method != "GET" and find_permission(method, MOUNT + path) != "read"


@pytest.mark.parametrize("name", sorted(filter(_changes, TABLE)))
def test_a_change_is_recorded_with_its_author(name: str, world: World, bare: httpx.Client) -> None:
    cedar = replace(world.cedar, wear_out=True)
    call, request_id = TABLE[name].make(cedar), cedar.name()

    assert _call(bare, cedar, name, call, id=request_id).status_code in (200, 204)

    rows = _rows(cedar, search=request_id)
    assert rows, f"{name} changes something and notes nothing; see repositories/audit.py"
    for row in rows:
        assert (row["key_name"], row["user"], row["via"]) == ("first", "local@shoal", "http")
        assert (row["outcome"], row["organization_id"]) == ("done", cedar.organization_id)
        assert row["action"] in get_args(Action) and row["resource_id"] and row["address"] == "127.0.0.1"
        assert row["namespace_id"] in (None, cedar.ref("namespace"))
    assert _rows(world.amber, search=request_id) == []


@pytest.mark.parametrize("name", sorted(name for name in TABLE if not _changes(name)))
def test_reading_adds_no_row(name: str, world: World, bare: httpx.Client) -> None:
    id = world.amber.name()

    assert _call(bare, world.amber, name, TABLE[name].make(world.amber), id=id).status_code == 200

    assert _rows(world.amber, search=id) == []


def test_the_log_holds_counts_and_no_contents(world: World, bare: httpx.Client) -> None:
    amber = world.amber
    document = {
        "document_id": amber.name(),
        "vectors": {"v": [1.0, 2.0, 3.0, 4.0]},
        "payload": {"text": "very private"},
    }
    body = {"collection_id": amber.ref("collection"), "documents": [document]}
    path = {"namespace": amber.ref("namespace")}
    _call(bare, amber, "POST /namespaces/{namespace}/documents/upsert", Call(path=path, body=body), id="contents")

    (row,) = _rows(amber, search="contents")

    assert (row["action"], row["resource_id"]) == ("documents.upsert", amber.ref("collection"))
    assert row["details"] == {"documents": 1}
    assert "very private" not in amber.http.get(_LOG, params={"limit": "1000"}).text


def test_a_rejected_change_is_not_recorded_as_a_change(world: World, bare: httpx.Client) -> None:
    amber = world.amber
    taken = Call(body={"bucket_name": amber.refs["bucket"][1], "bucket_schema": {"properties": {}}})

    assert _call(bare, amber, "POST /buckets", taken, id="taken").status_code == 409

    assert _rows(amber, search="taken") == []


def test_a_call_without_permission_is_recorded(world: World, bare: httpx.Client) -> None:
    amber = world.amber
    name = "DELETE /buckets/{bucket}"
    assert _call(bare, amber, name, TABLE[name].make(amber), "writer", id="forbidden-1").status_code == 403

    (row,) = _rows(amber, search="forbidden-1")

    assert (row["action"], row["outcome"], row["key_name"]) == ("key.refuse", "forbidden", "amber_writer")
    path = f"/v1/buckets/{amber.ref('bucket')}"
    assert row["details"] == {"needed": "delete", "method": "DELETE", "path": path}


@pytest.mark.parametrize("role", ["revoked", "expired"])
def test_use_of_an_invalidated_key_is_recorded_for_its_organisation(
    role: str, world: World, bare: httpx.Client
) -> None:
    cedar = world.cedar
    assert _call(bare, cedar, "GET /me", Call(), role, id=f"{role}-1").status_code == 401

    (row,) = _rows(cedar, search=f"{role}-1")

    assert (row["outcome"], row["key_name"]) == ("unauthenticated", None)
    assert row["details"] == {"reason": role, "key_name": f"cedar_{role}"}
    assert row in _rows(cedar, key=row["resource_id"], outcome="unauthenticated")


def test_a_key_in_a_path_is_not_logged(world: World, bare: httpx.Client) -> None:
    amber = world.amber
    path = {"bucket": amber.keys["admin"]}
    _call(bare, amber, "DELETE /buckets/{bucket}", Call(path=path), "reader", id="slip")

    (row,) = _rows(amber, search="slip")

    assert row["details"]["path"] == "/v1/buckets/sk_…"


def test_the_log_can_be_filtered_by_action_key_and_time(world: World) -> None:
    amber = world.amber
    amber.post("/buckets", {"bucket_name": amber.name(), "bucket_schema": {"properties": {}}})
    newest = _rows(amber, action="bucket.")[0]

    assert {row["action"].partition(".")[0] for row in _rows(amber, action="bucket.")} == {"bucket"}
    assert {row["action"] for row in _rows(amber, action="key.create")} == {"key.create"}
    assert {row["key_name"] for row in _rows(amber, key="first", outcome="done")} == {"first"}
    assert {row["key_name"] for row in _rows(amber, key=newest["key_id"])} == {"first"}
    assert _rows(amber, key="nobody") == []
    assert newest in _rows(amber, since=newest["created_at"])
    assert newest not in _rows(amber, until=newest["created_at"])
    assert amber.http.get(_LOG, params={"since": "soon"}).status_code == 422
    assert amber.http.get(_LOG, params={"outcome": "fine"}).status_code == 422


def test_the_log_is_paginated_newest_first(world: World) -> None:
    amber = world.amber
    first = amber.http.get(_LOG, params={"limit": "3", "include_total": "true"}).json()
    second = amber.http.get(_LOG, params={"limit": "3", "cursor": first["pagination"]["next_cursor"]}).json()

    times = [row["created_at"] for row in first["results"] + second["results"]]
    assert times == sorted(times, reverse=True) and len(times) == 6
    assert first["pagination"]["total"] == first["total_count"] > 6
    ids = {row["audit_id"] for row in first["results"] + second["results"]}
    assert len(ids) == 6

"""Every operation under every mount, called by every kind of unauthorised caller and by authorised ones.

Responses are compared in full: a resource of another tenant must look exactly like a missing one.
"""

from dataclasses import replace
from typing import Final

import httpx
import pytest
from fastapi import FastAPI

from shoal.api.callers.auth import PUBLIC
from shoal.api.mounts import MOUNT
from shoal.api.route_table import find_permission
from shoal.records.key import Permission, new_key
from tenancy.calls import OF_THE_ORGANIZATION, PREFIXES, Call, Slot, put_in
from tenancy.cells import Cells, comparable
from tenancy.conftest import World
from tenancy.coverage import namespaced, operations_of
from tenancy.operations import TABLE, Operation
from tenancy.tenants import Tenant, missing_like, send

_OK: Final = (200, 204)
_ALL: Final[tuple[Permission, ...]] = ("read", "write", "delete", "admin")
_GRANTED: Final[dict[str, tuple[Permission, ...]]] = {"reader": ("read",), "writer": ("read", "write"), "admin": _ALL}

every_operation = pytest.mark.parametrize("name", sorted(TABLE))


def _parts(name: str) -> tuple[str, str, Operation]:
    method, path = name.split(" ")
    return method, path, TABLE[name]


@every_operation
def test_without_a_valid_key_every_route_gives_the_same_response(
    name: str, world: World, bare: httpx.Client, cells: Cells
) -> None:
    method, path, operation = _parts(name)
    call, amber = operation.make(world.amber), world.amber
    secrets = {
        "no key": None,
        "malformed key": amber.keys["admin"][:-1],
        "unknown key": new_key(),
        "revoked key": amber.keys["revoked"],
        "expired key": amber.keys["expired"],
    }
    headers = {"X-Namespace": amber.ref("namespace")}
    for kind, secret in secrets.items():
        reference = send(bare, "GET", "/v1/me", Call(), secret)
        assert reference.status_code == 401 and reference.json()["error"]["code"] == "unauthorized"
        for mount in PREFIXES:
            answer = send(bare, method, mount + path, call, secret, headers)
            if MOUNT + path in PUBLIC:
                assert answer.status_code == 200, (kind, mount)
            else:
                assert comparable(answer) == comparable(reference), (kind, mount)
            cells.count("without a good key", name)


@every_operation
def test_a_key_may_do_exactly_what_the_permission_table_says(
    name: str, world: World, bare: httpx.Client, cells: Cells
) -> None:
    method, path, operation = _parts(name)
    amber = replace(world.amber, wear_out=True)
    headers = {"X-Namespace": amber.ref("namespace")}
    for role, granted in _GRANTED.items():
        for mount in PREFIXES:
            needed = find_permission(method, MOUNT + path)
            allowed = needed is None or needed in granted
            assert (needed is None) == (MOUNT + path in PUBLIC)
            call = operation.make(amber if allowed else world.amber)
            answer = send(bare, method, mount + path, call, amber.keys[role], headers)
            if needed is None or allowed:
                assert answer.status_code in _OK, (role, mount, answer.text)
            else:
                assert answer.status_code == 403, (role, mount, answer.text)
                assert answer.json() == _forbidden(f"amber_{role}", needed, granted)
            cells.count("by role", name)


def _forbidden(key: str, needed: Permission, granted: tuple[Permission, ...]) -> dict[str, object]:
    message = f"The key {key!r} lacks the permission {needed!r}."
    details = {"needed": needed, "granted": sorted(granted)}
    error = {"message": message, "type": "ForbiddenError", "code": "forbidden", "details": details}
    return {"success": False, "status": 403, "error": error}


@pytest.mark.parametrize(
    ("intruder", "owner"), [("cedar", "amber"), ("amber", "cedar"), ("birch", "amber")],
    ids=["another organisation", "another organisation, the other way", "another namespace"],
)  # fmt: skip
@every_operation
def test_resources_of_another_tenant_appear_not_to_exist(
    name: str, intruder: str, owner: str, world: World, bare: httpx.Client, cells: Cells
) -> None:
    method, path, operation = _parts(name)
    caller, other = getattr(world, intruder), getattr(world, owner)
    same_organization = caller.organization_id == other.organization_id
    call, headers = operation.make(caller), {"X-Namespace": caller.ref("namespace")}
    before = _state(other)
    for slot in operation.slots:
        if same_organization and slot.kind in OF_THE_ORGANIZATION:
            continue
        for ref in other.refs[slot.kind]:
            for mount in PREFIXES:
                answers = [
                    comparable(
                        send(bare, method, mount + path, put_in(call, slot, sent), caller.keys["admin"], headers), sent
                    )
                    for sent in (ref, missing_like(ref))
                ]
                assert answers[0][0] == slot.status, (slot, mount, answers[0])
                assert answers[0] == answers[1], (slot, mount)
                cells.count("with a foreign id", name)
    assert _state(other) == before


@every_operation
def test_own_resources_are_found_in_every_slot(name: str, world: World, bare: httpx.Client) -> None:
    """The counterpart: a slot in which nothing is ever found would make the test above vacuous."""
    method, path, operation = _parts(name)
    caller = replace(world.cedar, wear_out=True)
    for slot in operation.slots:
        if method != "DELETE" and not slot.place.startswith("path."):
            assert _is_found(bare, method, path, operation, slot, caller), slot


def _is_found(http: httpx.Client, method: str, path: str, operation: Operation, slot: Slot, caller: Tenant) -> bool:
    """Whether one of the caller's own references in the slot is answered differently from a missing one."""
    headers, secret = {"X-Namespace": caller.ref("namespace")}, caller.keys["admin"]
    for ref in caller.refs[slot.kind]:
        own, missing = (
            send(http, method, f"/v1{path}", put_in(operation.make(caller), slot, sent), secret, headers)
            for sent in (ref, missing_like(ref))
        )
        if own.status_code == 200 and comparable(own, ref) != comparable(missing, missing_like(ref)):
            return True
    return False


@every_operation
def test_a_foreign_namespace_in_the_header_is_not_found(
    name: str, world: World, bare: httpx.Client, cells: Cells, described: dict[str, dict[str, object]]
) -> None:
    method, path, operation = _parts(name)
    caller, secret = world.cedar, world.cedar.keys["admin"]
    call = operation.make(caller)
    if not namespaced(described[name]):
        if find_permission(method, MOUNT + path) == "read":
            foreign = {"X-Namespace": world.amber.ref("namespace")}
            plain, ignored = (send(bare, method, f"/v1{path}", call, secret, sent) for sent in ({}, foreign))
            assert comparable(plain) == comparable(ignored)
        return
    for ref in world.amber.refs["namespace"]:
        for mount in PREFIXES:
            answers = [
                comparable(send(bare, method, mount + path, call, secret, {"X-Namespace": sent}), sent)
                for sent in (ref, missing_like(ref))
            ]
            assert answers[0][0] == 404
            assert answers[0] == answers[1]
            cells.count("with a foreign namespace", name)


@pytest.mark.parametrize("name", sorted(name for name in TABLE if name.endswith("/list")))
def test_a_cursor_of_another_tenant_is_treated_like_one_of_another_list(
    name: str, world: World, bare: httpx.Client, cells: Cells
) -> None:
    method, path, operation = _parts(name)
    cursors = {tenant.label: _cursor(bare, tenant) for tenant in world.tenants}
    caller = world.cedar
    answers = {}
    for label, cursor in cursors.items():
        call = replace(operation.make(caller), query={"cursor": cursor})
        headers = {"X-Namespace": caller.ref("namespace")}
        answers[label] = comparable(send(bare, method, f"/v1{path}", call, caller.keys["admin"], headers), cursor)
        cells.count("with a foreign cursor", name)
    assert answers["amber"] == answers["birch"] == answers["cedar"]
    assert answers["amber"][0] == 400


def _cursor(http: httpx.Client, tenant: Tenant) -> str:
    """The cursor of a list that no operation of the test requests: the documents of the collection, sorted."""
    path = f"/v1/collections/{tenant.ref('collection')}/documents"
    call = Call(query={"limit": "2", "sort": "row:asc"})
    answer = send(http, "GET", path, call, tenant.keys["admin"], {"X-Namespace": tenant.ref("namespace")})
    return str(answer.json()["pagination"]["next_cursor"])


def _state(tenant: Tenant) -> list[str]:
    """All resources of a tenant as the tenant sees them, so that a change by another tenant is detected."""
    paths = [
        "/me", "/organizations", "/namespaces", "/buckets", "/collections", "/clusters",
        f"/namespaces/{tenant.ref('namespace')}",
        f"/organizations/users/{tenant.email}/api-keys",
        f"/buckets/{tenant.ref('bucket')}", f"/buckets/{tenant.ref('bucket')}/objects",
        f"/collections/{tenant.ref('collection')}/documents?return_vectors=true",
        f"/clusters/{tenant.ref('cluster')}/executions/{tenant.ref('run')}", f"/tasks/{tenant.ref('task')}",
    ]  # fmt: skip
    return [tenant.http.get(path, params=None).text for path in paths]


@pytest.fixture(scope="module")
def described(app: FastAPI) -> dict[str, dict[str, object]]:
    return operations_of(app.openapi())

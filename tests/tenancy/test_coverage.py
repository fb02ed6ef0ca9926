"""The matrix covers every route, new routes are detected, and permissions are as recorded."""

from pathlib import Path
from typing import Annotated, Any, Final

import pytest
from fastapi import APIRouter, Body, FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from shoal.api.callers.auth import PUBLIC
from shoal.api.mounts import MOUNT, PROBES
from shoal.api.resource import Resource, ResourceRoute
from shoal.api.route_table import find_permission
from shoal.records.key import ALL_PERMISSIONS, Permission
from tenancy.coverage import HIDDEN, left_out, operations_of, routes_of
from tenancy.operations import TABLE

_SNAPSHOT: Final = Path(__file__).with_name("permissions.txt")
_ROLES: Final[dict[str, tuple[Permission, ...]]] = {
    "read": ("read",),
    "read+write": ("read", "write"),
    "read+write+delete": ("read", "write", "delete"),
    "admin": ("admin",),
}


def test_every_operation_of_the_openapi_is_in_the_table_with_all_its_ids(app: FastAPI) -> None:
    assert left_out(app.openapi(), TABLE) == []


def test_the_openapi_describes_every_route_except_the_listed_ones(app: FastAPI) -> None:
    assert routes_of(app).keys() - operations_of(app.openapi()).keys() == HIDDEN
    assert operations_of(app.openapi()).keys() <= routes_of(app).keys()


def test_every_route_is_served_at_the_official_mount_to_which_the_others_map(app: FastAPI) -> None:
    """That they do so on a real server is tested by the matrix and `tests/api/test_mounts.py`."""
    assert {name: mounts for name, mounts in routes_of(app).items() if mounts != {MOUNT}} == {}


def test_public_routes_are_read_only(app: FastAPI) -> None:
    assert all(path.startswith(f"{MOUNT}/") for path in PUBLIC)
    assert {f"GET {path.removeprefix(MOUNT)}" for path in PUBLIC} <= routes_of(app).keys()


def test_permissions_of_routes_are_as_recorded() -> None:
    """After an intended change, run `python -m tenancy.test_coverage` in tests/ to rewrite the table."""
    assert _permissions() == _SNAPSHOT.read_text()


def test_every_route_declares_its_permission_or_is_a_probe(app: FastAPI) -> None:
    declared: dict[str, set[Permission | None]] = {}
    for context in iter_route_contexts(app.routes):
        route, path = context.original_route, str(context.path)
        if path != f"{MOUNT}/openapi.json":
            assert isinstance(route, ResourceRoute), f"{path} is no route of a Resource, so no permission guards it"
            declared.setdefault(path, set()).add(route.permission)

    assert len(declared) > 50
    assert {path for path, needed in declared.items() if None in needed} == {
        MOUNT + path for path in PROBES if path != "/openapi.json"
    }
    assert all(needed <= {*ALL_PERMISSIONS, None} for needed in declared.values())


@pytest.mark.parametrize("extra", [None, {}, {"requestBody": {}}, {"x-permission": "reed"}, {"x-permission": True}])
def test_a_route_without_a_permission_cannot_be_defined(extra: dict[str, Any] | None) -> None:
    router = Resource("/secrets", tag="secrets", about="What nobody guards.")

    with pytest.raises(TypeError, match=r"/secrets/\{id\}: declare a permission"):
        router.get("/{id}", openapi_extra=extra)(lambda: None)


class _Moved(BaseModel):
    target_collection_ids: list[str]


class _Move(BaseModel):
    moved: list[_Moved] | None = None


@pytest.fixture
def grown() -> FastAPI:
    """An application with routes that are missing from the table."""
    router = APIRouter(prefix="/v1")

    @router.post("/clusters/{cluster_identifier}/move")
    def move(cluster_identifier: str, body: Annotated[_Move, Body()], source_id: str = "") -> None:
        """A route with a parameter, and ids in the query and deep in the body."""

    @router.get("/secrets")
    def secrets() -> None:
        """Another one."""

    application = FastAPI()
    application.include_router(router)
    return application


def test_a_new_route_is_reported_until_the_table_contains_it(grown: FastAPI) -> None:
    assert left_out(grown.openapi(), {}) == [
        "GET /secrets: has no entry in tests/tenancy/operations.py",
        "POST /clusters/{cluster_identifier}/move: has no entry in tests/tenancy/operations.py",
    ]


def test_every_id_of_a_new_route_must_be_listed(grown: FastAPI) -> None:
    table = {"GET /secrets": TABLE["GET /me"], "POST /clusters/{cluster_identifier}/move": TABLE["GET /me"]}
    named = {**table, "POST /clusters/{cluster_identifier}/move": TABLE["GET /clusters/{cluster_identifier}"]}

    assert left_out(grown.openapi(), table) == [
        "POST /clusters/{cluster_identifier}/move: cluster_identifier is neither a slot nor free",
        "POST /clusters/{cluster_identifier}/move: source_id is neither a slot nor free",
        "POST /clusters/{cluster_identifier}/move: target_collection_ids is neither a slot nor free",
    ]
    assert len(left_out(grown.openapi(), named)) == 2


def test_an_entry_without_a_route_is_reported(grown: FastAPI) -> None:
    assert "GET /me: is no operation any more" in left_out(grown.openapi(), TABLE)


def test_an_undescribed_route_is_detected(grown: FastAPI) -> None:
    @grown.get("/v1/hidden", include_in_schema=False)
    def hidden() -> None:
        """Served but undocumented."""

    assert routes_of(grown).keys() - operations_of(grown.openapi()).keys() >= {"GET /hidden"}


def _permissions() -> str:
    """One line per route: its required permission and the keys that may call it."""
    lines = [f"{'needs':<8}{'keys that may call it':<45}route"]
    for name in sorted(TABLE, key=lambda name: (name.split(" ")[1], name)):
        method, path = name.split(" ")
        needed = find_permission(method, MOUNT + path)
        allowed = [role for role, granted in _ROLES.items() if needed in granted or "admin" in granted]
        keys = "everybody" if needed is None else ", ".join(allowed)
        lines.append(f"{needed or 'nothing':<8}{keys:<45}{name}")
    assert set(ALL_PERMISSIONS) == {granted for role in _ROLES.values() for granted in role}
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    _SNAPSHOT.write_text(_permissions())

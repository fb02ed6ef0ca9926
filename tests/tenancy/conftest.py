"""A real server without workers and with three tenants; runs are executed in the test process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import httpx
import pytest
from fastapi import FastAPI

from cluster_steps import carry_out
from server_process import ServerProcess
from shoal.api.app import create_app
from shoal.assemble import Services, assemble, utc_now
from shoal.records.key import CreateKey, PatchKey, Permission
from shoal.records.scope import Scope
from shoal.settings import Settings
from tenancy.cells import Cells
from tenancy.tenants import Tenant, furnish

_CELLS = pytest.StashKey[Cells]()
_ROLES: Final[dict[str, tuple[Permission, ...]]] = {"reader": ("read",), "writer": ("read", "write")}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CELLS] = Cells()


def pytest_sessionfinish(session: pytest.Session) -> None:
    cells = session.config.stash[_CELLS]
    cells.failed = session.testsfailed
    if cells.lines() and hasattr(session.config, "workeroutput"):
        session.config.workeroutput.setdefault("summary_lines", []).extend(cells.lines())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_CELLS].lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cells(request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]) -> Iterator[Cells]:
    cells = request.config.stash[_CELLS]
    yield cells
    record_testsuite_property("tries", cells.checked.total())


@dataclass(frozen=True)
class World:
    """The server, a second connection to its data folder, and its tenants."""

    url: str
    services: Services
    amber: Tenant
    birch: Tenant
    cedar: Tenant

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        return self.amber, self.birch, self.cedar


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[World]:
    """Amber and birch share an organisation, cedar has another; each has one resource of every kind."""
    data = tmp_path_factory.mktemp("tenancy") / "data"
    with ServerProcess(data, workers=0) as server:
        services = assemble(Settings(data=data, workers=0))
        first, second = server.key, services.keys.create_organization("second").key
        tenants = [
            _tenant(services, server.url, label, secret)
            for label, secret in (("amber", first), ("birch", first), ("cedar", second))
        ]
        for tenant in tenants:
            furnish(tenant)
        yield World(server.url, services, *tenants)
        for tenant in tenants:
            tenant.http.close()
        services.close()


def _tenant(services: Services, url: str, label: str, admin: str) -> Tenant:
    scope, email = Scope(services.keys.authenticate(admin).organization_id), f"{label}@example.org"
    keys = {"admin": admin}
    for role, permissions in _ROLES.items():
        body = CreateKey(name=f"{label}_{role}", permissions=list(permissions))
        keys[role] = services.keys.create(scope, email, body).key
    keys["revoked"] = services.keys.create(scope, email, CreateKey(name=f"{label}_revoked")).key
    services.keys.change(scope, f"{label}_revoked", PatchKey(status="revoked"))
    keys["expired"] = _expired_key(services.settings, scope, label, email)
    http = httpx.Client(base_url=f"{url}/v1", headers={"Authorization": f"Bearer {admin}"}, timeout=30, trust_env=False)
    return Tenant(label, scope.organization_id, http, keys, email, partial(carry_out, services))


def _expired_key(settings: Settings, scope: Scope, label: str, email: str) -> str:
    """A key created yesterday with a lifetime of one hour."""
    yesterday = utc_now() - timedelta(days=1)
    opened = assemble(settings, lambda: yesterday)
    try:
        body = CreateKey(name=f"{label}_expired", expires_at=yesterday + timedelta(hours=1))
        return opened.keys.create(scope, email, body).key
    finally:
        opened.close()


@pytest.fixture(scope="module")
def bare(world: World) -> Iterator[httpx.Client]:
    """A client without default headers; paths include their mount."""
    with httpx.Client(base_url=world.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The application itself, for inspecting its routes."""
    opened = assemble(Settings(data=tmp_path_factory.mktemp("described"), workers=0))
    yield create_app(opened)
    opened.close()

"""A real server per test, on a free loopback port, with its own data folder and a clock controlled by the test."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app_server import serve_app
from faults.disk import quick_folder
from memory_stores import memory_stores
from shoal.api.app import create_app
from shoal.assemble import Services, assemble
from shoal.settings import Settings
from shoal.storage.stores import open_stores
from store_calls import watched_stores

ON_BOTH_STORES = frozenset(
    {
        "test_buckets",
        "test_collections",
        "test_idempotency",
        "test_keys",
        "test_namespaces",
        "test_one_key_one_request",
        "test_optimistic_store",
    }
)


@dataclass
class Clock:
    """Stands still unless it is moved."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings that a test overrides."""
    return {}


@pytest.fixture
def store_kind() -> str:
    """Where the records are kept: `sqlite`, or `memory` for the optimistic store with conflicts."""
    return os.environ.get("SHOAL_TEST_STORE", "sqlite")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Suites that test changes of records run on both stores."""
    if "store_kind" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH_STORES:
        metafunc.parametrize("store_kind", ["sqlite", "memory"])


@pytest.fixture
def services(clock: Clock, settings: dict[str, Any], store_kind: str) -> Iterator[Services]:
    """All services on a fresh folder in memory, before the first start. Bodies over 1 MiB are rejected here.

    Whatever a test does, no store that may be slow is called on the event loop: a call of a few milliseconds would
    delay every other request.
    """
    with quick_folder() as folder:
        given = Settings(**{"data": folder / "data", "workers": 0, "max_body_mib": 1, "max_upload_mib": 2, **settings})
        stores = open_stores(given) if store_kind == "sqlite" else memory_stores(given)
        opened = assemble(given, clock, replace(stores, are_local=False))
        with watched_stores(opened) as calls:
            yield opened
        opened.close()
        assert calls.on_an_event_loop == []


@pytest.fixture
def admin_key(services: Services) -> str:
    """The key created by the first start."""
    secret = services.keys.bootstrap(services.settings.data / "key")
    assert secret is not None
    return secret


@pytest.fixture
def server(services: Services, admin_key: str) -> Iterator[str]:
    """The address of a running server, without a mount: `http://127.0.0.1:<port>`."""
    with serve_app(create_app(services)) as address:
        yield address


ClientMaker = Callable[..., httpx.Client]


@pytest.fixture
def client_for(server: str) -> Iterator[ClientMaker]:
    """Creates clients: `client_for(key)`, with None for a client without a key."""
    made: list[httpx.Client] = []

    def make(key: str | None, **headers: str) -> httpx.Client:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        made.append(httpx.Client(base_url=f"{server}/v1", headers=headers, timeout=30, trust_env=False))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(client_for: ClientMaker, admin_key: str) -> httpx.Client:
    """The admin of the first organisation."""
    return client_for(admin_key)


@pytest.fixture
def stranger(client_for: ClientMaker, services: Services) -> httpx.Client:
    """The admin of another organisation."""
    return client_for(services.keys.create_organization("elsewhere").key)

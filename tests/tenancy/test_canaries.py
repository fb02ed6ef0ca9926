"""Two organisations with two namespaces each operate at random for a long time; no byte of one reaches another.

`SHOAL_CANARY_STEPS` sets the number of steps, `SHOAL_CANARY_SEEDS` that of runs: the long form is

    SHOAL_CANARY_STEPS=10000 SHOAL_CANARY_SEEDS=5 pytest tests/tenancy/test_canaries.py -k "another_in_process"

It has several runs because accumulated data makes each step more expensive. The short form exceeds the 500 steps
within which the watch must detect a planted leak.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from cluster_steps import carry_out
from server_process import ServerProcess
from shoal.api.app import create_app
from shoal.assemble import Services, assemble
from shoal.records.scope import Scope
from shoal.settings import Settings
from tenancy.canaries import Leak, Menagerie
from tenancy.cells import Cells
from tenancy.tenants import Tenant, furnish

pytestmark = pytest.mark.process

_STEPS: Final = int(os.environ.get("SHOAL_CANARY_STEPS", "600"))
_FIRST_SEED: Final = 7
_SEEDS: Final = range(_FIRST_SEED, _FIRST_SEED + int(os.environ.get("SHOAL_CANARY_SEEDS", "1")))
_STEPS_OVER_A_SOCKET: Final = 250
_LABELS: Final = ("amber", "birch", "cedar", "dahlia")
_RUNS_EVERY: Final = 250


class _InProcess(httpx.BaseTransport):
    """Requests directly to the application, on a separate event loop."""

    def __init__(self, services: Services) -> None:
        self._runner = asyncio.Runner()
        self._asgi = httpx.ASGITransport(create_app(services))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._runner.run(self._answered(request))

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        answer = await self._asgi.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    def close(self) -> None:
        self._runner.close()


def _settled(
    services: Services, first: str, url: str, transport: httpx.BaseTransport | None, seed: int = _FIRST_SEED
) -> Menagerie:
    """Two organisations, and two furnished namespaces in each."""
    second = services.keys.create_organization("second").key
    tenants = []
    for label, secret in zip(_LABELS, (first, first, second, second), strict=True):
        organization = services.keys.authenticate(secret).organization_id
        http = httpx.Client(
            base_url=f"{url}/v1", headers={"Authorization": f"Bearer {secret}"}, timeout=60, trust_env=False,
            transport=transport,
        )  # fmt: skip
        run_everything = partial(carry_out, services)
        tenants.append(Tenant(label, organization, http, {"admin": secret}, f"{label}@example.org", run_everything))
        furnish(tenants[-1])
    bare = httpx.Client(base_url=url, timeout=60, trust_env=False, transport=transport)
    return Menagerie(bare, tenants, random.Random(seed))


@pytest.fixture(params=[_FIRST_SEED])
def in_process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Menagerie]:
    """Runs in one process with the stores; the parameter is the seed."""
    services = assemble(Settings(data=tmp_path / "data", workers=0))
    secret = services.keys.bootstrap(services.settings.data / "key")
    assert secret is not None
    transport = _InProcess(services)
    yield _settled(services, secret, "http://shoal", transport, request.param)
    transport.close()
    services.close()


@pytest.fixture
def over_a_socket(tmp_path: Path, processes: None) -> Iterator[Menagerie]:
    with ServerProcess(tmp_path / "data", workers=0) as server:
        services = assemble(Settings(data=server.data, workers=0))
        menagerie = _settled(services, server.key, server.url, None)
        yield menagerie
        for http in (menagerie.http, *(tenant.http for tenant in menagerie.tenants)):
            http.close()
        services.close()


def _wander(menagerie: Menagerie, steps: int) -> None:
    for _ in range(steps):
        menagerie.step()


def _live(menagerie: Menagerie, steps: int, cells: Cells, how: str) -> None:
    for step in range(steps):
        menagerie.step()
        if step % _RUNS_EVERY == _RUNS_EVERY - 1:
            menagerie.tenants[0].run_everything()
    cells.note(
        f"two tenants: {steps:,} steps {how}, {menagerie.answers.total():,} answers watched for canaries, 0 leaks"
    )
    assert menagerie.answers[200] > steps / 2  # most operations succeed
    assert menagerie.answers[404] > steps / 10  # and most attempts on foreign resources are not found


@pytest.mark.timeout(600 + _STEPS)
@pytest.mark.parametrize("in_process", _SEEDS, indirect=True)
def test_no_byte_of_one_reaches_another_in_process(
    in_process: Menagerie, cells: Cells, record_property: Callable[[str, object], None]
) -> None:
    record_property("tries", _STEPS)
    _live(in_process, _STEPS, cells, "in process")


def test_no_byte_of_one_reaches_another_over_a_socket(over_a_socket: Menagerie, cells: Cells) -> None:
    _live(over_a_socket, _STEPS_OVER_A_SOCKET, cells, "over a socket")


def test_a_store_that_ignores_the_organisation_is_detected(
    in_process: Menagerie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test the watch itself: with tenant isolation disabled, a leak is detected within a few hundred steps."""
    cedar = in_process.tenants[2]
    monkeypatch.setattr(Scope, "organization", property(lambda scope: Scope(cedar.organization_id)))

    with pytest.raises(Leak):
        _wander(in_process, 500)

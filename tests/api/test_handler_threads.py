"""Handlers that clients poll run on the event loop, if the stores answer in this process; no others ever do."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app_server import serve_app
from shoal.api.app import create_app
from shoal.assemble import assemble
from shoal.settings import Settings
from shoal.storage.stores import open_stores
from store_calls import watched_stores


@pytest.mark.parametrize("are_local", [True, False])
def test_only_polled_reads_of_local_stores_run_on_the_event_loop(tmp_path: Path, are_local: bool) -> None:
    settings = Settings(data=tmp_path / "data", workers=0)
    services = assemble(settings, stores=replace(open_stores(settings), are_local=are_local))
    headers = {"Authorization": f"Bearer {services.keys.bootstrap(settings.data / 'key')}"}
    with watched_stores(services) as calls, serve_app(create_app(services)) as address:
        with httpx.Client(base_url=f"{address}/v1", headers=headers) as client:
            assert client.get("/clusters/none").status_code == 404
            assert client.get("/tasks/none").status_code == 404
            polled = len(calls.on_an_event_loop)
            assert client.get("/clusters").status_code == 200
            assert client.get("/buckets/none").status_code == 404

        assert (polled > 0) == are_local
        assert len(calls.on_an_event_loop) == polled
        assert len(calls.names) > polled
    services.close()

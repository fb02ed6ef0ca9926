"""A run of several hours and the run of another organisation, on a server with one worker."""

import time
from pathlib import Path

import httpx
import pytest

from server_process import ServerProcess
from shoal.assemble import assemble
from shoal.jobs.limits import run_memory_mib
from shoal.jobs.supervisor import max_per_organization
from shoal.settings import Settings


@pytest.mark.parametrize(
    ("workers", "several", "most"), [(1, False, None), (4, False, None), (1, True, 1), (2, True, 1), (4, True, 3)]
)
def test_no_organisation_occupies_all_workers(workers: int, several: bool, most: int | None) -> None:
    assert max_per_organization(workers, several=several) == most


def test_the_additional_worker_gets_its_share_of_the_memory(tmp_path: Path) -> None:
    alone, shared = (run_memory_mib(Settings(data=tmp_path), several=several) for several in (False, True))

    assert shared == pytest.approx(alone / 2, abs=1)


@pytest.mark.process
def test_a_run_of_several_hours_does_not_delay_other_organisations(tmp_path: Path) -> None:
    data = tmp_path / "data"
    services = assemble(Settings(data=data))
    services.keys.bootstrap(data / "key")
    other = services.keys.create_organization("elsewhere").key
    services.close()
    once = tmp_path / "once"
    once.mkdir()
    # The first run stays at the failpoint; those after it pass.
    limits = {"SHOAL_FAILPOINTS": "run.loaded=sleep:3600", "SHOAL_FAILPOINTS_ONCE": str(once)}
    with ServerProcess(data, workers=1, **limits) as server, server.client() as mine:
        long = executed(mine)
        wait_for(mine, long, "processing")
        with httpx.Client(
            base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {other}"}, timeout=60
        ) as theirs:
            wait_for(theirs, executed(theirs), "completed")
        assert run_of(mine, long)["status"] == "processing"
        second = executed(mine, "second")
        wait_for(mine, second, "pending", "second")
        mine.post(f"/clusters/groups/executions/{long}/cancel").raise_for_status()
        wait_for(mine, second, "completed", "second")


def executed(client: httpx.Client, name: str = "groups") -> str:
    documents = [{"document_id": str(n), "vectors": {"v": [n % 2, n % 3, 1]}, "payload": {}} for n in range(40)]
    client.post("/namespaces/default/documents/upsert", json={"documents": documents}).raise_for_status()
    config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
    body = {"cluster_name": name, "collection_ids": ["default"], "vector_config": config}
    client.post("/clusters", json=body).raise_for_status()
    task = client.post(f"/clusters/{name}/execute", json={})
    return str(task.raise_for_status().json()["additional_data"]["run_id"])


def run_of(client: httpx.Client, run: str, cluster: str = "groups") -> dict[str, object]:
    execution: dict[str, object] = client.get(f"/clusters/{cluster}/executions/{run}").raise_for_status().json()
    return execution


def wait_for(client: httpx.Client, run: str, status: str, cluster: str = "groups") -> None:
    end = time.monotonic() + 60
    while (execution := run_of(client, run, cluster))["status"] != status:
        assert time.monotonic() < end, execution
        time.sleep(0.1)

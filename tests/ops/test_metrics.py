"""Metrics for the operator: on a separate port, correct across processes and restarts, revealing no tenant."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster_steps import create, grouped_documents, put_documents
from server_process import ServerProcess

pytestmark = pytest.mark.process

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int, processes: None) -> Iterator[ServerProcess]:
    """A server that executed one run, handled some requests, and was restarted."""
    server = ServerProcess(tmp_path_factory.mktemp("metrics") / "data", SHOAL_METRICS_PORT=str(port)).start()
    with server.client("default") as client:
        put_documents(client, grouped_documents())
        create(client, name="secretname")
        client.post("/clusters/secretname/execute").raise_for_status()
        while client.get("/clusters/secretname").json()["status"] not in ("COMPLETED", "FAILED"):
            time.sleep(0.05)
    settled(port)
    server.stop()
    with server:
        with server.client("default") as client:
            for path in ("/clusters/secretname", "/clusters/nothere", "/collections/docs/documents/d0003", "/wild/x"):
                client.get(path)
            client.request("BREW", "/clusters")
            client.post("/v1/clusters/list/")
        yield server


def scrape(port: int) -> tuple[str, Samples]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return text, samples


def settled(port: int) -> None:
    """Wait until the run's process has reported its metrics."""
    while not any(name == "shoal_stage_seconds_count" for name, _ in scrape(port)[1]):
        time.sleep(0.05)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_requests_are_counted_by_route_template_and_never_by_path(server: ServerProcess, port: int) -> None:
    text, samples = scrape(port)

    route = "/v1/clusters/{cluster_identifier}"
    assert value(samples, "shoal_http_requests_total", method="GET", route=route, status="200") == 1
    assert value(samples, "shoal_http_requests_total", method="GET", route=route, status="404") == 1
    assert value(samples, "shoal_http_requests_total", method="GET", route="unmatched", status="404") == 1
    assert value(samples, "shoal_http_request_duration_seconds_count", method="GET", route=route) == 2
    assert 'method="OTHER"' in text and "BREW" not in text
    words = " ".join(text for _, labels in samples for _, text in labels)
    for name in ("secretname", "d0003", "wild", "nothere", "org_", "ns_", "clust_", "run_", "sk_"):
        assert name not in words, name


def test_counts_of_runs_stages_and_recoveries_survive_a_restart(server: ServerProcess, port: int) -> None:
    while value((samples := scrape(port)[1]), "shoal_queue_depth"):
        time.sleep(0.05)  # a job whose worker ended before removing it is claimed once more

    assert value(samples, "shoal_runs_total", status="completed") == 1
    stages = {
        dict(labels)["stage"]: amount
        for (name, labels), amount in samples.items()
        if name == "shoal_stage_seconds_count"
    }
    assert {"load", "cluster", "publish"} <= set(stages)
    assert set(stages.values()) == {1.0}
    assert value(samples, "shoal_stage_seconds_sum", stage="cluster", algorithm="kmeans") > 0
    assert value(samples, "shoal_queue_oldest_age_seconds") == 0
    assert value(samples, "shoal_up") == 1


def test_the_disk_and_the_process_have_metrics(server: ServerProcess, port: int) -> None:
    _, samples = scrape(port)

    assert value(samples, "shoal_disk_free_bytes") > 0
    assert value(samples, "shoal_wal_bytes", store="metadata") >= 0
    assert value(samples, "shoal_wal_bytes", store="documents") >= 0
    assert value(samples, "process_resident_memory_bytes") > 1e6


def test_queued_runs_are_counted_with_the_age_of_the_oldest(tmp_path: Path) -> None:
    port = free_port()
    with (
        ServerProcess(tmp_path / "data", workers=0, SHOAL_METRICS_PORT=str(port)) as server,
        server.client("default") as client,
    ):
        put_documents(client, grouped_documents())
        create(client)
        client.post("/clusters/groups/execute").raise_for_status()
        _, samples = scrape(port)
        api = [client.get(path).status_code for path in ("/metrics", f"{server.url}/metrics")]
        nobody = httpx.get(f"{server.url}/metrics", trust_env=False).status_code

    assert value(samples, "shoal_queue_depth") == 1
    assert value(samples, "shoal_queue_oldest_age_seconds") > 0
    assert (api, nobody) == ([404, 404], 404)  # not on the port exposed to tenants

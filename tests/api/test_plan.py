"""What a run would cost, told before it is asked for, and refused where it cannot be."""

from typing import Any

import httpx
import pytest

from cluster_steps import create, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> None:
    put_documents(client, grouped_documents(60))


def plan_of(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = client.post("/clusters/groups/plan", json=body)
    assert reply.status_code == 200, reply.text
    plan: dict[str, Any] = reply.json()
    return plan


def test_it_tells_time_memory_and_disk_and_queues_nothing(client: httpx.Client, services: Services) -> None:
    cluster = create(client)

    plan = plan_of(client)

    assert (plan["cluster_id"], plan["algorithm"], plan["mode"]) == (cluster["cluster_id"], "kmeans", "full")
    assert (plan["documents"], plan["dimensions"], plan["llm_calls"], plan["fits"]) == (60, 8, 0, True)
    assert 0 < plan["seconds"] < 60
    assert 0 < plan["peak_memory_bytes"] < 1 << 30
    assert 0 < plan["disk_bytes"] < plan["disk_free_bytes"]
    assert client.get("/clusters/groups/executions").json() is None
    assert client.post("/tasks/list").json()["results"] == []


def test_it_counts_the_documents_that_the_run_would_take(client: httpx.Client) -> None:
    create(client)
    wanted = {"field": "kind", "operator": "eq", "value": "a"}

    assert plan_of(client, filters=wanted)["documents"] == 20


@pytest.mark.parametrize("method", ["kmeans", "hdbscan", "auto", "spectral", "gaussian_mixture", "mean_shift"])
def test_more_documents_never_cost_less(client: httpx.Client, method: str) -> None:
    create(client, method=method)
    few = plan_of(client)
    put_documents(client, grouped_documents(900))

    many = plan_of(client)

    assert all(many[name] > few[name] for name in ("documents", "peak_memory_bytes", "disk_bytes"))


class TestBudget:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"run_memory_mib": 160}

    def test_a_run_beyond_it_is_refused_with_the_estimate_and_what_would_fit(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client, method="agglomerative")
        put_documents(client, grouped_documents(1000))
        put_documents(client, [{**one, "document_id": f"e{n}"} for n, one in enumerate(grouped_documents(1000))])
        put_documents(client, [{**one, "document_id": f"f{n}"} for n, one in enumerate(grouped_documents(1000))])

        refused = client.post("/clusters/groups/execute")

        assert refused.status_code == 422
        told = refused.json()["error"]["message"]
        assert "of memory; a run may use 160" in told and "sample_size of at most" in told
        assert plan_of(client)["fits"] is False
        assert client.get("/clusters/groups/executions").json() is None
        sample = int(told.split("at most ")[1].split(",")[0])
        assert client.post("/clusters/groups/execute", json={"sample_size": sample}).status_code == 200

    def test_a_small_run_is_accepted(self, client: httpx.Client) -> None:
        create(client)

        assert client.post("/clusters/groups/execute").status_code == 200

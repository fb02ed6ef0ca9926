"""The cost of a run, estimated before it is requested; runs that exceed the limits are rejected."""

from typing import Any

import httpx
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.errors import Conflict
from shoal.records.runs.execution import ExecuteCluster
from shoal.records.scope import Scope

EVERY = {"field": "row", "operator": "gte", "value": 0}


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> None:
    put_documents(client, grouped_documents(60))


def plan_of(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = client.post("/clusters/groups/plan", json=body)
    assert reply.status_code == 200, reply.text
    plan: dict[str, Any] = reply.json()
    return plan


def test_a_plan_estimates_time_memory_and_disk_and_queues_nothing(client: httpx.Client, services: Services) -> None:
    cluster = create(client)

    plan = plan_of(client)

    assert (plan["cluster_id"], plan["algorithm"], plan["mode"]) == (cluster["cluster_id"], "kmeans", "full")
    assert (plan["documents"], plan["dimensions"], plan["llm_calls"], plan["fits"]) == (60, 8, 0, True)
    assert 0 < plan["seconds"] < 60
    assert 0 < plan["peak_memory_bytes"] < 1 << 30
    assert 0 < plan["disk_bytes"] < plan["disk_free_bytes"]
    assert client.get("/clusters/groups/executions").json() is None
    assert client.post("/tasks/list").json()["results"] == []


def test_a_plan_counts_the_documents_that_the_run_would_use(client: httpx.Client) -> None:
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


def test_estimates_depend_on_the_length_of_texts(client: httpx.Client) -> None:
    create(client)
    short = plan_of(client)["peak_memory_bytes"]
    long = [{**one, "payload": {**one["payload"], "text": "word and word " * 100}} for one in grouped_documents(60)]
    put_documents(client, long)

    held = 60 * 14 * 100  # bytes of text, all of which a run holds in memory
    assert plan_of(client)["peak_memory_bytes"] > short + held


class TestBudget:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"run_memory_mib": 80}

    def test_a_run_beyond_the_limit_is_rejected_with_the_estimate_and_what_would_fit(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client, method="agglomerative")
        put_documents(client, grouped_documents(1000))
        put_documents(client, [{**one, "document_id": f"e{n}"} for n, one in enumerate(grouped_documents(1000))])
        put_documents(client, [{**one, "document_id": f"f{n}"} for n, one in enumerate(grouped_documents(1000))])

        refused = client.post("/clusters/groups/execute")

        assert refused.status_code == 422
        message = refused.json()["error"]["message"]
        assert "of memory; a run may use 80" in message and "sample_size of at most" in message
        assert plan_of(client)["fits"] is False
        assert client.get("/clusters/groups/executions").json() is None
        sample = int(message.split("at most ")[1].split(", or")[0].replace(",", ""))
        assert client.post("/clusters/groups/execute", json={"sample_size": sample}).status_code == 200

    def test_the_error_about_an_assignment_beyond_the_limit_names_the_mode(
        self, client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(client)
        execute(client, services)
        monkeypatch.setattr(services.clusters._planning, "_memory_limit", lambda: 1)

        refused = client.post("/clusters/groups/execute", json={"mode": "assign"})

        assert refused.status_code == 422
        message = refused.json()["error"]["message"]
        assert (
            message.startswith("mode: assigns more documents than memory allows") and "SHOAL_RUN_MEMORY_MIB" in message
        )
        assert "sample_size" not in message

    def test_a_small_run_is_accepted(self, client: httpx.Client) -> None:
        create(client)

        assert client.post("/clusters/groups/execute").status_code == 200


def test_repeating_an_active_execute_returns_its_task_even_if_the_documents_changed(
    client: httpx.Client, services: Services
) -> None:
    create(client)
    first = client.post("/clusters/groups/execute").json()
    client.request("DELETE", "/collections/docs/documents/batch", json={"filters": EVERY}).raise_for_status()

    again = client.post("/clusters/groups/execute")

    assert (again.status_code, again.json()["task_id"]) == (200, first["task_id"])


def test_assigning_costs_less_than_clustering_and_allows_fewer_documents_than_clusters(
    client: httpx.Client, services: Services
) -> None:
    create(client, method="hdbscan")
    execute(client, services)
    put_documents(client, grouped_documents(900))

    assign, full = plan_of(client, mode="assign"), plan_of(client)

    assert (assign["mode"], assign["documents"]) == ("assign", 900)
    assert assign["peak_memory_bytes"] < full["peak_memory_bytes"]


def test_a_run_is_not_assigned_to_results_replaced_in_the_meantime(client: httpx.Client, services: Services) -> None:
    create(client)
    execute(client, services)
    scope = services.namespaces.scope(Scope(services.keys.organizations()[0].organization_id), None)
    admitted = services.clusters.admit(scope, "groups", ExecuteCluster(mode="assign"))
    execute(client, services)

    with pytest.raises(Conflict, match="Another run has published meanwhile"):
        services.clusters.execute(scope, admitted)

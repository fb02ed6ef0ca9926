"""Pagination through results stays within the run it began with, however many other runs publish in the meantime."""

from collections import Counter
from typing import Any

import httpx
import pytest

from api.conftest import Clock
from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture(autouse=True)
def output(client: httpx.Client, services: Services) -> str:
    """The output collection of a cluster that has run once."""
    put_documents(client, grouped_documents(60))
    id: str = create(client)["output_collection_ids"][0]
    execute(client, services)
    return id


def page(client: httpx.Client, output: str, cursor: str | None) -> httpx.Response:
    return client.get(
        f"/collections/{output}/documents", params={"limit": 25, **({"cursor": cursor} if cursor else {})}
    )


def runs_in(pages: list[dict[str, Any]]) -> Counter[str]:
    return Counter(document["run_id"] for one in pages for document in one["results"])


def test_paginating_output_documents_stays_within_the_run_it_began_with(
    client: httpx.Client, services: Services, output: str
) -> None:
    first = page(client, output, None).json()
    put_documents(client, grouped_documents(90))
    again = execute(client, services)

    pages, cursor = [first], first["pagination"]["next_cursor"]
    while cursor is not None:
        pages.append(page(client, output, cursor).json())
        cursor = pages[-1]["pagination"]["next_cursor"]

    assert list(runs_in(pages).values()) == [63]
    assert again["run_id"] not in runs_in(pages)
    assert list(runs_in([page(client, output, None).json()])) == [again["run_id"]]


def test_after_the_grace_period_old_documents_are_removed_and_their_cursor_reports_it(
    client: httpx.Client, services: Services, output: str, clock: Clock
) -> None:
    cursor = page(client, output, None).json()["pagination"]["next_cursor"]
    execute(client, services)
    assert services.housekeeping.tidy().generations == 0

    clock.forward(seconds=services.settings.output_grace_seconds)
    assert services.housekeeping.tidy().generations == 1

    late = page(client, output, cursor)
    assert late.status_code == 409
    assert "Start again without a cursor" in late.json()["error"]["message"]
    assert services.housekeeping.tidy().generations == 0


def test_pages_of_members_stay_within_one_run(client: httpx.Client, services: Services) -> None:
    window = {"include_members": True, "include_centroids": False, "limit": 25}
    first = client.get("/clusters/groups/artifacts", params=window).json()
    put_documents(client, grouped_documents(90))
    execute(client, services)

    by_get = client.get("/clusters/groups/artifacts", params={**window, "cursor": first["next_cursor"]}).json()
    by_post = client.post("/clusters/groups/data", json={**window, "cursor": first["next_cursor"]}).json()

    assert by_get["run_id"] == by_post["run_id"] == first["run_id"]
    assert by_get["members"] == by_post["members"]
    assert by_get["total_members"] == 60


@pytest.mark.parametrize("cursor", ["run_x.1", "1.2.3", "-1", "ten", "9" * 30])
def test_an_invalid_cursor_is_rejected(client: httpx.Client, cursor: str) -> None:
    refused = client.get("/clusters/groups/artifacts", params={"cursor": cursor})

    assert refused.status_code in (404, 422)


class TestRetention:
    @pytest.fixture
    def settings(self) -> dict[str, int]:
        return {"keep_runs": 1}

    def test_results_beyond_the_retention_limit_are_removed_but_their_runs_stay_listed(
        self, client: httpx.Client, services: Services
    ) -> None:
        for _ in range(3):
            execute(client, services)
        runs = [run["run_id"] for run in client.post("/clusters/groups/executions/list").json()["results"]]

        assert services.housekeeping.tidy().results == 2

        statuses = [client.get(f"/clusters/groups/executions/{run}/artifacts").status_code for run in runs]
        assert statuses == [200, 200, 404, 404]
        message = client.get(f"/clusters/groups/executions/{runs[3]}/artifacts").json()["error"]["message"]
        assert "keep_runs" in message
        listed = client.post("/clusters/groups/executions/list").json()["results"]
        assert [run["run_id"] for run in listed] == runs
        assert [run["results_removed_at"] is not None for run in listed] == [False, False, True, True]
        assert services.housekeeping.tidy().results == 0
        old = client.get(f"/clusters/groups/executions/{runs[3]}", params={"include_vectors": True})
        assert (old.status_code, old.json()["centroids"][0]["centroid_vector"]) == (200, None)

    def test_the_visible_run_is_retained_whatever_its_age(self, client: httpx.Client, services: Services) -> None:
        services.housekeeping.tidy()

        assert client.get("/clusters/groups/artifacts").status_code == 200

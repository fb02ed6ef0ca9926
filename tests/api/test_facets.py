"""Facets of runs: what a model answers about each document is clustered, against a provider on loopback."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from cluster_steps import carry_out, create, execute, grouped_documents, put_documents
from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from shoal.assemble import Services
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.runs.states import QUEUE
from shoal.storage.protocols.records import Query

QUESTION = "What went wrong?"
BESIDE = {"name": "fault", "question": QUESTION}
INSTEAD = {**BESIDE, "use": "instead"}
FAULTS = ("battery battery dead", "screen screen cracked")
ROWS = 60


def document_in(asked: Asked) -> str:
    quoted = re.search(r"BEGIN \w+\n(.*)\nEND \w+", asked.text, re.S)
    assert quoted is not None
    return str(json.loads(quoted[1]))


def is_facet(asked: Asked) -> bool:
    return QUESTION in asked.rules


def answer(asked: Asked) -> Reply:
    """Answer by the fault, which no vector knows; name groups well."""
    if not is_facet(asked):
        return answer_well(asked)
    text = document_in(asked)
    when = ("again", "today", "early")[int(text.split()[1].rstrip(":")) // 6 % 3]
    return Reply(json.dumps({"text": f"{FAULTS['cracked' in text]} {when}"}))


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(answer) as fake:
        yield fake


@pytest.fixture
def settings(provider: FakeProvider, tmp_path: Path) -> dict[str, Any]:
    models = tmp_path / "models.toml"
    models.write_text(
        f'[servers.local]\nurl = "{provider.url}/v1"\nprices.small = {{ input = 2, output = 8 }}\n'
        "[limits]\nconcurrency = 2\nattempts = 1\n"
    )
    return {"llm": "local:small", "models": str(models), "checkpoint_seconds": 1000.0}


@pytest.fixture
def filled(client: httpx.Client) -> httpx.Client:
    documents = grouped_documents(ROWS)
    for row, document in enumerate(documents):  # the fault is independent of the group of the vector
        document["payload"] = {"text": f"product {row}: {'cracked' if row % 2 else 'dead'} please help"}
    put_documents(client, documents)
    return client


def facet_calls(provider: FakeProvider) -> int:
    return sum(is_facet(asked) for asked in provider.asked)


def stored_answers(services: Services, client: httpx.Client) -> int:
    return services.metadata.find(scope_of(services, client), "answer", Query(filter=MATCH_ALL)).total


def scope_of(services: Services, client: httpx.Client) -> Scope:
    namespace = client.get("/namespaces/default").json()["namespace_id"]
    return Scope(services.keys.organizations()[0].organization_id, namespace)


def members(client: httpx.Client, ref: str = "groups") -> dict[str, set[int]]:
    """The rows of the documents of each cluster."""
    data = client.post(f"/clusters/{ref}/data", json={"include_members": True})
    if data.status_code == 404:
        data = client.post(f"/clusters/{ref}/executions/data", json={"include_members": True})
    assert data.status_code == 200, data.text
    found: dict[str, set[int]] = {}
    for member in data.json()["members"]:
        found.setdefault(member["cluster_id"], set()).add(int(member["document_id"][1:]))
    return found


TWO = {"kmeans_parameters": {"n_clusters": 2, "n_init": 3}}
SIX = {"kmeans_parameters": {"n_clusters": 6, "n_init": 5}}
EVEN, ODD = set(range(0, ROWS, 2)), set(range(1, ROWS, 2))


def test_answers_instead_of_vectors_decide_the_clusters_and_their_names(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    made = create(filled, facets=[INSTEAD], config=TWO)
    run = execute(filled, services)
    assert made["facets"] == [INSTEAD]
    assert sorted(members(filled).values(), key=min) == [EVEN, ODD]
    assert facet_calls(provider) == ROWS == run["llm_usage"]["calls"]
    labels = " ".join(c["label"].casefold() for c in run["centroids"])
    assert "battery" in labels and "screen" in labels and "product" not in labels
    assert run["llm_labeling_errors"] == [] and filled.get("/clusters/groups").json()["status"] == "COMPLETED"


def test_answers_beside_vectors_are_clustered_together_with_them(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, facets=[BESIDE], config=SIX)
    execute(filled, services)
    expected = [
        {row for row in range(ROWS) if row % 3 == group and row % 2 == fault}
        for group in range(3)
        for fault in range(2)
    ]
    assert sorted(map(sorted, members(filled).values())) == sorted(map(sorted, expected))
    vectors = filled.get("/namespaces/default").json()["vector_configs"]
    assert [vector["name"] for vector in vectors] == ["v"]  # no vector of the facet was stored


def test_features_clustered_apart_have_the_facet_as_one_of_them(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    config = {"multi_feature_strategy": "independent", **TWO}
    create(filled, facets=[BESIDE], config=config)
    run = execute(filled, services)
    of = {name: [c for c in run["centroids"] if c["feature"] == name] for name in ("v", "fault")}
    assert [len(each) for each in of.values()] == [2, 2]
    labels = " ".join(c["label"].casefold() for c in of["fault"])
    assert "battery" in labels and "screen" in labels


def test_weights_are_learned_for_facets_too(filled: httpx.Client, services: Services) -> None:
    create(filled, facets=[BESIDE], config={"multi_feature_strategy": "weighted"})
    assert execute(filled, services)["status"] == "completed"
    assert set(filled.get("/clusters/groups").json()["learned_weights"]) == {"v", "fault"}


def test_an_unchanged_rerun_asks_nothing(filled: httpx.Client, services: Services, provider: FakeProvider) -> None:
    create(filled, facets=[INSTEAD], config=TWO)
    execute(filled, services)
    again = execute(filled, services)
    assert facet_calls(provider) == ROWS
    assert (again["llm_usage"]["calls"], again["llm_usage"]["cached"], again["llm_usage"]["cost"]) == (0, ROWS, 0.0)


def test_facets_and_names_share_one_account_and_one_budget(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, facets=[INSTEAD], config=TWO, llm_labeling={"enabled": True})
    plan = filled.post("/clusters/groups/plan").json()
    run = execute(filled, services)
    usage = run["llm_usage"]
    assert {c["label_source"] for c in run["centroids"]} == {"model"}
    assert usage["calls"] == len(provider.asked) > ROWS
    assert (usage["input_tokens"], usage["output_tokens"]) == provider.usage
    assert plan["llm_calls"] == ROWS + 2 and plan["llm_cost"] > 0 and plan["llm_budget"] == 5.0


def test_a_budget_is_not_passed_and_documents_beyond_it_have_their_own_text(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    budget = 0.02
    create(filled, facets=[INSTEAD], config=TWO, llm_labeling={"enabled": False, "parameters": {"budget": budget}})
    run = execute(filled, services)
    (error,) = [orjson.loads(each) for each in run["llm_labeling_errors"]]
    assert 0 < facet_calls(provider) < ROWS and run["llm_usage"]["cost"] <= budget
    assert error["facet"] == "fault" and error["documents"] == ROWS - facet_calls(provider)
    assert run["status"] == "completed" and run["num_points"] == ROWS
    assert filled.get("/clusters/groups").json()["status"] == "COMPLETED_WITH_ERRORS"


def test_documents_without_an_answer_are_counted_and_asked_about_again_if_the_model_failed(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    def fail_sometimes(asked: Asked) -> Reply:
        row = int(document_in(asked).split()[1].rstrip(":"))
        if row == 7:
            return Reply(status=400, body=b'{"error": {"message": "no"}}')
        return Reply(json.dumps({"text": ""})) if row == 8 else answer(asked)

    provider.behave = fail_sometimes
    create(filled, facets=[INSTEAD], config=TWO)
    run = execute(filled, services)
    (error,) = [orjson.loads(each) for each in run["llm_labeling_errors"]]
    assert (error["facet"], error["documents"]) == ("fault", 1)
    assert any("1 documents do not answer the question" in warning for warning in run["warnings"])
    provider.behave = answer
    assert execute(filled, services)["llm_usage"]["calls"] == 1


class Crash(BaseException):
    """An exception that no error handler catches, like a SIGKILL."""


def test_a_run_that_crashed_among_its_documents_pays_for_no_answer_twice(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    def crash_after_some(stage: str, fraction: float) -> None:
        if stage == "facets" and stored_answers(services, filled) >= 5:
            raise Crash

    provider.behave = lambda asked: Reply(answer(asked).text, delay=0.0 if asked.number < 5 else 0.2)
    create(filled, facets=[INSTEAD], config=TWO, llm_labeling={"cache_ttl_seconds": 0})
    filled.post("/clusters/groups/execute").raise_for_status()
    now = services.states._now()
    job = services.metadata.claim(QUEUE, "test", now, now + timedelta(seconds=30))
    assert job is not None
    with pytest.raises(Crash):
        services.runner.run(job, crash_after_some)
    kept = stored_answers(services, filled)
    provider.behave = answer
    assert services.metadata.requeue(job.job_id, job.fence)
    carry_out(services)
    usage = filled.get("/clusters/groups/executions").json()["llm_usage"]
    texts = [document_in(asked) for asked in provider.asked]
    assert kept >= 5 and usage["cached"] == kept and usage["calls"] - usage["unreported"] == ROWS
    assert max(texts.count(text) for text in texts[:5]) == 1


def test_answers_go_with_their_cluster(filled: httpx.Client, services: Services) -> None:
    create(filled, facets=[INSTEAD], config=TWO)
    execute(filled, services)
    assert stored_answers(services, filled) == ROWS
    filled.delete("/clusters/groups").raise_for_status()
    assert stored_answers(services, filled) == 0


def test_no_answer_serves_another_namespace(filled: httpx.Client, services: Services, provider: FakeProvider) -> None:
    create(filled, facets=[INSTEAD], config=TWO)
    execute(filled, services)
    first = scope_of(services, filled)
    kept = services.metadata.find(first, "answer", Query(filter=MATCH_ALL, page=Page(limit=ROWS))).items
    other = filled.post("/namespaces", json={"namespace_name": "other"}).json()["namespace_id"]
    scopes = [Scope(first.organization_id, other), Scope("org_of_another", first.namespace_id)]
    store = services.runner.naming._answers
    ids = [record.id for record in kept]
    assert len(ids) == ROWS and all(store.get(first, id) for id in ids)
    assert not any(store.get(scope, id) for scope in scopes for id in ids)
    filled.headers["X-Namespace"] = "other"
    filled.post("/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}})
    documents = [
        {**each, "payload": {"text": f"product {row}: dead"}} for row, each in enumerate(grouped_documents(ROWS))
    ]
    upsert = {"collection_id": "docs", "documents": documents}
    filled.post("/namespaces/other/documents/upsert", json=upsert).raise_for_status()
    create(filled, facets=[INSTEAD], config=TWO)
    usage = execute(filled, services)["llm_usage"]
    assert (usage["calls"], usage["cached"]) == (ROWS, 0)


def test_facets_can_be_changed_and_left_out_of_a_run(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, config=TWO)
    assert filled.patch("/clusters/groups", json={"facets": [INSTEAD]}).json()["facets"] == [INSTEAD]
    execute(filled, services, facets=[])
    assert facet_calls(provider) == 0
    execute(filled, services)
    refused = filled.post("/clusters/groups/execute", json={"mode": "assign"})
    assert refused.status_code == 422 and "does not go with facets" in refused.text
    assert filled.patch("/clusters/groups", json={"facets": None}).json()["facets"] is None
    assert execute(filled, services)["llm_usage"] is None


@pytest.mark.parametrize(
    ("facets", "place"),
    [
        ([{"name": "v", "question": QUESTION}], "facets[0].name"),
        ([BESIDE, BESIDE], "facets[1].name"),
        ([BESIDE, {**INSTEAD, "name": "other"}], "facets[1].use"),
        ([{"name": "Fault!", "question": QUESTION}], "facets[0].name"),
        ([{"name": "fault", "question": " "}], "facets[0].question"),
        ([{"name": "fault", "question": "x" * 501}], "facets[0].question"),
        ([{"name": f"f{n}", "question": QUESTION} for n in range(5)], "facets"),
    ],
)
def test_facets_that_cannot_be_used_are_refused_by_name(
    filled: httpx.Client, facets: list[dict[str, Any]], place: str
) -> None:
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    body = {"collection_ids": ["docs"], "cluster_name": "groups", "vector_config": config, "facets": facets}
    reply = filled.post("/clusters", json=body)
    assert reply.status_code == 422 and place in reply.text, reply.text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (
            {
                "vector_config": {
                    "feature_uris": ["v"],
                    "clustering_method": "kmeans",
                    "multi_feature_strategy": "independent",
                    "output_strategy": "per_feature",
                }
            },
            "output_strategy 'per_feature'",
        ),
        ({"cluster_type": "attribute", "attribute_config": {"attributes": ["kind"]}}, "vector clusters alone"),
    ],
)
def test_facets_of_a_cluster_that_cannot_have_any_are_refused(
    filled: httpx.Client, body: dict[str, Any], place: str
) -> None:
    body = {"collection_ids": ["docs"], "cluster_name": "groups", **body}
    refused = filled.post("/clusters", json={**body, "facets": [BESIDE]})
    assert refused.status_code == 422 and "facets" in refused.text and place in refused.text, refused.text
    filled.post("/clusters", json=body).raise_for_status()
    refused = filled.patch("/clusters/groups", json={"facets": [BESIDE]})
    assert refused.status_code == 422 and "facets" in refused.text and place in refused.text, refused.text
    refused = filled.post("/clusters/groups/execute", json={"mode": "assign", "facets": [BESIDE]})
    assert refused.status_code == 422


def test_a_run_that_assigns_takes_no_facets(filled: httpx.Client, services: Services) -> None:
    create(filled, config=TWO)
    execute(filled, services)
    refused = filled.post("/clusters/groups/execute", json={"mode": "assign", "facets": [INSTEAD]})
    assert refused.status_code == 422 and "facets" in refused.text and "mode 'assign'" in refused.text


def test_without_a_connected_model_a_run_with_facets_is_refused(filled: httpx.Client) -> None:
    create(filled, facets=[INSTEAD], llm_labeling={"provider": "openai", "model_name": "gpt-4.1-2025-04-14"})
    reply = filled.post("/clusters/groups/execute")
    assert reply.status_code == 422 and "need a language model" in reply.text

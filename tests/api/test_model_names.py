"""Runs whose clusters a language model names, against a provider on loopback that speaks OpenAI's wire."""

import base64
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
from shoal.assemble import Services
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.scope import Scope
from shoal.runs.states import QUEUE
from shoal.storage.protocols.records import Query

KEY = "wire-key-of-the-operator"
LABELING = {"enabled": True, "provider": "local", "model_name": "small"}
PRICES = (2.0, 8.0)
"""In US dollars for a million tokens: a token costs as many microdollars."""


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def settings(provider: FakeProvider, tmp_path: Path) -> dict[str, Any]:
    models, key = tmp_path / "models.toml", tmp_path / "key"
    key.write_text(KEY)
    models.write_text(
        f"""[servers.local]
url = "{provider.url}/v1"
key_file = "{key}"
prices.small = {{ input = {PRICES[0]}, output = {PRICES[1]} }}

[limits]
concurrency = 2
"""
    )
    return {"llm": "local:small, local:*", "models": str(models), "checkpoint_seconds": 1000.0}


@pytest.fixture
def filled(client: httpx.Client) -> httpx.Client:
    put_documents(client, grouped_documents(60))
    return client


def stored_answers(services: Services, client: httpx.Client) -> int:
    return services.metadata.find(scope_of(services, client), "answer", Query(filter=MATCH_ALL)).total


def test_the_model_names_the_clusters_and_the_run_says_what_it_cost(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, llm_labeling=LABELING)
    plan = filled.post("/clusters/groups/plan").json()
    run = execute(filled, services)

    usage, (sent, received) = run["llm_usage"], provider.usage
    assert run["llm_labeling_errors"] == [] and filled.get("/clusters/groups").json()["status"] == "COMPLETED"
    assert {c["label_source"] for c in run["centroids"]} == {"model"}
    assert {c["label_model"] for c in run["centroids"]} == {"local:small"}
    assert all(c["summary"].startswith("These documents") and c["label_evidence"] for c in run["centroids"])
    assert (usage["calls"], usage["cached"]) == (len(provider.asked), 0) and usage["calls"] >= 3
    assert (usage["input_tokens"], usage["output_tokens"]) == (sent, received)
    assert usage["cost"] == pytest.approx((sent * PRICES[0] + received * PRICES[1]) / 1e6)
    assert (plan["llm_model"], plan["llm_calls"], plan["llm_budget"]) == ("local:small", 3, 5.0)
    assert plan["llm_cost"] > 0 and usage["budget"] == 5.0
    assert plan["seconds_limit"] > 3600  # a slow model does not fail the run
    assert set(provider.keys) == {f"Bearer {KEY}"}
    assert KEY not in filled.get("/clusters/groups/executions").text + filled.get("/clusters/groups").text


def test_an_unchanged_rerun_asks_nothing(filled: httpx.Client, services: Services, provider: FakeProvider) -> None:
    create(filled, llm_labeling=LABELING)
    first = execute(filled, services)
    asked = len(provider.asked)
    again = execute(filled, services)
    assert len(provider.asked) == asked
    assert (again["llm_usage"]["calls"], again["llm_usage"]["cost"]) == (0, 0.0)
    assert again["llm_usage"]["cached"] == first["llm_usage"]["calls"]
    assert [c["label"] for c in again["centroids"]] == [c["label"] for c in first["centroids"]]


def test_expired_answers_are_asked_for_again_and_removed(
    filled: httpx.Client, services: Services, provider: FakeProvider, clock: Any
) -> None:
    create(filled, llm_labeling={**LABELING, "cache_ttl_seconds": 3600})
    execute(filled, services)
    asked = len(provider.asked)
    assert stored_answers(services, filled) == asked
    clock.forward(hours=2)
    execute(filled, services)
    assert len(provider.asked) == 2 * asked and stored_answers(services, filled) == asked
    clock.forward(hours=2)
    services.housekeeping.tidy()
    assert (
        services.runner.naming._answers.drop_expired(scope_of(services, filled))
        == 0
        == stored_answers(services, filled)
    )


def test_answers_go_with_their_namespace(filled: httpx.Client, services: Services) -> None:
    create(filled, llm_labeling=LABELING)
    execute(filled, services)
    scope = scope_of(services, filled)
    assert stored_answers(services, filled) > 0
    filled.delete("/namespaces/default?force=true").raise_for_status()
    assert services.metadata.find(scope, "answer", Query(filter=MATCH_ALL)).total == 0


def scope_of(services: Services, client: httpx.Client) -> Scope:
    namespace = client.get("/namespaces/default").json()["namespace_id"]
    return Scope(services.keys.organizations()[0].organization_id, namespace)


def test_without_a_cache_a_rerun_asks_again(filled: httpx.Client, services: Services, provider: FakeProvider) -> None:
    create(filled, llm_labeling={**LABELING, "cache_ttl_seconds": 0})
    execute(filled, services)
    asked = len(provider.asked)
    execute(filled, services)
    assert len(provider.asked) == 2 * asked


LEFT = 0.02
"""In US dollars: enough for a question or two at the highest price that they may have."""


class Crash(BaseException):
    """An exception that no error handler catches, like a SIGKILL."""


@pytest.mark.parametrize("cache_seconds", [3600, 0])
def test_a_run_that_crashed_in_the_middle_of_naming_pays_for_no_answer_twice(
    filled: httpx.Client, services: Services, provider: FakeProvider, cache_seconds: int
) -> None:
    scope = scope_of(services, filled)

    def crash_after_two_answers(stage: str, fraction: float) -> None:
        if stage == "name" and services.metadata.find(scope, "answer", Query(filter=MATCH_ALL)).total >= 2:
            raise Crash

    provider.behave = lambda asked: Reply(answer_well(asked).text, delay=0.0 if asked.number < 2 else 0.4)
    create(filled, llm_labeling={**LABELING, "cache_ttl_seconds": cache_seconds})
    filled.post("/clusters/groups/execute").raise_for_status()
    now = services.states._now()
    job = services.metadata.claim(QUEUE, "test", now, now + timedelta(seconds=30))
    assert job is not None
    with pytest.raises(Crash):
        services.runner.run(job, crash_after_two_answers)
    answered = [asked.text for asked in provider.asked[:2]]
    assert services.metadata.requeue(job.job_id, job.fence)
    carry_out(services)

    run = filled.get("/clusters/groups/executions").json()
    texts = [asked.text for asked in provider.asked]
    assert run["status"] == "completed" and {c["label_source"] for c in run["centroids"]} == {"model"}
    assert [texts.count(text) for text in answered] == [1, 1]
    assert run["llm_usage"]["cached"] >= 2 and run["llm_usage"]["calls"] >= 3


def test_a_budget_is_not_passed_and_the_other_clusters_are_named_from_words(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, llm_labeling={**LABELING, "parameters": {"budget": 0.0}})
    run = execute(filled, services)
    errors = [orjson.loads(error) for error in run["llm_labeling_errors"]]
    assert provider.asked == [] and run["status"] == "completed"
    assert sorted(id for error in errors for id in error["clusters"]) == ["cl_0", "cl_1", "cl_2"]
    assert {c["label_source"] for c in run["centroids"]} == {"words"} and all(c["label"] for c in run["centroids"])
    assert filled.get("/clusters/groups").json()["status"] == "COMPLETED_WITH_ERRORS"


def test_the_budget_of_a_month_holds_over_runs(
    filled: httpx.Client, services: Services, provider: FakeProvider, clock: Any
) -> None:
    create(filled, llm_labeling={**LABELING, "cache_ttl_seconds": 0})
    spent = execute(filled, services)["llm_usage"]["cost"]
    spendings, scope = services.runner.naming._spendings, scope_of(services, filled)
    spendings._limit = limit = round((spent + LEFT) * 1e12)

    plan = filled.post("/clusters/groups/plan").json()
    runs = [execute(filled, services) for _ in range(3)]
    asked = len(provider.asked)

    assert plan["llm_budget"] == pytest.approx(LEFT)
    assert spendings.of_month(scope).picodollars <= limit
    assert sum(run["llm_usage"]["cost"] for run in runs) <= LEFT
    assert all(run["status"] == "completed" for run in runs) and runs[-1]["llm_labeling_errors"]
    clock.forward(days=31)
    execute(filled, services)
    assert len(provider.asked) > asked  # a new month


def test_a_model_that_is_not_connected_is_not_asked_and_a_warning_says_so(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, llm_labeling={"enabled": True, "provider": "openai", "model_name": "gpt-4.1-2025-04-14"})
    run = execute(filled, services)
    message = "the model 'openai:gpt-4.1-2025-04-14' is not connected (connected: local:small, local:*)"
    assert any(message in warning for warning in run["warnings"])
    assert provider.asked == [] and run["llm_usage"] is None
    assert filled.post("/clusters/groups/plan").json()["notes"] == [
        f"{message[0].upper()}{message[1:]}: labels come from the documents' own words."
    ]


def test_without_a_model_in_the_request_the_first_connected_one_is_asked(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    create(filled, llm_labeling={"enabled": True})
    assert execute(filled, services)["llm_usage"]["model"] == "local:small"
    other = execute(filled, services, llm_labeling={"model_name": "large", "provider": "local"})
    assert other["llm_usage"]["model"] == "local:large"
    assert other["llm_usage"]["cost"] is None and other["llm_usage"]["budget"] is None
    assert {asked.body["model"] for asked in provider.asked} == {"small", "large"}


def test_the_model_is_shown_what_the_inputs_ask_for_and_nothing_else(
    client: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    image = b"\x89PNG\r\n\x1a\n" + b"0" * 100
    documents = grouped_documents(60)
    for document in documents:
        document["payload"] |= {
            "secret": "kept from the model",
            "picture": f"data:image/png;base64,{base64.b64encode(image).decode()}",
            "remote": "http://127.0.0.1:9/picture.png",
        }
    put_documents(client, documents)
    put_documents(client, [{**document, "document_id": f"o{n}", "payload": {"text": "of another collection"}}
                           for n, document in enumerate(grouped_documents(30))], "other")  # fmt: skip
    mappings = [
        {"input_key": "said", "source_type": "payload", "path": "text"},
        {"input_key": "channel", "source_type": "literal", "override": "hotline"},
        {"input_key": "numbers", "source_type": "vector", "path": "v"},
        {"input_key": "picture", "source_type": "blob", "path": "picture"},
        {"input_key": "remote", "source_type": "blob", "path": "remote"},
    ]
    made = create(client, llm_labeling={**LABELING, "labeling_inputs": {"input_mappings": mappings}})
    run = execute(client, services)

    shown = " ".join(asked.text for asked in provider.asked)
    parts = [part for asked in provider.asked for message in asked.body["messages"] for part in message["content"]]
    images = [part for part in parts if isinstance(part, dict) and part.get("type") == "image_url"]
    assert made["warnings"] == []
    assert "lost my luggage" in shown and "hotline" in shown and "(8 numbers)" in shown
    assert "kept from the model" not in shown and "another collection" not in shown
    assert not re.search(r"9/picture\.png", orjson.dumps([asked.body for asked in provider.asked]).decode())
    assert images and images[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "model" in {c["label_source"] for c in run["centroids"]}


def test_what_a_shape_asks_for_is_shown_beside_the_label(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    provider.behave = lambda asked: answer_well(asked, mood="calm", terms=["a", "b"])
    shape = {"mood": "string", "terms": "array"}
    create(filled, llm_labeling={**LABELING, "response_shape": shape, "candidate_labels": None})
    run = execute(filled, services)
    assert {orjson.dumps(c["label_details"]) for c in run["centroids"]} == {b'{"mood":"calm","terms":["a","b"]}'}
    assert filled.get("/clusters/groups/groups").json()["groups"][0]["label_details"]["mood"] == "calm"
    assert filled.get("/clusters/groups").json()["llm_labeling"]["response_shape"] == shape


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_provider_that_fails_costs_no_run(
    filled: httpx.Client, services: Services, provider: FakeProvider, status: int
) -> None:
    provider.behave = lambda _: Reply(status=status, body=b'{"error": {"message": "no"}}')
    create(filled, llm_labeling=LABELING)
    run = execute(filled, services)
    assert run["status"] == "completed" and all(c["label"] for c in run["centroids"])
    assert {c["label_source"] for c in run["centroids"]} == {"words"}
    assert sorted(id for e in run["llm_labeling_errors"] for id in orjson.loads(e)["clusters"]) == [
        "cl_0",
        "cl_1",
        "cl_2",
    ]
    assert KEY not in orjson.dumps(run).decode()


def test_features_that_are_clustered_apart_share_one_budget_and_one_account(
    client: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    documents = grouped_documents(60)
    for document in documents:
        document["vectors"]["w"] = document["vectors"]["v"][::-1]
    put_documents(client, documents)
    config = {"feature_uris": ["v", "w"], "multi_feature_strategy": "independent"}
    create(client, config=config, llm_labeling=LABELING)
    run = execute(client, services)
    assert {c["label_source"] for c in run["centroids"]} == {"model"} and len(run["centroids"]) == 6
    assert run["llm_usage"]["calls"] + run["llm_usage"]["cached"] >= 6


def test_figures_for_operators_count_calls_tokens_and_dollars(
    filled: httpx.Client, services: Services, provider: FakeProvider
) -> None:
    from shoal.api.metrics import Metrics

    create(filled, llm_labeling=LABELING)
    run = execute(filled, services)
    registry = Metrics(services).registry
    sample = {"model": "local:small"}
    usage = run["llm_usage"]
    assert registry.get_sample_value("shoal_llm_calls_total", sample) == usage["calls"]
    tokens = {
        kind: registry.get_sample_value("shoal_llm_tokens_total", {**sample, "kind": kind})
        for kind in ("input", "output")
    }
    assert tokens == {"input": usage["input_tokens"], "output": usage["output_tokens"]}
    assert registry.get_sample_value("shoal_llm_cost_dollars_total", sample) == pytest.approx(usage["cost"])

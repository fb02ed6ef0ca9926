"""Names by a language model through the official SDK: asked for with every field, read back, with errors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from mixpeek.models.byo_upsert_request import BYOUpsertRequest
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.create_collection_request import CreateCollectionRequest
from mixpeek.models.execute_cluster_by_id_request import ExecuteClusterByIdRequest
from mixpeek.models.patch_cluster_request import PatchClusterRequest
from mixpeek.models.patch_execution_labels_request import PatchExecutionLabelsRequest

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from sdk.official import Official, request
from sdk.suite import Suite
from sdk.topics import WIDTH, three_topics
from server_process import ServerProcess

MODEL: Final = "gpt-4.1-mini-2025-04-14"
SHAPE: Final = {"type": "object", "properties": {"mood": {"type": "string", "enum": ["calm", "angry"]}}}
LABELING: Final[dict[str, Any]] = {
    "enabled": True,
    "labeling_inputs": {
        "input_mappings": [
            {"input_key": "said", "source_type": "payload", "path": "text"},
            {"input_key": "topic", "source_type": "payload", "path": "metadata.topic"},
        ]
    },
    "provider": "openai",
    "model_name": MODEL,
    "include_summary": True,
    "include_keywords": True,
    "max_samples_per_cluster": 5,
    "sample_text_max_length": 120,
    "sample_selection_strategy": "representative",
    "use_embedding_dedup": True,
    "embedding_similarity_threshold": 0.9,
    "cache_ttl_seconds": 0,
    "labeling_context": "Questions to an assistant.",
    "response_shape": SHAPE,
    "parameters": {"temperature": 0.2, "max_tokens": 300, "budget": 1.0},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(_behave) as fake:
        yield fake


def _behave(question: Asked) -> Reply:
    return answer_well(question, mood="calm")


@pytest.fixture(scope="module")
def official(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider, suite: Suite, processes: None
) -> Iterator[Official]:
    """Both clients on a server that has a model connected, with the three topics in the collection `docs`."""
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "models.toml").write_text(f'[servers.local]\nurl = "{provider.url}/v1"\n')
    environ: Any = {
        "SHOAL_LLM": f"openai:{MODEL}, local:*",
        "SHOAL_MODELS": str(folder / "models.toml"),
        "SHOAL_OPENAI_URL": f"{provider.url}/v1",
        "OPENAI_API_KEY": "key-of-the-operator",
    }
    with ServerProcess(folder / "data", **environ) as server:
        Official(server.url, server.key, None, suite.calls).high.namespaces.create(
            name="models", vector_configs=[{"name": "text", "dimension": WIDTH}]
        )
        client = Official(server.url, server.key, "models", suite.calls)
        source = {"type": "direct_upsert"}
        docs = client.collections.create_collection(
            request(CreateCollectionRequest, collection_name="docs", source=source)
        )
        client.byo.upsert_documents_byo_namespaces(
            "models", request(BYOUpsertRequest, collection_id=docs.collection_id, documents=three_topics())
        )
        yield client
        client.close()


def _create(official: Official, name: str, **labeling: Any) -> str:
    config = {"feature_uris": ["text"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 3}}
    cluster = official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=["docs"],
            cluster_name=name,
            vector_config=config,
            llm_labeling={**LABELING, **labeling},
        )
    )
    return str(cluster.cluster_id)


def _execute(official: Official, id: str, **overrides: Any) -> Any:
    body = request(ExecuteClusterByIdRequest, **overrides) if overrides else None
    task = official.wait_for(official.clusters.execute_clustering_clusters(id, body))
    return task, official.executions.get_cluster_execution(id)


def test_every_field_of_the_labelling_is_read_back_as_it_was_sent(official: Official) -> None:
    id = _create(official, "read back", candidate_labels={"Billing": "money", "Travel": "flights", "Weather": ""})
    shown: Any = official.clusters.get_cluster(id).llm_labeling
    patched: Any = official.clusters.patch_cluster(
        id, request(PatchClusterRequest, llm_labeling={**LABELING, "response_shape": "how they feel"})
    ).llm_labeling
    sent = {**LABELING, "candidate_labels": {"Billing": "money", "Travel": "flights", "Weather": ""}}
    read = json.loads(shown.to_json())
    assert {name: read[name] for name in sent if name != "labeling_inputs"} == {
        name: value for name, value in sent.items() if name != "labeling_inputs"
    }
    assert [mapping.path for mapping in shown.labeling_inputs.input_mappings] == ["text", "metadata.topic"]
    assert patched.response_shape.actual_instance == "how they feel"


def test_labels_summaries_and_keywords_of_the_model_are_read(official: Official, provider: FakeProvider) -> None:
    id = _create(official, "named")
    task, run = _execute(official, id)
    groups = official.clusters.get_cluster_groups(id).groups
    assert task.status.value == "COMPLETED" and not run.llm_labeling_errors
    assert all(c.summary.startswith("These documents are about ") and c.keywords for c in run.centroids)
    assert [(g.label, g.summary, g.keywords) for g in groups] == [
        (c.label, c.summary, c.keywords) for c in run.centroids
    ]
    assert provider.keys and set(provider.keys) == {"Bearer key-of-the-operator"}
    assert {question.body["model"] for question in provider.asked} == {MODEL}
    assert {question.body["temperature"] for question in provider.asked} == {0.2}


def test_a_model_that_the_sdk_does_not_know_is_chosen_through_the_parameters(
    official: Official, provider: FakeProvider
) -> None:
    own = {"shoal_provider": "local", "shoal_model": "tiny"}
    id = _create(official, "local", provider=None, model_name=None, parameters=own)
    _, run = _execute(official, id)
    shown = official.clusters.get_cluster(id).llm_labeling
    assert provider.asked[-1].body["model"] == "tiny" and all(c.summary for c in run.centroids)
    assert shown is not None and shown.provider is None and shown.parameters == own


def test_failures_of_the_model_are_json_texts_and_the_task_says_so(official: Official, provider: FakeProvider) -> None:
    id = _create(official, "failing")
    provider.behave = lambda _: Reply(status=401, body=b'{"error": {"message": "no"}}')
    try:
        task, run = _execute(official, id)
    finally:
        provider.behave = _behave
    cluster: Any = official.clusters.get_cluster(id)
    errors = [json.loads(text) for text in run.llm_labeling_errors]
    assert (run.status, task.status.value, cluster.status.value) == (
        "completed", "COMPLETED_WITH_ERRORS", "COMPLETED_WITH_ERRORS",
    )  # fmt: skip
    assert sorted(id for error in errors for id in error["clusters"]) == ["cl_0", "cl_1", "cl_2"]
    assert all(set(error) == {"error", "clusters"} and "key-of" not in error["error"] for error in errors)
    assert cluster.llm_labeling_errors == run.llm_labeling_errors and all(c.label for c in run.centroids)


def test_a_label_by_hand_stays_and_costs_nothing(official: Official, provider: FakeProvider) -> None:
    id = _create(official, "by hand")
    _, run = _execute(official, id)
    official.executions.patch_execution_labels_clusters_id_run(
        id, run.run_id, request(PatchExecutionLabelsRequest, labels={"cl_0": "By hand", "cl_2": "Mine"})
    )
    before = len(provider.asked)
    _, again = _execute(official, id)
    assert [c.label for c in again.centroids][0::2] == ["By hand", "Mine"]
    assert len(provider.asked) - before == 1  # cl_1

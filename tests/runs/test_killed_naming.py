"""A worker that is killed while a model names clusters: real processes, a real provider on loopback."""

import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from real_runs import children_of, wait_for, worker_processes
from server_process import ServerProcess

pytestmark = [pytest.mark.process, pytest.mark.slow]
CLUSTERS, ANSWERED = 8, 4
TOPICS = ("luggage", "credit", "jazz", "garden", "pizza", "tooth", "passport", "router")


def documents() -> list[dict[str, object]]:
    rng = np.random.default_rng(5)
    points = np.eye(CLUSTERS)[np.arange(160) % CLUSTERS] + rng.normal(0, 0.02, (160, CLUSTERS))
    return [
        {
            "document_id": f"d{row:03d}",
            "vectors": {"v": point},
            "payload": {"text": f"{TOPICS[row % CLUSTERS]} {TOPICS[row % CLUSTERS]}s {row}"},
        }
        for row, point in enumerate(points.tolist())
    ]


def create_cluster(client: httpx.Client) -> None:
    client.post(
        "/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}
    ).raise_for_status()
    upsert = {"collection_id": "docs", "documents": documents()}
    client.post("/namespaces/default/documents/upsert", json=upsert).raise_for_status()
    config = {
        "feature_uris": ["v"],
        "clustering_method": "kmeans",
        "kmeans_parameters": {"n_clusters": CLUSTERS, "n_init": 3},
    }
    body = {"collection_ids": ["docs"], "cluster_name": "groups", "vector_config": config}
    labeling = {"enabled": True, "provider": "local", "model_name": "small"}
    client.post("/clusters", json={**body, "llm_labeling": labeling}).raise_for_status()


def test_a_kill_in_the_middle_of_naming_pays_for_no_answer_twice(tmp_path: Path) -> None:
    killed = threading.Event()

    def behave(asked: Asked) -> Reply:
        if asked.number < ANSWERED or killed.is_set():
            return answer_well(asked)
        killed.wait(60)  # under way when its asker is killed: never answered, so never paid
        return Reply(no_answer=True)

    with FakeProvider(behave) as provider:
        models = tmp_path / "models.toml"
        models.write_text(
            f'[servers.local]\nurl = "{provider.url}/v1"\nprices.small = {{ input = 1, output = 1 }}\n'
            "[limits]\nconcurrency = 2\n"
        )
        server = ServerProcess(tmp_path / "data", SHOAL_LLM="local:small", SHOAL_MODELS=str(models))
        try:
            server.start()
            with server.client() as client:
                create_cluster(client)
                client.post("/clusters/groups/execute").raise_for_status()
                run = "/clusters/groups/executions"
                wait_for(lambda: ((client.get(run).json() or {}).get("llm_usage") or {}).get("calls") == ANSWERED)
                answered = [asked.text for asked in provider.asked[:ANSWERED]]
                for child in children_of(worker_processes(server.pid)[0]):
                    child.kill()
                killed.set()
                wait_for(lambda: client.get(run).json()["status"] == "completed")
                result = client.get(run).json()
        finally:
            server.stop()

    texts = [asked.text for asked in provider.asked]
    usage = result["llm_usage"]
    assert [texts.count(text) for text in answered] == [1] * ANSWERED
    assert result["llm_labeling_errors"] == []
    assert result["attempts"] == 2 and {c["label_source"] for c in result["centroids"]} == {"model"}
    assert usage["cached"] == ANSWERED and usage["calls"] == len(provider.tokens)
    assert (usage["input_tokens"], usage["output_tokens"]) == provider.usage
    assert usage["picodollars"] == sum(provider.usage) * 10**6

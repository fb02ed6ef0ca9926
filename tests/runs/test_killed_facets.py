"""A worker that is killed while a model answers questions about documents: real processes, a real provider."""

import json
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from labeling.providers.fake_provider import FakeProvider, Reply
from labeling.providers.fake_wires import Asked
from real_runs import children_of, wait_for, worker_processes
from server_process import ServerProcess

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROWS, ANSWERED = 30, 8


def answer(asked: Asked) -> Reply:
    return Reply(json.dumps({"text": "dead battery" if "dead" in asked.text else "cracked screen"}))


def create_cluster(client: httpx.Client) -> None:
    points = np.random.default_rng(5).normal(size=(ROWS, 4)).tolist()
    documents = [
        {
            "document_id": f"d{row}",
            "vectors": {"v": point},
            "payload": {"text": f"{('dead', 'cracked')[row % 2]} {row}"},
        }
        for row, point in enumerate(points)
    ]
    collection = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
    client.post("/collections", json=collection).raise_for_status()
    upsert = {"collection_id": "docs", "documents": documents}
    client.post("/namespaces/default/documents/upsert", json=upsert).raise_for_status()
    config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
    facets = [{"name": "fault", "question": "What went wrong?", "use": "instead"}]
    body = {"collection_ids": ["docs"], "cluster_name": "groups", "vector_config": config, "facets": facets}
    client.post("/clusters", json=body).raise_for_status()


def test_a_kill_among_the_documents_pays_for_no_answer_twice(tmp_path: Path) -> None:
    killed = threading.Event()

    def behave(asked: Asked) -> Reply:
        if asked.number < ANSWERED or killed.is_set():
            return answer(asked)
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

    texts, usage = [asked.text for asked in provider.asked], result["llm_usage"]
    assert [texts.count(text) for text in answered] == [1] * ANSWERED
    assert result["attempts"] == 2 and result["llm_labeling_errors"] == []
    assert usage["cached"] == ANSWERED and usage["calls"] == len(provider.tokens) == ROWS
    assert usage["picodollars"] == sum(provider.usage) * 10**6

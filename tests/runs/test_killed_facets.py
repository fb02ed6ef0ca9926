"""A worker that is killed while a model answers questions about documents: real processes, a real provider."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from killed_calls import kill_and_resume
from labeling.providers.fake_provider import Reply
from labeling.providers.fake_wires import Asked

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
    run = kill_and_resume(tmp_path, answer, create_cluster, ANSWERED)

    result, provider, usage = run.result, run.provider, run.result["llm_usage"]
    assert run.count_requests() == [1] * ANSWERED
    assert result["attempts"] == 2 and result["llm_labeling_errors"] == []
    assert usage["cached"] == ANSWERED and usage["calls"] == len(provider.tokens) == ROWS
    assert usage["picodollars"] == sum(provider.usage) * 10**6

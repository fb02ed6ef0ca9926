"""A worker that is killed while a model names clusters: real processes, a real provider on loopback."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from killed_calls import kill_and_resume
from labeling.providers.fake_provider import answer_well

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
    run = kill_and_resume(tmp_path, answer_well, create_cluster, ANSWERED)

    result, provider, usage = run.result, run.provider, run.result["llm_usage"]
    assert run.count_requests() == [1] * ANSWERED
    assert result["llm_labeling_errors"] == []
    assert result["attempts"] == 2 and {c["label_source"] for c in result["centroids"]} == {"model"}
    assert usage["cached"] == ANSWERED and usage["calls"] == len(provider.tokens)
    assert (usage["input_tokens"], usage["output_tokens"]) == provider.usage
    assert usage["picodollars"] == sum(provider.usage) * 10**6

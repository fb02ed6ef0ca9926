"""Cluster names over HTTP: from the words of the documents, and never from text that Shoal itself wrote."""

from typing import Any

import httpx
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


def labels(client: httpx.Client, run: dict[str, Any]) -> list[str]:
    groups = client.get("/clusters/groups/groups").json()["groups"]
    return sorted(group["label"] for group in groups)


@pytest.mark.parametrize(
    "lineage", [{}, {"source_document_id": "red apple", "lineage_path": "orders to parcels", "source_type": "bucket"}]
)
def test_documents_without_words_yield_numbered_clusters(
    client: httpx.Client, services: Services, lineage: dict[str, str]
) -> None:
    documents = [{**one, "payload": {"row": n}, **lineage} for n, one in enumerate(grouped_documents())]
    put_documents(client, documents)
    create(client)
    run = execute(client, services)

    assert labels(client, run) == ["Cluster 0", "Cluster 1", "Cluster 2"]


MAPPINGS = [
    [{"source_field": "cluster_label", "target_field": "cluster_label"}],
    [
        {"source_field": "cluster_label", "target_field": "topic.name"},
        {"source_field": "keywords", "target_field": "words"},
    ],
]


@pytest.mark.parametrize("mappings", MAPPINGS)
def test_names_never_come_from_values_that_clusters_wrote_to_documents(
    client: httpx.Client, services: Services, mappings: list[dict[str, str]]
) -> None:
    """Not even if the enrichment fields, and so their names, have changed since."""
    put_documents(client, [{**one, "payload": {"row": n}} for n, one in enumerate(grouped_documents())])
    create(client, enrich_source_collection=True, source_enrichment_config={"field_mappings": mappings})
    execute(client, services)
    first = client.get("/clusters/groups").json()["current_run_id"]
    given = {"labels": {f"cl_{n}": word for n, word in enumerate(("gentle giraffe", "busy beaver", "happy hippo"))}}
    client.patch(f"/clusters/groups/executions/{first}/labels", json=given).raise_for_status()
    client.post(
        "/clusters/enrich", json={"source_collection_id": "docs", "clustering_ids": ["groups"]}
    ).raise_for_status()
    create(client, name="others")

    run = execute(client, services, "others")

    assert sorted(group["label"] for group in client.get("/clusters/others/groups").json()["groups"]) == [
        "Cluster 0", "Cluster 1", "Cluster 2",
    ], run  # fmt: skip

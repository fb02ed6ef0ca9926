"""What clusters are called over HTTP: by the words of the documents, and by nothing that Shoal wrote itself."""

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
def test_documents_without_words_give_numbered_clusters(
    client: httpx.Client, services: Services, lineage: dict[str, str]
) -> None:
    documents = [{**one, "payload": {"row": n}, **lineage} for n, one in enumerate(grouped_documents())]
    put_documents(client, documents)
    create(client)
    run = execute(client, services)

    assert labels(client, run) == ["Cluster 0", "Cluster 1", "Cluster 2"]

"""Results written into the source documents, read back through the official SDK."""

from typing import Any

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.list_documents_request import ListDocumentsRequest

from sdk.official import Official, request
from sdk.topics import PER_TOPIC, TOPICS, Fill

_CONFIG = {"feature_uris": ["text"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 3}}


def _documents(official: Official, collection: CollectionResponse) -> dict[str, dict[str, Any]]:
    page = official.documents.list_documents(
        collection.collection_name, list_documents_request=request(ListDocumentsRequest, limit=100)
    )
    return {item.document_id: item.additional_properties for item in page.results or []}


def test_mapped_fields_are_in_the_documents_after_the_run(official: Official, fill: Fill) -> None:
    home = fill()
    mappings = {
        "cluster_id": "category.id",
        "cluster_label": "category.label",
        "member_count": "category.size",
        "keywords": "category_keywords",
        "x": "place_x",
        "metadata.team": "owner",
    }
    cluster = official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[home.collection_id],
            cluster_name="enriches",
            vector_config=_CONFIG,
            metadata={"team": "search"},
            enrich_source_collection=True,
            source_enrichment_config={
                "field_mappings": [
                    {"source_field": source, "target_field": target} for source, target in mappings.items()
                ]
            },
        )
    )
    assert cluster.enrich_source is True and cluster.output_collection_ids == [home.collection_id]
    task = official.wait_for(official.clusters.execute_clustering_clusters("enriches"))
    assert task.status.value == "COMPLETED"

    labels = {group.cluster_id: group.label for group in official.clusters.get_cluster_groups("enriches").groups}
    documents = _documents(official, home)
    assert len(documents) == len(TOPICS) * PER_TOPIC
    for document in documents.values():
        category = document["category"]
        assert category["label"] == labels[category["id"]] and category["size"] == PER_TOPIC
        assert document["category_keywords"] and isinstance(document["place_x"], float)
        assert document["owner"] == "search"
        assert document["metadata"]["topic"] in TOPICS and "price" in document, "own fields stay"
    assert len({(document["metadata"]["topic"], document["category"]["id"]) for document in documents.values()}) == 3
    result = official.documents.get_document(home.collection_name, "travel_03", return_vectors=True)
    assert result.additional_properties["category"] == documents["travel_03"]["category"]
    assert len(result.additional_properties["vectors"]["text"]) == 8


def test_without_mappings_id_label_and_distance_are_written(official: Official, fill: Fill) -> None:
    home = fill()
    official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[home.collection_id],
            cluster_name="enriches plainly",
            vector_config={**_CONFIG, "enrich_source": True},
        )
    )
    official.wait_for(official.clusters.execute_clustering_clusters("enriches plainly"))
    for document in _documents(official, home).values():
        assert document["cluster_id"] in {"cl_0", "cl_1", "cl_2"} and document["cluster_label"]
        assert 0 <= document["distance_to_centroid"] < 0.05


def test_results_can_be_written_into_a_collection_later(official: Official, fill: Fill) -> None:
    home = fill()
    cluster = official.clusters.create_cluster(
        request(CreateClusterRequest, collection_ids=[home.collection_id], cluster_name="later", vector_config=_CONFIG)
    )
    body = {"clustering_ids": [cluster.cluster_id], "source_collection_id": home.collection_id, "batch_size": 10}
    with pytest.raises(MixpeekAPIError) as early:
        official.high._request("POST", "/clusters/enrich", body=body)
    assert early.value.status == 404
    official.wait_for(official.clusters.execute_clustering_clusters("later"))
    assert "cluster_id" not in _documents(official, home)["travel_00"]
    answer = official.high._request("POST", "/clusters/enrich", body=body)
    assert answer == {"processed": 36, "enriched": 36, "failed": 0, "batches": 4}
    assert {document["cluster_id"] for document in _documents(official, home).values()} == {"cl_0", "cl_1", "cl_2"}

"""Texts without vectors through the official SDK: a collection that encodes them, and clusters with names."""

from typing import Any

import pytest
from mixpeek.exceptions import UnprocessableEntityException
from mixpeek.models.byo_upsert_request import BYOUpsertRequest
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.create_collection_request import CreateCollectionRequest
from mixpeek.models.document_create_request import DocumentCreateRequest

from sdk.official import Official, request
from sdk.topics import PER_TOPIC, TOPICS

EXTRACTOR: dict[str, Any] = {
    "feature_extractor_name": "text_extractor",
    "version": "v1",
    "input_mappings": {"text": "review"},
}


def create_collection(official: Official, name: str, **extractor: Any) -> CollectionResponse:
    return official.collections.create_collection(
        request(
            CreateCollectionRequest,
            collection_name=name,
            source={"type": "direct_upsert"},
            feature_extractor={**EXTRACTOR, **extractor},
        )
    )


def test_texts_are_posted_encoded_and_clustered(official: Official) -> None:
    home = create_collection(official, "written", params={"encoder": "static"})
    assert home.feature_extractor.feature_extractor_id == "text_extractor_v1"
    reviews = [
        (topic, f"{texts[number % 2]} {number}") for topic, texts in TOPICS.items() for number in range(PER_TOPIC)
    ]
    for topic, review in reviews[::2]:
        official.documents.create_document("written", request(DocumentCreateRequest, review=review, topic=topic))
    official.byo.upsert_documents_byo_namespaces(
        official.namespace,
        request(
            BYOUpsertRequest,
            collection_id=home.collection_id,
            documents=[
                {"document_id": f"r{row}", "vectors": {}, "payload": {"review": review, "topic": topic}}
                for row, (topic, review) in enumerate(reviews[1::2])
            ],
        ),
    )
    features = official.collections.describe_collection_features("written").features
    (uri,) = [feature.feature_uri for feature in features if "text_extractor" in feature.feature_uri]
    config = {"feature_uris": [uri], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 3, "n_init": 3}}
    official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[home.collection_id],
            cluster_name="of texts",
            cluster_type="vector",
            vector_config=config,
        )
    )

    official.wait_for(official.clusters.execute_clustering_clusters("of texts"))
    run = official.executions.get_cluster_execution("of texts")
    assert run is not None

    assert sorted(centroid.num_members for centroid in run.centroids or []) == [PER_TOPIC] * 3
    labels = " ".join(str(centroid.label) for centroid in run.centroids or []).lower()
    assert "card" in labels and "boston" in labels and "rain" in labels
    document = official.documents.get_document("written", "r0", return_vectors=True)
    assert len(document.additional_properties["vectors"]["text_embedding"]) == 256
    again = official.collections.get_collection("written")
    assert again.document_count == len(reviews)
    assert official.collections.list_collections_get(search="written").results


def test_an_encoder_that_the_operator_did_not_permit_is_refused(official: Official) -> None:
    with pytest.raises(UnprocessableEntityException, match="SHOAL_ENCODERS"):
        create_collection(official, "refused", params={"encoder": "openai:model@http://127.0.0.1:9/v1"})

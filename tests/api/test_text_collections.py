"""Collections that name an encoder: texts become vectors when documents are written, or at the next run."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import execute
from shoal.assemble import Services
from shoal.encoders.static import StaticEncoder
from shoal.errors import ShoalError
from shoal.records.scope import Scope

VECTOR = "text_embedding"
TEXTS = [
    text
    for number in range(6)
    for text in (
        f"I lost my credit card, please help {number}",
        f"will it rain in the mountains tomorrow {number}",
        f"how to bake bread without yeast {number}",
    )
]
SCOPE = Scope("default", "ns_default")


def create(client: httpx.Client, name: str = "reviews", **extractor: Any) -> httpx.Response:
    body = {"collection_name": name, "source": {"type": "direct_upsert"}}
    named = {"feature_extractor_name": "text_extractor", "version": "v1", **extractor}
    return client.post("/collections", json={**body, "feature_extractor": named})


def upsert(client: httpx.Client, documents: Sequence[dict[str, Any]], name: str = "reviews") -> dict[str, Any]:
    reply = client.post("/namespaces/default/documents/upsert", json={"collection_id": name, "documents": documents})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def read(client: httpx.Client, id: str, name: str = "reviews") -> dict[str, Any]:
    reply = client.get(f"/collections/{name}/documents/{id}?return_vectors=true")
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def vector_of(client: httpx.Client, id: str) -> Any:
    return read(client, id).get("vectors", {}).get(VECTOR)


def mark_of(client: httpx.Client, id: str) -> Any:
    return (read(client, id)["_internal"].get("encodings") or {}).get(VECTOR)


def create_cluster(client: httpx.Client, uri: str = VECTOR, name: str = "topics", **more: Any) -> httpx.Response:
    config = {
        "feature_uris": [uri],
        "clustering_method": "kmeans",
        "kmeans_parameters": {"n_clusters": 3, "n_init": 3},
    }
    return client.post(
        "/clusters",
        json={"collection_ids": ["reviews"], "cluster_name": name, "vector_config": config, **more},
    )


def cluster(client: httpx.Client, services: Services, name: str = "topics") -> list[dict[str, Any]]:
    """Execute a cluster at once and return its centroids."""
    run = execute(client, services, name)
    assert run["status"].lower() == "completed", run
    centroids: list[dict[str, Any]] = run["centroids"]
    return centroids


def documents(texts: Sequence[str] = TEXTS) -> list[dict[str, Any]]:
    return [{"document_id": f"d{row:02d}", "payload": {"text": text}} for row, text in enumerate(texts)]


def test_the_record_says_what_encodes_which_fields(client: httpx.Client) -> None:
    made = create(client, input_mappings={"text": "review"}).json()

    encoding = made["text_encoding"]
    assert encoding["encoder"] == "static" and encoding["version"].startswith("static@")
    assert encoding["fields"] == ["review"] and encoding["dimension"] == 256
    assert encoding["feature_uri"] == f"mixpeek://text_extractor@v1/{VECTOR}"
    assert made["feature_extractor"]["feature_extractor_id"] == "text_extractor_v1"
    assert [index["name"] for index in made["vector_indexes"]] == [VECTOR]
    features = client.get("/collections/reviews/features").json()["features"]
    assert [feature["feature_uri"] for feature in features] == [encoding["feature_uri"]]
    assert not made["warnings"]


def test_documents_without_vectors_get_them_when_they_are_written(client: httpx.Client) -> None:
    create(client)

    upsert(client, documents())
    posted = client.post("/collections/reviews/documents", json={"document_id": "p", "title": "Lost", "text": "a card"})

    assert posted.status_code == 200, posted.text
    for id in ("d00", "p"):
        assert len(vector_of(client, id)) == 256
        assert mark_of(client, id)["encoder"].startswith("static@")
    assert np.dot(vector_of(client, "d00"), vector_of(client, "d03")) > np.dot(
        vector_of(client, "d00"), vector_of(client, "d01")
    )


def test_a_run_clusters_and_names_the_texts(client: httpx.Client, services: Services) -> None:
    create(client)
    upsert(client, documents())

    for number, uri in enumerate((VECTOR, f"mixpeek://text_extractor@v1/{VECTOR}", "mixpeek://text_extractor@v1/e5")):
        assert create_cluster(client, uri, f"topics{number}").status_code == 200
        centroids = cluster(client, services, f"topics{number}")
        assert sorted(centroid["num_members"] for centroid in centroids) == [6, 6, 6]
        labels = " ".join(centroid["label"] for centroid in centroids).lower()
        assert "card" in labels and "rain" in labels and "bread" in labels


def test_vectors_that_are_sent_win_and_stay(client: httpx.Client, services: Services) -> None:
    create(client)
    own = np.eye(1, 256, dtype=np.float32)[0].tolist()
    upsert(client, [{"document_id": "own", "vectors": {VECTOR: own}, "payload": {"text": TEXTS[0]}}, *documents()])

    assert vector_of(client, "own") == own and mark_of(client, "own") is None
    client.patch("/collections/reviews/documents/own", json={"text": "other words altogether"}).raise_for_status()
    create_cluster(client)
    cluster(client, services)
    assert vector_of(client, "own") == own
    client.patch("/collections/reviews/documents/d00", json={"vectors": {VECTOR: own}}).raise_for_status()
    assert vector_of(client, "d00") == own and mark_of(client, "d00") is None


@pytest.mark.parametrize("way", ["patch", "put", "batch", "upsert"])
def test_a_changed_text_gets_a_new_vector(way: str, client: httpx.Client) -> None:
    create(client)
    upsert(client, documents())
    before, other = vector_of(client, "d00"), vector_of(client, "d01")
    change = {"text": TEXTS[1]}

    match way:
        case "patch":
            reply = client.patch("/collections/reviews/documents/d00", json=change)
        case "put":
            reply = client.put("/collections/reviews/documents/d00", json=change)
        case "batch":
            updates = [{"document_id": "d00", "update_data": change}]
            reply = client.post("/collections/reviews/documents/batch", json={"updates": updates})
        case _:
            upsert(client, [{"document_id": "d00", "payload": change}])
            reply = client.get("/collections/reviews")
    assert reply.status_code == 200, reply.text

    assert vector_of(client, "d00") == other != before
    unrelated = client.patch("/collections/reviews/documents/d01", json={"stars": 5})
    assert unrelated.status_code == 200 and vector_of(client, "d01") == other


def test_texts_changed_in_bulk_are_encoded_at_the_run(client: httpx.Client, services: Services) -> None:
    create(client)
    upsert(client, documents())
    body = {"filters": {"field": "text", "operator": "contains", "value": "rain"}, "update_data": {"text": TEXTS[0]}}
    client.patch("/collections/reviews/documents/bulk", json=body).raise_for_status()
    create_cluster(client)

    cluster(client, services)

    assert vector_of(client, "d01") == vector_of(client, "d00")


def test_what_failed_when_it_was_written_is_encoded_at_the_run(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(encoder: StaticEncoder, texts: Sequence[str], progress: object = None) -> None:
        raise ShoalError("The encoder does not answer.")

    create(client)
    with monkeypatch.context() as patch:
        patch.setattr(StaticEncoder, "encode", fail)
        answer = upsert(client, documents())
    assert answer["warnings"] == ["18 documents got no vector: The encoder does not answer. The next run encodes them."]
    assert vector_of(client, "d00") is None
    create_cluster(client)
    plan = client.post("/clusters/topics/plan", json={}).json()
    assert "Up to 18 documents without a vector will be encoded first." in plan["notes"]

    assert sorted(centroid["num_members"] for centroid in cluster(client, services)) == [6, 6, 6]
    assert len(vector_of(client, "d00")) == 256


@pytest.mark.process
def test_an_import_encodes_the_texts_of_a_file(client: httpx.Client) -> None:
    create(client, input_mappings={"text": "review"})
    lines = "\n".join(json.dumps({"id": f"f{row}", "review": text}) for row, text in enumerate([*TEXTS, ""]))

    reply = client.post(
        "/collections/reviews/documents/import",
        content=lines,
        headers={"Content-Type": "application/x-ndjson"},
    )

    assert reply.status_code == 200, reply.text
    assert len(vector_of(client, "f0")) == 256 and mark_of(client, "f0")["encoder"].startswith("static@")
    assert any("1 document has no vector, and no text to encode in review" in text for text in reply.json()["warnings"])


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"encoder": "sentence-transformers:all-MiniLM-L6-v2"}, "feature_extractor.params.encoder"),
        ({"encoder": "openai:m@http://127.0.0.1:1"}, "feature_extractor.params.encoder"),
        ({"encoder": 5}, "feature_extractor.params.encoder"),
        ({"vector_name": "a/b"}, "feature_extractor.params.vector_name"),
        ({"vector_name": 5}, "feature_extractor.params.vector_name"),
    ],
)
def test_only_permitted_encoders_can_be_named(params: dict[str, Any], field: str, client: httpx.Client) -> None:
    reply = create(client, params=params)

    assert reply.status_code == 422, reply.text
    assert field in reply.text
    assert "encoder" not in params or "SHOAL_ENCODERS" in reply.text


def test_a_vector_name_belongs_to_one_encoder_and_dimension(client: httpx.Client) -> None:
    upsert_body = {"collection_name": "other", "source": {"type": "direct_upsert"}}
    client.post("/collections", json={**upsert_body, "metadata": {"vector_configs": [{"name": "v", "dimension": 4}]}})

    refused = create(client, params={"vector_name": "v"})

    assert refused.status_code == 422 and "has 4 numbers in this namespace, and static makes 256" in refused.text
    assert create(client, params={"vector_name": "w"}).json()["text_encoding"]["vector_name"] == "w"


def test_other_extractors_leave_documents_as_they_are(client: httpx.Client) -> None:
    body = {"collection_name": "reviews", "source": {"type": "direct_upsert"}}
    client.post("/collections", json={**body, "feature_extractor": {"feature_extractor_name": "image_extractor"}})

    assert client.get("/collections/reviews").json()["text_encoding"] is None
    missing = client.post(
        "/namespaces/default/documents/upsert", json={"collection_id": "reviews", "documents": documents()[:1]}
    )
    assert missing.status_code == 422 and "documents[0].vectors" in missing.text
    assert client.post("/collections/reviews/documents", json={"document_id": "a", "text": "b c"}).status_code == 200
    assert vector_of(client, "a") is None


def test_an_encoder_that_learns_from_the_corpus_encodes_at_the_run(client: httpx.Client, services: Services) -> None:
    made = create(client, params={"encoder": "corpus"}).json()
    assert made["text_encoding"]["version"] is None
    upsert(client, documents())
    assert vector_of(client, "d00") is None
    create_cluster(client)

    centroids = cluster(client, services)

    assert sorted(centroid["num_members"] for centroid in centroids) == [6, 6, 6]
    version = mark_of(client, "d00")["encoder"]
    assert version.startswith("corpus@") and len(vector_of(client, "d00")) == 256
    cluster(client, services)
    assert mark_of(client, "d00")["encoder"] == version
    upsert(client, [{"document_id": "new", "payload": {"text": "a train to the coast leaves at noon"}}])
    cluster(client, services)
    assert mark_of(client, "d00")["encoder"] == mark_of(client, "new")["encoder"] != version


def test_an_extractor_without_parameters_is_accepted_where_it_cannot_encode(client: httpx.Client) -> None:
    declared = {"vector_configs": [{"name": VECTOR, "dimension": 4}]}
    body = {"collection_name": "other", "source": {"type": "direct_upsert"}, "metadata": declared}
    client.post("/collections", json=body).raise_for_status()

    made = create(client).json()

    assert made["text_encoding"] is None
    (warning,) = made["warnings"]
    assert "Texts are not encoded, documents have to bring vectors" in warning and "has 4 numbers" in warning
    own = {VECTOR: [1.0, 0.0, 0.0, 0.0]}
    upsert(client, [{"document_id": "own", "vectors": own, "payload": {"text": TEXTS[0]}}])
    assert vector_of(client, "own") == own[VECTOR]


def test_documents_with_vectors_of_another_name_are_left_alone_when_written(client: httpx.Client) -> None:
    create(client)
    upsert(client, [{"document_id": "own", "vectors": {"mine": [1.0, 2.0]}, "payload": {"text": TEXTS[0]}}])
    client.patch("/collections/reviews/documents/own", json={"text": TEXTS[1]}).raise_for_status()

    assert list(read(client, "own")["vectors"]) == ["mine"]

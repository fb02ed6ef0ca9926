"""The vectors that texts get, and those that documents bring: which one stays, and when one goes."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from api.conftest import Clock
from api.test_text_collections import (
    TEXTS,
    VECTOR,
    cluster,
    create,
    create_cluster,
    documents,
    mark_of,
    upsert,
    vector_of,
)
from cluster_steps import carry_out, execute
from shoal.assemble import Services
from shoal.encoders.corpus import CorpusEncoder
from shoal.encoders.static import StaticEncoder
from shoal.errors import Corrupt, ShoalError, Unavailable
from shoal.services.documents import ingest_encoding
from shoal.storage.sqlite.documents.store import SqliteDocuments

OWN = np.eye(1, 256, dtype=np.float32)[0].tolist()


def send_own(client: httpx.Client) -> None:
    client.patch("/collections/reviews/documents/d00", json={"vectors": {VECTOR: OWN}}).raise_for_status()


def while_encoding(monkeypatch: pytest.MonkeyPatch, encoder: type[Any], act: Callable[[], None]) -> None:
    """Let something happen once, while the texts of a run or a request are encoded."""
    encode, calls = encoder.encode, list[int]()

    def encode_later(self: Any, texts: Sequence[str], progress: Any = None) -> Any:
        calls.append(len(texts))
        if len(calls) == 1:
            act()
        return encode(self, texts, progress)

    monkeypatch.setattr(encoder, "encode", encode_later)


def test_a_vector_that_is_sent_while_a_run_encodes_stays(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, params={"encoder": "corpus"})
    upsert(client, documents())
    create_cluster(client)
    for extra in ("no vector before", "an encoded vector before"):
        with monkeypatch.context() as patched:
            while_encoding(patched, CorpusEncoder, lambda: send_own(client))
            cluster(client, services)
        assert vector_of(client, "d00") == OWN and mark_of(client, "d00") is None
        assert mark_of(client, "d01")["encoder"].startswith("corpus@")
        upsert(client, documents())
        cluster(client, services)
        assert vector_of(client, "d00") != OWN
        upsert(client, [{"document_id": extra, "payload": {"text": extra}}])  # what is learned changes


def test_a_vector_that_is_sent_while_a_change_is_encoded_stays(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client)
    upsert(client, documents())

    while_encoding(monkeypatch, StaticEncoder, lambda: send_own(client))
    client.patch("/collections/reviews/documents/d00", json={"text": "sunny weather"}).raise_for_status()

    assert vector_of(client, "d00") == OWN and mark_of(client, "d00") is None


@pytest.mark.parametrize("text", ["", "   ", None, "1 2 3"])
def test_a_document_whose_text_is_emptied_loses_its_encoded_vector(
    text: str | None, client: httpx.Client, services: Services
) -> None:
    create(client)
    upsert(client, documents())

    client.patch("/collections/reviews/documents/d00", json={"text": text}).raise_for_status()

    before = StaticEncoder().encode([text or ""]).any()
    assert (vector_of(client, "d00") is not None) == before and (mark_of(client, "d00") is not None) == before
    update = {"filters": {"text": TEXTS[1]}, "update_data": {"text": ""}}
    client.post("/collections/reviews/documents/batch-update", json=update)
    create_cluster(client)
    assert sum(centroid["num_members"] for centroid in cluster(client, services)) <= len(TEXTS) - 1 + before


def test_a_run_takes_the_vectors_of_texts_that_are_gone(client: httpx.Client, services: Services) -> None:
    create(client, params={"encoder": "corpus"})
    upsert(client, documents())
    create_cluster(client)
    cluster(client, services)

    client.patch("/collections/reviews/documents/d00", json={"text": ""}).raise_for_status()

    assert sum(centroid["num_members"] for centroid in cluster(client, services)) == len(TEXTS) - 1
    assert vector_of(client, "d00") is None and mark_of(client, "d00") is None
    client.patch("/collections/reviews/documents/d00", json={"text": TEXTS[0]}).raise_for_status()
    assert sum(centroid["num_members"] for centroid in cluster(client, services)) == len(TEXTS)


def import_texts(client: httpx.Client, texts: Sequence[str] = TEXTS) -> dict[str, Any]:
    lines = b"\n".join(orjson.dumps({"document_id": f"d{row:02d}", "text": text}) for row, text in enumerate(texts))
    headers = {"Content-Type": "application/x-ndjson"}
    reply = client.post("/collections/reviews/documents/import", content=lines, headers=headers)
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


@pytest.mark.process
def test_other_writers_go_on_while_an_import_is_encoded(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    create(client)
    create(client, "other")
    answers = list[dict[str, Any]]()
    other = [{"document_id": "a", "vectors": {VECTOR: OWN}}]

    while_encoding(monkeypatch, StaticEncoder, lambda: answers.append(upsert(client, other, "other")))
    answer = import_texts(client)

    assert len(answers) == 1 and vector_of(client, "d00") is not None
    assert answer["vectors"] == {VECTOR: 256} and not answer["warnings"]


@pytest.mark.process
def test_what_would_take_too_long_is_left_to_the_run(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client)
    monkeypatch.setattr("shoal.encoders.registry.TEXTS_A_SECOND", {"static": 1.0})
    monkeypatch.setattr(ingest_encoding, "_REQUEST_SECONDS", 5.0)
    monkeypatch.setattr(ingest_encoding, "_IMPORT_SECONDS", 10.0)
    monkeypatch.setattr(ingest_encoding, "_IMPORTED_AT_ONCE", 4)

    sent = upsert(client, documents())
    with_vector = [vector_of(client, f"d{row:02d}") is not None for row in range(18)]
    imported = import_texts(client)
    after_import = [vector_of(client, f"d{row:02d}") is not None for row in range(18)]

    assert with_vector == [True] * 5 + [False] * 13
    assert sent["warnings"] == ["13 documents got no vector yet: that takes too long. The next run encodes them."]
    assert after_import == [True] * 8 + [False] * 10
    assert imported["warnings"][0].startswith("10 documents got no vector yet: that takes too long for an import.")
    create_cluster(client)
    assert sum(centroid["num_members"] for centroid in cluster(client, services)) == 18


@pytest.mark.process
def test_an_import_whose_encoder_fails_stores_the_documents(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ShoalError("The encoder does not answer.")

    create(client)
    monkeypatch.setattr(StaticEncoder, "encode", fail)

    answer = import_texts(client)

    assert answer["inserted"] == 18 and answer["vectors"] == {}
    expected = "18 documents got no vector yet: The encoder does not answer. The next run encodes them."
    assert expected in answer["warnings"]


@pytest.mark.parametrize(("error", "status"), [(Corrupt("A damaged place."), "failed"), (Unavailable("Busy."), None)])
def test_a_run_does_not_go_on_where_the_store_fails(
    error: ShoalError, status: str | None, client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    create(client, params={"encoder": "corpus"})
    upsert(client, documents())
    create_cluster(client)
    cluster(client, services)
    upsert(client, [{"document_id": "later", "payload": {"text": "more to learn from"}}])
    monkeypatch.setattr(SqliteDocuments, "store_derived", fail)

    if status is None:
        with pytest.raises(type(error)):
            execute(client, services, "topics")
    else:
        run = execute(client, services, "topics")
        assert run["status"].lower() == status and run["error_message"] == error.message


PLACES = [f"the {art} of {town} in the museum" for art in ("painting", "fresco", "vase") for town in ("rome", "cairo")]


def learn(client: httpx.Client, services: Services) -> None:
    create(client, params={"encoder": "corpus"})
    upsert(client, documents())
    create_cluster(client)
    cluster(client, services)


def test_documents_are_not_assigned_to_clusters_of_another_fit(client: httpx.Client, services: Services) -> None:
    learn(client, services)
    assert execute(client, services, "topics", mode="assign")["status"].lower() == "completed"
    before = client.get("/clusters/topics").json()

    upsert(client, [{"document_id": f"e{row}", "payload": {"text": text}} for row, text in enumerate(PLACES)])
    create_cluster(client, name="second")
    cluster(client, services, "second")
    run = execute(client, services, "topics", mode="assign")

    assert run["status"].lower() == "failed"
    assert "Execute the cluster in full." in run["error_message"]
    assert client.get("/clusters/topics").json()["num_clusters"] == before["num_clusters"]
    cluster(client, services)
    assert execute(client, services, "topics", mode="assign")["status"].lower() == "completed"


def test_an_assignment_says_which_texts_it_cannot_encode(client: httpx.Client, services: Services) -> None:
    learn(client, services)

    assert not any("no vector" in text for text in execute(client, services, "topics", mode="assign")["warnings"])
    upsert(client, [{"document_id": f"e{row}", "payload": {"text": text}} for row, text in enumerate([*PLACES, ""])])
    client.patch("/collections/reviews/documents/d00", json={"text": "another text"}).raise_for_status()

    warnings = execute(client, services, "topics", mode="assign")["warnings"]
    assert any(text.startswith("7 documents have no vector of the present text: corpus learns") for text in warnings)


def test_a_fit_that_was_interrupted_is_not_clustered(
    client: httpx.Client, services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(client, services)
    upsert(client, [{"document_id": f"e{row}", "payload": {"text": text}} for row, text in enumerate(PLACES)])
    monkeypatch.setattr("shoal.runs.encoding._AT_ONCE", 10)
    encode, calls = CorpusEncoder.encode, list[int]()

    def fail_later(self: CorpusEncoder, texts: Sequence[str], progress: Any = None) -> Any:
        calls.append(len(texts))
        if len(calls) == 2:
            raise ShoalError("No more.")
        return encode(self, texts, progress)

    with monkeypatch.context() as patched:
        patched.setattr(CorpusEncoder, "encode", fail_later)
        with pytest.raises(Unavailable, match="Execute the cluster again, in full"):
            execute(client, services, "topics")

    clock.forward(minutes=5)
    assert carry_out(services) == 1
    assert client.get("/clusters/topics").json()["num_clusters"] == 3

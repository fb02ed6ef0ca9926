"""The vectors that texts get, and those that documents bring: which one stays, and when one goes."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

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
from shoal.assemble import Services
from shoal.encoders.corpus import CorpusEncoder
from shoal.encoders.static import StaticEncoder

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

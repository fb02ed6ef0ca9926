"""A real server that dies after the effect of a request and before its reply is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from server_process import ServerProcess

pytestmark = pytest.mark.process

IN = "/collections/docs/documents"
DOCUMENT = {"title": "one", "vectors": {"text": [1.0, 2.0, 3.0]}}
BUCKET = {"bucket_name": "b", "bucket_schema": {"properties": {}}}
LINES = b"".join(b'{"id": "i%d", "text": [1, 2, %d]}\n' % (n, n) for n in range(50))
SENT: dict[str, dict[str, Any]] = {
    "record": {"url": "/buckets", "json": BUCKET},
    "document": {"url": IN, "json": DOCUMENT},
    "import": {"url": f"{IN}/import", "content": LINES, "headers": {"Content-Type": "application/x-ndjson"}},
    "execute": {"url": "/clusters/topics/execute"},
}


def send(client: httpx.Client, what: str) -> httpx.Response:
    request = SENT[what]
    headers = {"Idempotency-Key": "k1", **request.get("headers", {})}
    return client.post(**{**request, "headers": headers})


def seen(client: httpx.Client) -> tuple[int, int, int]:
    """The numbers of buckets, documents and runs."""
    buckets = len(client.get("/buckets").json()["results"])
    count = client.get(f"{IN}/count").json()["count"]
    return buckets, count, len(client.post("/clusters/topics/executions/list").json()["results"])


def fill(client: httpx.Client) -> None:
    client.post(
        "/collections", json={"collection_name": "docs", "source": {"type": "direct_upsert"}}
    ).raise_for_status()
    for n in range(3):
        client.post(IN, json={"vectors": {"text": [n, 1, 2]}}).raise_for_status()
    config = {"feature_uris": ["text"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
    cluster = {"cluster_name": "topics", "collection_ids": ["docs"], "vector_config": config}
    client.post("/clusters", json=cluster).raise_for_status()


def crash_before_reply(data: Path, what: str) -> tuple[int, int, int]:
    """Kill a server between the effect of a request and its reply. Returns what `seen` returned before the request."""
    with ServerProcess(data, workers=0) as server, server.client() as client:
        fill(client)
        before = seen(client)

    fatal = ServerProcess(data, workers=0, SHOAL_FAILPOINTS="idempotency.before_save=crash").start()
    with fatal.client() as client, pytest.raises(httpx.TransportError):
        send(client, what)
    assert fatal.stop() == -9
    return before


@pytest.mark.parametrize("what", SENT)
def test_after_a_crash_between_effect_and_reply_a_retry_has_no_second_effect(
    what: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("tries", 1)
    before = crash_before_reply(tmp_path / "data", what)

    with ServerProcess(tmp_path / "data", workers=0) as server, server.client() as client:
        left = seen(client)
        assert left == before or what in ("document", "import")
        first = send(client, what)
        once = seen(client)
        again = send(client, what)

        assert (first.status_code, again.status_code) == (200, 200)
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content
        grown = [now - then for then, now in zip(before, once, strict=True)]
        assert grown == {"record": [1, 0, 0], "document": [0, 1, 0], "import": [0, 50, 0], "execute": [0, 0, 1]}[what]
        assert seen(client) == once
        assert left in (before, once)


@pytest.mark.parametrize("what", ["document", "import"])
def test_after_a_crash_following_the_write_another_body_is_a_409_and_the_same_one_gets_its_reply(
    what: str, tmp_path: Path
) -> None:
    other: dict[str, dict[str, Any]] = {
        "document": {"json": {**DOCUMENT, "title": "two"}},
        "import": {"content": LINES.replace(b"i1", b"j1")},
    }
    before = crash_before_reply(tmp_path / "data", what)

    with ServerProcess(tmp_path / "data", workers=0) as server, server.client() as client:
        left = seen(client)
        with patch.dict(SENT, {what: {**SENT[what], **other[what]}}):
            refused = send(client, what)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_key_reused")
        assert seen(client) == left != before

        assert send(client, what).status_code == 200
        assert seen(client) == left


def test_a_reply_survives_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0) as server, server.client() as client:
        fill(client)
        first = send(client, "record")
        server.kill()

    with ServerProcess(tmp_path / "data", workers=0) as server, server.client() as client:
        assert send(client, "record").content == first.content

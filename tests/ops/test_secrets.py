"""Secrets enter through every input, and none appears in any line logged by the server, a worker or a run."""

import re
import time
from pathlib import Path

import orjson
import pytest

from cluster_steps import create, grouped_documents, put_documents
from server_process import ServerProcess

pytestmark = pytest.mark.process

CANARIES = {door: f"c4n4ry{door}7f3a9b1c5d2e" for door in ("header", "body", "query", "environment", "path", "key")}


@pytest.mark.parametrize("format", ["json", "text"])
def test_no_secret_reaches_a_log_and_every_line_of_a_request_and_a_run_names_it(format: str, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    server = ServerProcess(
        tmp_path / "data",
        SHOAL_LOG_LEVEL="debug",
        SHOAL_LOG_FORMAT=format,
        SOME_API_KEY=CANARIES["environment"],
        # The first attempt of the run dies with an exception.
        SHOAL_FAILPOINTS="artifact.before_manifest=err:EIO",
        SHOAL_FAILPOINTS_ONCE=str(once),
    ).start()
    with server.client("default") as client:
        client.headers["X-Request-ID"] = "mine-1"
        put_documents(client, grouped_documents())
        create(client)
        attack(client.base_url.host, server, client)
        task = client.post("/clusters/groups/execute").json()
        while client.get("/clusters/groups").json()["status"] not in ("COMPLETED", "FAILED"):
            time.sleep(0.05)
    assert server.stop() == 0
    lines = [line for line in server.output if not line.startswith(("Shoal is", "Your API key", "The key", "Try:"))]
    text = "".join(lines)

    for door, canary in CANARIES.items():
        assert canary not in text, f"{door}: {[line for line in lines if canary in line]}"
    assert server.key not in text
    assert not re.search(r"sk_[A-Za-z0-9]{6}", text)
    assert "forged" not in text or all(not line.startswith("forged") for line in lines)
    run_id = task["additional_data"]["run_id"]
    assert any("mine-1" in line and "/v1/clusters/{cluster_identifier}/execute" in line for line in lines)
    assert any(run_id in line for line in lines)
    if format == "json":
        records = [orjson.loads(line) for line in lines]
        access = [line for line in records if line["logger"] == "shoal.access"]
        assert all({"method", "route", "status", "duration_ms", "request_id"} <= set(line) for line in access)
        assert {line["run_id"] for line in records if line["logger"] in ("shoal.worker", "shoal.run")} == {run_id}


def attack(host: str, server: ServerProcess, client: object) -> None:
    """Send each canary through its input, in calls that succeed, fail and are rejected."""
    import httpx

    assert isinstance(client, httpx.Client)
    secret = {"api_key": CANARIES["body"], "password": CANARIES["body"], "text": f"sk_{CANARIES['body']}"}
    document = {"document_id": "secret", "vectors": {"v": [1.0] * 8}, "payload": secret}
    wrong = {"document_id": "secret", "vectors": {"v": f"Bearer {CANARIES['body']}"}, "payload": secret}
    for documents in ([document], [wrong]):
        client.post("/namespaces/default/documents/upsert", json={"collection_id": "docs", "documents": documents})
    for headers in (
        {"Authorization": f"Bearer sk_{CANARIES['header']}"},
        {"Authorization": f"Basic {CANARIES['header']}"},
        {"Cookie": f"session={CANARIES['header']}", "X-Api-Key": CANARIES["header"]},
        {"X-Request-ID": f"sk_{CANARIES['header']}"},
        {"X-Namespace": f"token={CANARIES['header']}"},
    ):
        client.get("/me", headers=headers)
        client.get("/clusters/groups", headers=headers)
    client.get("/clusters", params={"api_key": CANARIES["query"], "access_token": CANARIES["query"]})
    client.get(f"/clusters/sk_{CANARIES['path']}")
    client.get(f"/clusters/x%0Aforged line sk_{CANARIES['path']}")
    client.post("/organizations/users/local@shoal/api-keys", json={"name": f"token={CANARIES['key']}"})

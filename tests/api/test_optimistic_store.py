"""Many concurrent callers: each keyed create is executed once and all get its reply, even if transactions conflict."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from cluster_steps import carry_out, create, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.storage.memory.metadata import MemoryMetadata

pytestmark = pytest.mark.process

THREADS, KEYS = 8, 40
ClientMaker = Callable[..., httpx.Client]


def test_concurrent_keyed_creates_of_eight_threads_are_each_executed_once(
    client_for: ClientMaker, admin_key: str, services: Services, record_property: Callable[[str, object], None]
) -> None:
    """8 threads send the same 40 keyed creates, 320 calls: a bucket each, and 40 objects in one bucket whose count
    they all change."""
    first = client_for(admin_key)
    first.post("/buckets", json={"bucket_name": "shared", "bucket_schema": {"properties": {}}}).raise_for_status()

    def send(thread: int) -> list[tuple[int, str, str]]:
        client, answers = client_for(admin_key), []
        for number in range(KEYS):
            key = {"Idempotency-Key": f"key-{number}"}
            bucket = {"bucket_name": f"bucket-{number}", "bucket_schema": {"properties": {}}}
            made = client.post("/buckets", json=bucket, headers=key)
            thing_key = {"Idempotency-Key": f"object-{number}"}
            thing = client.post("/buckets/shared/objects", json={"title": f"{number}"}, headers=thing_key)
            answers.append((made.status_code, made.text, f"{thing.status_code} {thing.text}"))
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for thread in pool.map(send, range(THREADS)) for answer in thread]

    statuses = Counter(status for status, _, _ in answers)
    record_property("answers", dict(statuses))
    assert statuses == {200: THREADS * KEYS}
    assert len({text for _, text, _ in answers}) == KEYS
    assert len({text for _, _, text in answers}) == KEYS
    assert all(text.startswith("200 ") for _, _, text in answers)
    listed = first.get("/buckets?limit=1000").json()["results"]
    assert sorted(one["bucket_name"] for one in listed if one["bucket_name"] != "shared") == sorted(
        f"bucket-{number}" for number in range(KEYS)
    )
    shared = first.get("/buckets/shared").json()
    assert shared["object_count"] == KEYS
    assert len(first.get("/buckets/shared/objects?limit=1000").json()["results"]) == KEYS
    actions = Counter(one["action"] for one in first.get("/organizations/audit?limit=1000").json()["results"])
    assert (actions["bucket.create"], actions["object.create"]) == (KEYS + 1, KEYS)


def test_concurrent_keyed_document_writes_of_eight_threads_are_each_executed_once(
    client_for: ClientMaker, admin_key: str, services: Services
) -> None:
    """8 threads send the same 10 documents, whose ids the server generates, and the same removals."""
    first = client_for(admin_key)
    put_documents(first, grouped_documents(20))
    where = "/collections/docs/documents"

    def send(thread: int) -> list[tuple[int, str]]:
        client, answers = client_for(admin_key), []
        for number in range(10):
            key = {"Idempotency-Key": f"create-{number}"}
            answers.append(client.post(where, json={"vectors": {"v": [1.0] * 8}, "n": number}, headers=key))
            gone = {"document_ids": [f"d{number:04d}", "nobody"]}
            key = {"Idempotency-Key": f"delete-{number}"}
            answers.append(client.request("DELETE", f"{where}/batch", json=gone, headers=key))
        return [(answer.status_code, answer.text) for answer in answers]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for thread in pool.map(send, range(THREADS)) for answer in thread]

    assert {status for status, _ in answers} == {200}
    assert len({text for _, text in answers}) == 20
    assert first.get(f"{where}/count").json()["count"] == 20
    actions = Counter(one["action"] for one in first.get("/organizations/audit?limit=1000").json()["results"])
    assert (actions["document.create"], actions["documents.delete"]) == (10, 10)


def test_a_run_gives_the_same_results_on_each_store(client: httpx.Client, services: Services) -> None:
    put_documents(client, grouped_documents())
    create(client)
    create(client, name="enriching", enrich_source_collection=True)
    for name in ("groups", "enriching"):
        client.post(f"/clusters/{name}/execute").raise_for_status()

    assert carry_out(services) == 2

    for name in ("groups", "enriching"):
        shown = client.get(f"/clusters/{name}").json()
        assert (shown["status"], shown["num_clusters"], shown["num_documents_clustered"]) == ("COMPLETED", 3, 60)
        task = client.get(f"/tasks/{shown['last_execution_task_id']}").json()
        assert task["status"] == "COMPLETED"
    document = client.get("/collections/docs/documents/d0000").json()
    assert document["cluster_label"]
    if isinstance(services.metadata, MemoryMetadata):
        assert services.metadata._conflicts.refused > 0

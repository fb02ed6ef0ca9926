"""Two document writes with the same Idempotency-Key on a real server: one is stored, and the other gets a 409 before it
writes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol
from unittest.mock import patch

import httpx
import pytest

from shoal.assemble import Services
from shoal.errors import Unavailable
from shoal.intake import FileReaders, ForeignFile
from shoal.services import idempotency
from shoal.services.document_intents import HELD_FOR

pytestmark = pytest.mark.process


class Clock(Protocol):
    """The return type of the fixture of the same name in lower case."""

    def forward(self, **span: float) -> None: ...


IN = "/collections/docs/documents"
KEY = {"Idempotency-Key": "k1"}
LINES = b"".join(b'{"id": "i%d", "text": [1, 2, %d]}\n' % (n, n) for n in range(50))
Body = dict[str, Any]


def create(client: httpx.Client, number: int) -> httpx.Response:
    return client.post(IN, json={"document_id": f"d{number}", "vectors": {"text": [1, 2, 3]}}, headers=KEY)


def upsert(client: httpx.Client, number: int) -> httpx.Response:
    body = {"collection_id": "docs", "documents": [{"document_id": f"d{number}", "vectors": {"text": [1, 2, 3]}}]}
    return client.post("/namespaces/default/documents/upsert", json=body, headers=KEY)


def import_lines(client: httpx.Client, number: int) -> httpx.Response:
    line = b'{"id": "d%d", "text": [1, 2, 3]}\n' % number
    return client.post(f"{IN}/import?format=jsonl", content=line, headers=KEY)


WRITES: dict[str, Callable[[httpx.Client, int], httpx.Response]] = {
    "create": create,
    "upsert": upsert,
    "import": import_lines,
}


@pytest.fixture
def docs(client: httpx.Client) -> httpx.Client:
    """A client with an empty collection `docs`."""
    body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
    client.post("/collections", json=body).raise_for_status()
    return client


def ids(client: httpx.Client) -> list[str]:
    return [one["document_id"] for one in client.get(f"{IN}?limit=1000").json()["results"]]


def save_nothing(step: str) -> None:
    """A failpoint: the documents are stored, and their reply cannot be saved."""
    if step == "idempotency.before_save":
        raise Unavailable("The metadata store did not answer.")


def assert_reused(answer: httpx.Response) -> None:
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("write", WRITES)
def test_of_two_concurrent_bodies_one_is_stored_and_the_other_is_a_409(write: str, docs: httpx.Client) -> None:
    together = threading.Barrier(2)

    def send(number: int) -> httpx.Response:
        together.wait(30)
        return WRITES[write](docs, number)

    for round in range(8):
        numbers = [2 * round, 2 * round + 1]
        with patch.dict(KEY, {"Idempotency-Key": f"round {round}"}), ThreadPoolExecutor(2) as pool:
            answers = dict(zip(numbers, pool.map(send, numbers), strict=True))
            again = {number: WRITES[write](docs, number) for number in numbers}

        (stored,) = [number for number in numbers if f"d{number}" in ids(docs)]
        (other,) = set(numbers) - {stored}
        assert answers[stored].status_code == 200
        assert_reused(answers[other])
        assert again[stored].content == answers[stored].content
        assert_reused(again[other])


def refusals() -> Iterator[tuple[str, Callable[[httpx.Client], httpx.Response], int]]:
    missing = "/collections/missing/documents"
    wrong = {"document_id": "d0", "vectors": {"text": [1, 2]}}
    taken = {"document_id": "taken", "vectors": {"text": [1, 2, 3]}}
    yield "404", lambda c: c.post(missing, json=wrong, headers=KEY), 404
    yield "404 of an import", lambda c: c.post(f"{missing}/import?format=jsonl", content=LINES, headers=KEY), 404
    yield "422", lambda c: c.post(IN, json=wrong, headers=KEY), 422
    yield "422 in an import", lambda c: c.post(f"{IN}/import?format=jsonl", content=LINES[:-9], headers=KEY), 422
    yield "409", lambda c: c.post(IN, json=taken, headers=KEY), 409


@pytest.mark.parametrize(("refused", "status"), [one[1:] for one in refusals()], ids=[one[0] for one in refusals()])
@pytest.mark.parametrize("write", WRITES)
def test_the_key_of_a_rejected_request_can_be_used_by_a_corrected_one(
    write: str, refused: Callable[[httpx.Client], httpx.Response], status: int, docs: httpx.Client
) -> None:
    docs.post(IN, json={"document_id": "taken", "vectors": {"text": [1, 2, 3]}}).raise_for_status()
    assert refused(docs).status_code == status

    answer = WRITES[write](docs, 1)

    assert answer.status_code == 200 and "idempotent-replayed" not in answer.headers
    assert sorted(ids(docs)) == ["d1", "taken"]


def test_if_a_reply_could_not_be_saved_the_key_stays_reserved_for_its_request(docs: httpx.Client, clock: Clock) -> None:
    with patch.object(idempotency, "hit", save_nothing):
        assert create(docs, 1).status_code == 503
    assert_reused(create(docs, 2))
    clock.forward(seconds=HELD_FOR / timedelta(seconds=1))
    assert_reused(create(docs, 2))

    assert create(docs, 1).status_code == 200
    assert ids(docs) == ["d1"]


def test_an_import_whose_reader_fails_after_the_write_is_in_the_audit_log_once(
    docs: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = FileReaders.reading

    @contextmanager
    def fail_at_the_end(readers: FileReaders, *arguments: Any) -> Iterator[ForeignFile]:
        with reading(readers, *arguments) as source:
            yield source
        raise Unavailable("The reader of the file did not end.")

    def actions() -> list[str]:
        found = docs.get("/organizations/audit?limit=1000").json()["results"]
        return [one["action"] for one in found if one["action"].startswith("document")]

    monkeypatch.setattr(FileReaders, "reading", fail_at_the_end)
    assert import_lines(docs, 1).status_code == 503
    assert (ids(docs), actions()) == (["d1"], ["documents.import"])
    assert_reused(import_lines(docs, 2))
    monkeypatch.undo()

    assert import_lines(docs, 1).status_code == 200
    assert (ids(docs), actions()) == (["d1"], ["documents.import"])


def test_a_key_of_stored_documents_is_rejected_for_records(docs: httpx.Client, services: Services) -> None:
    with patch.object(idempotency, "hit", save_nothing):
        assert create(docs, 1).status_code == 503

    answer = docs.post("/buckets", json={"bucket_name": "b", "bucket_schema": {"properties": {}}}, headers=KEY)

    assert_reused(answer)
    assert docs.get("/buckets").json()["results"] == []

"""Generated invalid vectors: every input format makes the same decision and names the same location.

The formats are the JSON upsert, JSON lines in their wire form and as plain columns, Arrow and Parquet.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.formats import parquet, stream
from contract.long import LONG
from contract.planted import Planted

pytestmark = pytest.mark.slow

WIDTH: Final = 4
GOOD: Final = [1.0, 0.5, -0.25, 0.125]
LINES, ARROW, PARQUET = "application/x-ndjson", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
_EXAMPLES: Final = 400 if LONG else 30

fuzzed = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
beyond = st.sampled_from([1e39, -1e39, 3.5e38, 1.7e308])
not_numbers = st.sampled_from([float("nan"), float("inf"), -float("inf")])
lengths = st.integers(0, 2 * WIDTH).filter(lambda length: length != WIDTH)


@pytest.fixture(scope="module")
def client(contract_server: Planted) -> Iterator[httpx.Client]:
    """A client of the admin in a namespace that declares `v` with the cosine metric, with an empty collection."""
    admin = contract_server.client
    body = {"namespace_name": "strict", "vector_configs": [{"name": "v", "dimension": WIDTH}]}
    admin.post("/namespaces", json=body).raise_for_status()
    headers = {"Authorization": f"Bearer {contract_server.key}", "X-Namespace": "strict"}
    with httpx.Client(base_url=admin.base_url, headers=headers, timeout=60, trust_env=False) as strict:
        collection = {"collection_name": "empty", "source": {"type": "direct_upsert"}}
        strict.post("/collections", json=collection).raise_for_status()
        yield strict


@pytest.fixture(autouse=True)
def empty_collection(client: httpx.Client) -> Iterator[None]:
    """Empty the collection after each test."""
    yield
    remaining = client.post("/collections/empty/documents/list", json={}).json()["results"]
    ids = [document["document_id"] for document in remaining]
    if ids:
        client.request("DELETE", "/collections/empty/documents/batch", json={"document_ids": ids}).raise_for_status()


def upsert_json(client: httpx.Client, vectors: Sequence[Any]) -> httpx.Response:
    documents = [{"document_id": f"d{row}", "vectors": {"v": vector}} for row, vector in enumerate(vectors)]
    body = json.dumps({"collection_id": "empty", "documents": documents})
    return client.post("/namespaces/strict/documents/upsert", content=body)


def import_content(client: httpx.Client, content: bytes, media: str) -> httpx.Response:
    return client.post("/collections/empty/documents/import", content=content, headers={"Content-Type": media})


def lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def send_in_every_format(
    client: httpx.Client, vectors: Sequence[Any], kind: pa.DataType
) -> Iterator[tuple[str, httpx.Response]]:
    """Yield (format, answer) for the same documents `d0`, `d1`, … with a vector `v` each."""
    ids = [f"d{row}" for row in range(len(vectors))]
    pairs = list(zip(ids, vectors, strict=True))
    wire = lines([{"document_id": id, "vectors": {"v": vector}} for id, vector in pairs])
    table = pa.table({"document_id": ids, "v": pa.array(vectors, pa.list_(kind))})
    yield "json", upsert_json(client, vectors)
    yield "lines", import_content(client, wire, LINES)
    yield "columns", import_content(client, lines([{"document_id": id, "v": vector} for id, vector in pairs]), LINES)
    yield "arrow", import_content(client, stream(table), ARROW)
    yield "parquet", import_content(client, parquet(table), PARQUET)


def parse_location(answer: httpx.Response) -> tuple[str | None, int, str, int | None]:
    """Parse (document id, row, vector, element) from an error."""
    details = answer.json()["error"]["details"]
    field = details["field"]
    row = re.search(r"documents\[(\d+)\]|row (\d+)", field)
    element = re.search(r"v'?\[(\d+)\]$", field)
    assert row is not None and re.search(r"\bv\b", field), answer.text
    number = int(row[1] or row[2])
    return details.get("document_id"), number, "v", int(element[1]) if element else None


def is_empty(client: httpx.Client) -> bool:
    return bool(client.get("/collections/empty/documents/count").json()["count"] == 0)


def check_same_refusal(
    client: httpx.Client, vectors: Sequence[Any], kind: pa.DataType, row: int, at: int | None
) -> None:
    for format_, answer in send_in_every_format(client, vectors, kind):
        assert answer.status_code == 422, (format_, answer.text)
        assert parse_location(answer) == (f"d{row}", row, "v", at), (format_, answer.text)
        assert answer.json()["error"]["message"].startswith(answer.json()["error"]["details"]["field"])
    assert is_empty(client)


def vectors_with(bad: Any, row: int, rows: int = 5) -> list[Any]:
    return [bad if number == row else GOOD for number in range(rows)]


@pytest.mark.process
@fuzzed
@given(row=st.integers(0, 4), at=st.integers(0, WIDTH - 1), number=beyond)
def test_a_number_beyond_float32_is_refused_in_the_same_way_in_every_format(
    client: httpx.Client, row: int, at: int, number: float
) -> None:
    bad = [number if position == at else 0.5 for position in range(WIDTH)]

    check_same_refusal(client, vectors_with(bad, row), pa.float64(), row, at)


@fuzzed
@given(row=st.integers(0, 4), at=st.integers(0, WIDTH - 1), number=not_numbers)
def test_nan_and_infinity_are_refused_in_every_format(client: httpx.Client, row: int, at: int, number: float) -> None:
    """JSON cannot express them, so there the error is about the text and gives its position."""
    bad = [number if position == at else 0.5 for position in range(WIDTH)]

    for format_, answer in send_in_every_format(client, vectors_with(bad, row), pa.float32()):
        error = answer.json()["error"]
        if format_ == "json":
            assert answer.status_code == 400 and error["details"]["column"] > 1, answer.text
        elif format_ in ("lines", "columns"):
            assert answer.status_code == 422, answer.text
            assert error["details"]["field"] == f"body: row {row} (line {row + 1})", answer.text
        else:
            assert answer.status_code == 422 and parse_location(answer) == (f"d{row}", row, "v", at), (
                format_,
                answer.text,
            )
    assert is_empty(client)


@fuzzed
@given(row=st.integers(0, 4), length=lengths)
def test_another_length_is_refused_in_the_same_way_in_every_format(client: httpx.Client, row: int, length: int) -> None:
    check_same_refusal(client, vectors_with([0.5] * length, row), pa.float32(), row, None)


@fuzzed
@given(row=st.integers(0, 4))
def test_a_zero_vector_is_refused_in_every_format_if_the_metric_is_cosine(client: httpx.Client, row: int) -> None:
    check_same_refusal(client, vectors_with([0.0] * WIDTH, row), pa.float32(), row, None)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (pa.string(), ["0.5"] * WIDTH),
        (pa.bool_(), [True, False, True, True]),
        (pa.list_(pa.float32()), [GOOD, GOOD]),
        (pa.struct([("a", pa.float32())]), [{"a": 0.5}] * WIDTH),
    ],
    ids=["texts", "truth values", "nested lists", "objects"],
)
def test_values_that_are_not_numbers_are_refused_in_every_format(
    client: httpx.Client, kind: pa.DataType, bad: list[Any]
) -> None:
    """In a column of that type every row is wrong, so the column is named."""
    for format_, answer in send_in_every_format(client, [bad] * 3, kind):
        assert answer.status_code == 422, (format_, answer.text)
        field = answer.json()["error"]["details"]["field"]
        if format_ in ("arrow", "parquet"):
            assert field == "body: column 'v'"
        else:
            assert parse_location(answer) == ("d0", 0, "v", 0), (format_, answer.text)
    assert is_empty(client)


def test_a_file_may_write_a_vector_as_the_only_row_of_a_matrix(client: httpx.Client) -> None:
    """As `model.encode([text])` gives it; the JSON route takes what its description says."""
    for format_, answer in send_in_every_format(client, [[GOOD]] * 3, pa.list_(pa.float32())):
        if format_ == "json":
            assert answer.status_code == 422 and parse_location(answer) == ("d0", 0, "v", 0), answer.text
        else:
            assert answer.status_code == 200 and answer.json()["vectors"] == {"v": WIDTH}, (format_, answer.text)


@pytest.mark.parametrize("vector", ["text", 1, True, {"indices": [1], "values": [0.5]}])
def test_a_vector_that_is_not_a_list_is_refused_in_json_and_json_lines(client: httpx.Client, vector: Any) -> None:
    wire = lines([{"document_id": f"d{row}", "vectors": {"v": value}} for row, value in enumerate([GOOD, vector])])

    for answer in (upsert_json(client, [GOOD, vector]), import_content(client, wire, LINES)):
        assert answer.status_code == 422
        assert parse_location(answer) == ("d1", 1, "v", None), answer.text
    assert is_empty(client)


@pytest.mark.process
@fuzzed
@given(vectors=st.lists(st.lists(finite, min_size=WIDTH, max_size=WIDTH).filter(any), min_size=1, max_size=4))
def test_every_finite_float32_is_stored_exactly_in_every_format(
    client: httpx.Client, vectors: list[list[float]]
) -> None:
    for format_, answer in send_in_every_format(client, vectors, pa.float32()):
        assert answer.status_code == 200, (format_, answer.text)
        documents = client.post("/collections/empty/documents/list", json={"return_vectors": True}).json()["results"]
        stored = np.array([document["vectors"]["v"] for document in documents], np.float32)
        assert stored.tobytes() == np.array(vectors, np.float32).tobytes(), format_
        ids = [document["document_id"] for document in documents]
        client.request("DELETE", "/collections/empty/documents/batch", json={"document_ids": ids}).raise_for_status()
    assert is_empty(client)

"""Generated vectors that cannot be kept: every way in takes the same decision and names the same place.

The ways are the JSON upsert, JSON lines in their wire form and as plain columns, Arrow and Parquet.
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
def client(planted_server: Planted) -> Iterator[httpx.Client]:
    """The admin in a namespace that declares `v` with the cosine metric, with an empty collection."""
    admin = planted_server.client
    body = {"namespace_name": "strict", "vector_configs": [{"name": "v", "dimension": WIDTH}]}
    admin.post("/namespaces", json=body).raise_for_status()
    headers = {"Authorization": f"Bearer {planted_server.key}", "X-Namespace": "strict"}
    with httpx.Client(base_url=admin.base_url, headers=headers, timeout=60, trust_env=False) as strict:
        made = {"collection_name": "empty", "source": {"type": "direct_upsert"}}
        strict.post("/collections", json=made).raise_for_status()
        yield strict


@pytest.fixture(autouse=True)
def emptied(client: httpx.Client) -> Iterator[None]:
    """What one test left behind is no fault of the next."""
    yield
    left = client.post("/collections/empty/documents/list", json={}).json()["results"]
    ids = [document["document_id"] for document in left]
    if ids:
        client.request("DELETE", "/collections/empty/documents/batch", json={"document_ids": ids}).raise_for_status()


def sent_as_json(client: httpx.Client, vectors: Sequence[Any]) -> httpx.Response:
    documents = [{"document_id": f"d{row}", "vectors": {"v": vector}} for row, vector in enumerate(vectors)]
    body = json.dumps({"collection_id": "empty", "documents": documents})
    return client.post("/namespaces/strict/documents/upsert", content=body)


def imported(client: httpx.Client, content: bytes, media: str) -> httpx.Response:
    return client.post("/collections/empty/documents/import", content=content, headers={"Content-Type": media})


def lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def every_way(client: httpx.Client, vectors: Sequence[Any], kind: pa.DataType) -> Iterator[tuple[str, httpx.Response]]:
    """(way, answer) of the same documents `d0`, `d1`, … with a vector `v` each."""
    ids = [f"d{row}" for row in range(len(vectors))]
    pairs = list(zip(ids, vectors, strict=True))
    wire = lines([{"document_id": id, "vectors": {"v": vector}} for id, vector in pairs])
    table = pa.table({"document_id": ids, "v": pa.array(vectors, pa.list_(kind))})
    yield "json", sent_as_json(client, vectors)
    yield "lines", imported(client, wire, LINES)
    yield "columns", imported(client, lines([{"document_id": id, "v": vector} for id, vector in pairs]), LINES)
    yield "arrow", imported(client, stream(table), ARROW)
    yield "parquet", imported(client, parquet(table), PARQUET)


def place_of(answer: httpx.Response) -> tuple[str | None, int, str, int | None]:
    """(document id, row, vector, element) that an error names."""
    details = answer.json()["error"]["details"]
    field = details["field"]
    row = re.search(r"documents\[(\d+)\]|row (\d+)", field)
    element = re.search(r"v'?\[(\d+)\]$", field)
    assert row is not None and re.search(r"\bv\b", field), answer.text
    number = int(row[1] or row[2])
    return details.get("document_id"), number, "v", int(element[1]) if element else None


def nothing_stored(client: httpx.Client) -> bool:
    return bool(client.get("/collections/empty/documents/count").json()["count"] == 0)


def refused_alike(client: httpx.Client, vectors: Sequence[Any], kind: pa.DataType, row: int, at: int | None) -> None:
    for way, answer in every_way(client, vectors, kind):
        assert answer.status_code == 422, (way, answer.text)
        assert place_of(answer) == (f"d{row}", row, "v", at), (way, answer.text)
        assert answer.json()["error"]["message"].startswith(answer.json()["error"]["details"]["field"])
    assert nothing_stored(client)


def with_one(bad: Any, row: int, rows: int = 5) -> list[Any]:
    return [bad if number == row else GOOD for number in range(rows)]


@pytest.mark.process
@fuzzed
@given(row=st.integers(0, 4), at=st.integers(0, WIDTH - 1), number=beyond)
def test_a_number_beyond_float32_is_refused_alike(client: httpx.Client, row: int, at: int, number: float) -> None:
    bad = [number if position == at else 0.5 for position in range(WIDTH)]

    refused_alike(client, with_one(bad, row), pa.float64(), row, at)


@fuzzed
@given(row=st.integers(0, 4), at=st.integers(0, WIDTH - 1), number=not_numbers)
def test_nan_and_infinity_are_refused_in_every_way(client: httpx.Client, row: int, at: int, number: float) -> None:
    """JSON cannot say them, so there the text is at fault and its place is told."""
    bad = [number if position == at else 0.5 for position in range(WIDTH)]

    for way, answer in every_way(client, with_one(bad, row), pa.float32()):
        error = answer.json()["error"]
        if way == "json":
            assert answer.status_code == 400 and error["details"]["column"] > 1, answer.text
        elif way in ("lines", "columns"):
            assert answer.status_code == 422, answer.text
            assert error["details"]["field"] == f"body: row {row} (line {row + 1})", answer.text
        else:
            assert answer.status_code == 422 and place_of(answer) == (f"d{row}", row, "v", at), (way, answer.text)
    assert nothing_stored(client)


@fuzzed
@given(row=st.integers(0, 4), length=lengths)
def test_another_length_is_refused_alike(client: httpx.Client, row: int, length: int) -> None:
    refused_alike(client, with_one([0.5] * length, row), pa.float32(), row, None)


@fuzzed
@given(row=st.integers(0, 4))
def test_a_vector_without_direction_is_refused_alike_where_the_metric_is_cosine(client: httpx.Client, row: int) -> None:
    refused_alike(client, with_one([0.0] * WIDTH, row), pa.float32(), row, None)


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
def test_what_is_no_number_is_refused_in_every_way(client: httpx.Client, kind: pa.DataType, bad: list[Any]) -> None:
    """In a column of that type every row is wrong, so the column is named."""
    for way, answer in every_way(client, [bad] * 3, kind):
        assert answer.status_code == 422, (way, answer.text)
        field = answer.json()["error"]["details"]["field"]
        if way in ("arrow", "parquet"):
            assert field == "body: column 'v'"
        else:
            assert place_of(answer) == ("d0", 0, "v", 0), (way, answer.text)
    assert nothing_stored(client)


def test_a_file_may_write_a_vector_as_the_only_row_of_a_matrix(client: httpx.Client) -> None:
    """As `model.encode([text])` gives it; the JSON route takes what its description says."""
    for way, answer in every_way(client, [[GOOD]] * 3, pa.list_(pa.float32())):
        if way == "json":
            assert answer.status_code == 422 and place_of(answer) == ("d0", 0, "v", 0), answer.text
        else:
            assert answer.status_code == 200 and answer.json()["vectors"] == {"v": WIDTH}, (way, answer.text)


@pytest.mark.parametrize("vector", ["text", 1, True, {"indices": [1], "values": [0.5]}])
def test_what_is_no_list_is_refused_as_a_wire_document_and_as_a_line(client: httpx.Client, vector: Any) -> None:
    wire = lines([{"document_id": f"d{row}", "vectors": {"v": one}} for row, one in enumerate([GOOD, vector])])

    for answer in (sent_as_json(client, [GOOD, vector]), imported(client, wire, LINES)):
        assert answer.status_code == 422
        assert place_of(answer) == ("d1", 1, "v", None), answer.text
    assert nothing_stored(client)


@pytest.mark.process
@fuzzed
@given(vectors=st.lists(st.lists(finite, min_size=WIDTH, max_size=WIDTH).filter(any), min_size=1, max_size=4))
def test_every_finite_float32_is_kept_to_the_last_bit_in_every_way(
    client: httpx.Client, vectors: list[list[float]]
) -> None:
    for way, answer in every_way(client, vectors, pa.float32()):
        assert answer.status_code == 200, (way, answer.text)
        kept = client.post("/collections/empty/documents/list", json={"return_vectors": True}).json()["results"]
        found = np.array([document["vectors"]["v"] for document in kept], np.float32)
        assert found.tobytes() == np.array(vectors, np.float32).tobytes(), way
        ids = [document["document_id"] for document in kept]
        client.request("DELETE", "/collections/empty/documents/batch", json={"document_ids": ids}).raise_for_status()
    assert nothing_stored(client)

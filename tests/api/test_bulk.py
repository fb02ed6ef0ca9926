"""The bulk route: files are imported completely or not at all."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.assemble import Services
from shoal.records.scope import Scope

pytestmark = pytest.mark.process

ROWS = 500
VECTORS = np.random.default_rng(7).standard_normal((ROWS, 16)).astype(np.float32)
ARROW, PARQUET, LINES = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "application/x-ndjson"


def table(**more: object) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 16)
    ids = [f"d{i:03d}" for i in range(ROWS)]
    return pa.table({"id": ids, "title": [f"title {i}" for i in range(ROWS)], "embedding": vectors, **more})


def arrow(content: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content, max_chunksize=64)
    return sink.getvalue()


def parquet(content: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(content, sink)
    return sink.getvalue()


def lines(content: pa.Table) -> bytes:
    return b"\n".join(orjson.dumps(row) for row in content.to_pylist())


@pytest.fixture
def collection(client: httpx.Client) -> str:
    body = {"collection_name": "products", "source": {"type": "bucket"}}
    id: str = client.post("/collections", json=body).json()["collection_id"]
    return id


@pytest.fixture(autouse=True)
def _no_upload_is_left_behind(services: Services) -> Iterator[None]:
    yield
    spool: Path = services.settings.data / "spool"
    assert not spool.exists() or list(spool.iterdir()) == []


def upload(client: httpx.Client, content: bytes, media: str, **query: object) -> httpx.Response:
    headers = {"Content-Type": media}
    path = "/collections/products/documents/import"
    return client.post(path, content=content, headers=headers, params=query)  # type: ignore[arg-type]  # plain values


def count(client: httpx.Client) -> int:
    total: int = client.get("/collections/products/documents/count").json()["count"]
    return total


@pytest.mark.parametrize(("write", "media"), [(arrow, ARROW), (parquet, PARQUET), (lines, LINES)])
def test_every_kind_of_upload_stores_the_same_documents(
    client: httpx.Client, collection: str, write: Any, media: str
) -> None:
    answer = upload(client, write(table()), media)

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "inserted": ROWS,
        "replaced": 0,
        "vectors": {"embedding": 16},
        "collection_id": collection,
        "warnings": [],
    }
    got = client.get("/collections/products/documents/d123?return_vectors=true").json()
    assert got["title"] == "title 123" and "id" not in got
    assert np.array_equal(np.array(got["vectors"]["embedding"], np.float32), VECTORS[123])


def test_a_second_upload_replaces_the_first_or_conflicts(client: httpx.Client, collection: str) -> None:
    content = arrow(table())
    upload(client, content, ARROW)

    again = upload(client, content, ARROW).json()
    conflict = upload(client, content, ARROW, on_conflict="fail")

    assert (again["inserted"], again["replaced"]) == (0, ROWS)
    assert conflict.status_code == 409 and conflict.json()["error"]["type"] == "AlreadyExistsError"
    assert upload(client, content, ARROW, on_conflict="ignore").status_code == 422


def test_columns_are_chosen_and_named_in_the_query(client: httpx.Client, collection: str) -> None:
    other = pa.array(VECTORS[:, :3].tolist(), pa.list_(pa.float16()))
    content = parquet(table(other=other, key=[f"k{i}" for i in range(ROWS)]))

    answer = upload(
        client, content, "", format="parquet", id_column="key", vector_column=["text=embedding", "image=other"]
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["vectors"] == {"text": 16, "image": 3}
    got = client.get("/collections/products/documents/k7?return_vectors=true").json()
    assert got["id"] == "d007" and set(got["vectors"]) == {"text", "image"}


def test_documents_in_wire_format_can_be_uploaded_as_lines(client: httpx.Client, collection: str) -> None:
    document = {"document_id": "a", "vectors": {"text": [1, 2]}, "payload": {"t": 1}, "metadata": {"lang": "en"}}

    answer = upload(client, orjson.dumps(document), LINES)

    assert answer.status_code == 200 and answer.json()["vectors"] == {"text": 2}
    got = client.get("/collections/products/documents/a").json()
    assert (got["t"], got["metadata"]) == (1, {"lang": "en"})


def test_a_declared_namespace_rejects_other_names_and_dimensions(client: httpx.Client) -> None:
    configs = [{"name": "text", "dimension": 16}, {"name": "image", "dimension": 3}]
    client.post("/namespaces", json={"namespace_name": "declared", "vector_configs": configs})
    client.headers["X-Namespace"] = "declared"
    client.post("/collections", json={"collection_name": "products", "source": {"type": "bucket"}})
    content = arrow(table())

    unknown = upload(client, content, ARROW)
    wrong = upload(client, content, ARROW, vector_column="image=embedding")
    right = upload(client, content, ARROW, vector_column="text=embedding")

    assert unknown.status_code == 422 and "Use one of: image, text." in unknown.json()["error"]["message"]
    assert wrong.status_code == 422 and "has 16 numbers where the index has 3" in wrong.json()["error"]["message"]
    assert right.status_code == 200
    assert count(client) == ROWS


def test_an_error_in_the_last_row_stores_nothing(client: httpx.Client, collection: str) -> None:
    broken = VECTORS.copy()
    broken[-1, 5] = np.nan
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(broken.ravel()), 16)
    content = table().set_column(2, "embedding", vectors)

    answer = upload(client, arrow(content), ARROW)

    assert answer.status_code == 422
    assert "row 499, column 'embedding'[5]" in answer.json()["error"]["message"]
    assert count(client) == 0
    assert client.get("/collections/products").json()["vector_indexes"] == []


BAD: list[tuple[bytes, str, dict[str, str], str]] = [
    (b"", ARROW, {}, "is empty"),
    (b"no arrow", ARROW, {}, "is not an Arrow file"),
    (b"PAR1 and then nothing", PARQUET, {}, "cannot be read"),
    (arrow(table())[:-2000], ARROW, {}, "cannot be read"),
    (parquet(table()), ARROW, {}, "its content is a Parquet file"),
    (b'{"id": 1, "v": [1, 2]}\n{"id": 1, "v": [3, 4]}', LINES, {}, "repeats the id of row 0"),
    (b'{"id": 1, "v": [1, 2]}\n{"id": 2, "v": [3, 4, 5]}', LINES, {"vector_column": "v"}, "has 3 numbers where"),
    (b'{"id": 1, "v": [1, 2]}\n{"id": 2, "v": "x"}', LINES, {"vector_column": "v"}, "must be a list of numbers"),
    (b'{"id": 1, "v": [1, 2]}\n{"id": 2, "v": [3, 1e39]}', LINES, {}, "not a finite float32"),
    (b'{"id": 1, "v": [1, 2]}', LINES, {"id_column": "key"}, "has no column 'key'"),
    ("id,v\nä,1\n".encode("cp1252"), "", {"format": "csv"}, "is not UTF-8 text. Save it as UTF-8"),
    (b'{"id": 1, "v": [1, 2]}', "text/plain", {}, "Content-Type"),
    (b'{"id": 1, "v": [1, 2]}', "", {"format": "xml"}, "format: is unknown"),
]


def test_an_invalid_upload_is_a_422_that_stores_nothing(client: httpx.Client, collection: str) -> None:
    for content, media, query, problem in BAD:
        answer = upload(client, content, media, **query)

        assert answer.status_code == 422, answer.text
        assert problem in answer.json()["error"]["message"]
        assert count(client) == 0


def test_an_unknown_collection_is_a_404_before_the_upload(client: httpx.Client) -> None:
    assert upload(client, arrow(table()), ARROW).status_code == 404


def test_an_upload_over_the_limit_is_a_413(client: httpx.Client, collection: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    path = "/collections/products/documents/import"
    try:
        answer = client.post(path, content=chunks(), headers={"Content-Type": LINES})
    except httpx.HTTPError:
        pass  # the server may close the connection while the rest is still being sent
    else:
        assert answer.status_code == 413
    assert count(client) == 0


def test_a_local_file_is_imported_in_the_same_way(
    client: httpx.Client, services: Services, collection: str, tmp_path: Path
) -> None:
    (tmp_path / "docs.parquet").write_bytes(parquet(table()))
    namespace = client.get("/namespaces/default").json()
    reported: list[int] = []
    scope = Scope(namespace["organization_id"], namespace["namespace_id"])
    done = services.bulk.import_file(scope, "products", tmp_path / "docs.parquet", progress=reported.append)

    assert (done.inserted, done.vectors) == (ROWS, {"embedding": 16})
    assert reported[-1] == ROWS
    assert count(client) == ROWS


def test_an_import_warns_if_float32_loses_the_digits_in_which_vectors_differ(
    client: httpx.Client, services: Services, collection: str, tmp_path: Path
) -> None:
    namespace = client.get("/namespaces/default").json()
    scope = Scope(namespace["organization_id"], namespace["namespace_id"])
    near = np.random.default_rng(0).normal(size=(50, 16))
    reported = []
    for offset in (0.0, 1e8):
        pq.write_table(pa.table({"embedding": (near + offset).tolist()}), tmp_path / "docs.parquet")
        reported.append(services.bulk.import_file(scope, "products", tmp_path / "docs.parquet").warnings)

    assert not any("float32" in sentence for sentence in reported[0])
    assert any("embedding" in sentence and "float32" in sentence for sentence in reported[1])

"""Whatever a file unfolds to, the server answers in a sentence, stays small, and keeps nothing of it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest

from intake.explosions import EXPLOSIONS, parquet_bytes
from peak_memory import PeakMemory
from server_process import FreshServer, ServerProcess
from shoal.errors import InvalidRequest, TooLarge
from shoal.files import open_source
from shoal.files.bounds import Bounds

pytestmark = pytest.mark.process

MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    with FreshServer(tmp_path_factory.mktemp("data"), workers=0) as server:
        with server.client() as client:
            namespace = client.post("/namespaces", json={"namespace_name": "default", "mode": "standalone"})
            assert namespace.status_code in (200, 409), namespace.text
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client("default") as client:
        collection = client.post("/collections", json={"collection_name": "products", "source": {"type": "bucket"}})
        assert collection.status_code == 200, collection.text
        yield client


def upload(client: httpx.Client, kind: str, content: bytes) -> httpx.Response:
    return client.post("/collections/products/documents/import", params={"format": kind}, content=content)


def rows_of(path: Path, kind: str, bounds: Bounds) -> int:
    source = open_source(path, format=kind, needs_vectors=False, bounds=bounds)
    return sum(len(batch) for batch in source.batches())


@pytest.mark.parametrize("name", EXPLOSIONS)
def test_a_file_that_explodes_is_refused_with_the_bound_and_leaves_the_server_small(
    name: str, server: ServerProcess, client: httpx.Client
) -> None:
    kind, make = EXPLOSIONS[name]
    content = make()

    with PeakMemory(server.pid) as peak:
        answer = upload(client, kind, content)

    assert answer.status_code in (413, 422), answer.text
    message = answer.json()["error"]["message"]
    assert any(word in message for word in ("SHOAL_IMPORT_", "allowed", "more than")), message
    assert peak.server - peak.idle < 512 * MIB
    assert peak.children < 1024 * MIB
    assert client.get("/collections/products/documents/count").json()["count"] == 0
    assert "Traceback" not in "".join(server.output)


@pytest.mark.parametrize("name", EXPLOSIONS)
def test_a_file_that_explodes_is_refused_by_the_library_as_well(name: str, tmp_path: Path) -> None:
    kind, make = EXPLOSIONS[name]
    if name in ("one list of zeros", "a long text by prefix"):
        pytest.skip("within what a process may have that is not a server's")
    (tmp_path / "file").write_bytes(make())

    with pytest.raises((TooLarge, InvalidRequest)):
        rows_of(tmp_path / "file", kind, Bounds(free_bytes=256 * MIB))


def test_after_a_file_that_exploded_the_next_is_stored(client: httpx.Client) -> None:
    kind, make = EXPLOSIONS["zeros, Arrow"]
    upload(client, kind, make())

    answer = upload(client, "parquet", parquet_bytes(pa.table({"id": ["a"], "embedding": [[1.0, 2.0]]})))

    assert answer.status_code == 200, answer.text
    assert client.delete("/collections/products/documents/a").status_code == 200


def test_the_bound_can_be_raised(tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20_000 * 16, np.float32)), 16)
    (tmp_path / "zeros.parquet").write_bytes(parquet_bytes(pa.table({"embedding": vectors})))

    path = tmp_path / "zeros.parquet"

    with pytest.raises(TooLarge, match=r"20,000 documents.*may unfold to 4\.0 MiB.*SHOAL_IMPORT_UNFOLDED_MIB"):
        rows_of(path, "parquet", Bounds(free_bytes=4 * MIB))
    assert rows_of(path, "parquet", Bounds(free_bytes=64 * MIB)) == 20_000


def test_a_wide_table_within_the_bound_is_stored(client: httpx.Client) -> None:
    content = parquet_bytes(pa.table({f"c{i}": [1] * 5 for i in range(3000)}))

    assert upload(client, "parquet", content).json()["inserted"] == 5

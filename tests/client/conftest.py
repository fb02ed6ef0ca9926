"""One real server process for all tests of the client; each test has a namespace of its own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal
from server_process import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[shoal.Client]:
    name = f"ns-{abs(hash(request.node.name)) % 10**9}"
    with shoal.Client(server.url, server.key) as admin:
        admin.namespaces.create(name, vectors={"embedding": 6})
    with shoal.Client(server.url, server.key, name) as opened:
        yield opened


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """45 rows in three groups that lie well apart."""
    rng = np.random.default_rng(0)
    return (np.eye(6)[:3].repeat(15, axis=0) + rng.normal(0, 0.05, (45, 6))).astype(np.float32)


@pytest.fixture
def columns(vectors: NDArray[np.float32]) -> dict[str, object]:
    """The rows as documents."""
    words = ("rain today", "bread to bake", "cheap flight")
    return {
        "document_id": [f"d{n:02d}" for n in range(45)],
        "text": [f"{words[n // 15]} {n}" for n in range(45)],
        "n": list(range(45)),
        "embedding": vectors,
    }


@pytest.fixture
def parquet(tmp_path: Path, columns: dict[str, object]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "documents.parquet"
    lists = {**columns, "embedding": np.asarray(columns["embedding"]).tolist()}
    pq.write_table(pa.table(lists), path)
    return path

"""HEAD: the headers of the GET response, without producing its body."""

from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.api.downloads import Download
from shoal.api.routes import executions
from shoal.assemble import Services
from shoal.storage.local.artifacts import LocalArtifacts


@pytest.fixture
def run(client: httpx.Client, services: Services) -> dict[str, Any]:
    put_documents(client, grouped_documents(60))
    create(client)
    return execute(client, services)


@pytest.mark.parametrize("path", ["", "/download", "/download?table=centroids", "/export?format=csv"])
def test_head_returns_the_headers_of_get(client: httpx.Client, run: dict[str, Any], path: str) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}{path}"
    if path.endswith(run["run_id"]):
        path = "/clusters/groups"

    head, whole = client.head(path), client.get(path)

    assert whole.status_code == 200 and whole.content
    assert (head.status_code, head.content) == (200, b"")
    changing = ("date", "x-request-id", "transfer-encoding")
    assert {**head.headers, **dict.fromkeys(changing)} == {**whole.headers, **dict.fromkeys(changing)}


def test_head_reads_no_file_and_writes_no_rows(
    client: httpx.Client, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[str] = []
    read, pieces = Download._read_chunks, executions._csv_chunks

    def seen_file(answer: Download, start: int, stop: int) -> Iterator[bytes]:
        work.append("file")
        yield from read(answer, start, stop)

    def seen_pieces(table: pa.Table) -> Iterator[bytes]:
        work.append("rows")
        yield from pieces(table)

    monkeypatch.setattr(Download, "_read_chunks", seen_file)
    monkeypatch.setattr(executions, "_csv_chunks", seen_pieces)
    path = f"/clusters/groups/executions/{run['run_id']}"

    client.head(f"{path}/download").raise_for_status()
    client.head(f"{path}/export?format=csv").raise_for_status()
    assert work == []

    client.get(f"{path}/download").raise_for_status()
    client.get(f"{path}/export?format=csv").raise_for_status()
    assert work == ["file", "rows"]


def test_head_of_a_missing_resource_is_a_404(client: httpx.Client) -> None:
    assert client.head("/clusters/none").status_code == 404


def test_a_csv_of_many_chunks_has_one_header_row(
    client: httpx.Client, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}/export?format=csv"
    whole = client.get(path).text

    monkeypatch.setattr(executions, "_CSV_ROWS", 7)

    assert client.get(path).text == whole
    assert len(whole.splitlines()) > 60


def test_head_of_a_csv_export_reads_no_table_and_proxies_do_not_cache_downloads(
    client: httpx.Client, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}"
    read: list[str] = []
    usual = LocalArtifacts.read

    def seen(self: Any, scope: Any, run_id: str, name: str, *more: Any, **named: Any) -> Any:
        read.append(name)
        return usual(self, scope, run_id, name, *more, **named)

    monkeypatch.setattr(LocalArtifacts, "read", seen)

    client.head(f"{path}/export?format=csv").raise_for_status()
    assert read == []
    client.get(f"{path}/export?format=csv").raise_for_status()
    assert read == ["members"]
    assert client.get(f"{path}/download").headers["cache-control"] == "private, no-store"

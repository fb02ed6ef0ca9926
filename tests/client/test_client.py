"""`shoal.Client` against a real server process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import shoal
from server_process import ServerProcess
from shoal.errors import (
    AlreadyExists,
    Cancelled,
    Conflict,
    InvalidField,
    InvalidRequest,
    NotFound,
    RunFailed,
    ShoalError,
    Unauthorized,
    Unavailable,
)

IN_MEMORY: dict[str, Callable[[dict[str, Any]], object]] = {
    "columns": lambda plain: {**plain, "embedding": np.array(plain["embedding"], np.float32)},
    "table": pa.table,
    "batch": pa.RecordBatch.from_pydict,
    "data set": lambda plain: pads.dataset(pa.table(plain)),
    "records": lambda plain: [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)],
    "pandas": pd.DataFrame,
    "pandas with an index of ids": lambda plain: pd.DataFrame(plain).set_index("document_id"),
    "pandas with vectors as text": lambda plain: pd.DataFrame({**plain, "embedding": map(str, plain["embedding"])}),
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
}


@pytest.fixture
def client_with_documents(client: shoal.Client, columns: dict[str, object]) -> shoal.Client:
    """A client whose namespace holds the documents in the collection `docs`."""
    client.collections.create("docs")
    client.documents.upload("docs", columns)
    return client


def test_health_needs_no_key_and_me_needs_one(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_DATA", "/nowhere")
    monkeypatch.delenv("SHOAL_API_KEY", raising=False)
    with shoal.Client(server.url) as anonymous, shoal.Client(server.url, server.key) as authenticated:
        assert anonymous.health()["status"] == "OK"
        assert authenticated.me().organization_id

        with pytest.raises(Unauthorized, match="There is no key"):
            anonymous.me()


def test_the_key_of_this_machine_is_found(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOAL_API_KEY", raising=False)
    monkeypatch.setenv("SHOAL_DATA", str(server.data))

    with shoal.Client(server.url) as client:
        assert client.me().key.permissions


@pytest.mark.parametrize("address", ["{}", "{}/", "{}/v1", "{}/v1/"])
def test_the_version_in_the_address_is_optional(server: ServerProcess, address: str) -> None:
    with shoal.Client(address.format(server.url), server.key) as client:
        assert client.base_url == f"{server.url}/v1"
        assert client.me().organization_id


def test_an_invalid_address_is_rejected() -> None:
    with pytest.raises(InvalidField, match="base_url"):
        shoal.Client("127.0.0.1:8000")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with shoal.Client("http://127.0.0.1:9", "sk_x") as client, pytest.raises(Unavailable, match="shoal serve"):
        client.health()


def test_namespaces_are_made_found_changed_and_removed(client: shoal.Client) -> None:
    namespace = client.namespaces.create("another-one", vectors={"text": 3}, description="for a test")

    assert client.namespaces.get("another-one") == client.namespaces.get(namespace.namespace_id)
    assert client.namespaces.patch("another-one", description="changed").description == "changed"
    assert namespace.namespace_id in {centroid.namespace_id for centroid in client.namespaces.list()}
    with pytest.raises(AlreadyExists, match="another-one"):
        client.namespaces.create("another-one")

    client.namespaces.delete("another-one")

    with pytest.raises(NotFound, match="another-one"):
        client.namespaces.get("another-one")


def test_collections_are_made_found_changed_and_removed(client: shoal.Client) -> None:
    collection = client.collections.create("docs", metadata={"team": "a"})

    assert client.collections.get("docs").metadata == {"team": "a"}
    assert client.collections.patch(collection.collection_id, description="mine").description == "mine"
    assert [centroid.collection_name for centroid in client.collections.list(search="doc")] == ["docs"]

    client.collections.delete("docs")

    assert client.collections.list() == []


def test_a_name_cannot_reach_another_route(client: shoal.Client) -> None:
    for ref in ("../namespaces", "a/b", "?x=1", "#"):
        with pytest.raises(NotFound):
            client.collections.get(ref)
    with pytest.raises(InvalidRequest):
        client.collections.get("")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_files_without_ids_replace_no_other_file_and_are_recognised(
    ending: str, client: shoal.Client, columns: dict[str, object], vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    table = pa.table({"text": columns["text"], "embedding": vectors.tolist()})
    client.collections.create("docs")
    paths = [tmp_path / f"{part}.{ending}" for part in range(2)]
    for part, path in enumerate(paths):
        half = table.slice(20 * part, 20)
        if ending == "parquet":
            pq.write_table(half, path)
        else:
            with pa.ipc.new_file(path, half.schema) as writer:
                writer.write_table(half)
        done = client.documents.upload("docs", path)
        assert (done.inserted, done.replaced) == (20, 0)
        assert "another file replaces none" in " ".join(done.warnings)

    again = client.documents.upload("docs", paths[0])

    assert (again.inserted, again.replaced, client.documents.count("docs")) == (0, 20, 40)
    assert "The same file was imported before" in " ".join(again.warnings)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", *IN_MEMORY])
def test_every_form_of_upload_stores_the_same_documents(
    kind: str, client: shoal.Client, columns: dict[str, object], vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    plain = {**columns, "embedding": vectors.tolist()}
    rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    if kind == "parquet":
        pq.write_table(pa.table(plain), tmp_path / "a.parquet")
    if kind == "jsonl":
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if kind == "csv":
        lines = [f'{row["document_id"]},{row["text"]},{row["n"]},"{row["embedding"]}"' for row in rows]
        (tmp_path / "a.csv").write_text("\n".join(["document_id,text,n,embedding", *lines]) + "\n")
    source = IN_MEMORY[kind](plain) if kind in IN_MEMORY else tmp_path / f"a.{kind}"
    client.collections.create("docs")

    done = client.documents.upload("docs", source)

    assert (done.inserted, done.replaced, done.vectors) == (45, 0, {"embedding": 6})
    document = client.documents.get("docs", "d07", vectors=True)
    assert (document["text"], document["n"]) == ("rain today 7", 7)
    assert np.allclose(document["vectors"]["embedding"], vectors[7])


def test_a_file_that_is_read_here_is_stored_whole(client: shoal.Client, tmp_path: Path) -> None:
    """Also what has no vector, what Arrow columns cannot hold, and under an id column and a vector that were named."""
    (tmp_path / "a.csv").write_text('key,zip,embedding,other\nx,01234,"[1,2,3,4,5,6]","[5,6]"\ny,10115,,"[7,8]"\n')
    np.save(tmp_path / "b.npy", np.eye(2, 6, dtype=np.float32))
    (tmp_path / "b.jsonl").write_text('{"id": "p", "mixed": 1}\n{"id": "q", "mixed": {"deep": ["1"]}}\n')
    client.collections.create("csv")
    client.collections.create("npy")

    done = client.documents.upload("csv", tmp_path / "a.csv", id_column="key", vector_columns=["embedding"])
    assert (done.inserted, done.vectors) == (2, {"embedding": 6})
    assert [(document["document_id"], document["other"]) for document in client.documents.list("csv")] == [
        ("x", "[5,6]"),
        ("y", "[7,8]"),
    ]
    client.documents.upload("npy", tmp_path / "b.npy")
    assert [document["mixed"] for document in client.documents.list("npy")] == [1, {"deep": ["1"]}]


def test_an_upload_with_a_fault_stores_nothing(client: shoal.Client, columns: dict[str, object]) -> None:
    client.collections.create("docs")
    wrong = np.zeros((45, 5), np.float32)

    with pytest.raises(InvalidRequest, match="embedding"):
        client.documents.upload("docs", {**columns, "embedding": wrong})
    with pytest.raises(InvalidField, match="different lengths"):
        client.documents.upload("docs", {**columns, "n": [1]})

    assert client.documents.count("docs") == 0


def test_a_column_of_objects_is_left_out_of_an_upload_and_named(
    client: shoal.Client, columns: dict[str, object], vectors: NDArray[np.float32]
) -> None:
    client.collections.create("docs")
    frame = pd.DataFrame({**columns, "embedding": list(vectors)})
    frame["image"] = pd.Series([frozenset({row}) for row in range(45)], dtype=object)

    done = client.documents.upload("docs", frame)

    assert done.inserted == 45
    assert "Column 'image' holds values of type frozenset and was left out." in done.warnings
    assert "image" not in client.documents.get("docs", "d07")


def test_only_tables_are_uploaded(client: shoal.Client) -> None:
    client.collections.create("docs")
    for wrong in (None, 5, [1, 2], np.eye(3)):
        with pytest.raises(InvalidField, match="source: must be a file, a table or columns by name"):
            client.documents.upload("docs", wrong)


def test_documents_one_by_one(client_with_documents: shoal.Client) -> None:
    client_with_documents.documents.create(
        "docs", {"text": "new"}, vectors={"embedding": [1, 0, 0, 0, 0, 0]}, document_id="x"
    )

    assert client_with_documents.documents.count("docs") == 46
    assert client_with_documents.documents.patch("docs", "x", text="newer")["text"] == "newer"
    assert [d["document_id"] for d in client_with_documents.documents.list("docs", filters={"text": "newer"})] == ["x"]
    assert client_with_documents.documents.distinct("docs", "text", filters={"n": 3}) == [("rain today 3", 1)]

    client_with_documents.documents.delete("docs", "x")

    with pytest.raises(NotFound, match="x"):
        client_with_documents.documents.get("docs", "x")


def test_a_cluster_is_created_executed_and_read(client_with_documents: shoal.Client) -> None:
    cluster = client_with_documents.clusters.create(
        "topics", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 3}, enrich=True
    )
    stages: list[str] = []

    run = client_with_documents.clusters.execute("topics")
    done = run.wait(60, progress=lambda stage, fraction: stages.append(stage))

    assert done.status == "completed"
    assert [centroid.num_members for centroid in done.centroids or []] == [15, 15, 15]
    assert {group["member_count"] for group in client_with_documents.clusters.groups("topics")} == {15}
    assert client_with_documents.clusters.get(cluster.cluster_id).num_clusters == 3
    assert client_with_documents.clusters.map("topics")["total_points"] == 45
    members = run.members()
    assert members.num_rows == 45
    assert len(set(members["cluster_id"].to_pylist()[:15])) == 1
    assert client_with_documents.documents.get("docs", "d00")["cluster_id"] == members["cluster_id"][0].as_py()
    assert stages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature": "embedding", "n_clusters": 10}, 'n_clusters: is not an argument of clusters.create, got 10. Did '
         'you mean params={"n_clusters": 10}?'),
        ({"feature": "embedding", "method": "kmeans"}, 'Did you mean algorithm="auto"?'),
        ({"vector": "embedding"}, 'Did you mean feature="embedding"?'),
        ({}, 'feature: is required. Name a vector of the documents: feature="embedding".'),
    ],
)  # fmt: skip
def test_an_unknown_argument_of_create_gets_a_suggestion(arguments: dict[str, Any], message: str) -> None:
    with shoal.Client("http://127.0.0.1:9", api_key="sk_x") as client, pytest.raises(InvalidField) as refused:
        client.clusters.create("topics", ["docs"], **arguments)

    assert message in refused.value.message


def test_runs_are_listed_named_and_relabelled(client_with_documents: shoal.Client) -> None:
    client_with_documents.clusters.create(
        "topics", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 3}
    )
    assert client_with_documents.executions.latest("topics") is None
    run = client_with_documents.clusters.execute("topics")
    run.wait(60)

    client_with_documents.executions.rename("topics", run.run_id, "first")
    done = client_with_documents.executions.relabel("topics", run.run_id, {"cl_0": "Mine"})

    latest = client_with_documents.executions.latest("topics", vectors=True)
    assert latest is not None and latest.centroids is not None
    members = latest.centroids[0].num_members
    assert (done.label_overrides, done.documents_relabelled, done.warnings) == ({"cl_0": "Mine"}, members + 1, [])
    assert (latest.run_id, latest.run_name, latest.centroids[0].label) == (run.run_id, "first", "Mine")
    assert len(latest.centroids[0].centroid_vector or []) == 6
    assert [centroid.run_id for centroid in client_with_documents.executions.list("topics")] == [run.run_id]
    with pytest.raises(Conflict):
        run.cancel()


def test_a_cluster_by_attributes(client_with_documents: shoal.Client) -> None:
    client_with_documents.clusters.create_by_attributes("years", ["docs"], ["n"])

    assert client_with_documents.clusters.execute("years").wait(60).num_clusters == 45


def test_clusters_are_changed_listed_and_removed(client_with_documents: shoal.Client) -> None:
    client_with_documents.clusters.create("topics", ["docs"], feature="embedding")

    assert client_with_documents.clusters.patch("topics", description="mine").description == "mine"
    assert [centroid.cluster_name for centroid in client_with_documents.clusters.list(search="topic")] == ["topics"]
    with pytest.raises(AlreadyExists):
        client_with_documents.clusters.create("topics", ["docs"], feature="embedding")
    with pytest.raises(InvalidRequest, match="feature"):
        client_with_documents.clusters.create("others", ["docs"], feature="picture")

    client_with_documents.clusters.delete("topics")

    with pytest.raises(NotFound):
        client_with_documents.clusters.get("topics")


def test_a_run_that_cannot_succeed_says_why(client: shoal.Client) -> None:
    client.collections.create("docs")
    client.documents.upload("docs", pa.table({"document_id": ["a", "b"], "embedding": [[1.0] * 6, None]}))
    client.clusters.create("topics", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 2})

    with pytest.raises(RunFailed, match="at least two"):
        client.clusters.execute("topics").wait(60)


def test_a_cancelled_run_says_so(client: shoal.Client) -> None:
    client.collections.create("docs")
    rows = np.random.default_rng(0).normal(size=(20_000, 6)).astype(np.float32)
    client.documents.upload("docs", {"document_id": [f"d{n:05d}" for n in range(len(rows))], "embedding": rows})
    client.clusters.create(
        "topics", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 900, "n_init": 300}
    )
    run = client.clusters.execute("topics")
    with pytest.raises(Unavailable, match="still"):
        run.wait(0.01)

    run.cancel()

    with pytest.raises(Cancelled):
        run.wait(60)


def test_tasks_report_runs(client_with_documents: shoal.Client) -> None:
    client_with_documents.clusters.create(
        "topics", ["docs"], feature="embedding", algorithm="kmeans", params={"n_clusters": 3}
    )
    run = client_with_documents.clusters.execute("topics")
    run.wait(60)

    task = client_with_documents.tasks.get(run.task_id)

    assert (task.status, task.additional_data["run_id"]) == ("COMPLETED", run.run_id)
    assert run.task_id in {
        centroid.task_id for centroid in client_with_documents.tasks.list(status="COMPLETED", limit=50)
    }
    assert client_with_documents.tasks.kill(run.task_id).status == "COMPLETED"


def test_errors_carry_the_servers_message_and_details(client: shoal.Client) -> None:
    with pytest.raises(ShoalError) as error:
        client.clusters.get("nothing-here")

    assert isinstance(error.value, NotFound)
    assert error.value.details["status"] == 404
    assert "nothing-here" in error.value.message


def test_a_server_of_another_kind_is_reported(tmp_path: Path) -> None:
    import http.server
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418)
            self.end_headers()
            self.wfile.write(b"I am a teapot")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with shoal.Client(f"http://127.0.0.1:{other.server_port}") as client, pytest.raises(ShoalError, match="418"):
            client.health()
        other.shutdown()


@pytest.mark.parametrize("kind", ["columns", "npy"])
def test_an_upload_says_that_float32_loses_the_digits_in_which_vectors_differ(
    kind: str, client: shoal.Client, tmp_path: Path
) -> None:
    near = np.random.default_rng(0).normal(size=(40, 6))
    client.collections.create("docs")
    warnings = {}
    for offset in (0.0, 1e8):
        np.save(tmp_path / "a.npy", near + offset)
        columns = {"document_id": [f"d{i}" for i in range(40)], "embedding": near + offset}
        done = client.documents.upload("docs", columns if kind == "columns" else tmp_path / "a.npy")
        warnings[offset] = [sentence for sentence in done.warnings if "float32" in sentence]

    assert warnings[0.0] == [] and len(warnings[1e8]) == 1

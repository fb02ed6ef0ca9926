"""`shoal import`: into the data folder, and to a running server."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command
from server_process import ServerProcess
from shoal.assemble import assemble
from shoal.errors import NotFound
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.storage.protocols.records import Query

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", workers=0) as running:
        yield running


def count_documents(data: Path, namespace: str, collection: str) -> int:
    """Count the documents of a collection in the data folder."""
    services = assemble(Settings(data=data))
    try:
        organization = Scope(services.keys.organizations()[0].organization_id)
        return services.documents.count(services.namespaces.scope(organization, namespace), collection)[1]
    finally:
        services.close()


def collections(data: Path, namespace: str) -> list[str]:
    services = assemble(Settings(data=data))
    try:
        organization = Scope(services.keys.organizations()[0].organization_id)
        scope = services.namespaces.scope(organization, namespace)
        return [item.collection_name for item in services.collections.search(scope, Query()).items]
    finally:
        services.close()


def test_a_file_is_imported_into_the_data_folder(here: Command, parquet: Path, tmp_path: Path) -> None:
    done = here("import", parquet, "--collection", "questions", "--namespace", "shop", "--data", "data")

    assert done.code == 0, done.err
    assert "60 documents stored" in done.out
    assert "embedding (8)" in done.out
    assert count_documents(tmp_path / "data", "shop", "questions") == 60


@pytest.mark.parametrize(("encoding", "options"), [("utf-16", []), ("cp1252", ["--encoding", "cp1252"])])
def test_text_that_is_not_utf8_goes_in_through_the_process_that_reads(
    encoding: str, options: list[str], here: Command, tmp_path: Path
) -> None:
    (tmp_path / "docs.csv").write_text('id,Größe,embedding\nä1,groß,"[1, 2]"\nä2,grün,"[2, 1]"\n', encoding)
    (tmp_path / "array.csv").write_text("id,Größe\nä3,groß\nä4,grün\n", encoding)
    np.save(tmp_path / "array.npy", np.eye(2))

    for file in ("docs.csv", "array.npy"):
        done = here("import", file, "--collection", "docs", "--data", "data", *options)

        assert done.code == 0, done.err
        assert "2 documents stored" in done.out


def test_the_same_ids_replace(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("import", parquet, "--collection", "questions", "--data", "data")

    done = here("import", parquet, "--collection", "questions", "--data", "data")

    assert "0 documents stored, 60 replaced" in done.out
    assert count_documents(tmp_path / "data", "default", "questions") == 60


def without_ids(documents: pa.Table, path: Path, rows: slice) -> Path:
    pq.write_table(documents.drop_columns(["id"]).slice(rows.start, rows.stop - rows.start), path)
    return path


def test_an_import_without_ids_never_replaces_documents_of_another_file(
    here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    for name, rows in (("first", slice(0, 40)), ("second", slice(40, 60))):
        path = without_ids(documents, tmp_path / f"{name}.parquet", rows)
        done = here("import", path, "--collection", "questions", "--data", "data")

        assert done.code == 0, done.err
        assert "replaced from" not in done.out
        assert "--id NAME" in done.out
    assert count_documents(tmp_path / "data", "default", "questions") == 60


def test_several_files_and_archives_are_imported_as_one(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    rows = documents.select(["id", "text", "embedding"]).to_pylist()
    for part in range(2):
        text = "\n".join(json.dumps(row) for row in rows[30 * part : 30 * part + 30])
        (tmp_path / f"part-{part}.jsonl.gz").write_bytes(gzip.compress(text.encode()))

    done = here("import", "part-0.jsonl.gz", "part-1.jsonl.gz", "--collection", "questions", "--data", "data")

    assert "60 documents stored from part-0.jsonl.gz and 1 more" in done.out, done.err
    assert count_documents(tmp_path / "data", "default", "questions") == 60


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_second_import_of_the_same_file_without_ids_is_recognised(
    ending: str, here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    path = without_ids(documents, tmp_path / "docs.parquet", slice(0, 60))
    if ending == "csv":
        path = tmp_path / "docs.csv"
        rows = zip(documents["text"].to_pylist(), documents["embedding"].to_pylist(), strict=True)
        path.write_text("text,embedding\n" + "".join(f'{text},"{vector}"\n' for text, vector in rows))
    here("import", path, "--collection", "questions", "--data", "data")

    done = here("import", path.rename(tmp_path / f"renamed.{ending}"), "--collection", "questions", "--data", "data")

    assert "The same file was imported before: its 60 documents are there already" in done.out
    assert count_documents(tmp_path / "data", "default", "questions") == 60


def test_vectors_that_are_all_zero_are_counted_as_they_are_stored(
    here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    zero = pa.array([[0.0] * 8] * 2 + documents["embedding"].to_pylist()[2:], pa.list_(pa.float32(), 8))
    pq.write_table(documents.set_column(4, "embedding", zero), tmp_path / "zero.parquet")

    done = here("import", "zero.parquet", "--collection", "questions", "--data", "data")

    assert "2 vectors are all zero in 'embedding'" in done.out


def test_a_file_with_a_fault_stores_nothing_and_makes_no_collection(
    here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    ids = pa.array([*documents["id"].to_pylist()[:-1], "doc-000"])
    pq.write_table(documents.set_column(0, "id", ids), tmp_path / "twice.parquet")

    done = here("import", "twice.parquet", "--collection", "questions", "--data", "data")

    assert done.code == 2
    assert "repeats the id of row 0" in done.complaint
    assert collections(tmp_path / "data", "default") == []


@pytest.mark.parametrize("collection", ["list", "no/slash", "twice"])
def test_an_import_that_fails_leaves_no_namespace_behind(
    here: Command, documents: pa.Table, tmp_path: Path, server: ServerProcess, collection: str
) -> None:
    ids = pa.array([*documents["id"].to_pylist()[:-1], "doc-000"])
    pq.write_table(documents.set_column(0, "id", ids), tmp_path / "twice.parquet")
    names = ("--collection", collection, "--namespace", "gone")

    in_folder = here("import", "twice.parquet", *names, "--data", "data")
    on_server = here("import", "twice.parquet", *names, "--url", server.url, "--key", server.key)

    assert (in_folder.code, on_server.code) == (2, 2)
    with pytest.raises(NotFound):
        collections(tmp_path / "data", "gone")
    with server.client() as client:
        assert client.get("/namespaces/gone").status_code == 404


def test_an_import_that_fails_leaves_a_namespace_that_was_there(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("import", parquet, "--collection", "questions", "--namespace", "shop", "--data", "data")

    assert here("import", parquet, "--collection", "list", "--namespace", "shop", "--data", "data").code == 2

    assert count_documents(tmp_path / "data", "shop", "questions") == 60


def test_a_file_goes_to_a_running_server(here: Command, parquet: Path, server: ServerProcess) -> None:
    done = here("import", parquet, "--collection", "questions", "--url", server.url, "--key", server.key)

    with server.client("default") as client:
        count = client.get("/collections/questions/documents/count").json()["count"]
    assert done.code == 0, done.err
    assert "60 documents stored" in done.out
    assert count == 60


def test_a_namespace_is_made_on_the_server(here: Command, parquet: Path, server: ServerProcess) -> None:
    done = here(
        "import", parquet, "--collection", "questions", "--namespace", "fresh", "--url", server.url, "--key", server.key
    )  # fmt: skip

    assert done.code == 0, done.err
    with server.client("fresh") as client:
        assert client.get("/collections/questions/documents/count").json()["count"] == 60


def test_a_missing_server_is_reported(here: Command, parquet: Path) -> None:
    done = here("import", parquet, "--collection", "questions", "--url", "http://127.0.0.1:9", "--key", "sk_x")

    assert done.code == 2
    assert "Cannot reach http://127.0.0.1:9/v1" in done.complaint
    assert "shoal serve" in done.complaint


def test_a_wrong_and_a_missing_key_are_reported_as_the_option(
    here: Command, parquet: Path, server: ServerProcess
) -> None:
    wrong = here("import", parquet, "--collection", "q", "--url", server.url, "--key", "sk_wrong")
    none = here("import", parquet, "--collection", "q", "--url", server.url)

    assert (wrong.code, none.code) == (2, 2)
    assert wrong.complaint == (
        "shoal: --key: was refused by the server. The API key is malformed. Copy it whole: 'sk_' and 38 characters."
    )
    assert none.complaint == "shoal: --key: is required by this server. Give one, or set SHOAL_API_KEY."


def test_an_import_without_vectors_reports_that_it_cannot_be_clustered(here: Command, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("text\nwhere is my parcel\nthe invoice is wrong\n")

    done = here("import", tmp_path / "tickets.csv", "--collection", "tickets")

    assert done.code == 0, done.err
    assert "vectors: none" in done.out and "--encoder static" in done.out


def test_the_reserve_of_the_disk_holds_without_a_server_too(
    here: Command, parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_DISK_RESERVE_MIB", str(2**30))

    done = here("import", parquet, "--collection", "q", "--data", tmp_path / "data")

    assert done.code == 2
    assert "are kept in reserve" in done.complaint


def write_compressed(folder: Path, documents: pa.Table) -> Path:
    path = folder / "questions.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in documents.to_pylist()).encode()))
    return path


def test_a_compressed_file_is_imported_into_the_data_folder(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    done = here("import", write_compressed(tmp_path, documents), "--collection", "questions", "--data", "data")

    assert done.code == 0, done.err
    assert "60 documents stored" in done.out
    assert count_documents(tmp_path / "data", "default", "questions") == 60
    assert not [*(tmp_path / "data").rglob("tmp*")]


def test_a_compressed_file_that_expands_too_far_stores_nothing(
    here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_IMPORT_UNFOLDED_MIB", "4")
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"id,t\n" + b"0" * (64 * 2**20)))

    done = here("import", "bomb.csv.gz", "--collection", "questions", "--data", "data")

    assert done.code == 2
    assert "SHOAL_IMPORT_UNFOLDED_MIB" in done.err
    assert done.err.count("\n") == 1
    assert collections(tmp_path / "data", "default") == []


def test_a_compressed_file_is_sent_to_a_server(
    here: Command, server: ServerProcess, documents: pa.Table, tmp_path: Path
) -> None:
    path = write_compressed(tmp_path, documents)

    done = here(
        "import", path, "--collection", "packed", "--namespace", "packed", "--url", server.url, "--key", server.key
    )

    assert done.code == 0, done.err
    assert "60 documents stored" in done.out


def write_parts(documents: pa.Table, folder: Path) -> Path:
    """Write the documents into three files."""
    folder.mkdir()
    for number in range(3):
        pq.write_table(documents.slice(number * 20, 20), folder / f"part-{number}.parquet")
    return folder


@pytest.mark.parametrize("source", ["data.parquet", "data.parquet/*.parquet"])
def test_a_folder_of_files_is_imported_into_the_data_folder(
    source: str, here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    write_parts(documents, tmp_path / "data.parquet")

    done = here("import", source, "--collection", "questions", "--data", "stored")

    assert done.code == 0, done.err
    assert "60 documents stored" in done.out
    assert count_documents(tmp_path / "stored", "default", "questions") == 60


@pytest.mark.parametrize("source", ["data.parquet", "data.parquet/*.parquet"])
def test_a_folder_of_files_is_sent_to_a_server(
    source: str, here: Command, documents: pa.Table, tmp_path: Path, server: ServerProcess
) -> None:
    write_parts(documents, tmp_path / "data.parquet")
    name = "parts" if source.endswith("t/*.parquet") else "whole"

    done = here("import", source, "--collection", name, "--url", server.url, "--key", server.key)

    assert done.code == 0, done.err
    assert "60 documents stored" in done.out


def test_a_bad_row_of_a_folder_names_its_file_and_stores_nothing(
    here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    folder = write_parts(documents, tmp_path / "parts")
    pq.write_table(documents.slice(0, 20), folder / "part-2.parquet")

    done = here("import", folder, "--collection", "questions", "--data", "stored")
    assert done.code == 2
    assert "parts/part-2.parquet: row 0, column 'id': repeats the id of parts/part-0.parquet: row 0" in done.err
    here("import", folder / "part-0.parquet", "--collection", "others", "--data", "stored")
    assert collections(tmp_path / "stored", "default") == ["others"]


@pytest.mark.parametrize("to", [["--data", "stored"], ["--url", "http://127.0.0.1:1"]])
def test_a_missing_file_is_reported_before_anything_else_is_done(to: list[str], here: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")

    missing = here("import", "nope.parquet", "--collection", "x", *to)
    pipe = here("import", "pipe.csv", "--collection", "x", *to)

    assert (missing.code, pipe.code) == (2, 2)
    assert "nope.parquet: there is no such file. Check the path." in missing.err
    assert "pipe.csv: is a pipe" in pipe.err
    assert not (tmp_path / "stored").exists()


@pytest.mark.parametrize("place", ["folder", "server"])
def test_texts_are_encoded_on_the_way_into_a_collection(
    place: str, here: Command, server: ServerProcess, tmp_path: Path
) -> None:
    rows = "\n".join(f"{n},I lost my card in the {word} street" for n, word in enumerate(["first", "second", "third"]))
    (tmp_path / "tickets.csv").write_text(f"id,ticket_text\n{rows}\n")
    options = ["--data", tmp_path / "data"] if place == "folder" else ["--url", server.url, "--key", server.key]
    command = ("import", "tickets.csv", "--collection", f"encoded-{place}", *options)

    done = here(*command, "--encoder", "static")

    assert done.code == 0, done.err
    assert "3 documents stored" in done.out and "text_embedding (256)" in done.out
    assert here(*command, "--encoder", "static").code == 0
    other = here(*command, "--encoder", "corpus")
    assert other.code == 2 and "which has the encoder static" in other.complaint


def test_an_import_names_an_encoder_that_is_permitted(here: Command, parquet: Path, tmp_path: Path) -> None:
    into = ("import", parquet, "--collection", "questions", "--data", tmp_path / "data")

    refused = here(*into, "--encoder", "openai:model@http://127.0.0.1:9/v1", "--text", "text")
    alone = here(*into, "--text", "text")

    assert refused.code == 2 and "--encoder: is not an encoder that this server permits" in refused.complaint
    assert alone.code == 2 and "--text: says what is encoded" in alone.complaint
    assert collections(tmp_path / "data", "default") == []

"""Files at URLs, fetched from real local servers: HTTP, and as much of S3 as its client requires."""

import functools
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from file_servers import S3, Web, serving
from shoal.cli.main import main
from shoal.errors import InvalidField, TooLarge
from shoal.files.paths.addresses import Address, parse_place
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import cluster_file
from shoal.library.request import Request
from shoal.remote.remote_files import FetchedFiles

HOW = ClusterOptions(algorithm="kmeans", n_clusters=3)
SECRET = "c2VjcmV0"


def table(rows: slice = slice(0, 24)) -> pa.Table:
    vectors = np.repeat(np.eye(3, 8), 8, axis=0) + np.random.default_rng(0).normal(0, 0.05, (24, 8))
    ids = [f"T-{n}" for n in range(24)]
    return pa.table({"ticket": ids[rows], "text": ["rain today"] * len(ids[rows]), "vec": vectors[rows].tolist()})


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "web"
    folder.mkdir()
    pq.write_table(table(), folder / "docs.parquet")
    (folder / "page.html").write_text("<html></html>")
    with serving(functools.partial(Web, directory=str(folder))) as host:
        yield f"http://{host}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    held: dict[str, bytes] = {}
    with serving(type("OneBucket", (S3,), {"objects": held})) as host:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield held


def stored(rows: slice) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table(rows), sink)
    return bytes(sink.getvalue())


@pytest.mark.process
@pytest.mark.parametrize("path", ["/docs.parquet", "/docs.parquet?signature=" + SECRET, "/old/docs.parquet"])
def test_a_file_at_an_address_is_clustered(
    path: str, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["shoal", "cluster", web + path, "--algorithm", "kmeans", "--clusters", "3"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    members = pq.read_table(tmp_path / "shoal-out/docs/members.parquet")
    assert members["document_id"].to_pylist() == [f"T-{n}" for n in range(24)]
    assert SECRET not in (tmp_path / "shoal-out/docs/summary.json").read_text()


@pytest.mark.process
def test_python_reads_an_address_as_the_command_does(web: str) -> None:
    clustering = shoal.cluster(f"{web}/docs.parquet", algorithm="kmeans", n_clusters=3)

    assert clustering.ids[:2].tolist() == ["T-0", "T-1"]
    assert sorted(cluster.size for cluster in clustering.clusters) == [8, 8, 8]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/none.parquet", "the server answered 404"),
        (f"/private.parquet?key={SECRET}", "the server answered 403"),
        ("/page.html", "is a web page"),
    ],
)
def test_an_address_without_a_file_is_rejected_without_showing_a_key(path: str, says: str, web: str) -> None:
    with pytest.raises(InvalidField) as refused:
        FetchedFiles(Address(web.replace("http://", f"http://user:{SECRET}@") + path))

    assert says in refused.value.message
    assert SECRET not in refused.value.message


def test_an_unreachable_server_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.remote.web_files._WAITS", (0.0,))
    with pytest.raises(InvalidField, match=r"docs.csv: cannot be fetched: no connection to the server"):
        FetchedFiles(Address("http://127.0.0.1:9/docs.csv"))


def test_downloaded_files_are_removed_after_reading(web: str) -> None:
    fetched = FetchedFiles(Address(f"{web}/docs.parquet"))
    assert isinstance(fetched.path, Path)
    assert pq.read_table(fetched.path).num_rows == 24
    fetched.close()

    assert not fetched.path.parent.exists()


@pytest.mark.process
@pytest.mark.parametrize("address", ["s3://bucket/data", "s3://bucket/data/*.parquet", "s3://bucket/data/b.parquet"])
def test_objects_in_s3_are_clustered(address: str, bucket: dict[str, bytes]) -> None:
    bucket["data/a.parquet"], bucket["data/b.parquet"] = stored(slice(0, 12)), stored(slice(12, 24))
    bucket["data/_SUCCESS"] = b""
    result = cluster_file(Request(path=Address(address), cluster_options=HOW)).clustering

    first = 12 if address.endswith("b.parquet") else 0
    assert result.ids.tolist() == [f"T-{n}" for n in range(first, 24)]


def test_s3_keys_create_no_folder_elsewhere(bucket: dict[str, bytes], tmp_path: Path) -> None:
    bucket["data/a.parquet"], bucket[f"data/{tmp_path}/made/b.parquet"] = stored(slice(0, 24)), b""
    fetched = FetchedFiles(Address("s3://bucket/data"))

    assert isinstance(fetched.path, Path)
    assert [path.name for path in fetched.path.rglob("*")] == ["a.parquet"]
    assert not (tmp_path / "made").exists()
    fetched.close()


def test_a_missing_object_is_rejected_without_showing_credentials(bucket: dict[str, bytes]) -> None:
    with pytest.raises(InvalidField) as refused:
        FetchedFiles(Address("s3://bucket/none.parquet"))

    assert refused.value.message.startswith("none.parquet: is not there.")
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("https://h/get?url=https://o/x.csv", "https://h/get?url=https://o/x.csv"),
        ("https://h/a//b/./c.csv/", "https://h/a//b/./c.csv/"),
        ("HTTPS://Host/a.csv", "https://Host/a.csv"),
        ("s3://bucket/a//b#1?.csv", "s3://bucket/a//b#1?.csv"),
    ],
)
def test_an_address_is_kept_unchanged(address: str, asked: str) -> None:
    assert parse_place(address) == Address(asked)


def test_paths_stay_paths_and_a_file_address_becomes_a_path() -> None:
    assert parse_place("https-notes/a.csv") == Path("https-notes/a.csv")
    assert parse_place("file:///data/a%20b.csv") == Path("/data/a b.csv")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Path(f"https://h/a.csv?key={SECRET}"), "a.csv: is an address in a Path"),
        (f"ftp://me:{SECRET}@h/a.csv", "ftp://…: is an address of a kind that Shoal does not read"),
        (f"gs://bucket/{SECRET}.csv", "gs://…: is an address of a kind"),
        (f"https://[{SECRET}/a.csv", "https://…: is not an address"),
        (f"https://me:{SECRET}@/a.csv", "https://…: is not an address"),
        (f"s3://KEY:{SECRET}@bucket/a.csv", "s3://…: holds keys, or no bucket. Set AWS_ACCESS_KEY_ID"),
        (f"s3://KEY:{SECRET}/x@bucket", "s3://…: holds keys, or no bucket"),
        (Path(f"s3://KEY:{SECRET}@bucket"), "bucket: is an address in a Path"),
        ("s3://", "s3://…: is not an address. Such as s3://bucket/docs.csv"),
        ("https:///docs.csv", "https://…: is not an address. Such as https://host/docs.csv"),
        (f"https:/me:{SECRET}@host/x.csv", "https:/…: is not an address. Write https://…"),
        ("http:host/x.csv", "http:…: is not an address. Write http://…"),
    ],
)
def test_an_unsupported_address_is_rejected_without_showing_it(given: str | Path, says: str) -> None:
    with pytest.raises(InvalidField) as refused:
        shoal.cluster(given)

    assert refused.value.message.startswith(says)
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("path", ["", "/", "/*", "/x/"])
def test_an_s3_address_is_shown_without_secrets(path: str) -> None:
    address = Address(f"s3://KEY:{SECRET}@bucket{path}")

    assert SECRET not in address.name + address.redacted


def test_a_sidecar_at_an_address_is_rejected_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "v.npy", np.eye(4))
    for command in (["cluster"], ["import", "--collection", "c", "--data", str(tmp_path / "data")]):
        monkeypatch.setattr("sys.argv", ["shoal", *command, str(tmp_path / "v.npy"), "--sidecar", "https://h/side.csv"])
        with pytest.raises(SystemExit):
            main()
        assert "--sidecar: is an address, and has to be a file here. Copy it here first." in capfd.readouterr().err


def test_an_address_is_shown_without_secrets() -> None:
    address = Address(f"https://me:{SECRET}@host/%2e%2e%2f%2e%2e%2fx.csv?key={SECRET}#{SECRET}")

    assert address.name == "x.csv"
    assert address.redacted == "https://host/%2e%2e%2f%2e%2e%2fx.csv"
    assert SECRET not in repr(Request(path=address))


@pytest.mark.process
def test_the_address_is_requested_exactly_as_written(tmp_path: Path) -> None:
    requests = list[str]()

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(stored(slice(0, 24)))

        def log_message(self, *_: object) -> None: ...

    with serving(Asked) as host:
        shoal.cluster(f"http://{host}/a//x.parquet?url=https://o//./y", algorithm="kmeans", n_clusters=3)

    assert requests == ["/a//x.parquet?url=https://o//./y"]


@pytest.mark.process
def test_several_addresses_are_read_as_one_table(
    web: str, bucket: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(table(slice(0, 8)), tmp_path / "web/first.parquet")
    bucket["data/a.parquet"], bucket["data/b.parquet"] = stored(slice(8, 12)), stored(slice(12, 24))

    clustering = cluster_file(
        Request(path=(Address(f"{web}/first.parquet"), Address("s3://bucket/data")), cluster_options=HOW)
    )

    assert clustering.clustering.ids.tolist() == [f"T-{n}" for n in range(24)]


def test_an_error_in_one_of_several_addresses_names_it_without_its_query(web: str, tmp_path: Path) -> None:
    (tmp_path / "web/a").mkdir()
    (tmp_path / "web/b").mkdir()
    (tmp_path / "web/a/x.jsonl").write_text('{"id": "1", "v": [1, 2]}\n')
    (tmp_path / "web/b/x.jsonl").write_text('{"id": "2", "v": [1, 2]}\n{"id": "3", "v": [1, 2, 3]}\n')
    with pytest.raises(InvalidField) as refused:
        shoal.cluster([f"{web}/a/x.jsonl?k={SECRET}", f"{web}/b/x.jsonl?k={SECRET}"])

    assert refused.value.message.startswith(f"{web}/b/x.jsonl: row 1, column 'v'")
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("data/*.parquet", ["a.parquet", "b#2?.parquet"]),
        ("data/**/*.parquet", ["a.parquet", "b#2?.parquet", "old/c.parquet"]),
        ("data/b#?\\?.parquet".replace("\\", ""), ["b#2?.parquet"]),
        ("data/b#2?.parquet", ["b#2?.parquet"]),
        ("data/ol?", ["c.parquet"]),
        ("**", ["a.parquet", "b#2?.parquet", "old/c.parquet"]),
    ],
)
def test_patterns_in_s3_match_part_by_part(pattern: str, matched: list[str], bucket: dict[str, bytes]) -> None:
    for key in ("data/a.parquet", "data/b#2?.parquet", "data/old/c.parquet"):
        bucket[key] = b"held"

    fetched = FetchedFiles(Address(f"s3://bucket/{pattern}"))

    assert isinstance(fetched.path, Path)
    files = [fetched.path] if fetched.path.is_file() else [path for path in fetched.path.rglob("*") if path.is_file()]
    assert sorted(file.name for file in files) == sorted(name.rpartition("/")[2] for name in matched)
    fetched.close()


def test_each_object_of_a_folder_is_subject_to_the_file_size_limit(
    bucket: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_FETCH_MIB", "1")
    bucket.update({f"data/{n}.csv": bytes(700 * 1024) for n in range(3)})
    fetched = FetchedFiles(Address("s3://bucket/data/*.csv"))
    assert isinstance(fetched.path, Path)
    assert len(list(fetched.path.iterdir())) == 3
    fetched.close()

    bucket["data/3.csv"] = bytes(2**20 + 1)
    with pytest.raises(TooLarge, match=r"3\.csv: cannot be fetched, as it holds more than 1\.0 MiB"):
        FetchedFiles(Address("s3://bucket/data/*.csv"))


def test_an_object_that_is_also_a_folder_is_reported_unless_it_is_empty(bucket: dict[str, bytes]) -> None:
    bucket.update({"data/x": b"", "data/x/y.csv": b"2"})
    fetched = FetchedFiles(Address("s3://bucket/data/**"))
    assert isinstance(fetched.path, Path)
    assert [path.name for path in fetched.path.rglob("*.*")] == ["y.csv"]
    fetched.close()

    bucket["data/x"] = b"1"
    with pytest.raises(InvalidField, match=r": x: is an object and a folder of objects"):
        FetchedFiles(Address("s3://bucket/data/**"))

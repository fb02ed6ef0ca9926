"""Files at addresses, fetched from real servers on this machine: HTTP, and as much of S3 as its client asks for."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.cli.main import main
from shoal.errors import InvalidField
from shoal.files.remote_names import remote_address, remote_name, shown_address
from shoal.from_file import cluster_file
from shoal.library import How
from shoal.remote_files import Fetched
from shoal.request import Request

HOW = How(algorithm="kmeans", n_clusters=3)
SECRET = "c2VjcmV0"


def table(rows: slice = slice(0, 24)) -> pa.Table:
    vectors = np.repeat(np.eye(3, 8), 8, axis=0) + np.random.default_rng(0).normal(0, 0.05, (24, 8))
    ids = [f"T-{n}" for n in range(24)]
    return pa.table({"ticket": ids[rows], "text": ["rain today"] * len(ids[rows]), "vec": vectors[rows].tolist()})


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Web(SimpleHTTPRequestHandler):
    """A folder, a page, and an address that passes on."""

    def do_GET(self) -> None:
        if self.path.startswith("/old"):
            self.send_response(302)
            self.send_header("Location", "/docs.parquet")
            self.end_headers()
        elif self.path.startswith("/private"):
            self.send_error(403)
        else:
            self.path = self.path.partition("?")[0]
            super().do_GET()

    def log_message(self, *_: object) -> None: ...


class S3(BaseHTTPRequestHandler):
    """One bucket: GET and HEAD of objects, and the list of them."""

    objects: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = urlsplit(self.path)
        _, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = parse_qs(parts.query)
        if not key and "list-type" in query:
            self._send(200, self._listed(query.get("prefix", [""])[0]), "application/xml", body=body)
        elif not key:
            self._send(200, b"", "application/xml", body=body)
        elif key in self.objects:
            self._send(200, self.objects[key], "application/octet-stream", body=body)
        else:
            self._send(404, b"", "application/xml", body=body)

    def _listed(self, prefix: str) -> bytes:
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(held)}</Size><LastModified>2024-05-01T00:00:00.000Z</LastModified>"
            "</Contents>"
            for key, held in self.objects.items()
            if key.startswith(prefix)
        )
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>bucket</Name><KeyCount>{contents.count('<Key>')}</KeyCount><IsTruncated>false</IsTruncated>{contents}"
            "</ListBucketResult>"
        ).encode()

    def _send(self, code: int, content: bytes, kind: str, *, body: bool) -> None:
        ranged = self.headers.get("Range")
        if ranged and code == 200:
            first, _, last = ranged.removeprefix("bytes=").partition("-")
            whole, code = len(content), 206
            content = content[int(first) : int(last or whole - 1) + 1]
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if code == 206:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(content) - 1}/{whole}")
        self.send_header("Last-Modified", "Wed, 01 May 2024 00:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


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


@pytest.mark.parametrize("path", ["/docs.parquet", "/docs.parquet?signature=" + SECRET, "/old/docs.parquet"])
def test_a_file_behind_an_address_is_clustered(
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


def test_python_reads_an_address_as_the_command_does(web: str) -> None:
    found = shoal.cluster(f"{web}/docs.parquet", algorithm="kmeans", n_clusters=3)

    assert found.ids[:2].tolist() == ["T-0", "T-1"]
    assert sorted(one.size for one in found.clusters) == [8, 8, 8]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/none.parquet", "the server says 404"),
        (f"/private.parquet?key={SECRET}", "the server says 403"),
        ("/page.html", "is a web page"),
    ],
)
def test_an_address_without_a_file_is_refused_and_no_key_is_shown(path: str, says: str, web: str) -> None:
    with pytest.raises(InvalidField) as refused:
        Fetched(web.replace("http://", f"http://user:{SECRET}@") + path)

    assert says in refused.value.message
    assert SECRET not in refused.value.message


def test_a_server_that_is_not_there_is_said(web: str) -> None:
    with pytest.raises(InvalidField, match=r"docs.csv: cannot be fetched \(ConnectError\)"):
        Fetched("http://127.0.0.1:9/docs.csv")


def test_what_was_fetched_is_gone_when_it_was_read(web: str) -> None:
    fetched = Fetched(f"{web}/docs.parquet")
    assert pq.read_table(fetched.path).num_rows == 24
    fetched.close()

    assert not fetched.path.parent.exists()


@pytest.mark.parametrize("address", ["s3://bucket/data", "s3://bucket/data/*.parquet", "s3://bucket/data/b.parquet"])
def test_objects_in_s3_are_clustered(address: str, bucket: dict[str, bytes]) -> None:
    bucket["data/a.parquet"], bucket["data/b.parquet"] = stored(slice(0, 12)), stored(slice(12, 24))
    bucket["data/_SUCCESS"] = b""
    found = cluster_file(Request(path=Path(address), how=HOW)).clustering

    first = 12 if address.endswith("b.parquet") else 0
    assert found.ids.tolist() == [f"T-{n}" for n in range(first, 24)]


def test_keys_of_s3_make_no_folder_elsewhere(bucket: dict[str, bytes], tmp_path: Path) -> None:
    bucket["data/a.parquet"], bucket[f"data/{tmp_path}/made/b.parquet"] = stored(slice(0, 24)), b""
    fetched = Fetched("s3://bucket/data")

    assert [found.name for found in fetched.path.rglob("*")] == ["a.parquet"]
    assert not (tmp_path / "made").exists()
    fetched.close()


def test_an_object_that_is_not_there_is_refused_without_the_keys(bucket: dict[str, bytes]) -> None:
    with pytest.raises(InvalidField) as refused:
        Fetched("s3://bucket/none.parquet")

    assert refused.value.message.startswith("none.parquet: is not there.")
    assert SECRET not in refused.value.message


def test_addresses_are_known_although_a_path_drops_a_slash() -> None:
    assert remote_address(Path("https://host/a.csv")) == "https://host/a.csv"
    assert remote_address(Path("s3://bucket/a.csv")) == "s3://bucket/a.csv"
    assert remote_address(Path("https-notes/a.csv")) is None
    assert remote_name("https://host/%2e%2e%2f%2e%2e%2fx.csv?y=/z") == "x.csv"
    assert shown_address(f"https://me:{SECRET}@host/a.csv?key={SECRET}") == "https://host/a.csv"

"""Web servers that redirect, fail, send wrong headers, compress or never end: what is fetched, and which errors are
raised."""

import gzip
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from file_servers import serving
from shoal.errors import ShoalError, TooLarge
from shoal.files.paths.addresses import Address
from shoal.remote.remote_files import FetchedFiles
from shoal.remote.web_network import is_internal_only, may_be_internal

SECRET = "c2VjcmV0"
ROWS = b'{"id": "a", "v": [1, 2]}\n{"id": "b", "v": [2, 1]}\n'


class Answers(BaseHTTPRequestHandler):
    """Respond with whatever `answer` writes, after recording the request."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Any], None]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        self.close_connection = True
        type(self).answer(self)

    def send(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in ({"Content_Length": str(len(content))} | headers).items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def answering(answer: Callable[[Any], None]) -> Any:
    """A server with these responses, and the requests it received."""
    return type("Answering", (Answers,), {"answer": staticmethod(answer), "asked": []})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.remote.web_files._WAITS", (0.0, 0.0))


def fetched(address: str) -> bytes:
    """The content at an address."""
    file = FetchedFiles(Address(address))
    try:
        assert isinstance(file.path, Path)
        return file.path.read_bytes()
    finally:
        file.close()


def refused(address: str) -> ShoalError:
    """The error for an address; neither it nor its traceback contains a secret."""
    with pytest.raises(ShoalError) as error:
        FetchedFiles(Address(address))
    printed = "".join(traceback.format_exception(error.value))
    assert SECRET not in error.value.message + str(error.value.details) + printed
    return error.value


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("file:///etc/passwd", "is redirected to file://"),
        ("ftp://host/a.jsonl", "is redirected to ftp://"),
        ("/a.jsonl", "is redirected more than 10 times"),
        ("http://[", "cannot be fetched"),
        ("http://[::bad/", "is redirected to an invalid address"),
    ],
)
def test_redirects_are_limited_in_number_and_to_web_addresses(location: str, says: str) -> None:
    handler = answering(lambda server: server.send(302, Location=location))
    with serving(handler) as host:
        assert says in refused(f"http://{host}/a.jsonl?k={SECRET}").message


def test_the_password_for_one_server_is_not_sent_to_another() -> None:
    other = answering(lambda server: server.send(200, ROWS))
    with serving(other) as second:
        handler = answering(lambda server: server.send(307, Location=f"http://{second}/b.jsonl"))
        with serving(handler) as first:
            assert fetched(f"http://me:{SECRET}@{first}/a.jsonl") == ROWS

    assert handler.asked[0][1] is not None
    assert other.asked == [("/b.jsonl", None)]


def test_an_external_server_cannot_redirect_to_the_internal_network(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = answering(
        lambda server: (
            server.send(302, Location="http://169.254.169.254/latest/keys.jsonl")
            if "93.184" in server.path
            else server.send(200, ROWS)
        )
    )
    with serving(handler) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy}")
        monkeypatch.setenv("no_proxy", "")
        error = refused("http://93.184.216.34/a.jsonl")
        inside = fetched("http://169.254.169.254/a.jsonl")

    assert "is redirected to an address inside this network" in error.message
    assert [path for path, _ in handler.asked] == ["http://93.184.216.34/a.jsonl", "http://169.254.169.254/a.jsonl"]
    assert inside == ROWS


@pytest.mark.parametrize(
    ("addresses", "all_inside", "some_inside"),
    [
        (["8.8.8.8"], False, False),
        (["2606:4700::1"], False, False),
        (["8.8.8.8", "10.0.0.1"], False, True),
        (["10.0.0.1", "127.0.0.1"], True, True),
        ([], False, False),
        *(
            ([value], True, True)
            for value in (
                "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::1", "::ffff:169.254.169.254", "::a9fe:a9fe",
                "224.0.0.1", "ff02::1", "fec0::1", "fe80::1%lo", "0.0.0.0", "100.64.0.1", "240.0.0.1",
            )
        ),
        *(([value], False, False) for value in ("64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8")),
    ],
)  # fmt: skip
def test_a_host_is_internal_if_all_its_addresses_are_and_possibly_internal_if_one_is(
    addresses: list[str], all_inside: bool, some_inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = [(0, 0, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)

    assert (is_internal_only("a.example"), may_be_internal("a.example")) == (all_inside, some_inside)


@pytest.mark.parametrize(
    ("code", "says", "times"),
    [
        (401, "the server answered 401. It asks for a user and a password", 1),
        (403, "the server answered 403. Check the address and its keys", 1),
        (404, "the server answered 404. Check the address", 1),
        (500, "the server answered 500. The server has a problem", 1),
        (503, "the server answered 503. The server has a problem: try again later", 3),
        (429, "the server answered 429. It has too many requests", 3),
    ],
)
def test_server_errors_are_reported_with_a_remedy_and_retried_if_that_helps(code: int, says: str, times: int) -> None:
    handler = answering(lambda server: server.send(code, SECRET.encode()))
    with serving(handler) as host:
        assert says in refused(f"http://{host}/a.jsonl?k={SECRET}").message

    assert len(handler.asked) == times


def test_a_server_that_recovers_on_the_second_attempt_is_read() -> None:
    handler = answering(lambda server: server.send(200 if len(server.asked) > 1 else 503, ROWS))
    with serving(handler) as host:
        assert fetched(f"http://{host}/a.jsonl") == ROWS


@pytest.mark.parametrize("announced", [str(len(ROWS) + 5), "-3", "many"])
def test_a_body_that_does_not_match_its_headers_is_rejected(announced: str) -> None:
    handler = answering(lambda server: server.send(200, ROWS, Content_Length=announced))
    with serving(handler) as host:
        assert (
            "cannot be fetched: the connection ended before the file did" in refused(f"http://{host}/a.jsonl").message
        )


def test_a_body_longer_than_announced_is_cut_at_the_announced_length() -> None:
    handler = answering(lambda server: server.send(200, ROWS + b"more", Content_Length=str(len(ROWS))))
    with serving(handler) as host:
        assert fetched(f"http://{host}/a.jsonl") == ROWS


def endless(server: Any) -> None:
    server.send(200, Content_Length="")
    try:
        while True:
            server.wfile.write(bytes(2**16))
    except OSError:
        pass


def test_an_endless_body_is_stopped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_FETCH_MIB", "3")
    with serving(answering(endless)) as host:
        error = refused(f"http://{host}/a.jsonl")

    assert isinstance(error, TooLarge)
    assert error.message.startswith("a.jsonl: cannot be fetched, as it holds more than 3.0 MiB. Raise SHOAL_FETCH_MIB")


def test_a_file_announced_as_larger_than_the_limit_is_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_FETCH_MIB", "3")
    handler = answering(lambda server: server.send(200, Content_Length=str(2**40)))
    with serving(handler) as host:
        assert "holds more than 3.0 MiB" in refused(f"http://{host}/a.jsonl").message


def test_a_content_encoding_is_decoded_and_an_archive_stays_an_archive() -> None:
    packed = gzip.compress(ROWS)
    handler = answering(lambda server: server.send(200, packed, Content_Encoding="gzip"))
    with serving(handler) as host:
        assert fetched(f"http://{host}/a.jsonl") == ROWS
        assert fetched(f"http://{host}/a.jsonl.gz") == packed


@pytest.mark.parametrize("between", [b"", bytes(512)], ids=["side-by-side", "padded"])
def test_all_members_of_a_gzip_encoded_body_are_kept(between: bytes) -> None:
    packed = between.join([gzip.compress(ROWS), gzip.compress(b"more"), gzip.compress(b"")]) + between
    handler = answering(lambda server: server.send(200, packed, Content_Encoding="gzip"))
    with serving(handler) as host:
        assert fetched(f"http://{host}/a.jsonl") == ROWS + b"more"


@pytest.mark.parametrize(
    ("encoding", "content", "says"),
    [
        ("gzip", gzip.compress(ROWS)[:-9], "compressed transfer is incomplete"),
        ("gzip", gzip.compress(ROWS) + gzip.compress(ROWS)[:-9], "compressed transfer is incomplete"),
        ("gzip", b"", "compressed transfer is incomplete"),
        ("gzip", ROWS, "compressed transfer is damaged"),
        ("gzip", gzip.compress(ROWS) + b"rest", "compressed transfer is damaged"),
        ("gzip, gzip", gzip.compress(gzip.compress(ROWS)), "is sent in the encoding 'gzip, gzip'"),
        ("br", ROWS, "is sent in the encoding 'br'"),
    ],
    ids=["cut-off", "second-cut-off", "empty", "damaged", "other-rest", "packed-twice", "brotli"],
)
def test_other_content_encodings_are_rejected(encoding: str, content: bytes, says: str) -> None:
    handler = answering(lambda server: server.send(200, content, Content_Encoding=encoding))
    with serving(handler) as host:
        assert says in refused(f"http://{host}/a.jsonl").message


def test_a_body_that_decompresses_endlessly_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.files.bounds.available_bytes", lambda: 10 * 2**20)
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(64 * 2**20)) + packer.flush()
    handler = answering(lambda server: server.send(200, bomb, Content_Encoding="gzip"))
    with serving(handler) as host:
        error = refused(f"http://{host}/a.jsonl")

    assert isinstance(error, TooLarge)
    assert "unpacks to more than 8.0 MiB of" in error.message


def test_the_setting_limits_the_decompressed_size_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_IMPORT_UNFOLDED_MIB", "1")
    handler = answering(lambda server: server.send(200, gzip.compress(bytes(2**21)), Content_Encoding="gzip"))
    with serving(handler) as host:
        assert "unpacks to more than 1.0 MiB of" in refused(f"http://{host}/a.jsonl").message


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (200, "Text/HTML; charset=utf-8", "is a web page, not a file"),
        (202, "", "the server answered 202. The file is not ready yet"),
        (204, "", "the server answered 204. The address holds nothing"),
        (206, "", "the server answered 206"),
    ],
)
def test_a_response_without_a_complete_file_is_not_a_file(code: int, kind: str, says: str) -> None:
    handler = answering(lambda server: server.send(code, Content_Type=kind))
    with serving(handler) as host:
        assert says in refused(f"http://{host}/a.jsonl").message

    assert len(handler.asked) == 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "ALL_PROXY",
            f"socks5://me:{SECRET}@127.0.0.1:9",
            "the SOCKS proxy that ALL_PROXY names needs the package socksio",
        ),
        ("HTTP_PROXY", f"socks://me:{SECRET}@127.0.0.1:9", "HTTP_PROXY does not hold the address of a proxy"),
        (
            "HTTP_PROXY",
            f"http://me:{SECRET}@127.0.0.1:9",
            "no connection to the server, or to the proxy that HTTP_PROXY names",
        ),
        ("SSL_CERT_FILE", "none.pem", "the certificates that SSL_CERT_FILE names cannot be read (No such file"),
        ("SSL_CERT_FILE", __file__, "the certificates that SSL_CERT_FILE names cannot be read"),
    ],
)
def test_an_environment_variable_that_prevents_fetching_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for proxy in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, value)

    assert says in refused("http://host.invalid/a.jsonl").message


@pytest.mark.parametrize("code", [407, 502])
def test_a_proxy_that_blocks_requests_is_named(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Proxy", (answering(lambda server: None),), {"do_CONNECT": lambda self: self.send(code)})
    with serving(handler) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@{proxy}")
        monkeypatch.setenv("NO_PROXY", "")
        message = refused("https://host.invalid/a.jsonl").message

    assert "the proxy that HTTPS_PROXY names does not let it through" in message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", "key.pem", "-out", "cert.pem"], check=True, capture_output=True, cwd=folder)
    return folder


@pytest.fixture
def safe_host(certificate: Path) -> Iterator[str]:
    """A TLS server that serves rows and redirects `/on` to a server without TLS."""
    handler = answering(
        lambda server: (
            server.send(302, Location="http://127.0.0.1:9/a.jsonl")
            if server.path == "/on.jsonl"
            else server.send(200, ROWS)
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with serving(handler, context) as host:
        yield host


@pytest.mark.process
def test_an_untrusted_certificate_is_reported_with_the_remedy(safe_host: str) -> None:
    message = refused(f"https://{safe_host}/a.jsonl?k={SECRET}").message

    assert "certificate is not trusted (self-signed certificate)" in message.replace("self signed", "self-signed")
    assert "SSL_CERT_FILE" in message


@pytest.mark.process
def test_a_private_certificate_is_trusted_and_encryption_is_kept(
    safe_host: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))

    assert fetched(f"https://{safe_host}/a.jsonl") == ROWS
    assert "is redirected to an unencrypted address" in refused(f"https://{safe_host}/on.jsonl").message


def test_the_address_is_not_logged_and_other_log_records_are_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler = answering(
        lambda server: (
            server.send(302, Location=f"/b.jsonl?k={SECRET}") if server.path[1] == "a" else server.send(200, ROWS)
        )
    )
    with serving(handler) as host:
        fetched(f"http://me:{SECRET}@{host}/a.jsonl?k={SECRET}")
    logging.getLogger("httpx").info("another request")

    assert SECRET not in caplog.text
    assert "another request" in caplog.text


def test_a_long_name_keeps_its_ending() -> None:
    handler = answering(lambda server: server.send(200, ROWS))
    with serving(handler) as host:
        file = FetchedFiles(Address(f"http://{host}/{'n' * 300}.jsonl"))

    assert isinstance(file.path, Path)
    assert file.path.suffix == ".jsonl"
    file.close()


@pytest.mark.process
def test_ctrl_c_ends_a_fetch_from_a_silent_server(tmp_path: Path) -> None:
    folder = tmp_path / "asked"

    def silent(server: Any) -> None:
        server.send(200, Content_Length="1000")
        folder.touch()
        time.sleep(20)

    command = [sys.executable, "-m", "shoal.cli.start"]
    with serving(answering(silent)) as host:
        environ = os.environ | {"TMPDIR": str(tmp_path)}
        script = "from shoal.cli.start import main; main()"
        command = [sys.executable, "-c", script, "cluster", f"http://{host}/a.jsonl?k={SECRET}"]
        run = subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, stderr=subprocess.PIPE)
        while not folder.exists():
            time.sleep(0.05)
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        _, printed = run.communicate(timeout=15)

    assert run.returncode == 130
    assert SECRET not in printed
    assert not list(tmp_path.glob("shoal-*"))

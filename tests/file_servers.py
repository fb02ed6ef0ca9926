"""Servers of files on this machine: HTTP, and as much of S3 as its client asks for."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@contextmanager
def serving(handler: Any, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Host and port of a server until the block ends; one with TLS where there is a context."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.block_on_close = True, False
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
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
            self._send(200, self._list_objects(query.get("prefix", [""])[0]), "application/xml", body=body)
        elif not key:
            self._send(200, b"", "application/xml", body=body)
        elif key in self.objects:
            self._send(200, self.objects[key], "application/octet-stream", body=body)
        else:
            self._send(404, b"", "application/xml", body=body)

    def _list_objects(self, prefix: str) -> bytes:
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><LastModified>2024-05-01T00:00:00.000Z</LastModified>"
            "</Contents>"
            for key, content in self.objects.items()
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

"""A server of /v1/embeddings on the loopback, which misbehaves on request."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def vector(text: str) -> list[float]:
    return [float(len(text)), float(text.count("a")), 1.0]


def good_reply(texts: list[str]) -> Reply:
    rows = [{"object": "embedding", "index": row, "embedding": vector(text)} for row, text in enumerate(texts)]
    return 200, {}, json.dumps({"object": "list", "data": rows[::-1], "model": "m"}).encode()


class EmbeddingServer:
    """Answers with the replies in `replies` first, then well; keeps what it received."""

    def __init__(self) -> None:
        self.replies: list[Callable[[list[str]], Reply]] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    def answer(self, body: dict[str, Any], key: str | None) -> Reply:
        self.bodies.append(body)
        self.keys.append(key)
        reply = self.replies.pop(0) if self.replies else good_reply
        return reply(body["input"])


@contextmanager
def serve_embeddings() -> Iterator[EmbeddingServer]:
    server = EmbeddingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, content = server.answer(body, self.headers.get("Authorization"))
            self.send_response(status if self.path == "/v1/embeddings" else 404)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()

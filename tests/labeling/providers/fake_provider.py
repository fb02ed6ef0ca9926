"""A provider on loopback: a real HTTP server that speaks the three wire formats, and misbehaves on request."""

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from labeling.providers.fake_wires import Asked, read_request, wire_of, write_reply

__all__ = ["FakeProvider", "Reply", "answer_well"]

_COMMON = {"the", "is", "my", "a", "an", "to", "of", "at", "i", "in", "it", "and", "for", "what", "how", "on", "please"}


@dataclass(frozen=True)
class Reply:
    """What the fake does with a request."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, in place of a reply in the wire format."""
    finish: str = "stop"
    refusal: str | None = None
    delay: float = 0.0
    break_off: bool = False
    """Whether the connection ends in the middle of the body."""
    no_answer: bool = False
    """Whether the connection ends before any answer."""
    content_type: str = "application/json"


def answer_well(asked: Asked, **changes: object) -> Reply:
    """Name a group by the two words that most of its documents use, as a good model might."""
    documents = asked.documents
    words = Counter(
        word for text in documents.values() for word in set(re.findall(r"[^\W\d_]+", text.casefold())) - _COMMON
    )
    label = " ".join(word for word, _ in words.most_common(2)) or "Things"
    answer: dict[str, Any] = {"label": label, "evidence": list(documents)[:2]}
    properties = asked.schema.get("properties", {})
    if "summary" in properties:
        answer["summary"] = f"These documents are about {label}."
    if "keywords" in properties:
        answer["keywords"] = [word for word, _ in words.most_common(4)]
    return Reply(json.dumps({**answer, **changes}))


class FakeProvider:
    """Serves the three wires at `url`.

    Parameters
    ----------
    behave : callable
        Returns what is done with a request.
    """

    def __init__(self, behave: Callable[[Asked], Reply] = answer_well) -> None:
        self.behave = behave
        self.asked: list[Asked] = []
        self.tokens: list[tuple[int, int]] = []
        """Of the replies that reported them."""
        self.keys: list[str] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "FakeProvider":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def usage(self) -> tuple[int, int]:
        """Input and output tokens of all replies that reported them."""
        return sum(each[0] for each in self.tokens), sum(each[1] for each in self.tokens)

    def begin(self, asked: Asked, keys: Sequence[str]) -> Reply:
        """Note a request and return what to do."""
        with self._lock:
            asked = replace(asked, number=len(self.asked))
            self.asked.append(asked)
            self.keys += keys
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        return self.behave(asked)

    def end(self) -> None:
        with self._lock:
            self.at_once -= 1

    def report(self, tokens: tuple[int, int]) -> None:
        with self._lock:
            self.tokens.append(tokens)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeProvider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        wire = wire_of(self.path.partition("?")[0])
        if wire is None:
            self._send(Reply(status=404, body=b"{}"))
            return
        asked = read_request(wire, self.path, json.loads(raw))
        names = ("authorization", "x-api-key", "x-goog-api-key")
        reply = self.fake.begin(asked, [self.headers[name] for name in names if self.headers[name]])
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._act(asked, reply, len(raw))
        finally:
            self.fake.end()

    def _act(self, asked: Asked, reply: Reply, size: int) -> None:
        time.sleep(reply.delay)
        if reply.no_answer:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if reply.status != 200 or reply.body is not None:
            self._send(reply)
            return
        tokens = (size // 4, len(reply.text) // 4 + 1)
        kind, pieces = write_reply(asked, reply.text, tokens, reply.finish, reply.refusal)
        if reply.break_off:
            self._send_part(kind, pieces)
            return
        self.fake.report(tokens)
        self._send(replace(reply, body=b"".join(pieces), content_type=kind))

    def _send(self, reply: Reply) -> None:
        body = reply.body or b""
        self.send_response(reply.status)
        for name, value in {"content-type": reply.content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_part(self, kind: str, pieces: Sequence[bytes]) -> None:
        """Send less than was promised, without any report of tokens, and end the connection."""
        body = b"".join(pieces)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: min(40, len(body) // 4)])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

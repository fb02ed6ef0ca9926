"""Rejection of requests with ambiguous framing (request smuggling)."""

from typing import Final

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.errors import InvalidRequest

__all__ = ["FramingGuard"]

_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


class FramingGuard:
    """ASGI middleware that answers 400 to a request with both Content-Length and Transfer-Encoding, and closes its
    connection (RFC 9112, 6.1): a proxy that honours the other header would read a part of the body as a request of
    another caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not {name for name, _ in scope["headers"]} >= _LENGTHS:
            await self._app(scope, receive, send)
            return
        answer = error_reply(InvalidRequest("Send either Content-Length or Transfer-Encoding, not both."))
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

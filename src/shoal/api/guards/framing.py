"""Requests of which two readers may see different ends are refused before anything is done for them."""

from typing import Final

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.errors import InvalidRequest

__all__ = ["OneFraming"]

_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


class OneFraming:
    """400 for a request with both Content-Length and Transfer-Encoding, and its connection is closed (RFC 9112, 6.1): a
    proxy that goes by the other of the two would take a part of the body for another caller's request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not {name for name, _ in scope["headers"]} >= _LENGTHS:
            await self._app(scope, receive, send)
            return
        answer = error_reply(InvalidRequest("Send either Content-Length or Transfer-Encoding, not both."))
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

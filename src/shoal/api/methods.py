"""HEAD for every route with GET, and the methods that a 405 lists as allowed."""

from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.downloads import Download

__all__ = ["HeadOnly", "HeadSupport", "find_allowed_methods", "is_head_request"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEAD: Final = "shoal.head"
"""The scope key of a HEAD request that the handler of GET answers."""


class HeadSupport:
    """ASGI middleware that answers HEAD with the headers of GET (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def drop_body(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not message.get("more_body") and not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET", _HEAD: True}, receive, drop_body)


def is_head_request(request: Request) -> bool:
    """Whether only the headers of the response will be sent."""
    return _HEAD in request.scope


class HeadOnly(Response):
    """The headers of a response, whose body is neither built nor read from its file."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer
        self.background = answer.background

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send the headers; those of a file include its length."""
        if isinstance(self._answer, Download):
            await self._answer({**scope, "method": "HEAD"}, receive, send)
            return
        headers = self._answer.raw_headers
        await send({"type": "http.response.start", "status": self._answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        if self.background is not None:
            await self.background()


def find_allowed_methods(app: FastAPI, scope: Connection) -> list[str]:
    """Return the methods that any route accepts at this path."""
    methods = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.router.routes)
    ]
    return [*methods, "HEAD"] if "GET" in methods else methods

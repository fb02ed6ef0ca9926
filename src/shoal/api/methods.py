"""Methods beyond those that routes name: HEAD wherever GET is, and what a 405 says is allowed."""

from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.downloads import Download

__all__ = ["HeadLikeGet", "HeadOnly", "allowed_methods", "asks_for_head"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEAD: Final = "shoal.head"
"""Set in the scope of a request that came as HEAD and is answered by the handler of GET."""


class HeadLikeGet:
    """Answers HEAD with the head of what GET answers (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def headless(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not message.get("more_body") and not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET", _HEAD: True}, receive, headless)


def asks_for_head(request: Request) -> bool:
    """Whether only the head of the answer will be sent."""
    return _HEAD in request.scope


class HeadOnly(Response):
    """The head of an answer, whose body is neither read from its file nor made."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer
        self.background = answer.background

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send the head; a file says how long it is."""
        if isinstance(self._answer, Download):
            await self._answer({**scope, "method": "HEAD"}, receive, send)
            return
        headers = self._answer.raw_headers
        await send({"type": "http.response.start", "status": self._answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        if self.background is not None:
            await self.background()


def allowed_methods(app: FastAPI, scope: Connection) -> list[str]:
    """Every method that some route takes at this path."""
    found = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.router.routes)
    ]
    return [*found, "HEAD"] if "GET" in found else found

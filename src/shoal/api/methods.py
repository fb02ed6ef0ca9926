"""Methods beyond those that routes name: HEAD wherever GET is, and what a 405 says is allowed."""

from typing import Final

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

__all__ = ["HeadLikeGet", "allowed_methods"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


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

        await self._app({**scope, "method": "GET"}, receive, headless)


def allowed_methods(app: FastAPI, scope: Connection) -> list[str]:
    """Every method that some route takes at this path."""
    found = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.router.routes)
    ]
    return [*found, "HEAD"] if "GET" in found else found
